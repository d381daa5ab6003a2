"""Tables of a study: what a person reads and what a program reads."""

import csv
import io
import json

import pytest

from edgeafri.documents.table import Column, Spread, Table, markdown_table, spread, text_table, to_csv, to_markdown
from edgeafri.util.files import json_text

COLUMNS = (
    Column("model", "model"),
    Column("layers", "layers"),
    Column("f1", "F1", "points"),
    Column("p50_ms", "p50", "ms", digits=1),
)


@pytest.fixture
def table() -> Table:
    """
    A row with three seeds, one with one, and one of which only the name is known. The numbers measure nothing.
    """
    rows = (
        {"model": "student", "layers": 4, "f1": spread([67.11, 67.42, 67.73]), "p50_ms": 1234.56},
        {"model": "teacher", "layers": 8, "f1": spread([71.5]), "p50_ms": 8.0},
        {"model": "published"},
    )
    return Table("grid", "Students", COLUMNS, rows, ("Three seeds.",))


def test_a_spread_is_the_mean_and_the_sample_deviation():
    """
    Divided by n - 1: three seeds stand for all others.
    """
    found = spread([1.0, 2.0, 4.0])

    assert found.mean == pytest.approx(7 / 3)
    assert found.sd == pytest.approx((7 / 3) ** 0.5)
    assert found.n == 3


def test_one_seed_has_no_deviation():
    """
    Nothing is known about how far another seed would be: that is not a deviation of zero.
    """
    assert spread([67.42]) == Spread(67.42, None, 1)


def test_no_seeds_are_an_error():
    """
    The mean of nothing is no number.
    """
    with pytest.raises(ValueError, match="at least one"):
        spread([])


def test_markdown_for_people(table: Table):
    """
    Units in the head, numbers to the right, as many digits as the column says, a dash for what is not known.
    """
    assert to_markdown(table) == (
        "## Students\n\n"
        "| model | layers | F1 (points) | p50 (ms) |\n"
        "| --- | ---: | ---: | ---: |\n"
        "| student | 4 | 67.42 ± 0.31 | 1,234.6 |\n"
        "| teacher | 8 | 71.50 | 8.0 |\n"
        "| published | – | – | – |\n\n"
        "- Three seeds.\n"
    )


@pytest.mark.parametrize(
    ("cell", "shown"),
    [(-0.001, "0.00"), (-1.9, "-1.90"), (70_785_792, "70,785,792"), (None, "–"), (spread([0.0, 0.0]), "0.00 ± 0.00")],
)
def test_a_cell_as_people_read_it(cell: float | Spread | None, shown: str):
    """
    Thousands apart, no negative zero, a deviation of zero told from none.
    """
    table = Table("one", "One", (Column("value", "value"),), ({"value": cell},))

    assert to_markdown(table).splitlines()[4] == f"| {shown} |"


def test_text_of_others_stays_in_its_cell():
    """
    A bar would end the cell, a line break the table, and a tag would be one.
    """
    table = Table("one", "A | B", (Column("name", "name"),), ({"name": "a|b\n<b>"},), ("one\ntwo",))

    assert to_markdown(table) == "## A \\| B\n\n| name |\n| --- |\n| a\\|b &lt;b> |\n\n- one two\n"


def test_rows_for_a_terminal():
    """
    Columns of equal width, the first to the left and the others to the right; the last one is free, without spaces.
    """
    rows = [("language", "teacher", "note"), ("swa", "76.09", "worst"), ("yoruba", "9.5", "")]

    assert text_table(rows) == "  language  teacher  note\n  swa         76.09  worst\n  yoruba        9.5"


def test_rows_in_markdown():
    """
    Whatever stands in a cell is escaped; the columns that are named stand to the right.
    """
    assert markdown_table([("name", "n"), ("a|b", 3)], (1,)) == "| name | n |\n| --- | ---: |\n| a\\|b | 3 |"


def test_csv_for_programs(table: Table):
    """
    Figures in full, a column for the deviation where there are seeds, nothing where nothing is known.
    """
    rows = list(csv.reader(io.StringIO(to_csv(table))))

    assert rows[0] == ["model", "layers", "f1", "f1_sd", "p50_ms"]
    assert [float(cell) for cell in rows[1][1:]] == pytest.approx([4, 67.42, 0.31, 1234.56])
    assert rows[2] == ["teacher", "8", "71.5", "", "8.0"]
    assert rows[3] == ["published", "", "", "", ""]


def test_csv_keeps_commas_and_quotes():
    """
    A name with both comes back as it was.
    """
    table = Table("one", "One", (Column("name", "name"),), ({"name": 'a, "b"'},))

    assert list(csv.reader(io.StringIO(to_csv(table)))) == [["name"], ['a, "b"']]


def test_json_has_everything(table: Table):
    """
    Units, all three parts of a spread, and null for what is not known.
    """
    read = json.loads(json_text(table.to_json()))

    assert read["columns"][2] == {"key": "f1", "title": "F1", "unit": "points"}
    assert read["rows"][0]["f1"] == pytest.approx({"mean": 67.42, "sd": 0.31, "n": 3})
    assert read["rows"][1]["f1"] == {"mean": 71.5, "sd": None, "n": 1}
    assert read["rows"][2] == {"model": "published", "layers": None, "f1": None, "p50_ms": None}
    assert (read["name"], read["title"], read["notes"]) == ("grid", "Students", ["Three seeds."])


def test_json_is_read_back(table: Table):
    """
    Cells come back as the values that they were, spreads too; a cell that was left out is one that is not known.
    """
    read = Table.from_json(json.loads(json_text(table.to_json())))

    assert read.rows[:2] == table.rows[:2]
    assert set(read.rows[2].values()) == {"published", None}
    assert read.to_json() == table.to_json()


def test_a_cell_that_no_column_shows_is_an_error():
    """
    A misspelt key would leave a figure out without a word.
    """
    with pytest.raises(ValueError, match="table 'grid' has no column for f2"):
        Table("grid", "Students", COLUMNS, ({"model": "student", "f2": 1.0},))
