"""The verdict: intervals against limits, every line of a budget, what is not known."""

from typing import Any

import pytest

from edgeafri.device.profile import read_profile
from edgeafri.documents.build import BuildResult
from edgeafri.documents.checks import Check
from edgeafri.report.checks import check, failed, judge, measured, verdict


@pytest.mark.parametrize(
    ("known", "passed"),
    [
        ({"measured": 10.0}, True),
        ({"measured": 10.1}, False),
        ({}, None),
        ({"low": 2.0, "high": 10.0}, True),
        ({"low": 10.1, "high": 12.0}, False),
        ({"low": 9.0, "high": 12.0}, None),
        ({"measured": 9.5, "low": 9.0, "high": 12.0}, None),
        ({"low": 9.0}, None),
        ({"low": 11.0}, False),
        ({"high": 9.0}, True),
        ({"high": 11.0}, None),
    ],
)
def test_a_check_is_known_only_when_all_of_its_interval_is_on_one_side(known: dict[str, float], passed: bool | None):
    """
    At most the limit passes. An interval that straddles it, or a value that is not known, neither passes nor fails.
    """
    result = check("latency", 10.0, "ms", **known)

    assert result.passed is passed


def test_a_build_is_judged_on_every_line_of_the_budget_and_the_gate(document: dict[str, Any]):
    """
    Size and memory are measured, latency is an interval, load time needs the board, drops carry their intervals.
    """
    checks = judge(read_profile("rpi4").budget, BuildResult.from_json(document), max_drop=1.0, max_worst_drop=2.0)

    assert checks == (
        Check("bundle size", 86.3, 150.0, "MB", True),
        Check("peak memory", 221.4, 400.0, "MB", True),
        Check("latency", None, 1000.0, "ms", None, 271.7, 1363.7),
        Check("load time", None, 5000.0, "ms", None),
        Check("average drop", 0.54, 1.0, "points", True, 0.31, 0.78),
        Check("worst drop, hau", 1.48, 2.0, "points", True, 0.71, 1.92),
    )


def test_a_worst_language_over_its_limit_fails_the_build_though_the_average_passes(document: dict[str, Any]):
    """
    One language may not pay for the others.
    """
    document["quality"]["drop"]["hau"] = {"value": 3.1, "low": 2.2, "high": 4.0}
    document["quality"]["worst"] = {"lang": "hau", "drop": 3.1}

    checks = judge(read_profile("rpi4").budget, BuildResult.from_json(document), max_drop=1.0, max_worst_drop=2.0)

    assert [item.name for item in checks if item.passed is False] == ["worst drop, hau"]
    assert failed(checks)


def test_what_was_not_measured_is_not_known_and_fails_nothing():
    """
    A build without data or without a measurement is not over budget; it is undecided.
    """
    document = {"artifact_id": "1", "target": "rpi4", "task": "ner", "quality": None, "size": None, "host": None}

    checks = judge(read_profile("rpi4").budget, BuildResult.from_json(document), max_drop=1.0, max_worst_drop=2.0)

    assert {item.passed for item in checks} == {None}
    assert not failed(checks)


@pytest.mark.parametrize(
    ("passed", "word", "reason"),
    [
        ((True, True), "Fits", "All 2 checks passed."),
        ((True, None), "Nothing over its limit", "Not decided yet: b."),
        ((False, None), "Does not fit", "Over the limit: a."),
        ((), "Not judged", "Nothing was checked."),
    ],
)
def test_the_verdict_is_in_words_with_its_reason(passed: tuple[bool | None, ...], word: str, reason: str):
    """
    One failed check decides; an open one leaves it open; no check at all is no pass.
    """
    checks = [Check(name, None, 1.0, "MB", value) for name, value in zip("ab", passed, strict=False)]

    assert verdict(checks) == (word, reason)


@pytest.mark.parametrize(
    ("item", "text"),
    [
        (Check("drop", 1.5, 9.0, "points", True, 1.0, 2.25), "1.50 points (1.00 to 2.25)"),
        (Check("latency", None, 9.0, "ms", None, 271.7, 1363.7), "271.7 to 1,364 ms"),
        (Check("size", 86.3, 99.0, "MB", True), "86.3 MB"),
        (Check("load", None, 9.0, "ms", None), "–"),
    ],
)
def test_a_checked_number_is_shown_with_its_interval(item: Check, text: str):
    """
    The value, its interval, or both: whatever is known.
    """
    assert measured(item) == text
