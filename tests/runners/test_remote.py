"""A device over a real ssh connection: what it is, copies that go on where they broke, and what may go wrong there."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgeafri.documents.runtime_requests import VerifyRequest
from edgeafri.errors import ArtifactError, ConnectionLost, DeviceError
from edgeafri.runners import remote
from edgeafri.runners.remote import FileToCopy, Remote, file_to_copy
from edgeafri.runners.ssh import Ssh
from edgeafri.runners.transport import opened

MEGA = 1 << 20

# The Python there, with something else in it: what the script and its Python are told is what a device would say.
DISGUISED = """
shift
exec {python} -c "import sys, platform, struct
{change}
exec(sys.argv[1])" "$@"
"""


@pytest.fixture(autouse=True)
def quick(own_packages: None) -> None:
    """Every test here."""


@pytest.fixture
def device(board: Any) -> Iterator[Remote]:
    with opened(Ssh(board.where, board.config)) as transport:
        yield Remote(transport)


@pytest.fixture
def large(tmp_path: Path) -> FileToCopy:
    """A file of 2 MB that nothing makes smaller."""
    return random_file(tmp_path, 2 * MEGA)


def random_file(folder: Path, size: int) -> FileToCopy:
    file = folder / "large"
    file.write_bytes(os.urandom(size))
    return file_to_copy(file, "bundle/large")


def disguise(board: Any, change: str) -> None:
    board.script("python3", DISGUISED.format(python=sys.executable, change=change))


def failure(board: Any, python: str = "python3") -> DeviceError:
    with opened(Ssh(board.where, board.config)) as transport, pytest.raises(DeviceError) as error:
        Remote(transport, python).install()
    assert error.value.message.startswith(f"{board.where}: ")
    return error.value


def test_a_device_says_what_it_is(board: Any, device: Remote):
    """
    What decides on wheels, and what an error needs to say.
    """
    facts = device.facts

    assert facts.python == "{}.{}".format(*sys.version_info)
    assert (facts.machine, facts.bits) == (os.uname().machine, 64)
    assert facts.root == str(board.root)
    assert facts.free_bytes > 0
    assert facts.available_bytes > 0
    assert set(facts.packages) == {"numpy", "onnxruntime", "tokenizers"}


def test_a_file_arrives_whole_and_is_not_sent_again(board: Any, device: Remote, large: FileToCopy):
    """
    Progress is told in bytes; a second copy finds nothing to do.
    """
    told: list[tuple[int, int]] = []
    device.copy([large], lambda *progress: told.append(progress))
    once = len(told)
    device.copy([large], lambda *progress: told.append(progress))

    assert (board.root / "bundle" / "large").read_bytes() == large.source.read_bytes()
    assert told[-1] == (2 * MEGA, 2 * MEGA)
    assert once == len(told)
    assert board.files() == ["bundle/large"]


def test_a_half_copied_file_goes_on(board: Any, device: Remote, large: FileToCopy):
    """
    Only what is missing is sent.
    """
    partial = board.root / "bundle" / f"large.{large.sha256[:12]}.partial"
    partial.parent.mkdir(parents=True)
    partial.write_bytes(large.source.read_bytes()[:MEGA])
    told: list[tuple[int, int]] = []
    device.copy([large], lambda *progress: told.append(progress))

    assert told[-1] == (MEGA, MEGA)
    assert (board.root / "bundle" / "large").read_bytes() == large.source.read_bytes()


@pytest.mark.parametrize("size", [MEGA, 2 * MEGA, 3 * MEGA])
def test_what_arrived_damaged_is_sent_again(size: int, board: Any, device: Remote, large: FileToCopy):
    """
    The hash over there decides, not the size.
    """
    partial = board.root / "bundle" / f"large.{large.sha256[:12]}.partial"
    partial.parent.mkdir(parents=True)
    partial.write_bytes(bytes(size))
    (board.root / "bundle" / "large").write_bytes(b"an older one")
    device.copy([large])

    assert (board.root / "bundle" / "large").read_bytes() == large.source.read_bytes()
    assert board.files() == ["bundle/large"]


def test_a_file_that_changes_on_the_way_is_told(board: Any, device: Remote, large: FileToCopy):
    """
    Twice sent, twice another content: a bad card, or a file that somebody writes to.
    """
    wrong = FileToCopy(large.source, large.place, "0" * 64, large.bytes)
    with pytest.raises(DeviceError) as error:
        device.copy([wrong])

    assert error.value.message == f"{board.where}: bundle/large arrives there with different content (sha256 differs)"
    assert "SD card" in error.value.hint
    assert board.files() == []


@pytest.mark.slow
def test_a_copy_goes_on_after_the_connection_broke(board: Any, tmp_path: Path, cutter: Any):
    """
    What was there is not sent again, counted on the wire: without going on it would be 28 MB. What was on its way at
    the cut is lost, some 2 MB, and ssh adds a little.
    """
    wire, large = cutter(board, limits=[12 * MEGA]), random_file(tmp_path, 16 * MEGA)
    with opened(Ssh(wire.where, board.config)) as transport:
        Remote(transport).copy([large])

    assert (board.root / "bundle" / "large").read_bytes() == large.source.read_bytes()
    assert 16 * MEGA < wire.sent < 21 * MEGA


@pytest.mark.slow
def test_a_connection_that_stays_lost_is_told_and_the_next_run_goes_on(board: Any, tmp_path: Path, cutter: Any):
    """
    The error says that running again goes on, and so it does.
    """
    wire, large = cutter(board, limits=[12 * MEGA, 0, 0, 0]), random_file(tmp_path, 16 * MEGA)
    with opened(Ssh(wire.where, board.config)) as transport, pytest.raises(ConnectionLost) as error:
        Remote(transport).copy([large])
    before = wire.sent
    with opened(Ssh(wire.where, board.config)) as transport:
        Remote(transport).copy([large])

    assert error.value.message.startswith(f"{wire.where}: the connection was lost")
    assert error.value.hint == "Run the command again: it goes on with what has arrived there."
    assert 12 * MEGA < before < 13 * MEGA
    assert wire.sent < 21 * MEGA
    assert (board.root / "bundle" / "large").read_bytes() == large.source.read_bytes()


def test_a_server_process_that_dies_is_a_lost_connection(board: Any, device: Remote):
    """
    A request is sent again over a new connection.
    """
    children = Path(f"/proc/{board.process.pid}/task/{board.process.pid}/children").read_text("utf-8").split()
    for child in children:
        os.kill(int(child), signal.SIGKILL)

    device.install()

    assert children
    assert board.files() != []


def test_a_full_disk_is_seen_before_anything_is_copied(board: Any, device: Remote, large: FileToCopy, monkeypatch: Any):
    """
    With what there is and what is needed.
    """
    monkeypatch.setattr(remote, "_ROOM", 1 << 60)
    with pytest.raises(DeviceError) as error:
        device.copy([large])

    assert error.value.message.startswith(f"{board.where}: its disk is full: ")
    assert f"MB are free at {board.root}, 11529215" in error.value.message
    assert error.value.hint == "Make room there; EDGEAFRI_CACHE in its login environment names another folder."
    assert board.files() == []


def test_a_disk_that_fills_up_on_the_way_is_told(board: Any, device: Remote, large: FileToCopy):
    """
    /dev/full refuses what is written to it as a full disk does.
    """
    partial = board.root / "bundle" / f"large.{large.sha256[:12]}.partial"
    partial.parent.mkdir(parents=True)
    partial.symlink_to("/dev/full")
    with pytest.raises(DeviceError) as error:
        device.copy([large])

    assert error.value.message.startswith(f"{board.where}: ")
    assert error.value.message.endswith("No space left on device")
    assert error.value.hint.startswith("Make room on the device")


def test_a_folder_that_cannot_be_written_is_told(board: Any, device: Remote, large: FileToCopy):
    """
    A file stands where the folder should be.
    """
    board.root.parent.mkdir(parents=True, exist_ok=True)
    board.root.write_text("", "utf-8")
    with pytest.raises(DeviceError) as error:
        device.copy([large])

    assert error.value.message.startswith(f"{board.where}: {board.root}")
    assert "let its user write there" in error.value.hint


def test_a_device_without_python_is_told(board: Any):
    """
    A Python of another name can be given.
    """
    error = failure(board, "python3.99")

    assert error.message.endswith("no python3.99 can be started there")
    assert "--python PATH" in error.hint


def test_a_python_that_is_too_old_is_told(board: Any):
    """
    Raspberry Pi OS Bullseye has 3.9.
    """
    disguise(board, "sys.version_info = (3, 9, 2)")
    error = failure(board)

    assert error.message.endswith("its python3 is version 3.9, and a bundle needs 3.11 or newer")
    assert "Bookworm" in error.hint


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("platform.machine = lambda: 'armv7l'; struct.calcsize = lambda _: 4", "32-bit (armv7l, 32-bit Python)"),
        ("platform.machine = lambda: 'aarch64'; struct.calcsize = lambda _: 4", "32-bit (aarch64, 32-bit Python)"),
        ("platform.machine = lambda: 'riscv64'", "of another kind (riscv64, 64-bit Python)"),
    ],
)
def test_a_machine_without_wheels_is_told(change: str, said: str, board: Any):
    """
    A 64-bit kernel under a 32-bit system, as Raspberry Pi OS (32-bit) has it on a Pi 4, is 32-bit.
    """
    disguise(board, change)
    error = failure(board)

    assert error.message.endswith(f"its system is {said}; onnxruntime has no wheel for it")
    assert "Raspberry Pi OS (64-bit)" in error.hint


def test_a_system_without_glibc_needs_packages_of_its_own(board: Any):
    """
    Android's C library is another one: PyPI's wheels do not load there, and Termux has packages.
    """
    missing = "import importlib.metadata as m; m.version = lambda name: (_ for _ in ()).throw(m.PackageNotFoundError)"
    disguise(board, f"platform.libc_ver = lambda: ('', ''); {missing}")
    error = failure(board)

    assert "PyPI's wheels are for glibc" in error.message
    assert error.message.endswith("its Python has no numpy, onnxruntime, tokenizers")
    assert "pkg install" in error.hint


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("KILL", "the process there was killed (SIGKILL), most likely for lack of memory; "),
        ("ILL", "the process there used an instruction that its processor does not have"),
        ("SEGV", "the process there was ended by SIGSEGV"),
    ],
)
def test_a_process_that_is_ended_there_is_told(name: str, said: str, board: Any, device: Remote):
    """
    The system ends what takes more memory than there is; how much there was is said.
    """
    board.script("python3", f'case "$*" in *edgeafri.runtime*) kill -{name} $$;; esac; exec {sys.executable} "$@"')
    with pytest.raises(DeviceError) as error:
        device.call(VerifyRequest(bundle=Path("bundle")))

    assert error.value.message.startswith(f"{board.where}: {said}")
    assert error.value.hint


@pytest.mark.slow
def test_an_error_of_the_runtime_names_the_device(board: Any, device: Remote):
    """
    Its kind, its words and its hint stay.
    """
    device.install()
    with pytest.raises(ArtifactError) as error:
        device.call(VerifyRequest(bundle=Path("bundle")))

    assert error.value.message.startswith(f"{board.where}: {board.root}/bundle: not an EdgeAfri artifact")


@pytest.mark.slow
def test_the_runner_is_brought_once(board: Any, device: Remote):
    """
    Its folder is named by its content; its wheels do not stay beside it.
    """
    device.install()
    first = {file: (board.root / file).stat().st_mtime_ns for file in board.files()}
    device.install()

    assert {file: (board.root / file).stat().st_mtime_ns for file in board.files()} == first
    assert {file.split("-")[0] for file in first} == {"site"}
    assert device.conditions().machine == os.uname().machine


@pytest.mark.slow
def test_what_was_brought_is_taken_away(board: Any, device: Remote, large: FileToCopy):
    """
    One folder of it, or everything.
    """
    device.copy([large])
    device.install()
    device.remove("bundle")
    left = board.files()
    device.remove()

    assert {file.split("-")[0] for file in left} == {"site"}
    assert not board.root.exists()
