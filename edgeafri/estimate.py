"""How long one sentence should take on a device: an interval, from what a bundle computes and the device can do."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from edgeafri import settings
from edgeafri.device import Cluster, DeviceProfile, Fact, Speed
from edgeafri.errors import ArtifactError, UsageError

UNCALIBRATED = "uncalibrated"
Kind = Literal["fp32", "int8"]
Rate = Callable[[Kind], float | None]  # millions of MACs per millisecond with all threads at work


@dataclass(frozen=True)
class Work:
    """What a bundle does for one sentence of n sub-words: linear * n + attention * n * n multiply-accumulates."""

    linear_macs_per_token: int
    attention_macs_per_token_pair: int
    weight_bits: int
    weight_bytes: int
    embedding_row_bytes: int


@dataclass(frozen=True)
class Estimate:
    """Milliseconds for one sentence lie between `low_ms` and `high_ms`; None where the device is not known enough."""

    low_ms: float | None
    high_ms: float | None
    basis: str
    notes: tuple[str, ...]


def estimate(facts: Mapping[str, Any], profile: DeviceProfile, seq_len: int, threads: int) -> Estimate:
    """The latency of a bundle with these manifest facts at `seq_len` sub-words.

    Low: the larger of fastest arithmetic and reading the weights. High: the sum of slow arithmetic and slow reading.
    ArtifactError when a fact is missing, UsageError when the device has not so many cores.
    """
    work = _work(facts)
    _check(profile, seq_len, threads)
    low, high = milliseconds(work, profile, seq_len, threads)
    return Estimate(
        _rounded(low), _rounded(high), UNCALIBRATED, tuple(_notes(work, profile, _busy(profile.cores, threads)))
    )


def milliseconds(work: Work, profile: DeviceProfile, seq_len: int, threads: int) -> tuple[float | None, float | None]:
    """Both ends of an estimate, not rounded; None where the device is not known enough."""
    busy = _busy(profile.cores, threads)
    megabytes = (work.weight_bytes + work.embedding_row_bytes * seq_len) / 1e6
    fast = (_arithmetic(work, seq_len, lambda kind: _fast(busy, kind)), _reading(megabytes, profile.memory.read))
    slow = (_arithmetic(work, seq_len, lambda kind: _slow(busy, kind)), _reading(megabytes, profile.memory.copy))
    low = max((part for part in fast if part is not None), default=None)
    high = None if None in slow else sum(part for part in slow if part is not None)
    return low, high


def _work(facts: Mapping[str, Any]) -> Work:
    known = {field.name: facts[field.name] for field in fields(Work) if field.name in facts}
    missing = [field.name for field in fields(Work) if field.name not in known]
    if missing:
        raise ArtifactError(f"the bundle's manifest has no fact '{missing[0]}'", "Build the bundle again.")
    return settings.read(Work, known, "facts")


def _check(profile: DeviceProfile, seq_len: int, threads: int) -> None:
    cores = sum(cluster.count for cluster in profile.cores)
    if not 1 <= threads <= cores:
        raise UsageError(f"{threads} threads: {profile.name} has {cores} cores", f"Use 1 to {cores} threads.")
    if seq_len < 1:
        raise UsageError(f"a sentence of {seq_len} sub-words", "Use a length of 1 and up.")


def _busy(cores: tuple[Cluster, ...], threads: int) -> list[tuple[Cluster, int]]:
    """Each kind of core that works, and how many of it; the fastest kind, listed first, is filled first."""
    busy = []
    for cluster in cores:
        if count := min(cluster.count, threads):
            busy.append((cluster, count))
            threads -= count
    return busy


def _arithmetic(work: Work, seq_len: int, rate: Rate) -> float | None:
    """Milliseconds for all multiply-accumulates; attention stays in fp32 whatever the weights are."""
    linear = rate("fp32" if work.weight_bits == 32 else "int8") if work.weight_bits in (8, 32) else None
    attention = rate("fp32")
    if linear is None or attention is None:
        return None
    linear_macs = work.linear_macs_per_token * seq_len
    attention_macs = work.attention_macs_per_token_pair * seq_len * seq_len
    return linear_macs / 1e6 / linear + attention_macs / 1e6 / attention


def _reading(megabytes: float, speed: Fact | None) -> float | None:
    return None if speed is None else megabytes / speed.value * 1000


def _fast(busy: list[tuple[Cluster, int]], kind: Kind) -> float | None:
    rates = [_per_core(cluster, _speed(cluster, kind).fast) for cluster, _ in busy]
    if None in rates:
        return None
    return sum(rate * count for rate, (_, count) in zip(rates, busy, strict=True) if rate is not None)


def _slow(busy: list[tuple[Cluster, int]], kind: Kind) -> float | None:
    rates = [_slow_core(cluster, count, kind) for cluster, count in busy]
    known = [rate for rate in rates if rate is not None]
    if len(known) < len(rates):
        return None
    # Work is cut into equal parts, so everyone waits for the slowest core.
    return min(known) * sum(count for _, count in busy)


def _slow_core(cluster: Cluster, count: int, kind: Kind) -> float | None:
    speed = _speed(cluster, kind)
    if speed.slow_one_core is None and speed.slow_all_cores is None:
        # Nobody measured int8 here. Signed int8 takes fewer instructions than fp32, so fp32 stands for its slow end.
        return _slow_core(cluster, count, "fp32") if kind == "int8" else None
    return _per_core(cluster, _at_count(speed, count, cluster.count))


def _at_count(speed: Speed, count: int, cores: int) -> Fact | float | None:
    """The slow speed with `count` of `cores` busy, on the line between one core and all of them."""
    one, every = speed.slow_one_core, speed.slow_all_cores
    if count == 1 and one is not None:
        return one
    if count == cores or one is None or every is None:
        return every
    return one.value + (every.value - one.value) * (count - 1) / (cores - 1)


def _per_core(cluster: Cluster, speed: Fact | float | None) -> float | None:
    if speed is None:
        return None
    macs = speed.value if isinstance(speed, Fact) else speed
    return macs * cluster.ghz.value


def _speed(cluster: Cluster, kind: Kind) -> Speed:
    return cluster.fp32 if kind == "fp32" else cluster.int8


def _rounded(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else round(milliseconds, 1)


def _notes(work: Work, profile: DeviceProfile, busy: list[tuple[Cluster, int]]) -> list[str]:
    notes = ["Low is what the instructions allow, high what other published models reached; no board was timed."]
    kinds = sorted({cluster.type for cluster, _ in busy})
    if work.weight_bits not in (8, 32):
        notes.append(f"No speed is known for {work.weight_bits}-bit weights.")
    if work.weight_bits == 8 and any(_slow_is_borrowed(cluster) for cluster, _ in busy):
        notes.append(f"The speed of int8 on {', '.join(kinds)} is not known; its high end is that of fp32.")
    if profile.memory.read is None:
        notes.append("The read bandwidth is not known, so the low end leaves memory out.")
    return notes


def _slow_is_borrowed(cluster: Cluster) -> bool:
    return cluster.int8.slow_one_core is None and cluster.int8.slow_all_cores is None
