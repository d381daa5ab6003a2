"""Levels of sparsity: what was lost at each, who lost most, and the paper's figures where they could be read."""

import pytest

from edgeafri.documents.study import ModelTimes
from edgeafri.studies import papers
from edgeafri.studies.levels import (
    Level,
    Sweep,
    compact_table,
    line,
    long_table,
    notes_on_paper,
    paper_f1,
    paper_line,
    percent,
    seeds_in_words,
    sparsities,
)
from edgeafri.studies.parts import PartSettings

CODES = ("swa", "yor")


@pytest.fixture
def one(quality) -> Sweep:
    """
    One model a level, as after fine-tuning.
    """
    levels = (
        Level(0.0, 0, (), (quality(swa=10, yor=8),)),
        Level(0.4, 40, (), (quality(swa=9, yor=5),)),
        Level(0.5, 50, (), (quality(swa=8, yor=2),)),
    )
    return Sweep(levels, CODES, "after")


@pytest.fixture
def seeds(quality) -> Sweep:
    """
    Two seeds a level, each with its own dense model.
    """
    dense = (quality(swa=10, yor=10), quality(swa=8, yor=8))
    pruned = (quality(swa=9, yor=7), quality(swa=7, yor=7))
    return Sweep((Level(0.0, 0, (), dense), Level(0.5, 50, (), pruned)), CODES, "before")


def test_the_dense_model_is_always_there():
    """
    It is what the others are compared with; levels are in order and not repeated.
    """
    assert sparsities(PartSettings(sparsity=(0.9, 0.5))) == (0.0, 0.5, 0.9)
    assert sparsities(PartSettings(sparsity=(0, 0.3))) == (0.0, 0.3)


def test_a_row_is_a_level(one):
    """
    F1 per language, their mean, the points lost with their interval, and the language that lost most.
    """
    dense, _, row = compact_table(one, "after", "After").rows

    assert (row["sparsity"], row["pruned"]) == (50.0, 50)
    assert (row["swa"].mean, row["yor"].mean, row["avg"].mean) == (80.0, 20.0, 50.0)
    assert row["lost"].mean == pytest.approx(40)
    assert row["low"] < 40 < row["high"]
    assert (row["worst"], row["worst_lost"]) == ("yor", pytest.approx(60))
    assert "lost" not in dense


def test_seeds_are_compared_each_with_its_own(seeds):
    """
    20 and 10 points lost are 15 with their deviation, though the dense models lie 20 apart; no interval beside it.
    """
    row = compact_table(seeds, "before", "Before").rows[1]

    assert (row["avg"].mean, row["avg"].n) == (75.0, 2)
    assert row["lost"].mean == pytest.approx(15)
    assert row["lost"].sd == pytest.approx(7.071, abs=1e-3)
    assert "low" not in row


def test_times_have_columns_where_there_are_any(one):
    """
    By level; without them, no empty columns.
    """
    times = {
        0.0: ModelTimes(p50_ms=2.0, cpu_ms=2.1, peak_rss_mb=80.0),
        0.4: ModelTimes(p50_ms=2.2, cpu_ms=2.1, peak_rss_mb=80.0),
        0.5: ModelTimes(p50_ms=2.1, cpu_ms=2, peak_rss_mb=80.0),
    }
    table = compact_table(one, "after", "After", (), times)

    assert [row["p50_ms"] for row in table.rows] == [2.0, 2.2, 2.1]
    assert "p50_ms" not in [column.key for column in compact_table(one, "after", "After").columns]


def test_the_long_table_has_every_level_and_language(one):
    """
    All figures, and the average of the languages as one more.
    """
    table = long_table(one, "all", "All")
    row = {(row["sparsity"], row["lang"]): row for row in table.rows}[50.0, "yor"]

    assert table.long
    assert [row["lang"] for row in table.rows] == ["swa", "yor", "avg"] * 3
    assert [row[key].mean for key in ("loss", "precision", "recall", "f1", "seconds")] == [0.8, 20.0, 20.0, 20.0, 0.5]
    assert row["lost"].mean == pytest.approx(60)


def test_the_papers_figures_stand_beside_ours(one):
    """
    Those of the same level and language; what could not be read stays empty, but its count of weights is known.
    """
    rows = {(row["sparsity"], row["lang"]): row for row in long_table(one, "all", "All").rows}
    published = {(row.sparsity, row.lang): row for row in papers.pruning("after")}

    assert rows[50.0, "swa"]["paper_f1"] == published[0.5, "swa"].f1
    assert rows[40.0, "swa"]["paper_f1"] is not None
    assert "paper_f1" not in rows[50.0, "avg"]
    assert "paper_f1" not in rows[0.0, "swa"]


@pytest.mark.parametrize("languages", [("hau", "swa"), ("swa", "xho"), ()])
def test_an_average_of_some_of_the_languages_is_none(languages):
    """
    Table 9 at 40 %: Hausa could not be read, and Xhosa is not in the paper.
    """
    assert paper_f1("after", 0.4, languages) is None


def test_the_papers_average_is_over_the_same_languages():
    """
    At 50 %, and as a line over all levels that could be read.
    """
    known = {row.lang: row.f1 for row in papers.pruning("before") if row.sparsity == 0.5}

    assert paper_f1("before", 0.5, ("swa", "hau")) == pytest.approx((known["swa"] + known["hau"]) / 2)
    assert [x for x, _ in paper_line("before", ("swa", "hau"))] == [10, 20, 30, 40, 50, 60, 70, 80, 90, 95]
    assert [x for x, _ in paper_line("after", ("swa", "hau"))] == [50, 60, 70, 80, 90, 95]


def test_a_line_is_in_percent_and_points(one):
    """
    Of one language, or of the mean over some.
    """
    assert line(one, ("yor",)) == [(0.0, 80.0), (40.0, 50.0), (50.0, 20.0)]
    assert line(one, CODES)[2] == (50.0, 50.0)


def test_odd_figures_of_another_table_are_left_out():
    """
    Beside Table 9 nobody looks for what is odd in Table 8.
    """
    notes = notes_on_paper("pruning", without="Table 8 at")

    assert any(note.startswith("In Table 9") for note in notes)
    assert not any(note.startswith("In Table 8") for note in notes)


def test_words_and_numbers():
    """
    A single seed has no deviation, and 29 % is not 28.999999999999996 %.
    """
    assert seeds_in_words((1,)) == "Seed 1."
    assert seeds_in_words((1, 3)) == "Mean and standard deviation over the seeds 1, 3."
    assert percent(0.29) == 29.0
