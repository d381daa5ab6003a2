"""The APK before it is signed: a zip with fixed times and a fixed order, so that equal content makes equal bytes."""

import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path

_EPOCH = (1980, 1, 1, 0, 0, 0)
# Android reads its table of resources in place, and models load faster where nothing has to be inflated: int8 weights
# would shrink by 6 % only. The rest is deflated, the engine's WebAssembly above all.
_STORED = (".arsc", ".onnx", ".data")


def write_archive(compiled: Path, dex: Path, assets: Mapping[str, Path], out: Path) -> None:
    """Write an APK: what aapt compiled, the code, and the files of the page below assets/."""
    with zipfile.ZipFile(out, "w") as target:
        with zipfile.ZipFile(compiled) as source:
            for name in sorted(source.namelist()):
                target.writestr(_entry(name), source.read(name), compresslevel=9)
        _add(target, "classes.dex", dex)
        for name, path in sorted(assets.items()):
            _add(target, f"assets/{name}", path)


def _add(target: zipfile.ZipFile, name: str, path: Path) -> None:
    entry = _entry(name)
    if entry.compress_type == zipfile.ZIP_DEFLATED:
        target.writestr(entry, path.read_bytes(), compresslevel=9)
        return
    with path.open("rb") as file, target.open(entry, "w") as stored:
        shutil.copyfileobj(file, stored, 1 << 20)


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.compress_type = zipfile.ZIP_STORED if name.endswith(_STORED) else zipfile.ZIP_DEFLATED
    return entry
