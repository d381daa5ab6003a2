"""A memory ceiling for a process: a control group with a device's free memory as its limit.

Version 1 and 2 of Linux control groups (the kernel's admin-guide/cgroup-v1/memory.rst and cgroup-v2.rst). The process
joins the group before it starts its program, so that all the program takes is counted; the system takes pages of files
back before it kills, as it would on the device. Swap is left out.
"""

import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_ROOT, _OWN = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
# Joins the group whose list of processes is the first argument, then becomes the program that follows.
_JOIN = "import os, sys; open(sys.argv[1], 'w').write(str(os.getpid())); os.execv(sys.argv[2], sys.argv[2:])"


@dataclass(frozen=True)
class Ceiling:
    """A control group with a memory limit. `before` goes before a command that shall run under it."""

    how: str
    folder: Path

    @property
    def before(self) -> Sequence[str]:
        return (sys.executable, "-c", _JOIN, str(self.folder / "cgroup.procs"))

    @property
    def killed(self) -> bool:
        """Whether the system ended a process for going over the limit."""
        names = ("memory.oom_control", "memory.events")
        lines = [line.split() for name in names for line in _lines(self.folder / name)]
        return any(words[0] == "oom_kill" and words[1] != "0" for words in lines if len(words) == 2)


@contextmanager
def ceiling(limit_mb: float) -> Iterator[Ceiling | None]:
    """A group with a limit of so many MB (10^6 bytes) while the block lasts; None where this machine allows none."""
    made = _version_1(int(limit_mb * 1e6)) or _version_2(int(limit_mb * 1e6))
    try:
        yield made
    finally:
        if made is not None:
            _remove(made.folder)


def _version_1(limit: int) -> Ceiling | None:
    root = _ROOT / "memory"
    own = root / _own_group("memory")
    swap = {"memory.memsw.limit_in_bytes": limit} if (root / "memory.memsw.limit_in_bytes").is_file() else {}
    limits = {"memory.limit_in_bytes": limit, **swap}
    return _made("cgroup v1", own if own.is_dir() else root, limits)


def _version_2(limit: int) -> Ceiling | None:
    own = _ROOT / _own_group("")
    limits = {"memory.max": limit, "memory.swap.max": 0}
    # A group that holds processes, as ours does, may not give memory to groups within it; the one above may.
    return _made("cgroup v2", own.parent, limits) or _made("cgroup v2", own, limits)


def _own_group(controller: str) -> str:
    """The group of this process, from lines such as "4:memory:/user" and, for version 2, "0::/user"."""
    entries = [line.split(":", 2)[1:] for line in _lines(_OWN)]
    paths = [entry[1] for entry in entries if len(entry) == 2 and controller in entry[0].split(",")]
    return paths[0].strip("/") if paths else ""


def _made(how: str, place: Path, limits: Mapping[str, int]) -> Ceiling | None:
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
    return Ceiling(how, folder)


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
