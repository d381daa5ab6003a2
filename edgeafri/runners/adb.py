"""A phone over adb: the same requests as over ssh, through `adb shell`, to a Python that the shell may start.

Android has no Python. Its shell can start the Python of Termux, through `run-as`, only where Termux is a debug build
(those on its GitHub page, not that of F-Droid; termux/termux-app, issues 1974 and 4389). On every other phone, use the
ssh server of Termux.
"""

import shlex
from collections.abc import Sequence

from edgeafri.errors import ConnectionLost, DeviceError, EdgeAfriError, MissingPackage
from edgeafri.runners.transport import Ended, piped

_TERMUX = "/data/data/com.termux/files"
_AS_TERMUX = (
    *("run-as", "com.termux", "env"),
    *(
        f"HOME={_TERMUX}/home",
        f"PREFIX={_TERMUX}/usr",
        f"PATH={_TERMUX}/usr/bin:/system/bin",
        f"TMPDIR={_TERMUX}/usr/tmp",
    ),
)


class Adb:
    """`adb` for the only device, `adb:SERIAL` for one of several; `python` is the interpreter to start there."""

    def __init__(self, where: str, python: str = "python3") -> None:
        self.where, self._python = where, python
        serial = where.removeprefix("adb").removeprefix(":")
        self._adb = ("adb", *(("-s", serial) if serial else ()))
        self._before: tuple[str, ...] = ()

    def open(self) -> None:
        """Check that the device is there, and find which user may start a Python on it."""
        try:
            state = piped([*self._adb, "get-state"])
        except FileNotFoundError:
            raise MissingPackage("adb is not installed here", "Install it: sudo apt install adb") from None
        if state.code != 0 or state.stdout.strip() != "device":
            raise self._refused(state.stderr + state.stdout)
        for before in ((), _AS_TERMUX):
            self._before = before
            # adb's exit code is 0 too where a connection ends without one, so Python itself has to answer.
            if _THERE in piped(self.command((self._python, "-c", f"print('{_THERE}')"))).stdout:
                return
        raise DeviceError(
            f"{self.where}: the phone is connected, but adb cannot start a Python on it",
            "Use the ssh server of Termux. In Termux: `pkg install openssh python`, put your key into"
            " ~/.ssh/authorized_keys, start `sshd`. Then use --on ssh:PHONE:8022. Over the cable, use"
            " `adb forward tcp:8022 tcp:8022` and --on ssh:localhost:8022.",
        )

    def close(self) -> None:
        """Nothing to close: every command is a connection of its own."""

    def command(self, argv: Sequence[str]) -> list[str]:
        return [*self._adb, "shell", "-T", shlex.join([*self._before, *argv])]

    def failure(self, ended: Ended) -> EdgeAfriError:
        reason = _last(ended.stderr)
        return ConnectionLost(
            f"{self.where}: the connection was lost{': ' + reason if reason else ''}",
            "Check the cable and run the command again: it goes on with what has arrived there.",
        )

    def _refused(self, words: str) -> DeviceError:
        for sign, message, hint in _REFUSALS:
            if sign in words:
                return DeviceError(f"{self.where}: {message}", hint)
        last = _last(words) or "no answer"
        return DeviceError(
            f"{self.where}: adb answered: {last}", f"Try by hand: {shlex.join([*self._adb, 'get-state'])}"
        )


def _last(words: str) -> str:
    lines = words.strip().splitlines()
    return lines[-1] if lines else ""


_THERE = "a Python answers"
# What adb prints (1.0.41), what that means, and what to do.
_REFUSALS = (
    ("unauthorized", "the phone does not trust this computer yet", "Unlock the phone and accept what it asks."),
    ("more than one", "several devices are connected", "List them with `adb devices`, and name one: --on adb:SERIAL."),
    ("no devices", "no phone is connected", "Switch on USB debugging in its developer options, and check the cable."),
    ("not found", "this phone is not connected", "`adb devices` lists those that are."),
    ("offline", "the phone does not answer", "Unplug the cable and plug it in again."),
)
