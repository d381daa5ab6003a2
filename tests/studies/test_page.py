"""The page of a study: tables and plots in order, and the files beside it."""

from pathlib import Path

import pytest

from edgeafri.documents.table import Column, Table, to_csv
from edgeafri.errors import StorageError
from edgeafri.report.plot import Plot
from edgeafri.studies.page import StudyPage, write
from edgeafri.util.files import json_text

COLUMNS = (Column("model", "model"), Column("f1", "F1", "points"))


@pytest.fixture
def table() -> Table:
    """
    Numbers that measure nothing.
    """
    return Table("grid", "Students", COLUMNS, ({"model": "student", "f1": 67.42}, {"model": "published"}))


def test_a_number_that_is_none_is_not_written(tmp_path: Path):
    """
    A loss that became NaN is a fault of the study; its folder stays as it was.
    """
    table = Table("one", "One", (Column("loss", "loss"),), ({"loss": float("nan")},))

    with pytest.raises(ValueError, match="JSON"):
        write(StudyPage((table,)), tmp_path / "study", "A study", [])

    assert not (tmp_path / "study").exists()


def test_a_study_is_one_page_and_two_files_a_table(table: Table, tmp_path: Path):
    """
    The page has the folder's name, all tables in order, and the commands to repeat it.
    """
    other = Table("teachers", "Teachers", COLUMNS, ())
    page = write(
        StudyPage((table, other)),
        tmp_path / "results" / "comet",
        "The Comet study",
        ["edgeafri study comet --lang swa"],
    )
    text = page.read_text("utf-8")

    assert page == tmp_path / "results" / "comet" / "comet.md"
    assert sorted(file.name for file in page.parent.iterdir()) == [
        "comet.md",
        "grid.csv",
        "grid.json",
        "teachers.csv",
        "teachers.json",
    ]
    assert text.startswith("# The Comet study\n\n## Students\n\n| model |")
    assert text.index("## Students") < text.index("## Teachers")
    assert text.endswith("## Repeat it\n\n    edgeafri study comet --lang swa\n")
    assert (page.parent / "grid.csv").read_text("utf-8") == to_csv(table)
    assert (page.parent / "grid.json").read_text("utf-8") == json_text(table.to_json())


def test_the_same_tables_are_the_same_files(table: Table, tmp_path: Path):
    """
    No time and no path in them: what differs between two runs is a measurement.
    """
    first, second = (
        write(StudyPage((table,)), tmp_path / part / "grid", "Grid", ["edgeafri study"]).parent for part in "ab"
    )

    assert [file.read_bytes() for file in sorted(first.iterdir())] == [
        file.read_bytes() for file in sorted(second.iterdir())
    ]


def test_a_page_of_a_folder_called_here_has_its_name(table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """
    `.` is no name for a file.
    """
    monkeypatch.chdir(tmp_path)

    assert write(StudyPage((table,)), Path(), "Grid", []).resolve() == tmp_path / f"{tmp_path.name}.md"


def test_a_folder_that_cannot_be_made_is_told(table: Table, tmp_path: Path):
    """
    A file stands where the folder should be.
    """
    (tmp_path / "taken").write_text("", "utf-8")

    with pytest.raises(StorageError, match="taken"):
        write(StudyPage((table,)), tmp_path / "taken", "Grid", [])


def test_a_long_table_is_named_and_not_shown(tmp_path: Path):
    """
    A hundred rows are for programs; the reader is told where they are.
    """
    long = Table("all", "Every level", COLUMNS, ({"model": "student", "f1": 1.0},) * 1200, long=True)
    text = write(StudyPage((long,)), tmp_path / "study", "A study", []).read_text("utf-8")

    assert text == "# A study\n\nEvery level: `all.csv`, 1,200 rows.\n"
    assert (tmp_path / "study" / "all.csv").read_text("utf-8").count("\n") == 1201


def test_a_plot_stands_where_it_belongs(table: Table, tmp_path: Path):
    """
    Drawn into a file of its own, and shown between the tables.
    """
    plot = Plot("f1", "F1 of pruned models", "sparsity (%)", "F1 (points)", {"swa": [(10.0, 70.0), (50.0, 60.0)]})
    page = StudyPage((plot, table))
    text = write(page, tmp_path / "study", "A study", []).read_text("utf-8")

    assert text.startswith("# A study\n\n![F1 of pruned models](f1.svg)\n\n## Students\n")
    assert "swa" in (tmp_path / "study" / "f1.svg").read_text("utf-8")
    assert (page.tables, page.plots) == ((table,), (plot,))
