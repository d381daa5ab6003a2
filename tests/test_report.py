"""The verdict and the report: intervals against limits, missing parts, hostile text, a page that needs nothing else."""

import copy
import re
import sys
from dataclasses import asdict
from typing import Any

import pytest

from edgeafri.device import read_profile
from edgeafri.errors import MissingPackage
from edgeafri.report import Check, check, failed, judge, measured, number, to_html, to_markdown, verdict


@pytest.fixture
def document() -> dict[str, Any]:
    """
    A build with the shape of a real one. Its numbers are invented; they measure nothing.
    """
    drop = {
        "amh": {"value": 0.62, "low": 0.10, "high": 1.15},
        "hau": {"value": 1.48, "low": 0.71, "high": 1.92},
        "swa": {"value": 0.13, "low": -0.22, "high": 0.49},
        "yor": {"value": -0.08, "low": -0.51, "high": 0.36},
        "avg": {"value": 0.54, "low": 0.31, "high": 0.78},
    }
    whole: dict[str, Any] = {
        "bundle": "work/bundle-3f2a",
        "artifact_id": "3f2a91c07be45d10",
        "target": "rpi4",
        "task": "ner",
        "languages": ["amh", "hau", "swa", "yor"],
        "sample": False,
        "steps": [
            {"stage": "trim", "id": "a1b2c3d4", "reused": True, "seconds": 0.0, "facts": {"tokens": [70006, 18450]}},
            {"stage": "export-onnx", "id": "b2c3d4e5", "reused": False, "seconds": 14.2, "facts": {"parity": 1.5e-06}},
            {"stage": "quantize", "id": "c3d4e5f6", "reused": False, "seconds": 8.7, "facts": {"weights": "int8"}},
            {"stage": "bundle", "id": "3f2a91c0", "reused": False, "seconds": 1.1, "facts": {"golden_sentences": 12}},
        ],
        "quality": {
            "metric": "entity F1",
            "split": "test",
            "teacher": {"amh": 72.91, "hau": 90.02, "swa": 87.44, "yor": 78.30, "avg": 82.17},
            "bundle": {"amh": 72.29, "hau": 88.54, "swa": 87.31, "yor": 78.38, "avg": 81.63},
            "drop": drop,
            "worst": {"lang": "hau", "drop": 1.48},
            "test_sentences_in_train": {"amh": 0, "hau": 3, "swa": 0, "yor": 0},
        },
        "size": {"teacher_bytes": 503_000_000, "model_bytes": 84_000_000, "bundle_bytes": 86_300_000},
        "host": {
            "p50_ms": 61.2,
            "p95_ms": 66.9,
            "mean_ms": 62.0,
            "cpu_ms": 118.4,
            "load_ms": 212.0,
            "peak_rss_mb": 221.4,
            "threads": 2,
            "seq_len": 128,
            "runs": 50,
            "conditions": {"machine": "x86_64", "cores": 2, "vnni": True, "load": 0.4},
        },
        "device": {
            "low_ms": 271.7,
            "high_ms": 1363.7,
            "basis": "uncalibrated",
            "notes": ["The speed of int8 on cortex-a72 is not known; its high end is that of fp32."],
        },
        "commands": ["edgeafri build --target rpi4 --teacher models/ner --data data/ner --lang amh,hau,swa,yor"],
        "notes": ["int8 was scored with unsigned weights, the exact twin of the signed ones."],
    }
    return with_checks(whole)


def with_checks(document: dict[str, Any]) -> dict[str, Any]:
    checks = judge(read_profile("rpi4").budget, document, max_drop=1.0, max_worst_drop=2.0)
    return {**document, "checks": [asdict(item) for item in checks]}


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
    checks = judge(read_profile("rpi4").budget, document, max_drop=1.0, max_worst_drop=2.0)

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

    checks = judge(read_profile("rpi4").budget, document, max_drop=1.0, max_worst_drop=2.0)

    assert [item.name for item in checks if item.passed is False] == ["worst drop, hau"]
    assert failed(checks)


def test_what_was_not_measured_is_not_known_and_fails_nothing():
    """
    A build without data or without a measurement is not over budget; it is undecided.
    """
    document = {"quality": None, "size": None, "host": None, "device": None}

    checks = judge(read_profile("rpi4").budget, document, max_drop=1.0, max_worst_drop=2.0)

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
    checks = [{"name": name, "passed": value} for name, value in zip("ab", passed, strict=False)]

    assert verdict(checks) == (word, reason)


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0.0, "0"), (0.54, "0.54"), (61.24, "61.2"), (128, "128"), (1363.7, "1,364"), (-0.08, "-0.08")],
)
def test_numbers_are_written_as_people_read_them(value: float | None, text: str):
    """
    Three digits or so; unknown is a dash and never zero.
    """
    assert number(value) == text


def test_a_small_number_never_reads_as_zero():
    """
    A parity of 1.5e-6 is the point of the line it stands in.
    """
    assert number(1.5e-06) == "1.5e-06"


