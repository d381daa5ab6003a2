"""The plot: the same bytes every time, lines told apart without colour, all of it inside the picture."""

import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from edgeafri.errors import MissingPackage, StorageError
from edgeafri.studies.plot import figure, lines

SERIES = {"before": [(10.0, 79.5), (50.0, 78.2), (95.0, 57.4)], "after": [(50.0, 77.1), (95.0, 1.5)]}
LABELS = ("F1 of pruned models", "sparsity (%)", "F1 (points)")


def drawn(folder: Path) -> bytes:
    file = folder / "f1.svg"
    lines(SERIES, *LABELS, file)
    return file.read_bytes()


def test_the_same_lines_are_the_same_file(tmp_path: Path):
    """
    No date, no version, no random ids: a plot in a repository changes when its numbers do.
    """
    first, second = drawn(tmp_path / "a"), drawn(tmp_path / "b")

    assert first == second
    assert not re.search(rb"<dc:date>|Matplotlib v", first)
    assert ElementTree.fromstring(first).tag.endswith("svg")  # noqa: S314  our own file


def test_settings_of_the_user_change_nothing(tmp_path: Path):
    """
    A matplotlibrc with other fonts and colours is that person's own.
    """
    import matplotlib

    before = drawn(tmp_path)
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "black", "svg.hashsalt": "mine"}):
        after = drawn(tmp_path)

    assert before == after


def test_every_line_has_its_colour_and_marker():
    """
    Ten languages and an average have eleven of each; more lines have pairs of their own.
    """
    series = {f"lang {number}": [(0.0, float(number))] for number in range(40)}
    pairs = [(line.get_color(), line.get_marker()) for line in figure(series, *LABELS).axes[0].lines]

    assert len(set(pairs)) == len(pairs) == 40
    assert len({colour for colour, _ in pairs[:11]}) == len({marker for _, marker in pairs[:11]}) == 11


def test_the_legend_stands_beside_the_axes(tmp_path: Path):
    """
    Whole in the picture, and over no line; the names are in the order given.
    """
    made = figure(SERIES, *LABELS)
    made.draw_without_rendering()
    legend, axes = made.legends[0], made.axes[0]

    assert [text.get_text() for text in legend.get_texts()] == ["before", "after"]
    assert legend.get_window_extent().x0 >= axes.get_window_extent().x1
    assert legend.get_window_extent().x1 <= made.bbox.x1


def test_title_and_axes_are_named():
    """
    With units: a plot is read without its page.
    """
    axes = figure(SERIES, *LABELS).axes[0]

    assert (axes.get_title(), axes.get_xlabel(), axes.get_ylabel()) == LABELS


def test_an_axis_begins_at_zero_when_asked():
    """
    What differs by a hundredth looks so; by itself the axis shows where the points are.
    """
    flat = {"time": [(0.0, 14.6), (90.0, 14.8)]}

    assert figure(flat, *LABELS, from_zero=True).axes[0].get_ylim()[0] == 0
    assert figure(flat, *LABELS).axes[0].get_ylim()[0] > 14


def test_no_lines_are_an_empty_plot(tmp_path: Path):
    """
    A study that has measured nothing yet.
    """
    lines({}, *LABELS, tmp_path / "empty.svg")

    assert (tmp_path / "empty.svg").is_file()


def test_without_matplotlib_the_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """
    A board has none.
    """
    monkeypatch.setitem(sys.modules, "matplotlib", None)

    with pytest.raises(MissingPackage, match="a plot needs the package 'matplotlib'"):
        lines(SERIES, *LABELS, tmp_path / "f1.svg")


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path):
    """
    A file stands where the folder should be.
    """
    (tmp_path / "taken").write_text("", "utf-8")

    with pytest.raises(StorageError, match="taken"):
        lines(SERIES, *LABELS, tmp_path / "taken" / "f1.svg")
