"""Memory over time: samples by phase, the largest of neighbours kept, nothing where the system does not say."""

import time
from itertools import count

import numpy as np
import pytest

from edgeafri.benchmark import memory
from edgeafri.benchmark.memory import sampled_memory

MB = 1_000_000


def test_what_is_taken_shows_in_its_phase():
    """
    80 MB that are written while "run" lasts are in its samples, and not in those of "load".
    """
    with sampled_memory("load") as sampler:
        sampler.enter("run")
        block = np.ones(10 * MB)
        time.sleep(0.05)
    del block
    highest = {phase: max(held for _, held in taken) for phase, taken in sampler.samples.items()}

    assert highest["run"] - highest["load"] == pytest.approx(80, abs=8)


def test_the_largest_of_neighbours_is_kept(monkeypatch: pytest.MonkeyPatch):
    """
    Of a thousand samples 59 are left, and the one peak is among them with its time.
    """
    clock, held = count(), iter([5 * MB] * 500 + [70 * MB] + [5 * MB] * 500)
    monkeypatch.setattr(memory, "resident_bytes", lambda: next(held))
    monkeypatch.setattr(memory.time, "perf_counter", lambda: next(clock))
    sampler = memory.MemorySampler("run")
    for _ in range(1000):
        sampler.take()
    samples = sampler.samples["run"]

    assert len(samples) == 59
    assert [pair for pair in samples if pair[1] == 70] == [(501, 70.0)]


def test_a_system_that_says_nothing(monkeypatch: pytest.MonkeyPatch):
    """
    No samples rather than wrong ones.
    """
    monkeypatch.setattr(memory, "resident_bytes", lambda: None)
    with sampled_memory("load") as sampler:
        sampler.enter("run")

    assert sampler.samples is None
