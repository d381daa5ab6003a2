"""Latency and memory of one model in this process, whichever runtime computes it. One fresh process a probe."""

import resource
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from edgeafri.errors import UsageError
from edgeafri.measurement import SCHEMA, Measurement, device_name, machine_conditions
from edgeafri.predict import Encoder, Forward, Ids

_MEGA = 1_000_000


def bench(
    forward: Forward,
    ids: Ids,
    runs: int,
    warmup: int,
    load_ms: float,
    named: dict[str, Any],
    conditions: dict[str, Any],
) -> Measurement:
    """Time `forward` on one sentence, ids int64 of shape (1, length). Warm-up runs are not counted.

    `named` gives bundle_id, runtime and threads.
    """
    mask = np.ones_like(ids)
    for _ in range(warmup):
        forward(ids, mask)
    before = machine_conditions()
    cpu = time.process_time()
    times = np.array([_timed(forward, ids, mask) for _ in range(runs)])
    cpu_ms = (time.process_time() - cpu) * 1000 / runs
    p50, p95 = np.percentile(times, [50, 95])
    return Measurement(
        schema=SCHEMA,
        device=device_name(),
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
        conditions={**before, **conditions},
        **named,
    )


def sentence_of(length: int, encoder: Encoder, vocabulary: int) -> Ids:
    """`length` sub-words drawn evenly from the vocabulary, so that few embedding rows are in the cache already."""
    if not 2 < length <= encoder.limit:
        raise UsageError(f"sequence length {length} does not fit the model", f"Use 3 to {encoder.limit}.")
    inner = np.random.default_rng(0).integers(4, vocabulary, size=length - 2)
    inner[inner == encoder.frame.pad] = encoder.frame.end
    return np.array([[encoder.frame.start, *inner, encoder.frame.end]], dtype=np.int64)


def peak_rss_bytes() -> int:
    """The most memory this process has held. getrusage would count the parent's too, inherited at the fork."""
    try:
        lines = Path("/proc/self/status").read_text("utf-8").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _timed(forward: Forward, ids: Ids, mask: Ids) -> float:
    began = time.perf_counter()
    forward(ids, mask)
    return (time.perf_counter() - began) * 1000
