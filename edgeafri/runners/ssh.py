"""A device over ssh: the OpenSSH client with the user's own configuration and keys, one connection for all commands."""

import os
import re
import shlex
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from edgeafri.errors import ConnectionLost, DeviceError, EdgeAfriError, MissingPackage, UsageError
from edgeafri.runners.transport import Ended

_LOGIN_S = 60
_READY = "edgeafri is connected"
_PLACE = re.compile(
    r"(?:(?P<user>[A-Za-z0-9_][\w.-]*)@)?(?P<host>[A-Za-z0-9_][\w.-]*|\[[0-9A-Fa-f:.]+(?:%[\w.-]+)?\])(?::(?P<port>\d{1,5}))?",
    re.ASCII,
)
_OPTIONS = (
    *("-T", "-a", "-x"),
    *("-o", "BatchMode=yes"),
    *("-o", "LogLevel=ERROR"),  # no banners; what goes wrong is read below
    *("-o", "ConnectTimeout=15"),
    # A board whose cores are all busy answers late: half a minute of silence is a lost connection.
    *("-o", "ServerAliveInterval=10"),
    *("-o", "ServerAliveCountMax=3"),
    *("-o", "ClearAllForwardings=yes"),
    *("-o", "PermitLocalCommand=no"),
    *("-o", "RemoteCommand=none"),
)


@dataclass(frozen=True)
class Place:
    """Where to connect to; what is None comes from the user's ssh configuration."""

    user: str | None
    host: str
    port: int | None


class Ssh:
    """`ssh:user@host:port`. Host keys are checked and no question is asked: what a person must do is in the error.

    `config` stands in for the user's ~/.ssh/config.
    """

    def __init__(self, where: str, config: Path | None = None) -> None:
        self.where = where
        self._place = place_of(where)
        self._config = ("-F", str(config)) if config else ()
        self._folder: Path | None = None
        self._master: subprocess.Popen[str] | None = None

    def open(self) -> None:
        """Connect. The connection ends with this process, however this process ends, as ssh reads its stdin."""
        self.close()
        if os.name == "nt":
            hint = "Use Linux, macOS or, on Windows, the Windows Subsystem for Linux (WSL)."
            raise DeviceError(f"{self.where}: the ssh of Windows cannot share one connection among commands", hint)
        if shutil.which("ssh") is None:
            hint = "Install the OpenSSH client: sudo apt install openssh-client"
            raise MissingPackage("ssh is not installed here", hint)
        self._folder = _private_folder()
        try:
            self._connect()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        if self._master is not None:
            with suppress(BrokenPipeError):
                self._master.stdin.close()  # type: ignore[union-attr]  # both pipes were asked for
            self._master.stdout.close()  # type: ignore[union-attr]
            _end(self._master)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._master = self._folder = None

    def command(self, argv: Sequence[str]) -> list[str]:
        # Where the open connection is lost, ssh would make another one in silence: a proxy that fails prevents that.
        shared = ("-o", "ControlMaster=no", "-o", "ProxyCommand=false")
        return [*self._ssh(), *shared, "--", self._place.host, shlex.join(argv)]

    def failure(self, ended: Ended) -> EdgeAfriError:
        reason = _last(ended.stderr)
        return ConnectionLost(
            f"{self.where}: the connection was lost{': ' + reason if reason else ''}",
            "Run the command again: it goes on with what has arrived there.",
        )

    def _connect(self) -> None:
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said:
            greeting = self._greeted(said).strip()
            said.seek(0)
            words = said.read()
        if greeting != _READY:
            raise self._noisy(greeting) if greeting else self._refused(words)

    def _greeted(self, said: IO[str]) -> str:
        """The first line that comes back over a new connection: our own line, or what a login shell printed."""
        command = [*self._ssh(), "-o", "ControlMaster=yes", "-o", "ControlPersist=no", "--", self._place.host, "cat"]
        # In a session of its own, so that Ctrl-C leaves the connection open for cleaning up.
        self._master = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            encoding="utf-8",
            errors="replace",
            env={**os.environ, "LC_ALL": "C.UTF-8"},  # _REFUSALS has its messages in English
            start_new_session=True,
        )
        watchdog = threading.Timer(_LOGIN_S, self._master.kill)
        watchdog.start()
        try:
            with suppress(BrokenPipeError):
                print(_READY, file=self._master.stdin, flush=True)  # into the connection
            return self._master.stdout.readline()  # type: ignore[union-attr]  # both pipes were asked for
        finally:
            watchdog.cancel()

    def _ssh(self) -> list[str]:
        user, port = self._place.user, self._place.port
        return [
            "ssh",
            *self._config,
            *_OPTIONS,
            *("-o", f"ControlPath={self._folder}/s"),
            *(("-l", user) if user else ()),
            *(("-p", str(port)) if port else ()),
        ]

    def _noisy(self, greeting: str) -> DeviceError:
        return DeviceError(
            f"{self.where}: its shell prints '{greeting[:60]}' at every login, which would mix with the answers",
            "Let it print that in interactive shells only: look into ~/.bashrc and ~/.profile on the device.",
        )

    def _refused(self, words: str) -> DeviceError:
        shell, place = self._by_hand(), self._place
        for signs, message, hint in _REFUSALS:
            if any(sign in words for sign in signs):
                copy = f"ssh-copy-id{shell.removeprefix('ssh')}"
                named = {"ssh": shell, "copy": copy, "host": place.host, "known": _known_as(place)}
                return DeviceError(f"{self.where}: {message}", hint.format(**named))
        last = _last(words) or f"no answer in {_LOGIN_S} s"
        return DeviceError(f"{self.where}: cannot connect ({last})", f"Try by hand what goes wrong: {shell}")

    def _by_hand(self) -> str:
        place = self._place
        name = f"{place.user}@{place.host}" if place.user else place.host
        return shlex.join(["ssh", *self._config, *(["-p", str(place.port)] if place.port else []), name])


