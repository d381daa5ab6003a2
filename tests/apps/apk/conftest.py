"""What the APK's tests share: tools fetched once, keys in folders of the test's own, a page of two files."""

from pathlib import Path

import pytest

from edgeafri.apps.apk import toolchain as module
from edgeafri.apps.apk.build import pack
from edgeafri.apps.apk.identity import Identity
from edgeafri.apps.apk.keys import ALIAS, KEYSTORE, PASSWORD
from edgeafri.apps.apk.toolchain import Toolchain
from edgeafri.errors import MissingPackage
from edgeafri.util.files import cache_folder
from edgeafri.util.progress import quiet

_KEPT = cache_folder()  # before a test gets a cache of its own: the old packages are 15 MB to fetch


@pytest.fixture(autouse=True)
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place for keys of the test's own; no key of whoever runs it."""
    for name in (KEYSTORE, PASSWORD, ALIAS):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "data" / "edgeafri" / "android-debug-key"


@pytest.fixture(scope="session")
def tools() -> Toolchain:
    """The real tools, kept where the user keeps them. Skips with what is missing, and how to get it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "cache_folder", lambda: _KEPT)
        try:
            return module.toolchain(quiet)
        except MissingPackage as error:
            pytest.skip(f"{error.message}. {error.hint}")


@pytest.fixture(scope="session")
def named() -> Identity:
    return Identity("org.edgeafri.demo.b0123456789abcdef", 10203, "1.2.3", "Names: Hausa, Ghomala")


@pytest.fixture(scope="session")
def page(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A page of a text and a model, by the names they have in the app."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "index.html").write_text("<!doctype html>" + "<p>Ọjọ́ ọ̀la</p>" * 100, "utf-8")
    (folder / "model.onnx").write_bytes(bytes(range(256)) * 64)
    return {"index.html": folder / "index.html", "bundle/model.onnx": folder / "model.onnx"}


@pytest.fixture(scope="session")
def apk(page, named, tools, tmp_path_factory) -> Path:
    """A real one, made once, signed with a debug key of the tests' own."""
    out = tmp_path_factory.mktemp("out")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(out / "data"))
        patch.delenv(KEYSTORE, raising=False)
        pack(page, named, tools, out / "apk" / "a.apk")
    return out / "apk" / "a.apk"
