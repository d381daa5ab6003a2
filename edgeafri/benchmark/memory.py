"""Memory of this process over time: a thread takes samples, phase by phase."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from edgeafri.benchmark.machine import resident_bytes
from edgeafri.documents.measurement import MemorySamples

_EVERY_S = 0.01
_MOST = 60  # samples that are kept per phase


class MemorySampler:
    """Memory that this process held since it was made, by phase."""

    def __init__(self, phase: str) -> None:
        self._began = time.perf_counter()
        self._phases: dict[str, list[tuple[float, int]]] = {phase: []}
        self._phase = phase
        self.take()

    def enter(self, phase: str) -> None:
        """From here on, samples belong to `phase`."""
        self._phases[phase] = []
        self._phase = phase
        self.take()

    def take(self) -> None:
        """Take a sample; none where this machine does not say."""
        if (held := resident_bytes()) is not None:
            self._phases[self._phase].append((time.perf_counter() - self._began, held))

    @property
    def samples(self) -> MemorySamples | None:
        """At most 60 per phase: of neighbours the largest is kept, so that no peak is lost. None if there are none."""
        found = {phase: _thinned(taken) for phase, taken in self._phases.items() if taken}
        return found or None


@contextmanager
def sampled_memory(phase: str) -> Iterator[MemorySampler]:
    """Sample this process's memory from a thread, every 10 ms, until the block ends."""
    sampler = MemorySampler(phase)
    with repeated(sampler.take, _EVERY_S):
        yield sampler


@contextmanager
def repeated(work: Callable[[], None], every_s: float) -> Iterator[None]:
    """Call `work` from a thread every `every_s` seconds, until the block ends."""
    ended = threading.Event()

    def loop() -> None:
        while not ended.wait(every_s):
            work()

    thread = threading.Thread(target=loop, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _thinned(taken: list[tuple[float, int]]) -> tuple[tuple[float, float], ...]:
    step = -(-len(taken) // _MOST)
    largest = (max(taken[start : start + step], key=lambda pair: pair[1]) for start in range(0, len(taken), step))
    return tuple((round(seconds, 3), round(held / 1e6, 1)) for seconds, held in largest)
