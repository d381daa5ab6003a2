"""Locks: one holder at a time, told at once, and free again when the holder ends, however it ends."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edgeafri.errors import MissingPackage, StorageError
from edgeafri.util.locks import alone

ROOT = Path(__file__).parents[2]
# Holds the lock that is named first, says so, and waits until its stdin is closed.
HOLDER = """import sys
from pathlib import Path
from edgeafri.util.locks import alone
with alone(Path("there"), Path(sys.argv[1]), "--work"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path):
    """
    Another process that holds the lock of the test's folder.
    """
    command = [sys.executable, "-c", HOLDER, str(tmp_path / ".lock")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def test_another_process_is_told_at_once(holder: subprocess.Popen[bytes], tmp_path: Path):
    """
    With the place and the option that names another one.
    """
    with (
        pytest.raises(StorageError, match="here: another build is at work there") as error,
        alone(Path("here"), tmp_path / ".lock", "--out"),
    ):
        pass

    assert error.value.hint == "Wait for it to end, or choose another folder with --out DIR."


def test_a_killed_holder_leaves_no_lock(holder: subprocess.Popen[bytes], tmp_path: Path):
    """
    The file stays, and means nothing.
    """
    holder.send_signal(signal.SIGKILL)
    holder.wait()

    with alone(Path("here"), tmp_path / ".lock", "--work"):
        assert (tmp_path / ".lock").exists()


def test_a_failure_inside_frees_it(tmp_path: Path):
    """
    A build that was refused does not stand in the way of the next.
    """
    with pytest.raises(ZeroDivisionError), alone(Path("here"), tmp_path / ".lock", "--work"):
        _ = 1 / 0

    with alone(Path("here"), tmp_path / ".lock", "--work"):
        pass


def test_without_the_package_the_way_to_it_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """
    A board's installation has no filelock, and builds nothing.
    """
    monkeypatch.setitem(sys.modules, "filelock", None)

    with (
        pytest.raises(MissingPackage, match="a build needs the package 'filelock'"),
        alone(Path("here"), tmp_path / ".lock", "--work"),
    ):
        pass
