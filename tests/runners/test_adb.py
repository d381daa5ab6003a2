"""adb: the real client against a stand-in for its server and the phone; no real phone has been tried."""

import os
import shutil
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from edgeafri.errors import ConnectionLost, DeviceError, MissingPackage
from edgeafri.runners.adb import Adb
from edgeafri.runners.board import DeviceRequest, run_on_device
from edgeafri.runners.remote import Remote, file_to_copy
from edgeafri.runners.rounds import RoundLimits
from edgeafri.runners.transport import opened, run_command

_VERSION = b"0029"  # 1.0.41, what the clients of Debian 12 and 13 are
_STDIN, _STDOUT, _STDERR, _EXIT, _END_OF_STDIN = range(5)

# What Termux's own builds do, and those of F-Droid. The words before the command set Termux's own environment.
DEBUGGABLE = 'test "$1" = com.termux && shift 2 && while case "$1" in *=*) ;; *) false;; esac; do shift; done'
RELEASED = 'echo "run-as: package not debuggable: $1" >&2; exit 1'


class Phone:
    """A stand-in for adb's server and phones, by serial and state: the real adb client is answered on this machine.

    Spoken is what `adb get-state` and `adb shell -T` need of adb's protocol (SERVICES.TXT and shell_protocol.h in the
    Android sources): host services, a transport, and the shell service in its second version. A command runs in a
    shell here, with `environment` and nothing else.

    `cut_after` shells are answered; from then on the cable is out.
    """

    def __init__(self, environment: Mapping[str, str], **phones: str) -> None:
        self.phones, self._environment, self.cut_after = phones, dict(environment), 1 << 30
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                caller, _ = self._listener.accept()
                threading.Thread(target=self._answer, args=(caller,), daemon=True).start()

    def _answer(self, caller: socket.socket) -> None:
        with suppress(OSError), caller:
            while length := _exactly(caller, 4):
                service = _exactly(caller, int(length, 16)).decode()
                if service.startswith("shell,"):
                    self._shell(caller, service.partition(":")[2])
                    return
                if not self._host(caller, service):
                    return

    def _host(self, caller: socket.socket, service: str) -> bool:
        """Answer a question to the server; whether the connection goes on."""
        if service == "host:version":
            return _said(caller, _VERSION)
        serial = service.split(":")[1] if service.startswith("host-serial:") else ""
        if service.startswith(("host:tport:", "host:transport")):
            serial = service.rpartition(":")[2]
            serial = "" if serial in ("any", "host") or serial.startswith("transport-") else serial
        problem = self._problem(serial, any_state=service.endswith(":get-state"))
        if problem:
            caller.sendall(b"FAIL%04x%b" % (len(problem), problem.encode()))
            return False
        if service.endswith(":get-state"):
            return _said(caller, self._named(serial).encode())
        if service.endswith(":features"):
            return _said(caller, b"shell_v2,cmd")
        caller.sendall(b"OKAY" + (struct.pack("<Q", 1) if ":tport:" in service else b""))
        return True

    def _named(self, serial: str) -> str:
        return self.phones.get(serial, "") if serial else next(iter(self.phones.values()), "")

    def _problem(self, serial: str, any_state: bool) -> str:
        if self.cut_after <= 0 or not self.phones:
            return f"device '{serial}' not found" if serial else "no devices/emulators found"
        if serial and serial not in self.phones:
            return f"device '{serial}' not found"
        if not serial and len(self.phones) > 1:
            return "more than one device/emulator"
        state = self._named(serial)
        return "" if state == "device" or any_state else f"device {state}."

    def _shell(self, caller: socket.socket, command: str) -> None:
        self.cut_after -= 1
        if self.cut_after < 0:
            return
        caller.sendall(b"OKAY")
        process = subprocess.Popen(
            ["/bin/sh", "-c", command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self._environment,
        )
        feeding = threading.Thread(target=_feed, args=(caller, process), daemon=True)
        feeding.start()
        readers = [
            threading.Thread(target=_pass, args=(caller, stream.fileno(), kind), daemon=True)
            for stream, kind in ((process.stdout, _STDOUT), (process.stderr, _STDERR))
        ]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
        code = process.wait()
        caller.sendall(struct.pack("<BIB", _EXIT, 1, code if code >= 0 else 128 - code))
        # Closed with something unread, a socket takes back what was sent last, which is the exit code.
        caller.shutdown(socket.SHUT_WR)
        feeding.join(5)
        caller.settimeout(5)
        while caller.recv(1 << 15):
            pass


@pytest.fixture
def phones(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, own_packages: None) -> Iterator[Callable[..., Phone]]:
    """A function: phones by serial and state, where adb looks for them. Without `python`, their PATH has none."""
    if shutil.which("adb") is None:
        pytest.skip("needs the adb client: sudo apt install adb")
    made: list[Phone] = []
    folder = tmp_path / "phone"
    folder.mkdir()

    def connect(python: bool = True, run_as: str = RELEASED, **states: str) -> Phone:
        _write_run_as(folder, run_as)
        for name in ("sh", "env", "od", "printf", "kill") if not python else ():
            (folder / name).symlink_to(str(shutil.which(name)))
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}" if python else str(folder)
        made.append(Phone({"HOME": str(folder), "PATH": f"{folder}:{path}" if python else path}, **states))
        monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(made[-1].port))
        return made[-1]

    yield connect
    for phone in made:
        phone.close()


