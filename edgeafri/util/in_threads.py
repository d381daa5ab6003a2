"""in_threads: items that are computed at the same time, each by one thread; results come in the items' order."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from edgeafri.util.progress import Progress, silent

T = TypeVar("T")
R = TypeVar("R")


def cores() -> int:
    """How many items are computed at a time."""
    return os.cpu_count() or 1


def in_threads(run: Callable[[T], R], items: Sequence[T], progress: Progress = silent) -> Iterator[R]:
    """What `run` gives for every item, counted by `progress`. For calls that leave Python's lock, as a session's do."""
    with ThreadPoolExecutor(cores()) as threads:
        for done, result in enumerate(threads.map(run, items), 1):
            progress(done, len(items))
            yield result
