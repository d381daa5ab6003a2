"""Roofline: how long one sentence takes by a device's own numbers, at best and as published models did."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from functools import partial
from typing import Literal

from edgeafri import settings
from edgeafri.device.profile import Cluster, DeviceProfile, Fact, Speed
from edgeafri.errors import ArtifactError

FLOAT_BYTES = 4  # of a number in float32
Precision = Literal["fp32", "int8"]
Rate = Callable[[Precision], float | None]  # millions of MACs per millisecond with all threads at work
Busy = list[tuple[Cluster, int]]  # each kind of core that works, and how many cores of that kind


@dataclass(frozen=True)
class Work:
    """What a bundle computes for one sentence of n subwords: linear * n + attention * n * n MACs.

    The matrices of its layers write `activation_bytes_per_token` * n + `activation_bytes_per_token_pair` * n * n bytes.
    Bundles of older versions do not say that, nor how many `layers` there are, nor how many of the linear MACs are in
    float32.
    """

    linear_macs_per_token: int
    attention_macs_per_token_pair: int
    weight_bits: int
    weight_bytes: int
    embedding_row_bytes: int
    layers: int | None = None
    activation_bytes_per_token: int | None = None
    activation_bytes_per_token_pair: int | None = None
    float_macs_per_token: int = 0

    def macs(self, seq_len: int) -> int:
        """Multiply-accumulates of one sentence."""
        return self.linear_macs_per_token * seq_len + self.attention_macs_per_token_pair * seq_len**2

    def float_macs(self, seq_len: int) -> int:
        """Multiply-accumulates of one sentence in the linear layers that are in float32."""
        return self.float_macs_per_token * seq_len

    @property
    def float_share(self) -> float:
        """The part of the linear layers' multiply-accumulates that is in float32."""
        return self.float_macs_per_token / max(1, self.linear_macs_per_token)

    def activation_bytes(self, seq_len: int) -> int | None:
        """Bytes that the layers write for one sentence; None where the bundle does not say."""
        once, pairs = self.activation_bytes_per_token, self.activation_bytes_per_token_pair
        return None if once is None or pairs is None else once * seq_len + pairs * seq_len**2

    def bytes_moved(self, seq_len: int) -> int:
        """Bytes of one sentence through a cache that keeps nothing: weights, embedding rows, activations out and in."""
        return self.weight_bytes + self.embedding_row_bytes * seq_len + 2 * (self.activation_bytes(seq_len) or 0)


def milliseconds(work: Work, profile: DeviceProfile, seq_len: int, threads: int) -> tuple[float | None, float | None]:
    """Both ends of an uncalibrated estimate in milliseconds, not rounded; None where the device is not known enough."""
    busy = _busy(profile.cores, threads)
    megabytes = (work.weight_bytes + work.embedding_row_bytes * seq_len) / 1e6
    fast = (
        _arithmetic(work, seq_len, partial(_fast, busy)),
        _reading(megabytes, profile.memory.read),
    )
    slow = (
        _arithmetic(work, seq_len, partial(_slow, busy)),
        _reading(megabytes, profile.memory.copy),
    )
    low = max((part for part in fast if part is not None), default=None)
    high = None if None in slow else sum(part for part in slow if part is not None)
    return low, high


def unknowns(work: Work, profile: DeviceProfile, threads: int) -> list[str]:
    """What both ends stand on, and what is not known for them, in sentences."""
    busy = _busy(profile.cores, threads)
    notes = ["Low is what the instructions allow, high what other published models reached; no board was timed."]
    kinds = ", ".join(sorted({cluster.type for cluster, _ in busy}))
    if work.weight_bits not in (8, 32):
        notes += [f"No speed is known for {work.weight_bits}-bit weights.", *_OF_BITS.get(work.weight_bits, ())]
    if any(cluster.ghz is None for cluster, _ in busy):
        notes.append(f"The clock of {kinds} is not known.")
    notes += _unknown_speeds(work, busy, kinds, ended=profile.memory.copy is not None)
    if profile.memory.read is None:
        notes.append("The read bandwidth is not known, so the low end leaves memory out.")
    if profile.memory.copy is None:
        notes.append("The copy bandwidth is not known, so there is no high end.")
    return notes


