"""Run a model in a fresh process on this machine: a bundle through the runtime, a torch folder through torch."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from edgeafri import errors
from edgeafri.documents.base import Document, Json, plain
from edgeafri.util.progress import Progress, silent
from edgeafri.util.worker import PROGRESS

RUNTIME, TORCH = "edgeafri.runtime", "edgeafri.stages"
_TAIL = 2000  # characters of a dead worker's last words


def call_worker(
    module: str,
    request: Document | Mapping[str, Json],
    progress: Progress = silent,
    log: Path | None = None,
    environment: Mapping[str, str] | None = None,
    before: Sequence[str] = (),
) -> Json:
    """Send one request to `python -m module` and return its answer. What it prints goes to the end of `log`.

    `before` goes before the command: a program that starts it, such as one that limits its memory. Errors that the
    worker reports are raised here as what they are; a worker that dies is a WorkerError.
    """
    command = [*before, sys.executable, "-m", module]
    return exchange(command, f"python -m {module}", request, progress, log, environment)


def exchange(
    command: Sequence[str],
    name: str,
    request: Document | Mapping[str, Json],
    progress: Progress = silent,
    log: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Json:
    """Send one request to a worker that `command` starts, wherever it then runs, and return its answer.

    Errors call the worker `name`.
    """
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8") as question,
        tempfile.TemporaryFile("w+", encoding="utf-8") as out,
    ):
        json.dump(plain(request), question)
        question.seek(0)
        with (
            subprocess.Popen(
                list(command),
                stdin=question,
                stdout=out,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                errors="replace",
                env={**os.environ, "PYTHONUTF8": "1", **(environment or {})},  # Windows would use its code page
            ) as process,
            ended(process),
        ):
            stderr = listen(process.stderr, progress, log)
        out.seek(0)
        return answer_of(name, process.returncode, out.read(), stderr)


def listen(stream: IO[str] | None, progress: Progress, log: Path | None = None) -> str:
    """The end of what a worker writes on stderr, until it closes it; the rest than progress goes into `log`."""
    stderr = ""
    for line in stream or ():
        if line.startswith(PROGRESS):
            done, total = line.removeprefix(PROGRESS).split()
            progress(int(done), int(total))
            continue
        stderr = (stderr + line)[-_TAIL:]
        if log is not None:
            with log.open("a", encoding="utf-8") as file:
                file.write(line)
    return stderr


def answer_of(name: str, code: int, out: str, stderr: str) -> Json:
    """What a worker answered with `out`, having ended with `code`; `stderr` is the end of what it wrote there."""
    if code == errors.INTERRUPTED or code == -signal.SIGINT:
        raise KeyboardInterrupt
    if code != 0 or not out:
        reason = f"signal {-code}, often a lack of memory" if code < 0 else f"exit code {code}"
        last = stderr.strip().splitlines()
        raise errors.WorkerError(
            f"the process `{name}` ended early ({reason}){': ' + last[-1] if last else ''}",
            "Run the command again; if it ends the same way, report it with the log.",
        )
    document = json.loads(out)
    if "error" in document:
        error = document["error"]
        raise getattr(errors, error["kind"])(error["message"], error["hint"])
    answer: Json = document["answer"]
    return answer


@contextmanager
def ended(process: "subprocess.Popen[str] | subprocess.Popen[bytes]") -> Iterator[None]:
    """Leave no worker behind when this process is interrupted."""
    try:
        yield
    except BaseException:
        process.terminate()
        raise
