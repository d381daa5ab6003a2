"""Memory of this process over time: a thread that looks now and then, phase by phase."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from edgeafri.documents.measurement import MemorySamples

_EVERY_S = 0.01
_MOST = 60  # samples of a phase that are kept
_STATM = Path("/proc/self/statm")


class Watch:
    """What a process held since it began to watch: `samples` by phase, each [seconds, MB of 10^6 bytes]."""

    def __init__(self, phase: str) -> None:
        self._began = time.perf_counter()
        self._phases: dict[str, list[tuple[float, int]]] = {phase: []}
        self._phase = phase
        self.look()

    def enter(self, phase: str) -> None:
        """From here on, samples belong to `phase`."""
        self._phases[phase] = []
        self._phase = phase
        self.look()

    def look(self) -> None:
        """Take a sample; none where the system does not say."""
        if (held := resident_bytes()) is not None:
            self._phases[self._phase].append((time.perf_counter() - self._began, held))

    @property
    def samples(self) -> MemorySamples | None:
        """At most 60 a phase: of neighbours the largest is kept, so that no peak is lost. None where none was taken."""
        found = {phase: _thinned(taken) for phase, taken in self._phases.items() if taken}
        return found or None


@contextmanager
def watched(phase: str) -> Iterator[Watch]:
    """Watch this process from a thread, a sample every 10 ms, until the block ends."""
    watch = Watch(phase)
    with repeated(watch.look, _EVERY_S):
        yield watch


@contextmanager
def repeated(look: Callable[[], None], every_s: float) -> Iterator[None]:
    """Call `look` from a thread every so many seconds, until the block ends."""
    ended = threading.Event()

    def looking() -> None:
        while not ended.wait(every_s):
            look()

    thread = threading.Thread(target=looking, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def resident_bytes() -> int | None:
    """What this process holds in memory now, files it has mapped and read included. None but on Linux."""
    try:
        return int(_STATM.read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None


def _thinned(taken: list[tuple[float, int]]) -> tuple[tuple[float, float], ...]:
    step = -(-len(taken) // _MOST)
    largest = (max(taken[start : start + step], key=lambda pair: pair[1]) for start in range(0, len(taken), step))
    return tuple((round(seconds, 3), round(held / 1e6, 1)) for seconds, held in largest)
