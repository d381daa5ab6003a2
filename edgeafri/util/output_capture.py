"""output_capture: what libraries print goes to a log file, at the level of the process: native code's output too."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TextIO


@contextmanager
def captured_output(log: Path) -> Iterator[None]:
    """Send everything written to stdout and stderr, by Python or by a library in C++, to the end of `log`."""
    sys.stdout.flush()
    sys.stderr.flush()
    originals = [os.dup(1), os.dup(2)]
    target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.dup2(target, 1)
        os.dup2(target, 2)
        # Python's own streams too: on a console of Windows they write to the console and not to these two numbers.
        with redirect_stdout(_stream(1)), redirect_stderr(_stream(2)):
            yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, original in enumerate(originals, 1):
            os.dup2(original, number)
            os.close(original)
        os.close(target)


def _stream(number: int) -> TextIO:
    """Text to an open file of the process, by its number: it stays of use to a library that keeps it for later."""
    return open(number, "w", 1, "utf-8", "backslashreplace", closefd=False)
