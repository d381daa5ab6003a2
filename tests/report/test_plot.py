"""The plot: the same text every time, lines told apart without colour, all of it inside the picture."""

import re
import sys
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from edgeafri.errors import MissingPackage
from edgeafri.report.plot import COLOURS, Plot, plot_figure, to_svg

SERIES = {"before": [(10.0, 79.5), (50.0, 78.2), (95.0, 57.4)], "after": [(50.0, 77.1), (95.0, 1.5)]}
PLOT = Plot("f1", "F1 of pruned models", "sparsity (%)", "F1 (points)", SERIES)


def texts(plot: Plot) -> list[str]:
    """What a person reads in the picture, in order."""
    root = ElementTree.fromstring(to_svg(plot))  # noqa: S314  our own file
    return ["".join(item.itertext()).strip() for item in root.iter("{http://www.w3.org/2000/svg}text")]


def test_the_same_lines_are_the_same_file():
    """
    No date, no version, no random ids: a plot in a repository changes when its numbers do. It is SVG, and small.
    """
    assert to_svg(PLOT) == to_svg(replace(PLOT))
    assert ElementTree.fromstring(to_svg(PLOT)).tag.endswith("svg")  # noqa: S314  our own file
    assert len(to_svg(PLOT)) < 6000


def test_every_line_has_its_colour_and_marker():
    """
    Ten languages and an average have eleven of each; more lines have pairs of their own.
    """
    series = {f"lang {number}": [(0.0, float(number))] for number in range(40)}
    pairs = [(line.colour, line.marker) for line in plot_figure(replace(PLOT, series=series)).lines]

    assert len(set(pairs)) == len(pairs) == 40
    assert len({colour for colour, _ in pairs[:11]}) == len({marker for _, marker in pairs[:11]}) == COLOURS


def test_every_colour_is_there_by_day_and_in_the_dark():
    """
    A colour without a value is black: nothing would be seen of it in the dark.
    """
    day, dark = (re.findall(r"--line(\d+): #", part) for part in to_svg(PLOT).split("@media")[-2:])

    assert sorted(map(int, dark)) == list(range(COLOURS))
    assert [number for number in day if number] == dark


def test_the_legend_stands_below_the_axes():
    """
    Whole in the picture, and over no line; the names are in the order given.
    """
    figure = plot_figure(PLOT)

    assert [line.name for line in figure.lines] == ["before", "after"]
    assert all(line.legend[1] > figure.frame.height for line in figure.lines)
    assert all(line.legend[1] < figure.height for line in figure.lines)


@pytest.mark.parametrize(("letters", "columns"), [(3, 4), (18, 2), (40, 1), (400, 1)])
def test_names_stand_side_by_side_where_they_fit(letters: int, columns: int):
    """
    Short codes of languages take one line, long names one line each.
    """
    series = {f"{number}".ljust(letters, "x"): [(0.0, 1.0)] for number in range(4)}
    places = [line.legend for line in plot_figure(replace(PLOT, series=series)).lines]

    assert len({x for x, _ in places}) == columns
    assert len(set(places)) == 4


def test_title_and_axes_are_named():
    """
    With units: a plot is read without its page. A long title is broken into lines.
    """
    long = replace(PLOT, title="Pruned " + ", ".join(["after fine-tuning"] * 5))

    assert {PLOT.title, PLOT.x, PLOT.y, *SERIES} <= set(texts(PLOT))
    assert len(plot_figure(long).title) == 2
    assert " ".join(plot_figure(long).title) == long.title


def test_names_of_others_are_only_text():
    """
    A name with a tag in it is shown as it was written.
    """
    assert "<b>&" in texts(replace(PLOT, series={"<b>&": [(0.0, 1.0)]}))


def test_points_stand_in_the_picture_at_their_numbers():
    """
    To the right and upwards; a point on a tick stands at the tick.
    """
    figure = plot_figure(PLOT)
    before, after = figure.lines

    assert before.places[0][0] < before.places[1][0] == after.places[0][0] < before.places[2][0]
    assert before.places[0][1] < before.places[2][1] < after.places[1][1]
    assert all(figure.frame.left <= x <= figure.frame.width for x, _ in before.places + after.places)
    assert all(figure.frame.top <= y <= figure.frame.height for _, y in before.places + after.places)
    exact = plot_figure(replace(PLOT, series={"one": [(0.0, 0.0), (100.0, 50.0)]}))
    assert exact.lines[0].places[1] == (exact.x[-1].place, exact.y[-1].place)


def test_an_axis_begins_at_zero_when_asked():
    """
    What differs by a hundredth looks so; by itself the axis shows where the points are.
    """
    flat = replace(PLOT, series={"time": [(0.0, 14.6), (90.0, 14.8)]})

    assert plot_figure(replace(flat, from_zero=True)).y[0].text == "0"
    assert float(plot_figure(flat).y[0].text) > 14


@pytest.mark.parametrize("points", [[], [(0.0, 0.0)], [(5.0, -3.0)], [(1e9, 1e-9), (1e9, 1e-9)]])
def test_odd_points_are_drawn(points: list[tuple[float, float]]):
    """
    A study that has measured nothing yet, one point, one number only: no division by zero.
    """
    figure = plot_figure(replace(PLOT, series={"one": points}))

    assert all(0 <= x <= figure.frame.width and 0 <= y <= figure.height for x, y in figure.lines[0].places)
    assert len(figure.x) >= 1


def test_no_lines_are_an_empty_plot():
    """
    Axes and their names alone.
    """
    assert "<polyline" not in to_svg(replace(PLOT, series={}))


def test_a_point_that_is_nan_is_an_error():
    """
    A line would run to the corner of the picture.
    """
    with pytest.raises(ValueError, match="NaN"):
        to_svg(replace(PLOT, series={"one": [(0.0, 1.0), (1.0, float("nan"))]}))


def test_without_jinja2_the_package_is_named(monkeypatch: pytest.MonkeyPatch):
    """
    A board has none.
    """
    monkeypatch.setitem(sys.modules, "jinja2", None)

    with pytest.raises(MissingPackage, match="jinja2 is not installed; reports and plots need it"):
        to_svg(PLOT)