@pytest.mark.parametrize(
    ("item", "text"),
    [
        ({"measured": 1.5, "low": 1.0, "high": 2.25, "unit": "points"}, "1.50 points (1.00 to 2.25)"),
        ({"measured": None, "low": 271.7, "high": 1363.7, "unit": "ms"}, "271.7 to 1,364 ms"),
        ({"measured": 86.3, "low": None, "high": None, "unit": "MB"}, "86.3 MB"),
        ({"measured": None, "low": None, "high": None, "unit": "ms"}, "–"),
    ],
)
def test_a_checked_number_is_shown_with_its_interval(item: dict[str, Any], text: str):
    """
    The value, its interval, or both: whatever is known.
    """
    assert measured(item) == text


def test_markdown_holds_the_verdict_the_checks_and_every_language(document: dict[str, Any]):
    """
    The whole story in plain text, from the one document.
    """
    text = to_markdown(document)

    assert "**Nothing over its limit.** Not decided yet: latency; load time." in text
    assert "| peak memory | 221.4 MB | 400 MB | passed |" in text
    assert "| hau (worst) | 90.02 | 88.54 | 1.48 | 0.71 to 1.92 |" in text
    assert "| average | 82.17 | 81.63 | 0.54 | 0.31 to 0.78 |" in text
    assert "| bundle | 86.3 MB |" in text
    assert "hau: 3 test sentences also stand in train." in text
    assert "    edgeafri build --target rpi4" in text


def test_markdown_cells_cannot_be_broken_by_text_of_others(document: dict[str, Any]):
    """
    A pipe, a newline or a tag in somebody's file name stays inside its cell.
    """
    document["steps"] = [{"stage": "trim", "id": "x", "reused": True, "seconds": 0, "facts": {"corpus": "a|b\n<b>c"}}]

    assert "| trim | x | reused | corpus a\\|b &lt;b>c |" in to_markdown(document)


def test_a_figure_a_matrix_is_not_listed(document: dict[str, Any]):
    """
    A pruned model states its zeros for every matrix: the page counts them and leaves the list to the JSON file.
    """
    facts = {"sparsity": 0.5, "sparsity_per_matrix": {f"layer {number}": 0.5 for number in range(37)}}
    document["steps"] = [{"stage": "prune", "id": "x", "reused": True, "seconds": 0, "facts": facts}]

    assert ", sparsity_per_matrix (37 values, in the JSON) |" in to_markdown(document)


def test_facts_of_every_language_have_a_line_each(document: dict[str, Any]):
    """
    In one line with all others, nobody would find a language's own.
    """
    facts = {"vocabulary": 500, "languages": {"swa": {"coverage": 1.0}, "hau": {"coverage": 0.5}}}
    document["steps"] = [{"stage": "trim", "id": "x", "reused": True, "seconds": 0, "facts": facts}]
    page = to_html(document)

    assert '<div class="facts">vocabulary 500</div>' in page
    assert '<div class="facts">hau: coverage 0.50</div>' in page


def test_no_text_of_others_becomes_a_tag_in_markdown(document: dict[str, Any]):
    """
    Pages that show Markdown may pass tags on; only a command, which stands as code, keeps its letters.
    """
    attack = "<script>x</script>"
    document |= dict.fromkeys(("bundle", "task", "target"), attack) | {"languages": [attack], "notes": [attack]}
    document["quality"] |= {"metric": attack, "test_sentences_in_train": {attack: 2}}
    document["quality"]["teacher"][attack] = 80.0

    assert "<script" not in to_markdown(with_checks(document))


def test_the_page_says_the_verdict_in_words_and_marks_the_worst_language(document: dict[str, Any]):
    """
    Nothing is told by colour alone.
    """
    page = to_html(document)

    assert re.search(r"<strong>\? Nothing over its limit</strong>", page)
    assert page.count("✓ passed") == 4
    assert page.count("? not known") == 2
    assert 'hau <span class="soft">worst</span>' in page
    assert "hau: 3 test sentences also stand in train." in page
    assert page.count("<circle") == 4  # three languages and the average
    assert page.count("<rect") == 1  # the worst language


def test_a_report_on_whole_texts_speaks_of_texts(document: dict[str, Any]):
    """
    The metric is the document's, and what leaked were texts.
    """
    document["quality"] |= {"metric": "macro F1", "counted": "texts", "units": {"hau": 1000}}
    for text in (to_markdown(document), to_html(document)):
        assert "macro F1 on test" in text
        assert "hau: 3 test texts also stand in train." in text


@pytest.mark.parametrize(("seq_len", "said"), [(None, "One input takes"), (128, "One input of 128 sub-words takes")])
def test_the_page_says_what_the_time_is_of(seq_len: int | None, said: str, document: dict[str, Any]):
    """
    A text may be longer than a sentence: what counts is how many sub-words were timed.
    """
    document["device"]["seq_len"] = seq_len

    assert said in to_html(document)