def read_work(facts: Mapping[str, object]) -> Work:
    """The facts that an estimate is made from. ArtifactError when one is missing."""
    known = {field.name: facts[field.name] for field in fields(Work) if field.name in facts}
    missing = [field.name for field in fields(Work) if field.name not in known and field.default is MISSING]
    if missing:
        raise ArtifactError(f"the bundle's manifest has no fact '{missing[0]}'", "Build the bundle again.")
    return settings.read(Work, known, "facts")


def activations(hidden: int, head_size: int, heads: Sequence[int], ffn: Sequence[int]) -> tuple[int, int]:
    """Bytes in float32 that the matrices of all layers write, for a subword and for a pair of them.

    A layer writes queries, keys, values and what is attended to, its two outputs, its units, and its scores.
    """
    numbers = 4 * head_size * sum(heads) + sum(ffn) + 2 * hidden * len(heads)
    return FLOAT_BYTES * numbers, FLOAT_BYTES * sum(heads)


def _busy(cores: tuple[Cluster, ...], threads: int) -> Busy:
    """Each kind of core that works, and how many of them; the fastest kind is listed first and used first."""
    busy = []
    for cluster in cores:
        if count := min(cluster.count, threads):
            busy.append((cluster, count))
            threads -= count
    return busy


def _arithmetic(work: Work, seq_len: int, rate: Rate) -> float | None:
    """Milliseconds for all multiply-accumulates; attention stays in fp32 whatever the weights are."""
    linear = rate("fp32" if work.weight_bits == 32 else "int8") if work.weight_bits in (8, 32) else None
    fp32 = rate("fp32")
    if linear is None or fp32 is None:
        return None
    linear_macs = (work.linear_macs_per_token - work.float_macs_per_token) * seq_len
    fp32_macs = work.macs(seq_len) - linear_macs
    return linear_macs / 1e6 / linear + fp32_macs / 1e6 / fp32


def _reading(megabytes: float, speed: Fact | None) -> float | None:
    return None if speed is None else megabytes / speed.value * 1000


def _fast(busy: Busy, precision: Precision) -> float | None:
    rates = [_per_core(cluster, _speed(cluster, precision).fast) for cluster, _ in busy]
    if None in rates:
        return None
    return sum(rate * count for rate, (_, count) in zip(rates, busy, strict=True) if rate is not None)


def _slow(busy: Busy, precision: Precision) -> float | None:
    rates = [_slow_core(cluster, count, precision) for cluster, count in busy]
    known = [rate for rate in rates if rate is not None]
    if len(known) < len(rates):
        return None
    # Work is cut into equal parts, so that all cores wait for the slowest one.
    return min(known) * sum(count for _, count in busy)


def _slow_core(cluster: Cluster, count: int, precision: Precision) -> float | None:
    speed = _speed(cluster, precision)
    if speed.slow_one_core is None and speed.slow_all_cores is None:
        # Nobody measured int8 here. Signed int8 takes fewer instructions than fp32, so the slow end of fp32 is used.
        return _slow_core(cluster, count, "fp32") if precision == "int8" else None
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
    if speed is None or cluster.ghz is None:
        return None
    macs = speed.value if isinstance(speed, Fact) else speed
    return macs * cluster.ghz.value


def _speed(cluster: Cluster, precision: Precision) -> Speed:
    return cluster.fp32 if precision == "fp32" else cluster.int8


def _unknown_speeds(work: Work, busy: Busy, kinds: str, ended: bool) -> list[str]:
    notes = []
    needed: tuple[Precision, ...] = ("fp32", "int8") if work.weight_bits == 8 else ("fp32",)
    slowest = [named for named in needed if any(_speed(cluster, named).fast is None for cluster, _ in busy)]
    if slowest:
        notes.append(
            f"What {kinds} could reach at best in {' and '.join(slowest)} is not known, so the low end leaves it out."
        )
    if any(_slow_is_unknown(cluster.fp32) for cluster, _ in busy):
        notes.append(f"No model that was timed on {kinds} is known, so there is no high end.")
    elif work.weight_bits == 8 and any(_slow_is_unknown(cluster.int8) for cluster, _ in busy):
        borrowed = "; its high end is that of fp32" if ended else ""
        notes.append(f"The speed of int8 on {kinds} is not known{borrowed}.")
    return notes


def _slow_is_unknown(speed: Speed) -> bool:
    return speed.slow_one_core is None and speed.slow_all_cores is None


_OF_BITS = {
    4: (
        "4-bit weights are unpacked before they are multiplied; a core without dotprod multiplies them in float32. On "
        "one x86 machine with VNNI this took 1.9 times as long as int8 (benchmarks/README.md).",
    )
}
