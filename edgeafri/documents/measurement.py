"""Measurement: flat numbers with units, and the conditions without which they mean nothing."""

from collections.abc import Mapping
from dataclasses import dataclass

from edgeafri.documents.base import Document, omitted_when_none

SCHEMA = 3  # 2 had neither `memory`, `work` nor `after`

MemorySamples = Mapping[str, tuple[tuple[float, float], ...]]
"""What a process held, by phase: pairs of seconds since the start and MB of 10^6 bytes."""


@dataclass(frozen=True, kw_only=True)
class MachineState(Document):
    """What a run heats up, slows down or fills. None is what a machine does not say.

    `clock_mhz` is that of the first core. `throttled` holds the flags of a Raspberry Pi by name: those of now and, as
    "... has occurred", those since it was started. Only the phone app knows the battery's temperature.
    """

    temperature_c: float | None = None
    clock_mhz: float | None = None
    throttled: tuple[str, ...] | None = None
    available_mb: float | None = None
    battery_temperature_c: float | None = omitted_when_none()


@dataclass(frozen=True, kw_only=True)
class Conditions(Document):
    """What shapes a timing: the machine, its state before the timed runs, and how the model is computed.

    None is what a machine does not say. The fields from `int8_arithmetic` to `precision` say how the model is computed,
    those from `chip` on come from the phone apps and from a browser alone.
    """

    machine: str | None = None
    cores: int | None = None
    system: str | None = None
    python: str | None = None
    load_average_1min: float | None = None
    governor: str | None = None
    temperature_c: float | None = None
    clock_mhz: float | None = None
    throttled: tuple[str, ...] | None = None
    available_mb: float | None = None
    int8_arithmetic: str | None = omitted_when_none()
    spinning: bool | None = omitted_when_none()
    precision: str | None = omitted_when_none()
    chip: str | None = omitted_when_none()
    maker: str | None = omitted_when_none()
    board: str | None = omitted_when_none()
    memory_mb: float | None = omitted_when_none()
    battery_saver: bool | None = omitted_when_none()
    battery_temperature_c: float | None = omitted_when_none()
    browser: str | None = omitted_when_none()
    user_agent: str | None = omitted_when_none()
    device_memory_gb: float | None = omitted_when_none()
    isolated: bool | None = omitted_when_none()
    load_files_ms: float | None = omitted_when_none()
    golden: int | None = omitted_when_none()
    golden_equal: int | None = omitted_when_none()
    wasm_memory_mb: float | None = omitted_when_none()


@dataclass(frozen=True, kw_only=True)
class Measurement(Document):
    """One benchmark of one model on one machine. Times in milliseconds, memory in MB of 10^6 bytes; keys are stable.

    `p50_ms`, `p95_ms` and `mean_ms` are wall time of the model alone on one sentence; `cpu_ms` is the processor time of
    the same, all threads. `tokenize_ms` goes from text to subwords, `decode_ms` from logits to labels: medians, or
    None where they were not timed. `memory` is what the process held, by phase. `work` says what the model computes, in
    the numbers that an estimate is made from. `conditions` are those before the timed runs, `after` those of them that
    the runs may have changed. A browser knows neither `cpu_ms` nor `peak_rss_mb`.
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
    cpu_ms: float | None
    tokenize_ms: float | None = None
    decode_ms: float | None = None
    tokens_per_s: float
    peak_rss_mb: float | None
    memory: MemorySamples | None = None
    work: Mapping[str, float] | None = None
    conditions: Conditions
    after: MachineState | None = None


@dataclass(frozen=True, kw_only=True)
class InMemoryMeasurement(Measurement):
    """A measurement of a model that was put into another form in memory, as no folder holds it.

    `where` is "CPU" or the name of the GPU, `weight_bytes` what the weights take in a file, `peak_gpu_mb` the most
    memory that was taken on the GPU.
    """

    where: str
    weight_bytes: int
    peak_gpu_mb: float | None = omitted_when_none()
