"""The probe: percentiles, processor time and peak memory of one model in one process."""

import os
import time
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edgeafri.benchmark import timing
from edgeafri.benchmark.timing import TimedModel, bench, sentence_of, time_around_model
from edgeafri.bundle import Frame
from edgeafri.documents.measurement import Measurement
from edgeafri.errors import UsageError
from edgeafri.inference.predict import Encoder, Predictor

MODEL = TimedModel(bundle_id="b1", runtime="none", threads=1, precision="int8")
IDS = np.array([[0, 5, 6, 2]], dtype=np.int64)
ENCODER = Encoder(None, Frame(start=0, end=2, pad=1), limit=64)  # type: ignore[arg-type]  # no text is encoded here


class Clock:
    """A wall clock that moves only when a forward pass says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


def measured(times_ms: list[float], warmup: int, monkeypatch: pytest.MonkeyPatch) -> tuple[Measurement, list[Any]]:
    """The measurement of a forward pass that takes exactly these times, warm-up included, and its calls."""
    clock, left, calls = Clock(), iter(times_ms), []

    def forward(ids: Any, mask: Any) -> Any:
        calls.append((ids.copy(), mask.copy()))
        clock.now += next(left) / 1000

    monkeypatch.setattr(time, "perf_counter", clock.perf_counter)
    return bench(MODEL, forward, IDS, len(times_ms) - warmup, warmup, 12.3456), calls


def test_percentiles_and_mean_are_those_of_the_timed_runs(monkeypatch: pytest.MonkeyPatch):
    """
    The warm-up is not counted; p95 lies between the two slowest of twenty-one; a sentence of four sub-words at 11 ms
    gives 4 / 0.011 sub-words a second.
    """
    found, calls = measured([500.0, 400.0, *range(1, 22)], 2, monkeypatch)

    assert (found.p50_ms, found.p95_ms, found.mean_ms) == (11.0, 20.0, 11.0)
    assert found.tokens_per_s == pytest.approx(4 / 0.011, abs=0.05)  # rounded to one digit
    assert (found.runs, found.warmup, found.seq_len, found.load_ms, len(calls)) == (21, 2, 4, 12.35, 23)


def test_every_run_sees_the_whole_sentence(monkeypatch: pytest.MonkeyPatch):
    """
    Same ids, and a mask of ones of the same shape and type.
    """
    _, calls = measured([1.0, 2.0, 3.0], 1, monkeypatch)

    assert all(np.array_equal(ids, IDS) for ids, _ in calls)
    assert all(mask.dtype == np.int64 and mask.tolist() == [[1, 1, 1, 1]] for _, mask in calls)


def test_processor_time_is_that_of_one_sentence_in_all_threads(monkeypatch: pytest.MonkeyPatch):
    """
    Two threads busy for 3 ms each make 6 ms of processor time a sentence, whatever the clock on the wall says.
    """
    used = iter([10.0, 10.024])
    monkeypatch.setattr(time, "process_time", lambda: next(used))

    assert measured([3.0] * 4, 0, monkeypatch)[0].cpu_ms == pytest.approx(6.0, abs=0.001)  # rounded to three digits


def test_the_conditions_hold_the_machines_and_the_models(monkeypatch: pytest.MonkeyPatch):
    """
    Without them the numbers mean nothing.
    """
    conditions = measured([1.0], 0, monkeypatch)[0].conditions

    assert (conditions.precision, conditions.cores) == ("int8", os.cpu_count())
    assert {"cores", "load_average_1min", "governor", "precision"} <= set(conditions.to_json())
    assert "spinning" not in conditions.to_json()


def test_a_sentence_is_drawn_evenly_and_always_the_same():
    """
    Few embedding rows repeat, special tokens stand only at the ends, and every run draws the same ids.
    """
    ids = sentence_of(64, ENCODER, vocabulary=10_000)

    assert (ids.shape, ids.dtype) == ((1, 64), np.int64)
    assert (ids[0, 0], ids[0, -1], ids[0, 1:-1].min() >= 4, ids.max() < 10_000) == (0, 2, True, True)
    assert len(set(ids[0])) > 60
    assert np.array_equal(ids, sentence_of(64, ENCODER, vocabulary=10_000))


def test_padding_is_never_drawn():
    """
    A tokenizer may keep its padding anywhere in the vocabulary; a padded position would cost nothing to compute.
    """
    encoder = Encoder(None, Frame(start=0, end=2, pad=5), limit=64)  # type: ignore[arg-type]

    assert 5 not in sentence_of(64, encoder, vocabulary=8)


def test_what_goes_on_around_the_model_is_timed_without_it(monkeypatch: pytest.MonkeyPatch):
    """
    Five milliseconds to subwords and a forward pass of a second: only the five are told, and what decoding takes.
    """
    clock, calls = Clock(), []

    class Tokenizer:
        def decode(self, ids: list[int]) -> str:
            return " ".join("ab" for _ in ids)

        def encode_batch(self, inputs: list[Any], **_: Any) -> list[Any]:
            clock.now += 0.005
            places = [place for place in range(len(inputs[0])) for _ in "ab"]
            return [SimpleNamespace(ids=[7] * len(places), word_ids=places)]

    def forward(ids: Any, mask: Any) -> Any:
        calls.append(ids.shape)
        clock.now += 1
        return np.zeros((*ids.shape, 2), np.float32)

    def slow(reading: Any, labels: Any) -> Any:
        clock.now += 0.002

    monkeypatch.setattr(time, "perf_counter", clock.perf_counter)
    monkeypatch.setattr(timing, "best_labels", slow)
    predictor = Predictor(replace(ENCODER, tokenizer=Tokenizer()), ("O", "B-PER"), forward)

    assert time_around_model(predictor, IDS, runs=3) == (5.0, 2.0)
    assert calls == [(1, 10)]


@pytest.mark.parametrize("length", [2, 65])
def test_a_length_that_does_not_fit_is_refused(length: int):
    """
    Never cut in silence: the range is said.
    """
    with pytest.raises(UsageError, match=f"sequence length {length} does not fit the model") as error:
        sentence_of(length, ENCODER, vocabulary=100)

    assert error.value.hint == "Use 3 to 64."
