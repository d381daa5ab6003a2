"""A connection to a device: a command that is started here and runs there, over ssh or adb."""

import io
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Protocol

from edgeafri.errors import EdgeAfriError
from edgeafri.runners.local import ended, listen
from edgeafri.util.progress import Progress, silent

# The shell on the device reports that its command ended. Without that report it was the connection that ended, whatever
# the exit code is; and a command that a signal ends would otherwise end the session in silence.
_ENDED = "\x1eended\n"
_WATCHED = ("sh", "-c", r'"$@"; code=$?; printf "\036ended\n" >&2; exit $code', "sh")


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code, 128 + n for signal n, all of its stdout, and the end of its stderr."""

    code: int
    stdout: str
    stderr: str


class Transport(Protocol):
    """A kind of connection. `where` names it in messages, as the user wrote it."""

    @property
    def where(self) -> str: ...

    def open(self) -> None:
        """Connect, or connect again. DeviceError with the next step where that cannot be."""

    def close(self) -> None:
        """Disconnect; no error where the connection is lost already."""

    def command(self, argv: Sequence[str]) -> list[str]:
        """The command to start here so that `argv` runs there, with the bytes of stdin, stdout and stderr unchanged."""

    def failure(self, ended: Ended) -> EdgeAfriError:
        """The error for a connection that ended before its command did."""


@contextmanager
def opened(transport: Transport) -> Iterator[Transport]:
    """A connection for as long as it is needed."""
    transport.open()
    try:
        yield transport
    finally:
        transport.close()


def run_command(
    transport: Transport, argv: Sequence[str], feed: Iterable[bytes] = (), progress: Progress = silent
) -> Ended:
    """Run `argv` on the device with `feed` on its stdin. ConnectionLost where the connection broke."""
    done = piped(transport.command([*_WATCHED, *argv]), feed, progress)
    if _ENDED not in done.stderr:
        raise transport.failure(done)
    return replace(done, stderr=done.stderr.replace(_ENDED, ""))


def piped(command: Sequence[str], feed: Iterable[bytes] = (), progress: Progress = silent) -> Ended:
    """Run a command here. Progress that a worker writes on stderr goes to `progress`."""
    with (
        tempfile.TemporaryFile() as out,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=out, stderr=subprocess.PIPE) as process,
        ended(process),
    ):
        _feed(process, feed)
        said = listen(io.TextIOWrapper(process.stderr, "utf-8", "replace") if process.stderr else None, progress)
        code = process.wait()
        out.seek(0)
        return Ended(code, out.read().decode("utf-8", "replace"), said)


def _feed(process: "subprocess.Popen[bytes]", feed: Iterable[bytes]) -> None:
    # A program that stops reading early has a reason; its exit code and its stderr give it.
    with suppress(BrokenPipeError):
        for block in feed:
            process.stdin.write(block)  # type: ignore[union-attr]  # a pipe was asked for
    with suppress(BrokenPipeError):
        process.stdin.close()  # type: ignore[union-attr]
