"""The app without a phone: a signed APK, its own Java answering, a real Chromium as its WebView."""

import json
import subprocess
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edgeafri.apps import npm
from edgeafri.apps.apk import build_apk, toolchain
from edgeafri.apps.apk.build import app_folder
from edgeafri.apps.apk.keys import KEYSTORE
from edgeafri.documents.package import AndroidPackage
from edgeafri.errors import MissingPackage
from edgeafri.util.files import cache_folder

pytestmark = pytest.mark.slow
LARGEST_APP = 6_000_000
_KEPT = cache_folder()  # before a test gets a cache of its own


@pytest.fixture(scope="module")
def apk(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> AndroidPackage:
    """The app of a small bundle, its tools kept where the user keeps them. Skips with what is missing to make one."""
    folder = tmp_path_factory.mktemp("apk")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(npm, "cache_folder", lambda: _KEPT)
        patch.setattr(toolchain, "cache_folder", lambda: _KEPT)
        patch.setenv("XDG_DATA_HOME", str(folder / "data"))
        patch.delenv(KEYSTORE, raising=False)
        try:
            return build_apk(bundle, folder / "out")
        except MissingPackage as error:
            pytest.skip(f"{error.message}. {error.hint}")


@contextmanager
def running(apk: Path, classes: Path) -> Iterator[str]:
    """The address of a page that the app's Router serves from an APK."""
    app = app_folder()
    package = Path("org") / "edgeafri" / "demo"
    sources = [app / "java" / package / "Router.java", app / "test" / package / "ApkServer.java"]
    command = ["javac", "-encoding", "UTF-8", "-d", str(classes), *map(str, sources)]
    subprocess.run(command, check=True, capture_output=True)
    command = ["java", "-cp", str(classes), "org.edgeafri.demo.ApkServer", str(apk)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        yield server.stdout.readline().strip()
        server.stdin.close()


def test_the_app_labels_and_measures_on_its_own(apk, node, chromium, tmp_path):
    """
    A sentence typed on a slow phone gets its entities, and the measurement goes where the user shares it. Nothing
    leaves the app's origin, nothing is asked for in vain, nothing stands on the console.
    """
    with running(Path(apk.out), tmp_path / "classes") as address:
        report = json.loads(node("app.mjs", address, tmp_path / "screens", chromium))
    shared = report["shared"]

    assert (report["console"], report["outside"], report["refused"]) == ([], [], [])
    assert report["entities"]
    assert not report["save_offered"]
    assert shared["bundle_id"] == apk.bundle_id
    assert shared["device"] == "TECNO BG6"
    assert shared["conditions"]["golden_equal"] == shared["conditions"]["golden"] > 0


def test_an_apk_without_its_model_is_small(apk):
    """
    Its engine is deflated; the model is not, so that it can be mapped into memory.
    """
    with zipfile.ZipFile(apk.out) as archive:
        kinds = {entry.filename: entry.compress_type for entry in archive.infolist()}

    assert apk.app_bytes < LARGEST_APP
    assert kinds["assets/vendor/ort-wasm-simd-threaded.wasm"] == zipfile.ZIP_DEFLATED
    assert kinds["assets/bundle/model.onnx"] == zipfile.ZIP_STORED


def test_the_bundle_is_in_it_unchanged(apk, bundle):
    """
    Every file of it, so that the app can be held against the manifest.
    """
    with zipfile.ZipFile(apk.out) as archive:
        names = [name for name in archive.namelist() if name.startswith("assets/bundle/")]
        changed = [name for name in names if archive.read(name) != (bundle / Path(name).name).read_bytes()]

    assert {Path(name).name for name in names} == {path.name for path in bundle.iterdir()}
    assert changed == []