def test_the_page_asks_nothing_of_the_network(document: dict[str, Any]):
    """
    It must open in the field: no address, no script, no style sheet, no picture, no font from outside.
    """
    page = to_html(document)

    assert not re.search(r"https?:|//\w|<script|<link|<img|<iframe|<object|src=|href=|url\(|@import", page)


def test_hostile_text_stays_text(document: dict[str, Any]):
    """
    Names of bundles, languages, facts and notes come from other people's files; none of them may become a tag.
    """
    attack = "<script>alert('x')</script>\"'><img onerror=x>"
    keys = ("bundle", "artifact_id", "target", "task")
    document |= dict.fromkeys(keys, attack) | {"languages": [attack], "commands": [attack], "notes": [attack]}
    document["steps"] = [{"stage": attack, "id": attack, "reused": False, "seconds": 1.0, "facts": {attack: [attack]}}]
    document["quality"]["metric"] = attack
    for part in ("teacher", "bundle", "drop"):
        document["quality"][part][attack] = document["quality"][part].pop("hau")
    document["quality"]["worst"]["lang"] = attack
    document["quality"]["test_sentences_in_train"] = {attack: 2}
    document["device"] |= {"basis": attack, "notes": [attack]}
    document["host"]["conditions"] = {attack: attack}

    page = to_html(with_checks(document))

    assert "<script" not in page
    assert "<img" not in page
    assert page.count("&lt;script&gt;") >= 15


@pytest.mark.parametrize("write", [to_html, to_markdown])
def test_a_sample_says_so(write: Any, document: dict[str, Any]):
    """
    Numbers of the embedded sample must never be taken for those of a real model.
    """
    words = "Built from the embedded sample; not a real model."

    assert words in write({**document, "sample": True})
    assert words not in write(document)


@pytest.mark.parametrize("write", [to_html, to_markdown])
@pytest.mark.parametrize("part", ["quality", "size", "host", "device", "steps", "commands", "notes", "checks"])
def test_a_missing_part_is_left_out_calmly(write: Any, part: str, document: dict[str, Any]):
    """
    Null and absent read alike, and the rest of the report is still there.
    """
    absent = copy.deepcopy(document)
    del absent[part]

    assert write({**document, part: None}) == write(absent)
    assert "ner for rpi4" in write(absent)


@pytest.mark.parametrize("write", [to_html, to_markdown])
def test_an_almost_empty_document_renders(write: Any):
    """
    A build that stopped early still has a report.
    """
    empty = {"device": {"low_ms": None, "high_ms": None}, "host": {"p50_ms": 3.0}, "size": {"bundle_bytes": 0}}
    text = write({**empty, "quality": {"teacher": {"swa": 80.0}}, "steps": [{"stage": "trim"}]})

    assert "Nothing was checked." in text
    assert "None" not in text


def test_bars_show_a_negative_drop_left_of_zero(document: dict[str, Any]):
    """
    A bundle that is better than its teacher has a drop below zero; every place stays on the bar.
    """
    document["quality"]["drop"]["avg"] = {"value": -0.4, "low": -0.9, "high": 0.1}

    places = [float(item) for item in re.findall(r"(?:left|width):(-?[\d.]+)%", to_html(with_checks(document)))]

    assert places
    assert min(places) >= 0
    assert max(places) <= 100


def test_without_jinja2_the_page_names_the_package(monkeypatch: pytest.MonkeyPatch, document: dict[str, Any]):
    """
    A board has no jinja2; asking for the page there says what to install.
    """
    monkeypatch.setitem(sys.modules, "jinja2", None)

    with pytest.raises(MissingPackage, match="jinja2 is not installed; the HTML report needs it") as error:
        to_html(document)

    assert error.value.hint == "pip install jinja2"


def test_the_steps_stand_beside_each_other_in_both_reports(document: dict[str, Any]):
    """
    A row each under a heading of its own, with F1 per language; a build without text has no such table.
    """
    gap = {"words": 90, "largest": 0.14, "mean": 0.013, "flips": 1, "flips_percent": 1.111}
    first = {"stage": "teacher", "another_model": False, "f1": {"hau": 79.75}, "step": None, "reference": None}
    last = {**first, "stage": "quantize", "f1": {"hau": 79.5}, "step": gap, "reference": gap}
    parity = {"on": "text", "sentences": {"hau": 8, "swa": 64}, "int8_arithmetic": "exact", "rows": [first, last]}
    whole = {**document, "parity": parity}
    text, page = to_markdown(whole), to_html(whole)

    assert "## Parity, step by step\n\nEach step beside the one before it, on 8 to 64 lines of text a language" in text
    assert "| quantize | 0.14 | 0.013 | 1 (1.11 %) | 79.50 |  |" in text
    assert "<h2>Parity, step by step</h2>" in page
    assert "<td>quantize</td><td>0.14</td><td>0.013</td><td>1 (1.11 %)</td><td>79.50</td>" in page
    assert "Parity" not in to_markdown(document)
    assert "Parity" not in to_html(document)
