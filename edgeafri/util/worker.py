"""A worker process: one JSON request on stdin, one JSON answer on stdout, progress on stderr.

The runtime and the torch side answer requests in processes of their own, so that memory is measured from zero and a
crash cannot take the command line with it.
"""

import ctypes
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from edgeafri.documents.base import Document, Json, plain
from edgeafri.errors import INTERRUPTED, EdgeAfriError
from edgeafri.util.files import refused
from edgeafri.util.packages import needed_by
from edgeafri.util.progress import Progress

Handler = Callable[[Mapping[str, Json], Progress], object]
"""Answers one request, both as JSON; the answer may be a document."""
Request = TypeVar("Request", bound=Document)
_PR_SET_PDEATHSIG = 1
PROGRESS = "\x1eprogress "


def serve(name: str, handlers: Mapping[str, Handler]) -> None:
    """Answer the request on stdin with the handler that its `do` names."""
    answer_here = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints must not end up in the answer
    _end_with_parent()
    try:
        request = json.load(sys.stdin)
        with needed_by(name):
            answer: dict[str, Json] = {"answer": plain(handlers[request["do"]](request, _progress))}
    except EdgeAfriError as error:
        answer = {"error": {"kind": type(error).__name__, "message": error.message, "hint": error.hint}}
    except OSError as error:
        known = refused(error, Path.cwd())
        if known is None:
            raise
        answer = {"error": {"kind": "StorageError", "message": known.message, "hint": known.hint}}
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    with answer_here:
        json.dump(answer, answer_here, ensure_ascii=False)


def reading(request: type[Request], answer: Callable[[Request, Progress], Document]) -> Handler:
    """A handler that reads its request as a document; DataError for what does not fit."""
    return lambda value, progress: answer(request.from_json(value), progress)


def _end_with_parent() -> None:
    """On Linux, ask to be ended when the process that asked dies: a killed build leaves no measurement running.

    macOS and Windows have nothing like it: there, a worker whose build was killed ends when its work is done.
    """
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _progress(done: int, total: int) -> None:
    sys.stderr.write(f"{PROGRESS}{done} {total}\n")
    sys.stderr.flush()
