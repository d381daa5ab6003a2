"""The memory limit: a process over it is ended, one under it lives, and a machine without groups says so."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edgeafri.profiling import memory_limit as module
from edgeafri.profiling.memory_limit import MemoryLimit, memory_limit

TAKE = "block = bytearray({mb} * 1_000_000)"


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """
    A made-up tree of control groups in place of the kernel's; none of its folders is a group yet.
    """
    monkeypatch.setattr(module, "_ROOT", tmp_path)
    monkeypatch.setattr(module, "_OWN", tmp_path / "own")
    (tmp_path / "user" / "session").mkdir(parents=True)
    return tmp_path


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch):
    """
    What a kernel does when a folder is made in a group: its files appear.
    """
    made = module.tempfile.mkdtemp

    def mkdtemp(**said: Any) -> str:
        folder = Path(made(**said))
        for name in ("memory.max", "memory.swap.max") if folder.parent.name in allowed else ():
            (folder / name).write_text("", "ascii")
        return str(folder)

    allowed: set[str] = set()
    monkeypatch.setattr(module.tempfile, "mkdtemp", mkdtemp)
    return allowed


def taken(found: MemoryLimit, megabytes: int) -> int:
    return subprocess.run([*found.prefix, sys.executable, "-c", TAKE.format(mb=megabytes)], check=False).returncode


def test_a_process_over_the_limit_is_ended():
    """
    200 MB under a limit of 60 are too many, and the group says who ended the process; 20 MB are not.
    """
    with memory_limit(60) as found:
        if found is None:
            pytest.skip("this machine lets this user make no control group")
        small, innocent = taken(found, 20), found.killed
        large, guilty = taken(found, 200), found.killed

    assert (small, innocent) == (0, False)
    assert (large, guilty) == (-9, True)
    assert not found.folder.exists()


@pytest.mark.parametrize(("allowed", "place"), [("user", "user"), ("session", "user/session")])
def test_version_2_asks_beside_its_own_group_first(groups: Path, kernel: set[str], allowed: str, place: str):
    """
    A group with processes may not limit groups within it, so the group above is asked, then the own one.
    """
    kernel.add(allowed)
    (groups / "own").write_text("4:cpu:/elsewhere\n0::/user/session\n", "ascii")
    with memory_limit(64) as found:
        said = {file.name: file.read_text("ascii") for file in found.folder.iterdir()}
        for file in found.folder.iterdir():
            file.unlink()  # the kernel's own files go with the group

    assert (found.how, found.folder.parent) == ("cgroup v2", groups / place)
    assert said == {"memory.max": "64000000", "memory.swap.max": "0"}


def test_a_plain_folder_is_no_group(groups: Path):
    """
    Where nothing is mounted, or without the memory controller, there is no limit and nothing is left behind.
    """
    (groups / "own").write_text("0::/user/session\n", "ascii")
    before = sorted(groups.rglob("*"))
    with memory_limit(64) as found:
        pass

    assert found is None
    assert sorted(groups.rglob("*")) == before


@pytest.mark.parametrize("said", [None, "", "nonsense\n", "7:cpu:/a\n"])
def test_a_process_that_does_not_know_its_group(groups: Path, said: str | None):
    """
    Containers hide the file, or name a group that is not in their tree.
    """
    if said is not None:
        (groups / "own").write_text(said, "ascii")
    with memory_limit(64) as found:
        pass

    assert found is None


@pytest.mark.parametrize("system", ["darwin", "win32"])
def test_only_linux_has_control_groups(groups: Path, kernel: set[str], monkeypatch: pytest.MonkeyPatch, system: str):
    """
    On another system nothing is tried, whatever lies in that place.
    """
    kernel.add("user")
    (groups / "own").write_text("0::/user/session\n", "ascii")
    monkeypatch.setattr(module.sys, "platform", system)
    with memory_limit(64) as found:
        pass

    assert found is None
