"""The only place with rich: a progress bar on stderr while something runs, on a terminal and nowhere else."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from edgeafri.pipeline import Event, Finished, Noted, Started, Tell, Ticked


@contextmanager
def telling(say: Callable[[Finished | Noted], None]) -> Iterator[Tell]:
    """A `tell` that draws bars for what runs and hands what ended to `say`."""
    bars = _Bars() if sys.stderr.isatty() else None

    def tell(event: Event) -> None:
        if bars is not None:
            bars.tell(event)
        if isinstance(event, (Finished, Noted)):
            say(event)

    try:
        yield tell
    finally:
        if bars is not None:
            bars.close()


def asked(what: str, module: str, request: Mapping[str, Any]) -> Any:
    """The answer of a worker process, with a bar while it works."""
    from edgeafri.runners.local import ask

    with telling(lambda event: None) as tell:
        tell(Started(what))
        return ask(module, request, lambda done, total: tell(Ticked(what, done, total)))


class _Bars:
    """One bar at a time. It writes to its own copy of stderr: while a stage runs, stderr itself goes to the log."""

    def __init__(self) -> None:
        self._file = os.fdopen(os.dup(2), "w", encoding="utf-8")
        self._progress: Any = None
        self._task: Any = None

    def tell(self, event: Event) -> None:
        if isinstance(event, Started):
            self._start(event.stage)
        elif isinstance(event, Ticked) and self._progress is not None:
            self._progress.update(self._task, completed=event.done, total=event.total)
        else:
            self._stop()

    def close(self) -> None:
        self._stop()
        self._file.close()

    def _start(self, stage: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        self._stop()
        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
        self._progress = Progress(*columns, console=Console(file=self._file, force_terminal=True), transient=True)
        self._task = self._progress.add_task(stage, total=None)
        self._progress.start()

    def _stop(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None
