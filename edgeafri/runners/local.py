"""Run a model in a fresh process on this machine: a bundle through the runtime, a torch folder through torch."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from edgeafri import errors
from edgeafri.progress import Tick, silent
from edgeafri.worker import PROGRESS

RUNTIME, TORCH = "edgeafri.runtime", "edgeafri.stages"
_TAIL = 2000  # characters of a dead worker's last words


def ask(
    module: str,
    request: Mapping[str, Any],
    tick: Tick = silent,
    log: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Any:
    """Send one request to `python -m module` and return its answer. What it prints goes to the end of `log`.

    Errors that the worker reports are raised here as what they are; a worker that dies is a WorkerError.
    """
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8") as question,
        tempfile.TemporaryFile("w+", encoding="utf-8") as out,
    ):
        json.dump(request, question)
        question.seek(0)
        command = [sys.executable, "-m", module]
        with (
            subprocess.Popen(
                command,
                stdin=question,
                stdout=out,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                errors="replace",
                env={**os.environ, **(environment or {})},
            ) as process,
            _ended(process),
        ):
            said = _listen(process.stderr, tick, log)
        out.seek(0)
        return _answer(module, process.returncode, out.read(), said)


def _listen(stream: IO[str] | None, tick: Tick, log: Path | None) -> str:
    said = ""
    for line in stream or ():
        if line.startswith(PROGRESS):
            done, total = line.removeprefix(PROGRESS).split()
            tick(int(done), int(total))
            continue
        said = (said + line)[-_TAIL:]
        if log is not None:
            with log.open("a", encoding="utf-8") as file:
                file.write(line)
    return said


def _answer(module: str, code: int, out: str, said: str) -> Any:
    if code == errors.INTERRUPTED or code == -signal.SIGINT:
        raise KeyboardInterrupt
    if code != 0 or not out:
        reason = f"signal {-code}, often a lack of memory" if code < 0 else f"exit code {code}"
        last = said.strip().splitlines()
        raise errors.WorkerError(
            f"the process `python -m {module}` ended early ({reason}){': ' + last[-1] if last else ''}",
            "Run the command again; if it ends the same way, report it with the log.",
        )
    document = json.loads(out)
    if "error" in document:
        error = document["error"]
        raise getattr(errors, error["kind"])(error["message"], error["hint"])
    return document["answer"]


@contextmanager
def _ended(process: "subprocess.Popen[str]") -> Iterator[None]:
    """Leave no worker behind when this process is interrupted."""
    try:
        yield
    except BaseException:
        process.terminate()
        raise