def refused(where: str) -> DeviceError:
    with pytest.raises(DeviceError) as error, opened(Adb(where)):
        pass
    assert error.value.message.startswith(f"{where}: ")
    assert error.value.hint
    return error.value


def test_a_command_runs_there_with_its_words_unchanged(phones: Any):
    """
    Quotes, dollars, line breaks and bytes; the exit code and the last words come back.
    """
    phones(abc="device")
    words = ("it's", 'a "word"', "$HOME `id` \\", "two\nlines", "ẹ́", "")
    with opened(Adb("adb:abc")) as transport:
        said = run_command(transport, ("printf", "<%s>", *words))
        sent = run_command(transport, ("od", "-An", "-v", "-tx1"), [bytes(range(256)) * 100])
        failed = run_command(transport, ("sh", "-c", "echo why >&2; exit 7"))
        killed = run_command(transport, ("sh", "-c", "kill -9 $$"))

    assert said.stdout == "".join(f"<{word}>" for word in words)
    assert bytes.fromhex(sent.stdout.replace("\n", "")) == bytes(range(256)) * 100
    assert (failed.code, failed.stderr, killed.code) == (7, "why\n", 137)


@pytest.mark.slow
def test_a_bundle_is_verified_timed_and_scored_there(phones: Any, bundle: Path, data: Path, tmp_path: Path):
    """
    The same document as over ssh, and nothing stays there.
    """
    phones(abc="device")
    limits = RoundLimits(runs=3, warmup=1, least=2, most=2)
    found = run_on_device("adb", bundle, DeviceRequest(seq_len=16, threads=1, data=data, limits=limits))

    assert (found.on, found.repeats) == ("adb", 2)
    assert found.verify.passed
    assert list(found.quality.quality) == ["swa", "hau"]
    assert not (tmp_path / "phone" / ".cache" / "edgeafri" / "device").exists()


def test_termux_is_reached_where_it_may_be_debugged(phones: Any, tmp_path: Path):
    """
    adb's shell has no Python; run-as starts Termux's, as its user and in its folders.
    """
    run_as = f'echo "$*" >> {tmp_path}/asked; {DEBUGGABLE}; PATH={Path(sys.executable).parent}:$PATH exec "$@"'
    phones(python=False, run_as=run_as, abc="device")
    with opened(Adb("adb")) as transport:
        facts = Remote(transport).facts

    asked = (tmp_path / "asked").read_text("utf-8")
    assert facts.python == "{}.{}".format(*sys.version_info)
    assert asked.startswith(
        "com.termux env HOME=/data/data/com.termux/files/home PREFIX=/data/data/com.termux/files/usr "
    )


