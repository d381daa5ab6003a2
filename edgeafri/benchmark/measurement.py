"""Measurement: flat numbers with units, and the conditions without which they mean nothing."""

import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

SCHEMA = 3  # 2 had neither `memory`, `work` nor `after`
_CPUFREQ = "/sys/devices/system/cpu/cpu0/cpufreq"
_THROTTLED = "/sys/devices/platform/soc/soc:firmware/get_throttled"
_FLAGS = ("under-voltage", "frequency capped", "throttled", "soft temperature limit")


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One benchmark of one model on one machine. Times in milliseconds, memory in 10^6 bytes; the keys are stable.

    `p50_ms`, `p95_ms` and `mean_ms` are wall time of the model alone on one sentence, `cpu_ms` is the processor time of
    it, all threads. Beside it, `tokenize_ms` goes from text to sub-words, `decode_ms` from logits to labels: medians,
    or None where they were not timed. `memory` is what the process held, by phase: [seconds, MB] each. `work` says
    what the model computes, in the numbers that an estimate is made from. `conditions` are those before the timed
    runs, `after` those of them that the runs may have changed.
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
    memory: Mapping[str, list[list[float]]] | None = None
    work: Mapping[str, float] | None = None
    conditions: Mapping[str, Any]
    after: Mapping[str, Any] | None = None

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
        "governor": _read(f"{_CPUFREQ}/scaling_governor").strip() or None,
        **machine_state(),
    }


def machine_state() -> dict[str, Any]:
    """What a run heats up, slows down or fills, read now; None where a machine does not say.

    `clock_mhz` is that of the first core. `throttled` holds the flags of a Raspberry Pi by name, those of now and, as
    "... has occurred", those since it was started (its documentation of `vcgencmd get_throttled`).
    """
    heat = _number(_read("/sys/class/thermal/thermal_zone0/temp"))
    clock = _number(_read(f"{_CPUFREQ}/scaling_cur_freq"))
    free = [line.split()[1] for line in _read("/proc/meminfo").splitlines() if line.startswith("MemAvailable")]
    return {
        "temperature_c": None if heat is None else round(heat / 1000, 1),
        "clock_mhz": None if clock is None else round(clock / 1000),
        "throttled": _throttled(),
        "available_mb": round(int(free[0]) * 1024 / 1e6) if free else None,
    }


def _throttled() -> list[str] | None:
    said = _read(_THROTTLED).strip() or _vcgencmd()
    try:
        bits = int(said.removeprefix("throttled="), 16)
    except ValueError:
        return None
    now = [name for bit, name in enumerate(_FLAGS) if bits >> bit & 1]
    return now + [f"{name} has occurred" for bit, name in enumerate(_FLAGS) if bits >> (bit + 16) & 1]


def _vcgencmd() -> str:
    import shutil
    import subprocess  # only a Raspberry Pi pays for it, after its peak memory was read

    program = shutil.which("vcgencmd")
    if program is None:
        return ""
    try:
        return subprocess.run([program, "get_throttled"], capture_output=True, text=True, timeout=5).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def machine_id() -> str:
    """What a cached measurement belongs to: another processor or system measures again."""
    return f"{device_name()} / {os.cpu_count()} cores / {platform.system()} {platform.release()}"


def _read(path: str) -> str:
    try:
        return Path(path).read_text("utf-8", errors="replace")
    except OSError:
        return ""
