"""Files, safely: content hashes remembered per machine, whole-or-nothing writes, clear words when a disk says no."""

import errno
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edgeafri.documents.base import Json
from edgeafri.errors import EdgeAfriError, StorageError, UsageError

_CHUNK = 1 << 20


def cache_folder() -> Path:
    """Where this user's caches live: EDGEAFRI_CACHE, else the XDG cache folder."""
    chosen = os.environ.get("EDGEAFRI_CACHE")
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edgeafri"


def sha256(path: Path) -> str:
    """The content hash of one file, always read from disk."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


class Digests:
    """Content hashes of this machine's files, computed again only when size, mtime or inode changed.

    Use as a context manager: what was learnt is written back once, at the end. An unwritable cache costs time only.
    """

    def __init__(self, store: Path | None = None) -> None:
        self._store = store or cache_folder() / "digests.json"
        self._known: dict[str, list[int | str]] = {}  # size, mtime and inode of each file, then its hash
        self._changed = False

    def __enter__(self) -> "Digests":
        with suppress(OSError, ValueError):
            known = json.loads(self._store.read_text("utf-8"))
            self._known = known if isinstance(known, dict) else {}
        return self

    def __exit__(self, *_: object) -> None:
        if self._changed:
            with suppress(OSError):
                self._store.parent.mkdir(parents=True, exist_ok=True)
                write_whole(self._store, json.dumps(self._known))

    def of(self, path: Path) -> str:
        """The hash of a file; of a folder, the hash over its files' names and hashes in sorted order."""
        if path.is_dir():
            files = {file.relative_to(path): file for file in path.rglob("*") if file.is_file()}
            names = sorted(files, key=lambda name: name.parts)  # in the same order, and named alike, on every system
            lines = [f"{name.as_posix()} {self.of(files[name])}" for name in names]
            return hashlib.sha256("\n".join(lines).encode()).hexdigest()
        stat = path.stat()
        seen = [stat.st_size, stat.st_mtime_ns, stat.st_ino]
        name = str(path.resolve())
        if name in self._known and self._known[name][:3] == seen:
            return str(self._known[name][3])
        return self.again(path)

    def again(self, path: Path) -> str:
        """The hash of a file, read from disk whatever is remembered."""
        stat = path.stat()
        digest = sha256(path)
        self._known[str(path.resolve())] = [stat.st_size, stat.st_mtime_ns, stat.st_ino, digest]
        self._changed = True
        return digest


def write_whole(path: Path, text: str) -> None:
    """Write a text file so that a reader, or a crash, finds the old one or the new one, never a part."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def make_room(file: Path) -> None:
    """Make the folder of a result, and see before the work that it takes one.

    UsageError for what is no file, such as a folder or /dev/null, which would be replaced. StorageError for the rest.
    """
    if file.exists() and not file.is_file():
        raise UsageError(f"{file}: it is there and no file, so nothing is written over it", "Name a file.")
    try:
        with storage(file.parent):
            file.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=file.parent, prefix=f".{file.name}."):
                pass
    except FileNotFoundError:  # /proc has no room for files
        raise StorageError(f"{file.parent}: takes no files", _ELSEWHERE) from None


def json_text(value: Json) -> str:
    """JSON as this project writes it: readable letters, keys in the order given, one trailing newline."""
    return json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


@contextmanager
def storage(folder: Path) -> Iterator[None]:
    """Turn what a disk refuses under `folder` into a StorageError with a next step."""
    try:
        yield
    except OSError as error:
        known = refused(error, folder)
        if known is None:
            raise
        raise known from error


def refused(error: OSError, folder: Path) -> StorageError | None:
    """What a disk refused, with a next step; None when it is something else that went wrong."""
    place = error.filename2 or error.filename or folder
    if isinstance(error, PermissionError):
        return StorageError(f"{place}: not allowed to read or write there", _ELSEWHERE)
    hint = _HINTS.get(error.errno or 0)
    return StorageError(f"{place}: {os.strerror(error.errno or 0)}", hint) if hint else None


class WatchedDisk:
    """Around work that writes below `folder`: what a disk refused is told as that, whatever a library makes of it.

    Some put the system's number into a text of their own, some say only that saving failed; then the disk is asked.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if error is None or isinstance(error, (EdgeAfriError, OSError, KeyboardInterrupt)):
            return
        named = _NUMBERED.search(str(error))
        full = free_bytes(self._folder) < _NEARLY_NOTHING
        if named or full:
            number = int(named[1]) if named else errno.ENOSPC
            raise OSError(number, os.strerror(number), str(self._folder)) from error


def free_bytes(folder: Path) -> int:
    """What this user may still write to the disk that `folder` is on."""
    import psutil  # most commands never ask

    return int(psutil.disk_usage(str(folder)).free)


def partial_folder(target: Path) -> Path:
    """Where a folder is made before it gets its name: beside it, hidden, and named so that it is nobody else's."""
    return target.with_name(f".{target.name}.edgeafri.partial")


_NEARLY_NOTHING = 1 << 20
_NUMBERED = re.compile(r"\(os error (\d+)\)")  # how libraries written in Rust end such a message
_ELSEWHERE = "Choose a folder you may write to, for example with --work DIR or --out FILE."
_FREE = "Free some space, or choose another disk with --work DIR; finished steps are kept and will be reused."
_SHORTER = "Use a shorter name."
# By name: the numbers differ between Linux, macOS and Windows.
_HINTS = {
    errno.ENAMETOOLONG: _SHORTER,
    errno.ENOSPC: _FREE,
    errno.EDQUOT: _FREE,
    errno.EROFS: _ELSEWHERE,
    errno.ENOTDIR: _ELSEWHERE,
    errno.EEXIST: _ELSEWHERE,
}
