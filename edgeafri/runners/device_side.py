"""What runs on a device around the bundle's own process: its text travels with each request, so nothing is installed.

It uses the standard library of Python 3.11 only. It reads one line of JSON, which raw bytes may follow, and prints one
JSON document.
"""

import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
import struct
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TypedDict

_BLOCK = 1 << 16
_PACKAGES = ("numpy", "onnxruntime", "tokenizers")


class File(TypedDict):
    """A file to copy to a device: its path below the folder there, its hash and its size."""

    place: str
    sha256: str
    bytes: int


class PartialFile(TypedDict):
    """A file that is not whole yet, and how many bytes of it are here."""

    place: str
    at: int


def main() -> None:
    """Answer one request. What the disk refuses is an answer too."""
    request = json.loads(sys.stdin.buffer.readline())
    handler = _HANDLERS[request.pop("do")]
    try:
        answer: dict[str, object] = {"answer": handler(**request)}
    except OSError as error:
        place = error.filename or request.get("place") or request.get("root")
        message = f"{place}: {os.strerror(error.errno or 0)}"
        hint = "Make room on the device, or let its user write there, and run the command again."
        answer = {"error": {"kind": "DeviceError", "message": message, "hint": hint}}
    print(json.dumps(answer))  # noqa: T201  # stdout is the answer


def probe() -> dict[str, object]:
    """What this device is and has, as DeviceFacts has it. Memory and disk in bytes; None and "" are unknown."""
    cache = os.environ.get("EDGEAFRI_CACHE")
    root = Path(cache) / "device" if cache else Path.home() / ".cache" / "edgeafri" / "device"
    library, version = platform.libc_ver()
    return {
        "python": "{}.{}".format(*sys.version_info),
        "machine": platform.machine(),
        "bits": 8 * struct.calcsize("P"),
        "system": f"{platform.system()} {platform.release()}",
        "os": _os_name(),
        "libc": f"{library} {version}".strip(),
        "root": str(root),
        "free_bytes": _free(root),
        "available_bytes": _available(),
        "packages": {name: _version(name) for name in _PACKAGES},
    }


def missing(root: str, files: list[File]) -> list[PartialFile]:
    """Which files are not here yet, and how many bytes of each are. A file that arrived whole gets its name."""
    left: list[PartialFile] = []
    for file in files:
        target, partial = _places(root, file)
        if _is(target, file):
            continue
        if _is(partial, file):
            partial.replace(target)
            continue
        at = partial.stat().st_size if partial.is_file() else 0
        if at >= file["bytes"]:  # whole, and not what was sent
            partial.unlink(missing_ok=True)
            at = 0
        left.append({"place": file["place"], "at": at})
    return left


def receive(root: str, file: File, at: int) -> int:
    """Write what follows on stdin into the file's partial from byte `at` on, and return how many bytes came."""
    _, partial = _places(root, file)
    partial.parent.mkdir(parents=True, exist_ok=True)
    partial.touch()
    # Not appended: a writer whose connection broke may still be at work, and writes the same bytes to the same place.
    with partial.open("r+b") as out:
        out.seek(at)
        while block := sys.stdin.buffer.read(_BLOCK):
            out.write(block)
        return out.tell() - at


def installed(root: str, site: str) -> bool:
    """Whether a folder of packages is here. It gets its name when it is whole."""
    return (Path(root) / site).is_dir()


def install(root: str, site: str, packed: list[str]) -> None:
    """Unpack wheels and zips into one folder to import from, which is what a venv without pip would hold."""
    target = Path(root) / site
    partial = target.with_name(f"{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    for place in packed:
        with zipfile.ZipFile(Path(root) / place) as wheel:
            wheel.extractall(partial)  # its hash was compared, and it was sent from here
    partial.replace(target)
    for place in packed:
        (Path(root) / place).unlink()


def remove(root: str, place: str = "") -> None:
    """Remove what was copied: one folder of it, or everything."""
    shutil.rmtree(Path(root) / place, ignore_errors=True)


def _places(root: str, file: File) -> tuple[Path, Path]:
    target = Path(root) / file["place"]
    return target, target.with_name(f"{target.name}.{file['sha256'][:12]}.partial")


def _is(path: Path, file: File) -> bool:
    if not path.is_file() or path.stat().st_size != file["bytes"]:
        return False
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest() == file["sha256"]


def _free(root: Path) -> int:
    there = next(folder for folder in (root, *root.parents) if folder.is_dir())
    return shutil.disk_usage(there).free


def _available() -> int | None:
    lines = _text("/proc/meminfo").splitlines()
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")), None)


def _os_name() -> str:
    lines = _text("/etc/os-release").splitlines()
    return next((line.split("=", 1)[1].strip('"') for line in lines if line.startswith("PRETTY_NAME=")), "")


def _text(path: str) -> str:
    try:
        return Path(path).read_text("utf-8", "replace")
    except OSError:
        return ""


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


_HANDLERS: dict[str, Callable[..., object]] = {
    "probe": probe,
    "missing": missing,
    "receive": receive,
    "installed": installed,
    "install": install,
    "remove": remove,
}

if __name__ == "__main__":
    main()
