"""Rounds of one benchmark, pooled: how sure the median is, and which rounds a device slowed down."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean, median, stdev

from edgeafri.documents.device_run import RoundSummary
from edgeafri.documents.measurement import Measurement

# Two-sided 95 % points of Student's t by degrees of freedom (NIST/SEMATECH e-Handbook, section 1.3.6.7.2).
_T95 = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120),
    *(2.110, 2.101, 2.093),
)
_SETTLED_PERCENT = 5.0
_SLOWER = 0.9  # of the highest clock of all rounds


@dataclass(frozen=True)
class RoundLimits:
    """How many rounds to take: a round is a fresh process that times `runs` sentences.

    At least `least` and at most `most` rounds. No round begins when `seconds` are over and `least` are done.
    """

    runs: int = 20
    warmup: int = 3
    least: int = 5
    most: int = 20
    seconds: float = 600


@dataclass(frozen=True)
class PooledRounds:
    """What all rounds say together, as DeviceRun has it."""

    measurement: Measurement
    p50_interval_ms: tuple[float, float] | None
    p50_half_width_percent: float | None
    settled: bool
    throttled: bool
    rounds: tuple[RoundSummary, ...]
    notes: tuple[str, ...]


def interval(values: Sequence[float]) -> tuple[float, float]:
    """The mean of independent values, and half the width of its 95 % interval by Student's t; infinite for one."""
    if len(values) < 2:
        return values[0], math.inf
    spread = _T95[min(len(values) - 1, len(_T95)) - 1] * stdev(values) / math.sqrt(len(values))
    return fmean(values), spread


def settled(rounds: Sequence[Measurement]) -> bool:
    """Whether the half-width of the 95 % interval of p50 is under 5 % of p50, over the rounds that count.

    p50 is the mean of the rounds' medians. Every round is a process of its own, so that what differs from one start to
    the next, such as where memory lies, is in the interval.
    """
    middle, half = interval([item.p50_ms for item in counted(rounds)])
    return 100 * half < _SETTLED_PERCENT * middle


def counted(rounds: Sequence[Measurement]) -> list[Measurement]:
    """The rounds at full speed; all of them where fewer than three were."""
    slow = slowed(rounds)
    full = [item for item, is_slow in zip(rounds, slow, strict=True) if not is_slow]
    return full if len(full) >= 3 else list(rounds)


def slowed(rounds: Sequence[Measurement]) -> list[bool]:
    """Which rounds ran while the device held itself back: by its flags, or with a clock under 90 % of the highest."""
    clocks = [_clock(item) for item in rounds]
    highest = max((clock for clock in clocks if clock is not None), default=None)
    return [
        _flagged(item) or (clock is not None and highest is not None and clock < _SLOWER * highest)
        for item, clock in zip(rounds, clocks, strict=True)
    ]


def pooled(rounds: Sequence[Measurement]) -> PooledRounds:
    """One measurement of several rounds, its interval, and every round."""
    chosen = counted(rounds)
    middle, half = interval([item.p50_ms for item in chosen])
    slow, known = slowed(rounds), not math.isinf(half)
    return PooledRounds(
        measurement=_measurement(chosen, middle),
        p50_interval_ms=(round(max(0.0, middle - half), 3), round(middle + half, 3)) if known else None,
        p50_half_width_percent=round(100 * half / middle, 2) if known else None,
        settled=settled(rounds),
        throttled=any(slow),
        rounds=tuple(_summary(item, is_slow) for item, is_slow in zip(rounds, slow, strict=True)),
        notes=tuple(_notes(rounds, slow, chosen)),
    )


def _measurement(chosen: Sequence[Measurement], middle: float) -> Measurement:
    """One measurement of several: times are means of the rounds', the load time is their median, memory the highest."""
    heaviest = max(chosen, key=lambda item: item.peak_rss_mb or 0)
    cpu = [item.cpu_ms for item in chosen if item.cpu_ms is not None]
    return replace(
        chosen[-1],
        p50_ms=round(middle, 3),
        p95_ms=_mean([item.p95_ms for item in chosen]),
        mean_ms=_mean([item.mean_ms for item in chosen]),
        cpu_ms=_mean(cpu) if cpu else None,
        load_ms=round(median(item.load_ms for item in chosen), 2),
        tokens_per_s=round(chosen[0].seq_len / middle * 1000, 1),
        runs=sum(item.runs for item in chosen),
        peak_rss_mb=heaviest.peak_rss_mb,
        memory=heaviest.memory,
    )


def _mean(values: Sequence[float]) -> float:
    return round(fmean(values), 3)


def _summary(item: Measurement, is_slow: bool) -> RoundSummary:
    state = item.after or item.conditions
    return RoundSummary(item.p50_ms, _clock(item), state.temperature_c, state.throttled, is_slow)


def _notes(rounds: Sequence[Measurement], slow: Sequence[bool], chosen: Sequence[Measurement]) -> list[str]:
    notes = []
    held_back = [item.p50_ms for item, is_slow in zip(rounds, slow, strict=True) if is_slow]
    if held_back and len(chosen) < len(rounds):
        notes.append(
            f"the device slowed itself down in {len(held_back)} of {len(rounds)} rounds: p50 {fmean(held_back):.1f} ms "
            f"there, {fmean(item.p50_ms for item in chosen):.1f} ms at full speed; in lasting use expect the former"
        )
    elif held_back:
        notes.append(
            f"the device slowed itself down in {len(held_back)} of {len(rounds)} rounds, too many to leave them out: "
            "cool it or look at its power supply, then measure again"
        )
    if not settled(rounds):
        notes.append(f"not settled: after {len(rounds)} rounds p50 is not known within {_SETTLED_PERCENT:g} %")
    return notes


def _flagged(item: Measurement) -> bool:
    """Whether a Raspberry Pi's flags say that it was slowed: what holds now, or has occurred since the round began."""
    before, after = item.conditions.throttled or (), (item.after.throttled if item.after else None) or ()
    now = [flag for flag in (*before, *after) if not flag.endswith("has occurred")]
    return bool(now) or bool(set(after) - set(before))


def _clock(item: Measurement) -> float | None:
    """The lower one of the clock before the timed sentences and after them, in MHz."""
    clocks = (item.conditions.clock_mhz, item.after.clock_mhz if item.after else None)
    return min((clock for clock in clocks if clock is not None), default=None)
