"""Markdown: the whole story in plain text, one bundle or several, and nobody's text breaks it."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from edgeafri.documents.build import BuildResult
from edgeafri.documents.measurement import Measurement
from edgeafri.documents.profile import Profile
from edgeafri.report import from_documents
from edgeafri.report.entry import Entry
from edgeafri.report.markdown import to_card, to_markdown

Document = dict[str, Any]


def of_build(document: dict[str, Any]) -> Entry:
    return from_documents.of_build(BuildResult.from_json(document))


def of_profile(document: dict[str, Any]) -> Entry:
    return from_documents.of_profile(Profile.from_json(document))


def of_measurement(document: dict[str, Any]) -> Entry:
    return from_documents.of_measurement(Measurement.from_json(document))


def text_of(document: Document) -> str:
    return to_markdown([of_build(document)])


def test_markdown_holds_the_verdict_the_checks_and_every_language(document: Document):
    """
    The whole story in plain text, from the one document.
    """
    text = text_of(document)

    assert "**Nothing over its limit.** Not decided yet: latency; load time." in text
    assert "| peak memory | 221.4 MB | 400 MB | passed |" in text
    assert "| hau (worst) | 90.02 | 88.54 | 1.48 | 0.71 to 1.92 |" in text
    assert "| average | 82.17 | 81.63 | 0.54 | 0.31 to 0.78 |" in text
    assert "| bundle | 86.3 MB |" in text
    assert "| estimate | by arithmetic | – | – | 271.7 to 1,364 (uncalibrated) |" in text
    assert "hau: 3 test sentences also stand in train." in text
    assert "    edgeafri build --target rpi4" in text


def test_a_profile_tells_of_every_tier(profile: Document):
    """
    Times with their intervals and what was wrong with them; emulation gives counts and no time.
    """
    text = to_markdown([of_profile(profile)])

    assert "| host | a workstation, 128 subwords, 2 threads | 61.2 | 66.9 | 61.2 to 66.9 (p50 to p95) |" in text
    assert "| 640 | 700 | 600 to 680 (p50 with its 95 % interval) |" in text
    assert "- device: throttled: the clock was held back during the runs" in text
    assert "- device: not settled: p50 is known within 6.25 %" in text
    assert "| SMULL, SMLAL | 203 M |" in text
    assert "| labels changed | 1 of 1,310 |" in text
    assert "| embeddings | 40 MB | 46.3 % |" in text
    assert "| a workstation | run | 221.4 MB | 400 MB |" in text
    assert "| memory limit | survived at 400 MB (cgroup v2) |" in text


def test_several_bundles_stand_side_by_side(several: list[Document], profile: Document):
    """
    A table of all, their instructions in columns, and each bundle's own report with a number.
    """
    other = copy.deepcopy(profile)
    other["bundle_id"] = "f" * 16
    other["tiers"]["emulated"]["instructions"]["total"] = 406_000_000
    text = to_markdown([*map(of_build, several), of_profile(profile), of_profile(other)])

    assert text.startswith("# 5 bundles: ner for rpi4\n")
    assert "| 2. recipe1 (bundle-1) | Nothing over its limit | 86 MB | 61.2 host | 0.20 | 0.40 hau |" in text
    assert "| in one inference | 4: cortex-a72 | 5: cortex-a72 |" in text
    assert "| all instructions | 812 M | 406 M (0.50 x) |" in text
    assert "\n## 3. recipe2 (bundle-2): ner for rpi4\n" in text
    assert "\n### Checks\n" in text


def test_a_measurement_alone_has_a_report(measurement: Document):
    """
    Nobody judged it, and what it is for is not known.
    """
    text = to_markdown([of_measurement(measurement)])

    assert text.startswith("# – for –\n\n**Not judged.** Nothing was checked.")
    assert "| measured | a workstation, 128 subwords, 2 threads | 61.2 | 66.9 |" in text


def test_a_card_gets_the_figures_that_its_bundle_could_not_have(document: Document):
    """
    A bundle is sealed before it is measured; the copy of its card beside the report has quality, checks and latency.
    """
    card = to_card("# ner for Swahili\n\nAs sealed.\n", of_build(document))

    assert card.startswith("# ner for Swahili\n\nAs sealed.\n\n## Checks\n")
    assert "\n## Quality: entity F1 on test\n" in card
    assert "\n## Latency by tier\n" in card
    assert "## Steps" not in card


def test_cells_cannot_be_broken_by_text_of_others(document: Document):
    """
    A pipe, a newline or a tag in somebody's file name stays inside its cell.
    """
    document["steps"] = [{"stage": "trim", "id": "x", "reused": True, "seconds": 0, "facts": {"corpus": "a|b\n<b>c"}}]

    assert "| trim | x | reused | corpus a\\|b &lt;b>c |" in text_of(document)


def test_outlier_channels_have_two_tables(document: Document, outliers: Document):
    """
    Those in float32, and the numbers of them that were tried; the row of the step has neither.
    """
    document["steps"][2]["facts"] = {"outliers": {**outliers, "channels": outliers["channels"] * 10}}
    section = text_of(document).split("## Outlier channels\n\n")[1].split("## ")[0]
    (step,) = [line for line in text_of(document).splitlines() if line.startswith("| quantize")]

    assert section.startswith("30 channels are multiplied in float32, all others in int8: the most channels that pay")
    assert "| 1 | output | 778 | 70.2 | 1.5 | 30.5 |" in section
    assert "10 more channels are in the JSON." in section
    assert "| 0 | 0.00 | 0.90 % yor | 0.12 swa |  |" in section
    assert "channels (30 values, in the JSON), reach (9 values, in the JSON)" in step


def test_a_figure_a_matrix_is_not_listed(document: Document):
    """
    A pruned model states its zeros for every matrix: the page counts them and leaves the list to the JSON file.
    """
    facts = {"sparsity": 0.5, "sparsity_per_matrix": {f"layer {number}": 0.5 for number in range(37)}}
    document["steps"] = [{"stage": "prune", "id": "x", "reused": True, "seconds": 0, "facts": facts}]

    assert ", sparsity_per_matrix (37 values, in the JSON) |" in text_of(document)


def test_no_text_of_others_becomes_a_tag(document: Document, with_checks: Callable[[Document], Document]):
    """
    Pages that show Markdown may pass tags on; only a command, which stands as code, keeps its letters.
    """
    attack = "<script>x</script>"
    document |= dict.fromkeys(("bundle", "task", "target", "recipe"), attack)
    document |= {"languages": [attack], "notes": [attack]}
    document["quality"] |= {"metric": attack, "test_sentences_in_train": {attack: 2}}
    document["quality"]["teacher"][attack] = 80.0
    document["host"]["device"] = attack
    entry = of_build(with_checks(document))

    assert "<script" not in to_markdown([entry])
    assert "<script" not in to_markdown([entry, entry])


def test_the_steps_stand_beside_each_other(document: Document):
    """
    A row each under a heading of its own, with F1 per language; a build without text has no such table.
    """
    gap = {"words": 90, "largest": 0.14, "mean": 0.013, "flips": 1, "flips_percent": 1.111}
    first = {"stage": "teacher", "another_model": False, "f1": {"hau": 79.75}, "step": None, "reference": None}
    last = {**first, "stage": "quantize", "f1": {"hau": 79.5}, "step": gap, "reference": gap}
    parity = {"on": "text", "sentences": {"hau": 8, "swa": 64}, "int8_arithmetic": "exact", "rows": [first, last]}
    text = text_of({**document, "parity": parity})

    assert (
        "## Parity, step by step\n\nEach step compared with the one before it, on 8 to 64 lines of text per language"
        in text
    )
    assert "| quantize | 0.14 | 0.013 | 1 (1.11 %) | 79.50 |  |" in text
    assert "Parity" not in text_of(document)


@pytest.mark.parametrize("part", ["quality", "size", "host", "device", "steps", "commands", "notes", "checks"])
def test_a_missing_part_is_left_out_calmly(part: str, document: Document):
    """
    Null and absent read alike, and the rest of the report is still there.
    """
    absent = copy.deepcopy(document)
    del absent[part]

    assert text_of({**document, part: None}) == text_of(absent)
    assert "ner for rpi4" in text_of(absent)


def test_a_sample_says_so(document: Document):
    """
    Numbers of the embedded sample must never be taken for those of a real model.
    """
    words = "Built from the embedded sample; not a real model."

    assert words in text_of({**document, "sample": True})
    assert words not in text_of(document)
