"""The page around a bundle: complete, equal every time, and refused where it could not run."""

import dataclasses
import json
import shutil
import zipfile
from pathlib import Path

import pytest

from edgeafri.apps import web
from edgeafri.apps.web import make_page, write_page, write_zip
from edgeafri.artifact import adopt
from edgeafri.errors import ArtifactError, StorageError, UsageError
from edgeafri.util.files import Digests, sha256


@pytest.fixture(autouse=True)
def vendor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Libraries that need no network: one file of four bytes."""
    library = tmp_path / "library.mjs"
    library.write_text("lib\n", "utf-8")
    monkeypatch.setattr(web, "libraries", lambda lock, step: {"library.mjs": library})
    return library


@pytest.fixture
def copy(bundle: Path, tmp_path: Path) -> Path:
    """A bundle that a test may damage."""
    shutil.copytree(bundle, tmp_path / "bundle")
    return tmp_path / "bundle"


def resealed(folder: Path, **facts: object) -> None:
    """The same bundle with other facts and the files that are there now."""
    from edgeafri.artifact import load_artifact, seal

    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    with Digests(folder.parent / "digests.json") as digests:
        found = adopt(folder, "corpus", "ner", ("swa",), digests)
        whole = dataclasses.replace(
            found.manifest, kind="bundle", stage="bundle", facts={**manifest["facts"], **facts}, files={}
        )
        seal(folder, whole, digests)
        load_artifact(folder, digests)


def test_a_page_holds_itself_its_libraries_and_the_bundle(bundle: Path):
    """
    Everything that index.html, the worker and the screens ask for, under the names that they ask for.
    """
    page = make_page(bundle)
    names = set(page.files)

    assert {"index.html", "page.css", "js/page.js", "js/worker.js", "strings/sw.json", "device.json"} < names
    assert {"licences/edgeafri.txt", "licences/onnxruntime-web.txt", "vendor/library.mjs"} < names
    assert {"bundle/manifest.json", "bundle/bundle.json", "bundle/tokenizer.json", "bundle/model.onnx"} < names
    assert not any("node_modules" in name or name.startswith("test/") for name in names)


def test_every_file_that_the_page_names_is_there(bundle: Path):
    """
    Imports of scripts and links of the page lead to files of the page or to a library.
    """
    import re

    names = set(make_page(bundle).files)
    for name in [item for item in names if item.startswith("js/")]:
        text = (web.page_folder() / name).read_text("utf-8")
        for target in re.findall(r'from "\./(\S+?)"', text):
            assert f"js/{target}" in names, (name, target)


def test_a_folder_is_written_whole(bundle: Path, tmp_path: Path):
    """
    The bundle's files unchanged, so that their hashes still hold.
    """
    page = make_page(bundle)
    write_page(page, tmp_path / "out")
    written = {
        path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*") if path.is_file()
    }

    assert written == set(page.files)
    assert sha256(tmp_path / "out" / "bundle" / "model.onnx") == sha256(bundle / "model.onnx")
    assert page.bytes == sum((tmp_path / "out" / name).stat().st_size for name in written)


def test_equal_pages_make_equal_archives(bundle: Path, tmp_path: Path):
    """
    No dates and no order of the disk in it.
    """
    page = make_page(bundle)
    write_zip(page, tmp_path / "one.zip")
    write_zip(make_page(bundle), tmp_path / "two.zip")

    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    assert set(zipfile.ZipFile(tmp_path / "one.zip").namelist()) == set(page.files)


@pytest.mark.parametrize("write", [write_page, write_zip])
def test_nothing_is_overwritten(bundle: Path, tmp_path: Path, write):
    """
    A folder with something in it, or a file, is somebody's.
    """
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine", "utf-8")
    with pytest.raises(UsageError, match="already there") as caught:
        write(make_page(bundle), tmp_path / "out")

    assert "--out" in caught.value.hint
    assert (tmp_path / "out" / "mine.txt").read_text("utf-8") == "mine"


@pytest.mark.parametrize("write", [write_page, write_zip])
def test_what_is_broken_off_leaves_nothing(bundle: Path, tmp_path: Path, write):
    """
    Ctrl-C, a full disk, a file that went away: no half page stays, not even a hidden one.
    """
    page = make_page(bundle)
    broken = dataclasses.replace(page, files={**page.files, "z": tmp_path / "gone"})
    with pytest.raises(FileNotFoundError):
        write(broken, tmp_path / "out" / "page")

    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("write", [write_page, write_zip])
def test_a_bundle_gets_no_page_inside(copy: Path, write):
    """
    What is sealed stays as it is.
    """
    with pytest.raises(UsageError, match="lies inside the bundle") as caught:
        write(make_page(copy), copy / "page")

    assert "--out" in caught.value.hint
    assert not (copy / "page").exists()


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder that takes no files: /proc of Linux")
@pytest.mark.parametrize("write", [write_page, write_zip])
def test_a_place_that_takes_no_files_is_told(bundle: Path, write):
    """
    Not every folder is a disk.
    """
    with pytest.raises(StorageError, match=r"takes no files|not allowed"):
        write(make_page(bundle), Path("/proc/page"))


def test_a_changed_file_is_refused(copy: Path):
    """
    Every file is hashed again, even one of the same size.
    """
    data = bytearray((copy / "tokenizer.json").read_bytes())
    data[-2] ^= 1
    (copy / "tokenizer.json").write_bytes(bytes(data))

    with pytest.raises(ArtifactError, match=r"tokenizer\.json: content changed since it was sealed"):
        make_page(copy)


def test_a_bundle_without_a_tokenizer_is_refused(copy: Path):
    """
    With what to give instead.
    """
    (copy / "tokenizer.json").unlink()
    resealed(copy)
    with pytest.raises(ArtifactError, match=r"has no tokenizer\.json, and the page needs it") as caught:
        make_page(copy)

    assert "edgeafri build" in caught.value.hint


def test_an_operator_that_was_not_tried_is_refused(copy: Path):
    """
    Named, with the way to a graph that runs.
    """
    resealed(copy, contrib_operators=["com.microsoft.QAttention", "com.microsoft.Strange"])
    with pytest.raises(
        ArtifactError, match=r"the graph needs com\.microsoft\.Strange, which the page was not"
    ) as caught:
        make_page(copy)

    assert "isa=wasm" in caught.value.hint


def test_a_folder_that_is_no_bundle_is_refused(tmp_path: Path, copy: Path):
    """
    An artifact of another kind, as well as any other folder.
    """
    from edgeafri.artifact import load_artifact, seal

    with Digests(tmp_path / "digests.json") as digests:
        manifest = dataclasses.replace(load_artifact(copy, digests).manifest, kind="onnx", files={})
        (copy / "manifest.json").unlink()
        seal(copy, manifest, digests)

    with pytest.raises(ArtifactError, match="holds onnx, not a bundle"):
        make_page(copy)
    with pytest.raises(ArtifactError, match="not an EdgeAfri artifact"):
        make_page(tmp_path)


def test_a_model_that_is_large_for_a_phone_is_told(bundle: Path, monkeypatch: pytest.MonkeyPatch):
    """
    With the megabytes that the page would take, from measured pages; a small one is not remarked on.
    """
    small = make_page(bundle)
    monkeypatch.setattr(web, "_FREE_MB", 10)

    assert small.warnings == ()
    assert "MB" in make_page(bundle).warnings[0]
    assert "2 GB" in make_page(bundle).warnings[0]


def test_the_package_holds_the_page():
    """
    pip-installed, the page lies beside the code: pyproject packs what the checkout has under android-demo.
    """
    import tomllib

    root = Path(__file__).parents[2]
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))
    packed = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]

    assert packed["android-demo/web/page"] == "edgeafri/apps/page"
    assert packed["android-demo/web/package-lock.json"] == "edgeafri/apps/page-lock.json"
    assert web.page_folder() == root / "android-demo" / "web" / "page"


def test_the_page_carries_the_licence_of_the_project():
    """
    The same text as in the root, so that it goes wherever the page goes.
    """
    root = Path(__file__).parents[2]

    assert (web.page_folder() / "licences" / "edgeafri.txt").read_bytes() == (root / "LICENSE").read_bytes()
