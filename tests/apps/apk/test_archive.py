"""The unsigned APK: equal content makes equal bytes, and what Android maps into memory is not deflated."""

import os
import zipfile
from pathlib import Path

import pytest

from edgeafri.apps.apk.archive import write_archive


@pytest.fixture
def compiled(tmp_path: Path) -> Path:
    """What aapt would have made."""
    file = tmp_path / "compiled.apk"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("resources.arsc", b"table" * 100)
        archive.writestr("AndroidManifest.xml", b"manifest" * 100)
    return file


@pytest.fixture
def dex(tmp_path: Path) -> Path:
    file = tmp_path / "classes.dex"
    file.write_bytes(b"dex" * 100)
    return file


def test_everything_is_where_android_looks_for_it(compiled, dex, page, tmp_path):
    """
    The files of the page stand below assets/, with the bytes they had.
    """
    write_archive(compiled, dex, page, tmp_path / "a.apk")

    with zipfile.ZipFile(tmp_path / "a.apk") as archive:
        assert archive.namelist() == [
            "AndroidManifest.xml",
            "resources.arsc",
            "classes.dex",
            "assets/bundle/model.onnx",
            "assets/index.html",
        ]
        assert archive.read("assets/bundle/model.onnx") == page["bundle/model.onnx"].read_bytes()
        assert archive.read("classes.dex") == b"dex" * 100


def test_models_and_the_table_of_resources_are_stored(compiled, dex, page, tmp_path):
    """
    Android 11 refuses an app whose resources.arsc is deflated.
    """
    weights = tmp_path / "model.onnx.data"
    weights.write_bytes(bytes(1000))
    write_archive(compiled, dex, {**page, "bundle/model.onnx.data": weights}, tmp_path / "a.apk")

    with zipfile.ZipFile(tmp_path / "a.apk") as archive:
        stored = {entry.filename for entry in archive.infolist() if entry.compress_type == zipfile.ZIP_STORED}
    assert stored == {"resources.arsc", "assets/bundle/model.onnx", "assets/bundle/model.onnx.data"}


def test_equal_content_makes_equal_bytes(compiled, dex, page, tmp_path):
    """
    Neither the order of the files nor their times are seen.
    """
    write_archive(compiled, dex, page, tmp_path / "a.apk")
    os.utime(page["index.html"], (1, 1))
    write_archive(compiled, dex, dict(reversed(page.items())), tmp_path / "b.apk")

    assert (tmp_path / "a.apk").read_bytes() == (tmp_path / "b.apk").read_bytes()
