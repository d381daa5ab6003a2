"""Locks: one build at a time in a place, on Linux, macOS and Windows alike."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgeafri.errors import StorageError
from edgeafri.util.packages import needed_by


@contextmanager
def alone(place: Path, lock: Path, option: str) -> Iterator[None]:
    """Hold the file `lock` while the block lasts, for work on `place`, which the command's `option` names.

    StorageError at once where another process, or another thread of this one, holds it. The system frees the lock of a
    process that is killed.
    """
    with needed_by("a build"):
        from filelock import FileLock, Timeout  # 30 ms that most commands never need
    held = FileLock(lock, timeout=0)
    try:
        held.acquire()
    except Timeout:
        hint = f"Wait for it to end, or choose another folder with {option} DIR."
        raise StorageError(f"{place}: another build is at work there", hint) from None
    try:
        yield
    finally:
        held.release()
