"""Prediction from a few rows of a table: errors on the rest, coverage of the interval, and every mistake in a table."""

from pathlib import Path

import numpy as np
import pytest

from edgeafri.errors import DataError, UsageError
from edgeafri.latency.prediction import Draws, LatencyTable, predict_rest, read_columns


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """
    300 models whose time is 0.4 ms a million MACs, with a tenth of noise; all have six layers.
    """
    random = np.random.default_rng(0)
    width = random.integers(100, 1000, 300)
    times = 0.4 * 6 * width**2 / 1e6 * random.lognormal(0, 0.1, 300)
    rows = "".join(f"{item},6,{time:.9f}\n" for item, time in zip(width, times, strict=True))
    return written(tmp_path, "width,layers,ms\n" + rows)


def written(folder: Path, text: str) -> Path:
    file = folder / "table.csv"
    file.write_text(text, "utf-8")
    return file


def test_a_few_rows_predict_the_rest_and_the_interval_covers_its_claim(table: Path):
    """
    A tenth of noise is a median error of 7 %; five rows claim 80 %, and that is what they cover at least.
    """
    found = predict_rest(LatencyTable(table, "layers*width*width", "ms", layers="layers"), Draws(draws=100))

    assert (found.rows, found.points) == (300, 5)
    assert found.median_error.median == pytest.approx(0.07, abs=0.01)
    assert found.interval.level == 0.8
    assert 0.78 < found.interval.covered < 0.9
    # 4 %: squares of relative errors lean to the fast runs by the square of the noise, a hundredth; and the noise
    assert found.all_rows.constants["ms per million MAC"] == pytest.approx(0.4, rel=0.04)
    assert found.all_rows.left_out["layers"] == "the same in every run"


def test_the_seed_decides_the_draws(table: Path):
    """
    What was reported can be repeated.
    """
    source = LatencyTable(table, "layers*width*width", "ms")
    once, again, other = (predict_rest(source, Draws(20, 5, seed)) for seed in (3, 3, 4))

    assert once == again
    assert once.median_error != other.median_error


def test_progress_is_told(table: Path):
    """
    Many draws take a while.
    """
    told: list[tuple[int, int]] = []

    predict_rest(LatencyTable(table, "width", "ms"), Draws(3), lambda done, total: told.append((done, total)))

    assert told == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_a_name_that_is_no_formula_is_still_a_column(tmp_path: Path):
    """
    Names with spaces are looked up as they are.
    """
    file = written(tmp_path, "mega macs,ms\n1,2\n3,6\n")

    _, times = read_columns(LatencyTable(file, "mega macs", "ms"))

    assert times.tolist() == [2, 6]


@pytest.mark.parametrize(
    ("text", "macs", "message", "hint"),
    [
        ("", "a", "no rows", "its first line is the header"),
        ("a,ms\n", "a", "no rows", "its first line is the header"),
        ("a,ms\n1,2\n3\n", "a", "line 3: not as many values as in the header", "its first line is the header"),
        ("a,ms\n1,2,3\n", "a", "line 2: not as many values as in the header", "its first line is the header"),
        ("a,ms\n1,2\nx,3\n", "a", "line 3: 'a' is not a number: 'x'", "Correct it"),
        ("a,ms\n1,2\n0,3\n", "a", "line 3: 'a' is 0", "Only numbers above zero"),
        ("a,ms\n1,2\nnan,3\n", "a", "line 3: 'a' is nan", "Only numbers above zero"),
        ("a,ms\n1,2\n2,-3\n", "a", "line 3: 'ms' is -3", "Only numbers above zero"),
        ("a,ms\n1,2\n2,3\n", "1/(a-2)", "line 2: '1/\\(a-2\\)' is -1", "Only numbers above zero"),
    ],
)
def test_a_table_that_cannot_be_used_is_named_with_its_line(
    tmp_path: Path, text: str, macs: str, message: str, hint: str
):
    """
    The line is that of the file, the header counted.
    """
    with pytest.raises(DataError, match=message) as error:
        read_columns(LatencyTable(written(tmp_path, text), macs, "ms"))

    assert hint in error.value.hint


def test_a_missing_file_a_folder_and_other_bytes_are_refused(tmp_path: Path):
    """
    Never a traceback.
    """
    (tmp_path / "odd.csv").write_bytes(b"a,ms\n\xff,1\n")

    with pytest.raises(DataError, match="no file"):
        read_columns(LatencyTable(tmp_path / "none.csv", "a", "ms"))
    for name in (".", "odd.csv"):
        with pytest.raises(DataError, match="not readable as a table"):
            read_columns(LatencyTable(tmp_path / name, "a", "ms"))


def test_an_unknown_column_is_refused_with_the_nearest(table: Path):
    """
    A typo costs one line.
    """
    with pytest.raises(UsageError, match="has no column 'widht'") as error:
        read_columns(LatencyTable(table, "layers*widht", "ms"))

    assert error.value.hint.startswith("Did you mean 'width'?")


@pytest.mark.parametrize("points", [1, 300])
def test_there_must_be_rows_to_fit_on_and_rows_to_predict(table: Path, points: int):
    """
    One row has no error, and all rows leave none to predict.
    """
    with pytest.raises(UsageError, match=f"{points} points of a table with 300 rows") as error:
        predict_rest(LatencyTable(table, "width", "ms"), Draws(points=points))

    assert "Use 2 to 299 points" in error.value.hint
