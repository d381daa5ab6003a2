"""Progress bars while something runs, on a terminal and in a notebook and nowhere else. The only place with rich."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

from edgeafri.builder.events import Event, OnEvent, Progressed, Started
from edgeafri.documents.base import Document, Json
from edgeafri.util.progress import Progress, StartProgress, silent

_IN_NOTEBOOK = "ipykernel"


@contextmanager
def events_shown(on_event: OnEvent | None = None) -> Iterator[OnEvent]:
    """An `on_event` that draws bars for what runs, and passes every event on to the one given."""
    bars = _Bars() if _is_watched() else None

    def shown(event: Event) -> None:
        if bars is not None:
            bars.on_event(event)
        if on_event is not None:
            on_event(event)

    try:
        yield shown
    finally:
        if bars is not None:
            bars.close()


@contextmanager
def progress_bar() -> Iterator[StartProgress]:
    """A step that draws a bar for what it is told begins, until the next one."""
    with events_shown() as on_event:

        def start(what: str) -> Progress:
            on_event(Started(what))
            return lambda done, total: on_event(Progressed(what, done, total))

        yield start


@contextmanager
def side_by_side(names: Sequence[str]) -> Iterator[Callable[[str], StartProgress]]:
    """A step for each of what goes on at the same time: a bar each on a terminal, elsewhere a line for what begins."""
    if not _is_watched():
        yield lambda name: lambda what: _said(f"{name}: {what}")
        return
    with os.fdopen(os.dup(2), "w", encoding="utf-8") as file, _bars(file) as bars:
        tasks = {name: bars.add_task(name, total=None) for name in names}

        def begun(name: str, what: str) -> Progress:
            bars.reset(tasks[name], description=f"{name:<14} {what}", total=None)
            return lambda done, total: bars.update(tasks[name], completed=done, total=total)

        yield lambda name: lambda what: begun(name, what)


def _is_watched() -> bool:
    """Whether somebody sees a bar move: not where stderr is a file or a pipe."""
    return _IN_NOTEBOOK in sys.modules or (sys.stderr is not None and sys.stderr.isatty())


def _said(line: str) -> Progress:
    sys.stderr.write(f"{line}\n")
    return silent


def ask_worker(what: str, module: str, request: Document) -> Json:
    """The answer of a worker process, with a bar while it works."""
    from edgeafri.runners.local import call_worker

    with progress_bar() as start:
        return call_worker(module, request, start(what))


class _Bars:
    """One bar at a time. It writes to its own copy of stderr: while a stage runs, stderr itself goes to the log."""

    def __init__(self) -> None:
        self._file = os.fdopen(os.dup(2), "w", encoding="utf-8")
        self._progress: Any = None
        self._task: Any = None

    def on_event(self, event: Event) -> None:
        if isinstance(event, Started):
            self._start(event.stage)
        elif isinstance(event, Progressed) and self._progress is not None:
            self._progress.update(self._task, completed=event.done, total=event.total)
        else:
            self._stop()

    def close(self) -> None:
        self._stop()
        self._file.close()

    def _start(self, stage: str) -> None:
        self._stop()
        self._progress = _bars(self._file)
        self._task = self._progress.add_task(stage, total=None)
        self._progress.start()

    def _stop(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None


def _bars(file: TextIO) -> Any:
    import rich.progress
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    # rich finds a notebook by itself; everywhere else a bar is drawn on the copy of stderr.
    console = None if _IN_NOTEBOOK in sys.modules else Console(file=file, force_terminal=True)
    return rich.progress.Progress(*columns, console=console, transient=True)
