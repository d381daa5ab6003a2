"""A memory limit for a process: a control group that has no more memory than is free on the device.

Control groups exist on Linux only, in two versions (the kernel's admin-guide/cgroup-v1/memory.rst and cgroup-v2.rst).
The process joins the group before it starts its program, so that all memory of the program is counted. At the limit the
system first takes back pages of files and then ends the process, as it would on the device. Swap is not used.
"""

import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from edgeafri.documents.host_run import LimitKind

_ROOT, _OWN = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
# Joins the group whose list of processes is the first argument, then becomes the program that follows.
_JOIN = "import os, sys; open(sys.argv[1], 'w').write(str(os.getpid())); os.execv(sys.argv[2], sys.argv[2:])"


@dataclass(frozen=True)
class MemoryLimit:
    """A control group with a memory limit. `prefix` goes before a command that shall run in it."""

    how: LimitKind
    folder: Path

    @property
    def prefix(self) -> Sequence[str]:
        return (sys.executable, "-c", _JOIN, str(self.folder / "cgroup.procs"))

    @property
    def killed(self) -> bool:
        """Whether the system ended a process because it went over the limit."""
        names = ("memory.oom_control", "memory.events")
        lines = [line.split() for name in names for line in _lines(self.folder / name)]
        return any(words[0] == "oom_kill" and words[1] != "0" for words in lines if len(words) == 2)


@contextmanager
def memory_limit(limit_mb: float) -> Iterator[MemoryLimit | None]:
    """A group with a limit of `limit_mb` (10^6 bytes) while the block lasts.

    None where no group can be made: this user may not, or the system is not Linux.
    """
    limit = int(limit_mb * 1e6)
    made = (_version_1(limit) or _version_2(limit)) if sys.platform == "linux" else None
    try:
        yield made
    finally:
        if made is not None:
            _remove(made.folder)


def _version_1(limit: int) -> MemoryLimit | None:
    root = _ROOT / "memory"
    own = root / _own_group("memory")
    swap = {"memory.memsw.limit_in_bytes": limit} if (root / "memory.memsw.limit_in_bytes").is_file() else {}
    limits = {"memory.limit_in_bytes": limit, **swap}
    return _made("cgroup v1", own if own.is_dir() else root, limits)


def _version_2(limit: int) -> MemoryLimit | None:
    own = _ROOT / _own_group("")
    limits = {"memory.max": limit, "memory.swap.max": 0}
    # A group that holds processes, as ours does, may not give memory to groups within it; the one above may.
    return _made("cgroup v2", own.parent, limits) or _made("cgroup v2", own, limits)


def _own_group(controller: str) -> str:
    """The group of this process, from lines such as "4:memory:/user" and, for version 2, "0::/user"."""
    entries = [line.split(":", 2)[1:] for line in _lines(_OWN)]
    paths = [entry[1] for entry in entries if len(entry) == 2 and controller in entry[0].split(",")]
    return paths[0].strip("/") if paths else ""


def _made(how: LimitKind, place: Path, limits: Mapping[str, int]) -> MemoryLimit | None:
    try:
        folder = Path(tempfile.mkdtemp(prefix="edgeafri-", dir=place))
    except OSError:
        return None
    try:
        for name, value in limits.items():
            _write(folder / name, value)
    except OSError:
        _remove(folder)
        return None
    return MemoryLimit(how, folder)


def _write(file: Path, value: int) -> None:
    # The kernel makes these files; where it did not, the folder is no group, or one without a limit on memory.
    with file.open("r+", encoding="ascii") as opened:
        opened.write(str(value))


def _remove(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text("ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
