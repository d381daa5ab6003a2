"""The distillation grid: rows over seeds, what a teacher adds, the paper's table in the same layout."""

from pathlib import Path

import numpy as np
import pytest

from edgeafri.builder.events import Finished, Noted
from edgeafri.documents.quality import LanguageQuality
from edgeafri.inference.metrics import scores
from edgeafri.studies import distillation
from edgeafri.studies.distillation import (
    AGNOSTIC,
    ALONE,
    DIRECT,
    SPECIFIC,
    StudentGroup,
    StudentSize,
    gain_table,
    paper_table,
    quality_table,
)
from edgeafri.studies.workbench import StudyRequest
from edgeafri.util.files import Digests

CODES = ("swa", "hau")


def study_request(**changed) -> StudyRequest:
    values = {
        "teacher": "teacher",
        "data": Path(),
        "text": Path(),
        "languages": CODES,
        "grid": "smoke",
        "seeds": (1, 3),
        "work": Path(),
        "out": Path(),
        "command": "edgeafri study distillation",
    }
    return StudyRequest(**{**values, **changed})


def quality(correct: int) -> dict[str, LanguageQuality]:
    """Both languages with so many of ten entities found."""
    counts = np.array([[1, 1, 1]] * correct + [[0, 1, 1]] * (10 - correct))
    entry = LanguageQuality(
        precision=0.0,
        recall=0.0,
        f1=scores(counts).f1,
        loss=0.0,
        seconds=0.0,
        sentences=10,
        words=10,
        counts=tuple(map(tuple, counts.tolist())),
    )
    return dict.fromkeys(CODES, entry)


def taught(strategy: str, *correct: int) -> StudentGroup:
    return StudentGroup(strategy, StudentSize(layers=2, heads=4), 8.1, 32.5, tuple(quality(count) for count in correct))


def test_a_row_is_a_mean_over_seeds():
    """
    Mean and deviation per language and on average, and the share of the teacher's average.
    """
    table = quality_table(study_request(), ("teacher", 10.9, 43.8, quality(10)), [taught(SPECIFIC, 8, 6)])

    assert table.rows[0]["avg"].mean == 100
    assert (table.rows[1]["swa"].mean, table.rows[1]["swa"].n) == (70, 2)
    assert table.rows[1]["swa"].sd == pytest.approx(14.142, abs=1e-3)
    assert table.rows[1]["kept"] == pytest.approx(70)


def test_the_gain_is_over_the_same_student_without_a_teacher():
    """
    Per language and on average, with the interval around it; more entities found is a gain above 0.
    """
    table = gain_table(study_request(), [taught(ALONE, 6, 6), taught(AGNOSTIC, 7, 7), taught(SPECIFIC, 5, 5)])
    gains = {(row["strategy"], row["lang"]): row for row in table.rows}

    assert len(gains) == 6
    assert gains[AGNOSTIC, "avg"]["gain"] == pytest.approx(10)
    assert gains[SPECIFIC, "swa"]["gain"] == pytest.approx(-10)
    assert all(row["low"] <= row["gain"] <= row["high"] for row in table.rows)


def test_the_papers_table_has_teachers_and_students():
    """
    Two teachers, and four shapes of each in both strategies.
    """
    table = paper_table()

    assert len(table.rows) == 2 + 16
    assert {row["strategy"] for row in table.rows} == {"teacher", AGNOSTIC, SPECIFIC}


@pytest.mark.slow
def test_a_study_is_made_once(teacher_folder, data, tmp_path):
    """
    The smallest grid from teacher to tables; the second time everything is reused and the tables are the same.
    """
    text = tmp_path / "text"
    text.mkdir()
    lines = {"swa": "Rais Amina Juma alizuru Mombasa Jumatatu", "hau": "Gwamna Bala ya je Kano ranar Litinin"}
    for code, line in lines.items():
        (text / f"{code}.txt").write_text("".join(f"{line} {number} .\n" for number in range(60)), "utf-8")
    asked = study_request(teacher=str(teacher_folder), data=data, text=text, seeds=(1,), work=tmp_path / "work")
    again: list = []
    with Digests(tmp_path / "digests.json") as digests:
        first = distillation.run(asked, digests, lambda event: None)
        second = distillation.run(asked, digests, again.append)
    ended = [event for event in again if isinstance(event, Finished | Noted)]

    assert ended
    assert all(event.reused for event in ended)
    assert first == second
    assert [row["strategy"] for row in first.tables[0].rows] == ["teacher", *(ALONE, DIRECT, AGNOSTIC, SPECIFIC) * 2]
