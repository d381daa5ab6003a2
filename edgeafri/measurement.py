"""Measurement: flat numbers with units, and the conditions without which they mean nothing."""

import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

SCHEMA = 2


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One benchmark of one model on one machine. Times in milliseconds, memory in 10^6 bytes; the keys are stable.

    `p50_ms`, `p95_ms` and `mean_ms` are wall time of the model alone on one sentence, `cpu_ms` is the processor time of
    it, all threads. Beside it, `tokenize_ms` goes from text to sub-words, `decode_ms` from logits to labels: medians,
    or None where they were not timed.
    """

    schema: int
    bundle_id: str
    device: str
    runtime: str
    threads: int
    seq_len: int
    runs: int
    warmup: int
    load_ms: float
    p50_ms: float
    p95_ms: float
    mean_ms: float
    cpu_ms: float
    tokenize_ms: float | None = None
    decode_ms: float | None = None
    tokens_per_s: float
    peak_rss_mb: float
    conditions: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def device_name() -> str:
    """The board's own name where it has one, else the processor's."""
    board = _read("/proc/device-tree/model").strip("\0 \n")
    if board:
        return board
    lines = [
        line.split(":", 1)[1].strip() for line in _read("/proc/cpuinfo").splitlines() if line.startswith("model name")
    ]
    return lines[0] if lines else platform.processor() or platform.machine()


def machine_conditions() -> dict[str, Any]:
    """What shapes a timing on this machine, read now."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load_average_1min": None if load is None else round(load, 2),
        "governor": _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").strip() or None,
    }


def machine_id() -> str:
    """What a cached measurement belongs to: another processor or system measures again."""
    return f"{device_name()} / {os.cpu_count()} cores / {platform.system()} {platform.release()}"


def _read(path: str) -> str:
    try:
        return Path(path).read_text("utf-8", errors="replace")
    except OSError:
        return ""
