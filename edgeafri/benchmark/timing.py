"""Latency and memory of one model in this process, whichever runtime computes it. One fresh process a probe."""

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from edgeafri.benchmark.machine import device_name, machine_conditions, machine_state, peak_rss_bytes
from edgeafri.data.text import words_of
from edgeafri.documents.measurement import SCHEMA, Measurement
from edgeafri.errors import UsageError
from edgeafri.inference.predict import Encoder, Forward, Ids, Predictor, best_labels, padded

_MEGA = 1_000_000


@dataclass(frozen=True, kw_only=True)
class TimedModel:
    """What is timed: which model, what runs it, and how it computes; the fields of a Measurement and its conditions."""

    bundle_id: str
    runtime: str
    threads: int
    work: Mapping[str, float] | None = None
    int8_arithmetic: str | None = None
    spinning: bool | None = None
    precision: str | None = None


def bench(model: TimedModel, forward: Forward, ids: Ids, runs: int, warmup: int, load_ms: float) -> Measurement:
    """Time `forward` on one sentence, ids int64 of shape (1, length). Warm-up runs are not counted."""
    mask = np.ones_like(ids)
    for _ in range(warmup):
        forward(ids, mask)
    before = machine_conditions()
    cpu = time.process_time()  # in nanoseconds; psutil counts in ticks of 10 ms
    times = np.array([_timed(lambda: forward(ids, mask)) for _ in range(runs)])
    cpu_ms = (time.process_time() - cpu) * 1000 / runs
    p50, p95 = np.percentile(times, [50, 95])
    return Measurement(
        schema=SCHEMA,
        bundle_id=model.bundle_id,
        device=device_name(),
        runtime=model.runtime,
        threads=model.threads,
        seq_len=ids.shape[1],
        runs=runs,
        warmup=warmup,
        load_ms=round(load_ms, 2),
        p50_ms=round(float(p50), 3),
        p95_ms=round(float(p95), 3),
        mean_ms=round(float(times.mean()), 3),
        cpu_ms=round(cpu_ms, 3),
        tokens_per_s=round(ids.shape[1] / float(p50) * 1000, 1),
        peak_rss_mb=round(peak_rss_bytes() / _MEGA, 1),
        work=model.work,
        conditions=replace(
            before, int8_arithmetic=model.int8_arithmetic, spinning=model.spinning, precision=model.precision
        ),
        after=machine_state(),
    )


def time_around_model(predictor: Predictor, ids: Ids, runs: int) -> tuple[float, float]:
    """Milliseconds per sentence before the model (text to ids) and after it (logits to labels): medians of `runs`.

    The text is what the subwords `ids`, int64 of shape (1, length), spell; it may have a few more or less of them.
    """
    encoder = predictor.encoder
    text = encoder.tokenizer.decode(ids[0].tolist())
    words = [words_of(text, encoder.unit)]
    inputs = encoder.encode(words)
    logits = {len(item.ids): predictor.forward(*padded([item.ids], encoder.frame.pad)) for item in inputs}
    known = replace(predictor, forward=lambda ids, _: logits[ids.shape[1]], batch=1)

    def tokenize() -> None:
        encoder.encode([words_of(text, encoder.unit)])

    def decode() -> None:
        for found in known.logits_from(inputs, words):
            best_labels(found, known.labels)

    times = [(_timed(tokenize), _timed(decode)) for _ in range(runs + 1)][1:]
    before, after = np.median(times, axis=0)
    return round(float(before), 3), round(float(after), 3)


def sentence_of(length: int, encoder: Encoder, vocabulary: int) -> Ids:
    """`length` subwords drawn evenly from the vocabulary, so that few embedding rows are in the cache already."""
    if not 2 < length <= encoder.limit:
        raise UsageError(f"sequence length {length} does not fit the model", f"Use 3 to {encoder.limit}.")
    # numpy's generators would add 3 MB to the peak that is measured.
    draw = random.Random(0)  # noqa: S311  # no secrets here
    inner = [draw.randrange(4, vocabulary) for _ in range(length - 2)]
    kept = [encoder.frame.end if piece == encoder.frame.pad else piece for piece in inner]
    return np.array([[encoder.frame.start, *kept, encoder.frame.end]], dtype=np.int64)


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000