def place_of(where: str) -> Place:
    """`ssh:pi@host:2222` or `ssh:pi@[fe80::1]:22` in its parts. UsageError for what is not of that form."""
    found = _PLACE.fullmatch(where.removeprefix("ssh:"))
    if found is None or not 0 < int(found["port"] or 22) < 65536:
        raise UsageError(
            f"'{where}' is not an address for ssh",
            "Write ssh:pi@raspberrypi.local, ssh:pi@host:2222 or ssh:pi@[fe80::1]:22.",
        )
    port = found["port"]
    return Place(found["user"], found["host"].strip("[]"), int(port) if port else None)


# What ssh prints (seen with OpenSSH 9.2), what that means, and what to do.
_REFUSALS = (
    (
        ("REMOTE HOST IDENTIFICATION HAS CHANGED",),
        "its host key is not the one that is known here",
        "If the device was installed again, remove its old key with `ssh-keygen -R {known}`, connect once by hand with"
        " `{ssh}` and compare the new key. If it was not, another machine answers at this address.",
    ),
    (
        ("Host key verification failed", "No matching host key"),
        "its host key is not known here yet",
        "Connect once by hand with `{ssh}`, and accept the key if it is that of the device.",
    ),
    (
        ("Permission denied", "Too many authentication failures"),
        "it does not accept a key of this user",
        "Copy your key there once: `{copy}`. Add a key with a passphrase to the agent: ssh-add.",
    ),
    (
        ("Could not resolve hostname",),
        "no machine of this name was found",
        "Check the spelling of {host}. In the same network a Raspberry Pi is NAME.local. Its IP address works too.",
    ),
    (
        ("Connection refused",),
        "the machine answers, but no ssh server does at this port",
        "On a Raspberry Pi: sudo systemctl enable --now ssh. In Termux: run sshd, and use port 8022.",
    ),
    (
        ("No route to host", "timed out", "Network is unreachable", "Host is down"),
        "it cannot be reached",
        "Check that it is switched on and in this network: ping {host}",
    ),
)


def _known_as(place: Place) -> str:
    return f"'[{place.host}]:{place.port}'" if place.port and place.port != 22 else place.host


def _private_folder() -> Path:
    folder = tempfile.mkdtemp(prefix="edgeafri-")
    if len(folder) > 60:  # the path of a socket ends at 107 bytes, and ssh adds 20
        Path(folder).rmdir()
        folder = tempfile.mkdtemp(prefix="edgeafri-", dir="/tmp")  # mkdtemp makes it private
    return Path(folder)


def _end(process: "subprocess.Popen[str]") -> None:
    try:
        process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _last(words: str) -> str:
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    return lines[-1] if lines else ""
