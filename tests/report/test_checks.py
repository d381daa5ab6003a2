"""The verdict: intervals against limits, every line of a budget, what is not known."""

from dataclasses import replace
from typing import Any

import pytest

from edgeafri.device.profile import read_profile
from edgeafri.documents.build import BuildResult
from edgeafri.documents.checks import Check
from edgeafri.report.checks import check, failed, judge, judged_again, measured, outcome, verdict


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
        ({"measured": 10.0, "low": 9.0, "high": 12.0}, None),
        ({"measured": 10.1, "low": 9.0, "high": 12.0}, False),
        ({"measured": 10.1, "low": 9.0, "high": 9.9}, False),
        ({"measured": 9.5, "low": 9.0, "high": 10.0}, True),
        ({"measured": float("nan")}, None),
        ({"low": 9.0}, None),
        ({"low": 11.0}, False),
        ({"high": 9.0}, True),
        ({"high": 11.0}, None),
    ],
)
def test_over_when_measured_over_and_passed_when_all_of_the_interval_is_within(
    known: dict[str, float], passed: bool | None
):
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


def test_a_loss_over_its_limit_is_over_though_its_interval_reaches_below(document: dict[str, Any]):
    """
    A worst drop of 2.30 is over a limit of 2.0, whatever its interval: few sentences must not excuse a loss.
    """
    document["quality"]["drop"]["hau"] = {"value": 2.3, "low": 1.16, "high": 3.59}
    document["quality"]["worst"] = {"lang": "hau", "drop": 2.3}

    checks = judge(read_profile("rpi4").budget, BuildResult.from_json(document), max_drop=1.0, max_worst_drop=2.0)

    assert checks[-1] == Check("worst drop, hau", 2.3, 2.0, "points", False, 1.16, 3.59)
    assert failed(checks)
    assert verdict(checks) == ("Does not fit", "Over the limit: worst drop, hau.")


def test_a_loss_within_its_limit_is_open_where_its_interval_reaches_over(document: dict[str, Any]):
    """
    It fails nothing, and does not pass either: how far the interval reaches is said.
    """
    document["quality"]["drop"]["hau"] = {"value": 1.46, "low": 0.32, "high": 2.58}
    document["quality"]["worst"] = {"lang": "hau", "drop": 1.46}

    checks = judge(read_profile("rpi4").budget, BuildResult.from_json(document), max_drop=1.0, max_worst_drop=2.0)
    words = "within the limit; the interval reaches to 2.58"

    assert not failed(checks)
    assert outcome(checks[-1]) == words
    assert verdict(checks)[1] == f"Not decided yet: latency; load time; worst drop, hau ({words})."


@pytest.mark.parametrize(
    ("item", "words"),
    [
        (Check("size", 86.3, 99.0, "MB", True), "passed"),
        (Check("drop", 2.3, 2.0, "points", False, 1.16, 3.59), "over"),
        (Check("latency", None, 1000.0, "ms", None, 271.7, 1363.7), "not known"),
        (Check("labels changed", 2.0, 1.0, "", None), "not known"),
        (Check("load time", None, 5000.0, "ms", None), "not known"),
    ],
)
def test_what_came_of_a_check_is_a_word_where_nothing_is_hidden(item: Check, words: str):
    """
    Only a number within its limit with an interval that is not has more to say.
    """
    assert outcome(item) == words


@pytest.mark.parametrize(
    ("item", "passed"),
    [
        (Check("worst drop, kin", 2.3, 2.0, "points", None, 1.16, 3.59), False),
        (Check("worst drop, yor", 1.46, 2.0, "points", None, 0.32, 2.58), None),
        (Check("labels changed", 2.0, 1.0, "", None), None),
        (Check("latency", None, 1000.0, "ms", None, 271.7, 1363.7), None),
        (Check("runs in the free memory", 500.0, 400.0, "MB", True), True),
    ],
)
def test_a_check_of_an_older_document_is_judged_by_its_numbers(item: Check, passed: bool | None):
    """
    Until 0.2.0 a loss over its limit was not known where its interval reached below. What is no interval stays.
    """
    again = judged_again(item)

    assert again == replace(item, passed=passed)


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