def test_a_phone_without_python_is_told(phones: Any):
    """
    F-Droid's Termux may not be debugged: its ssh server is the way.
    """
    phones(python=False, abc="device")
    error = refused("adb")

    assert error.message == "adb: the phone is connected, but adb cannot start a Python on it"
    assert "--on ssh:PHONE:8022" in error.hint


@pytest.mark.parametrize(
    ("where", "states", "said"),
    [
        ("adb", {}, "no phone is connected"),
        ("adb", {"a": "unauthorized"}, "the phone does not trust this computer yet"),
        ("adb", {"a": "offline"}, "the phone does not answer"),
        ("adb", {"a": "device", "b": "device"}, "several devices are connected"),
        ("adb:z", {"a": "device"}, "this phone is not connected"),
        ("adb", {"a": "sideload"}, "adb answered: sideload"),
    ],
)
def test_a_phone_that_is_not_ready_is_told(where: str, states: dict[str, str], said: str, phones: Any):
    """
    Each with its own next step.
    """
    phones(**states)

    assert refused(where).message == f"{where}: {said}"


def test_a_cable_that_comes_out_is_a_lost_connection(phones: Any, tmp_path: Path):
    """
    It is tried again, then told.
    """
    phone = phones(abc="device")
    file = tmp_path / "file"
    file.write_bytes(os.urandom(1 << 20))
    with opened(Adb("adb")) as transport:
        remote = Remote(transport)
        phone.cut_after = 1
        with pytest.raises(ConnectionLost) as error:
            remote.copy([file_to_copy(file, "file")])
    phone.cut_after = 1 << 30
    with opened(Adb("adb")) as transport:
        Remote(transport).copy([file_to_copy(file, "file")])

    assert error.value.message.startswith("adb: the connection was lost")
    assert "cable" in error.value.hint
    assert (tmp_path / "phone" / ".cache" / "edgeafri" / "device" / "file").read_bytes() == file.read_bytes()


def test_a_missing_adb_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """
    With the command that brings it.
    """
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingPackage) as error, opened(Adb("adb")):
        pass

    assert (error.value.message, error.value.hint) == ("adb is not installed here", "Install it: sudo apt install adb")


def _write_run_as(folder: Path, text: str) -> None:
    """The phone's run-as, which starts a command as an app where the app may be debugged."""
    file = folder / "run-as"
    file.write_text(f"#!/bin/sh\n{text}\n", "utf-8")
    file.chmod(0o755)


def _feed(caller: socket.socket, process: "subprocess.Popen[bytes]") -> None:
    with suppress(OSError), process.stdin:
        for kind, data in _packets(caller):
            if kind == _END_OF_STDIN:
                return
            if kind == _STDIN:
                process.stdin.write(data)
                process.stdin.flush()


def _packets(caller: socket.socket) -> Iterator[tuple[int, bytes]]:
    while head := _exactly(caller, 5):
        kind, length = struct.unpack("<BI", head)
        yield kind, _exactly(caller, length)


def _pass(caller: socket.socket, stream: int, kind: int) -> None:
    with suppress(OSError):
        while data := os.read(stream, 1 << 15):
            caller.sendall(struct.pack("<BI", kind, len(data)) + data)


def _said(caller: socket.socket, words: bytes) -> bool:
    caller.sendall(b"OKAY%04x%b" % (len(words), words))
    return False


def _exactly(caller: socket.socket, count: int) -> bytes:
    """So many bytes; fewer at the end."""
    data = b""
    while len(data) < count and (block := caller.recv(count - len(data))):
        data += block
    return data
