"""The Comet study: proportions of the student, and tables that hold what was measured beside what was published."""

from pathlib import Path

import pytest

from edgeafri.documents.quality import LanguageQuality
from edgeafri.inference.metrics import class_counts, scores
from edgeafri.studies.comet import EncoderSizes, languages_of, quality_table, student_sizes
from edgeafri.studies.workbench import StudyRequest

LABELS = ("negative", "neutral", "positive")


def study_request(*languages: str) -> StudyRequest:
    return StudyRequest("teacher", Path(), Path(), languages, "smoke", (1,), Path(), Path(), "edgeafri study comet")


def quality(gold: str, predicted: str) -> LanguageQuality:
    """Quality as the runtime reports it, of texts whose labels are given by their first letters' places."""
    names = [[LABELS[int(place)] for place in text] for text in (gold, predicted)]
    counts = class_counts(*names, LABELS)
    return LanguageQuality(
        precision=0.0,
        recall=0.0,
        f1=scores(counts).f1,
        loss=0.0,
        seconds=0.0,
        sentences=len(gold),
        words=len(gold),
        counts=tuple(map(tuple, counts.tolist())),
    )


def test_the_papers_teacher_gets_the_papers_student():
    """
    24 layers of 1024 become 6 of 256, with 8 heads and 1024 within.
    """
    large = EncoderSizes(num_hidden_layers=24, hidden_size=1024, num_attention_heads=16, intermediate_size=4096)

    assert student_sizes(large) == {"layers": 6, "hidden": 256, "heads": 8, "ffn": 1024}


@pytest.mark.parametrize(
    ("layers", "hidden", "heads", "ffn", "expected"),
    [
        (6, 256, 4, 1024, {"layers": 1, "hidden": 64, "heads": 2, "ffn": 256}),
        (2, 16, 2, 32, {"layers": 1, "hidden": 4, "heads": 1, "ffn": 8}),
        (10, 768, 6, 3072, {"layers": 2, "hidden": 192, "heads": 3, "ffn": 768}),
    ],
)
def test_other_teachers_get_the_same_proportions(layers, hidden, heads, ffn, expected):
    """
    Shares are rounded down, and heads still divide the width.
    """
    teacher = EncoderSizes(
        num_hidden_layers=layers, hidden_size=hidden, num_attention_heads=heads, intermediate_size=ffn
    )

    assert student_sizes(teacher) == expected
    assert expected["hidden"] % expected["heads"] == 0


def test_a_row_holds_both_sides_and_the_papers():
    """
    The share kept, the points lost with their interval around them, and the published figures of that language.
    """
    teacher, student = {"kin": quality("012012", "012012")}, {"kin": quality("012012", "012000")}
    row = quality_table(study_request("kin"), teacher, student, student).rows[0]

    assert row["teacher"] == 100
    assert row["kept"] == pytest.approx(row["student"])
    assert row["low"] <= row["lost"] <= row["high"]
    assert (row["paper_teacher"], row["paper_student"]) == (68.9, 58.9)


def test_a_language_the_paper_does_not_have_stands_alone():
    """
    Its published cells are empty, and the average is over those there are.
    """
    both = {code: quality("012", "012") for code in ("kin", "amh")}
    rows = quality_table(study_request("kin", "amh"), both, both, both).rows

    assert rows[1]["paper_teacher"] is None
    assert rows[2]["paper_teacher"] == 68.9
    assert rows[2]["teacher"] == 100


def test_the_languages_are_the_papers():
    """
    In its order.
    """
    assert languages_of(Path()) == ("kin", "swa", "hau", "ibo", "yor")
