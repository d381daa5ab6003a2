"""RoundLimits: how sure the median of a benchmark is, and which rounds a device slowed down."""

import math
import random
from dataclasses import replace
from typing import Any

import pytest

from edgeafri.documents.measurement import Measurement
from edgeafri.runners.rounds import counted, interval, pooled, settled, slowed


def taken(p50: float, clock: float | None = None, flags: Any = None, after: Any = None, **changes: Any) -> Measurement:
    """One round as the runtime answers it; clock and flags before the timed sentences, and flags after them."""
    values = {
        "schema": 3,
        "bundle_id": "b",
        "device": "Raspberry Pi 4",
        "runtime": "onnxruntime 1.31.1",
        "threads": 4,
        "warmup": 3,
        "p50_ms": p50,
        "p95_ms": p50 * 1.2,
        "mean_ms": p50 * 1.1,
        "cpu_ms": p50 * 4,
        "load_ms": 100.0,
        "peak_rss_mb": 70.0,
        "runs": 20,
        "seq_len": 128,
        "tokens_per_s": 1.0,
        "conditions": {"clock_mhz": clock, "temperature_c": 50.0, "throttled": flags},
        "after": {"clock_mhz": clock, "temperature_c": 61.0, "throttled": flags if after is None else after},
    }
    return Measurement.from_json({**values, **changes})


def test_the_interval_is_student_s():
    """
    Three values: 4.303 standard errors, as in any table.
    """
    middle, half = interval([99.0, 100.0, 101.0])

    assert middle == 100
    assert half == pytest.approx(4.303 / math.sqrt(3))
    assert interval([7.0]) == (7.0, math.inf)


def test_the_interval_covers_what_it_claims():
    """
    95 of 100 intervals of five draws hold the true mean; within 2 points, of 4,000 draws.
    """
    draw = random.Random(0)
    rows = [[draw.gauss(50, 3) for _ in range(5)] for _ in range(4000)]
    holds = sum(abs(middle - 50) <= half for middle, half in map(interval, rows))

    assert holds / 4000 == pytest.approx(0.95, abs=0.02)


@pytest.mark.parametrize(("values", "is_settled"), [((100, 101, 99), True), ((100, 110, 90), False), ((100,), False)])
def test_settled_is_within_five_percent(values: tuple[float, ...], is_settled: bool):
    """
    Half the interval's width against p50.
    """
    assert settled([taken(value) for value in values]) is is_settled


def test_a_lower_clock_marks_a_round():
    """
    Under 90 % of the highest of all rounds; the lower one of before and after counts.
    """
    late = taken(55, 1500)
    late = replace(late, after=replace(late.after, clock_mhz=1000))

    assert slowed([taken(50, 1500), taken(90, 600), taken(51, 1400), late]) == [False, True, False, True]
    assert slowed([taken(50), taken(90)]) == [False, False]


@pytest.mark.parametrize(
    ("flags", "after", "marked"),
    [
        ([], [], False),
        (["throttled"], ["throttled", "throttled has occurred"], True),
        ([], ["frequency capped"], True),
        ([], ["throttled has occurred"], True),
        (["throttled has occurred"], ["throttled has occurred"], False),
        (["under-voltage", "under-voltage has occurred"], [], True),
        (None, None, False),
    ],
)
def test_a_raspberry_pi_s_flags_mark_a_round(flags: Any, after: Any, marked: bool):
    """
    What holds now, or has occurred since the round began; what occurred at an earlier time does not.
    """
    assert slowed([taken(50, flags=flags, after=after)]) == [marked]


def test_a_slowed_round_is_told_and_not_averaged_away():
    """
    p50 is that of the rounds at full speed, and the document says how slow the others were.
    """
    full = [taken(100, 1800), taken(101, 1800), taken(99, 1800)]
    found = pooled([*full, taken(200, 900), taken(220, 900)])

    assert found.measurement.p50_ms == 100
    assert found.throttled is True
    assert [item.throttled for item in found.rounds] == [False, False, False, True, True]
    assert found.notes == (
        "the device slowed itself down in 2 of 5 rounds: p50 210.0 ms there, 100.0 ms at full speed; in lasting use "
        "expect the former",
    )


def test_a_device_that_is_slow_nearly_always_is_measured_so():
    """
    Two rounds at full speed say nothing sure: all count, and it is said.
    """
    rounds = [taken(100, 1800), taken(102, 1800), taken(200, 900), taken(210, 900), taken(205, 900)]
    found = pooled(rounds)

    assert counted(rounds) == rounds
    assert found.measurement.p50_ms == pytest.approx(163.4)
    assert found.settled is False
    assert "too many to leave them out: cool it or look at its power supply" in found.notes[0]
    assert found.notes[1] == "not settled: after 5 rounds p50 is not known within 5 %"


def test_one_measurement_is_made_of_the_rounds():
    """
    Means of times, the median load, the most memory, all runs.
    """
    found = pooled(
        [taken(90), taken(110, load_ms=900.0), taken(100, peak_rss_mb=80.5, memory={"run": [[0.0, 80.5]]})],
    )
    measurement = found.measurement

    assert [getattr(measurement, name) for name in ("p50_ms", "p95_ms", "mean_ms", "cpu_ms")] == [100, 120, 110, 400]
    assert (measurement.load_ms, measurement.runs, measurement.tokens_per_s) == (100, 60, 1280)
    assert (measurement.peak_rss_mb, measurement.memory) == (80.5, {"run": ((0.0, 80.5),)})
    assert found.p50_interval_ms == pytest.approx([75.16, 124.84], abs=0.01)
    assert (found.p50_half_width_percent, found.settled, len(found.rounds)) == (24.84, False, 3)


def test_a_single_round_has_no_interval():
    """
    Unknown stays unknown.
    """
    found = pooled([taken(50)])

    assert (found.p50_interval_ms, found.p50_half_width_percent, found.settled) == (None, None, False)
