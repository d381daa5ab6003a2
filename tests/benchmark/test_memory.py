"""Memory over time: samples by phase, the largest of neighbours kept, nothing where the system does not say."""

import time
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from edgeafri.benchmark import memory
from edgeafri.benchmark.memory import resident_bytes, watched

MB = 1_000_000
linux = pytest.mark.skipif(resident_bytes() is None, reason="only Linux says what a process holds")


@linux
def test_what_is_taken_shows_in_its_phase():
    """
    80 MB that are written while "run" lasts are in its samples, and not in those of "load".
    """
    with watched("load") as watch:
        watch.enter("run")
        block = np.ones(10 * MB)
        time.sleep(0.05)
    del block
    highest = {phase: max(held for _, held in taken) for phase, taken in watch.samples.items()}

    assert highest["run"] - highest["load"] == pytest.approx(80, abs=8)


def test_the_largest_of_neighbours_is_kept(monkeypatch: pytest.MonkeyPatch):
    """
    Of a thousand samples 59 are left, and the one peak is among them with its time.
    """
    clock, held = count(), iter([5 * MB] * 500 + [70 * MB] + [5 * MB] * 500)
    monkeypatch.setattr(memory, "resident_bytes", lambda: next(held))
    monkeypatch.setattr(memory.time, "perf_counter", lambda: next(clock))
    watch = memory.Watch("run")
    for _ in range(1000):
        watch.look()
    samples = watch.samples["run"]

    assert len(samples) == 59
    assert [pair for pair in samples if pair[1] == 70] == [(501, 70.0)]


@pytest.mark.parametrize("said", [None, "", "12", "many pages"])
def test_a_system_that_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str | None):
    """
    No file, or one that reads otherwise: no samples rather than wrong ones.
    """
    if said is not None:
        (tmp_path / "statm").write_text(said, "ascii")
    monkeypatch.setattr(memory, "_STATM", tmp_path / "statm")
    with watched("load") as watch:
        watch.enter("run")

    assert watch.samples is None
