"""What the tests of remote devices share: a real sshd on loopback, with keys, configuration and PATH of its own."""

import getpass
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from edgeafri.runners import remote
from edgeafri.util import wheels

_SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


class Board:
    """A machine that only this test can log into. `bin` is first in its PATH, `root` is where EdgeAfri's files go."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port, self.user = folder, _free_port(), getpass.getuser()
        self.bin, self.home, self.config = folder / "bin", folder / "home", folder / "ssh_config"
        self.root = self.home / ".cache" / "edgeafri" / "device"
        self.where = f"ssh:{self.user}@127.0.0.1:{self.port}"
        self.bin.mkdir()
        self.home.mkdir()
        self.script("python3", f'exec {sys.executable} "$@"')
        self.new_key("host_key")
        self.new_key("user_key")
        shutil.copy(folder / "user_key.pub", folder / "authorized_keys")
        self.know(self.port)
        self.config.write_text(
            f"Host *\n IdentityFile {folder}/user_key\n IdentitiesOnly yes\n UserKnownHostsFile {folder}/known_hosts\n"
            f"Host board\n HostName 127.0.0.1\n Port {self.port}\n User {self.user}\n",
            "utf-8",
        )
        self.start()

    def script(self, name: str, text: str) -> None:
        """A command there, in place of any other of that name."""
        file = self.bin / name
        file.write_text(f"#!/bin/sh\n{text}\n", "utf-8")
        file.chmod(0o755)

    def new_key(self, name: str) -> None:
        (self.folder / name).unlink(missing_ok=True)
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.folder / name)]
        subprocess.run(command, check=True)

    def know(self, port: int) -> None:
        """Put the host key of now among those known, for a port."""
        key = (self.folder / "host_key.pub").read_text("utf-8")
        with (self.folder / "known_hosts").open("a", encoding="utf-8") as known:
            known.writelines(f"[{address}]:{port} {key}" for address in ("127.0.0.1", "::1"))

    def start(self) -> None:
        root = Path(__file__).parents[2]
        settings = {
            "Port": self.port,
            "ListenAddress": f"127.0.0.1:{self.port}\nListenAddress [::1]:{self.port}",
            "HostKey": self.folder / "host_key",
            "AuthorizedKeysFile": self.folder / "authorized_keys",
            "PidFile": "none",
            "StrictModes": "no",
            "UsePAM": "no",
            "PasswordAuthentication": "no",
            # A home of its own: its shell would else read the ~/.bashrc of whoever runs this test.
            "SetEnv": f"HOME={self.home} PATH={self.bin}:{os.environ['PATH']}",
        }
        file = self.folder / "sshd_config"
        file.write_text("".join(f"{name} {value}\n" for name, value in settings.items()), "utf-8")
        command = [str(_SSHD), "-D", "-E", str(self.folder / "sshd.log"), "-f", str(file)]
        self.process = subprocess.Popen(command, cwd=root)
        _wait_for(self.port)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()

    def files(self) -> list[str]:
        """What EdgeAfri left there."""
        return sorted(file.relative_to(self.root).as_posix() for file in self.root.rglob("*") if file.is_file())


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    """A machine to log into, gone after the test."""
    if _SSHD is None or shutil.which("ssh") is None:
        pytest.skip("needs OpenSSH: sudo apt install openssh-server")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # sshd asks for it when root starts it
    folder = tmp_path / "board"
    folder.mkdir()
    found = Board(folder)
    yield found
    found.stop()


@pytest.fixture
def own_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """The Python of the device has the packages itself, and nobody waits long for a lost connection."""
    monkeypatch.setattr(wheels, "fetch", lambda *_: ())
    monkeypatch.setattr(remote, "_PAUSES_S", (0.05, 0.05, 0.05))


@pytest.fixture
def cutter() -> Iterator[Callable[..., "Cutter"]]:
    """A function: a way to a board that breaks."""
    made: list[Cutter] = []

    def cut(board: Board, limits: Sequence[int]) -> Cutter:
        made.append(Cutter(board, limits))
        return made[-1]

    yield cut
    for way in made:
        way.close()


class Cutter:
    """A way to a port that breaks when so many bytes went towards it: connection by connection, then never again."""

    def __init__(self, board: Board, limits: Sequence[int]) -> None:
        self._port, self._limits, self.sent = board.port, list(limits), 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.where = f"ssh:{board.user}@127.0.0.1:{self.port}"
        board.know(self.port)
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._port))
                limit = self._limits.pop(0) if self._limits else None
                threading.Thread(target=self._pass, args=(near, far, limit), daemon=True).start()
                threading.Thread(target=self._pass, args=(far, near, None), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, limit: int | None) -> None:
        with suppress(OSError):
            forward = source.getsockname()[1] == self.port
            while block := source.recv(1 << 16):
                target.sendall(block)
                self.sent += len(block) if forward else 0
                limit = None if limit is None else limit - len(block)
                if limit is not None and limit < 0:
                    break
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _wait_for(port: int) -> None:
    for _ in range(200):
        with socket.socket() as caller:
            if caller.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise TimeoutError(f"no sshd at port {port}")
