"""plot: lines over a common axis as one SVG file, readable without colours, in the dark, in print and on a phone."""

import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle

from edgeafri.report.axes import PlotArea, Scale, Tick
from edgeafri.report.template import render

Point = tuple[float, float]
COLOURS = 11  # in templates/plot.svg.j2
# Shapes around 0,0. There is one more than there are colours: pairs repeat after 132 lines only.
MARKERS = (
    "M-4.5,0a4.5,4.5 0 1,0 9,0a4.5,4.5 0 1,0 -9,0z",  # circle
    "M-4,-4h8v8h-8z",  # square
    "M0,-5L5,4H-5z",  # triangle
    "M0,-5.5L5.5,0L0,5.5L-5.5,0z",  # diamond
    "M0,5L5,-4H-5z",  # triangle, downwards
    "M-1.7,-5h3.4v3.3h3.3v3.4h-3.3v3.3h-3.4v-3.3h-3.3v-3.4h3.3z",  # plus
    "M0,-6L1.5,-2.1L5.7,-1.9L2.5,.8L3.5,4.9L0,2.6L-3.5,4.9L-2.5,.8L-5.7,-1.9L-1.5,-2.1z",  # star
    "M-5,-3L-3,-5L0,-2L3,-5L5,-3L2,0L5,3L3,5L0,2L-3,5L-5,3L-2,0z",  # cross
    "M-5,0L4,-5V5z",  # triangle, to the left
    "M5,0L-4,-5V5z",  # triangle, to the right
    "M0,-5.2L4.9,-1.6L3.1,4.2H-3.1L-4.9,-1.6z",  # pentagon
    "M0,-5L4.3,-2.5V2.5L0,5L-4.3,2.5V-2.5z",  # hexagon
)
_WIDTH, _PLOT, _LINE = 480, 290, 19  # of the picture; height of the axes with their words; of a line of text
_LETTER = 7.2  # how wide a letter of the font may be: what is shown is drawn by a font that is not known here


@dataclass(frozen=True)
class Plot:
    """Lines through points, joined in the order given; `name` is the stem of the file.

    `x` and `y` name the axes with their units. `from_zero` shows y from 0, so that what hardly differs looks so.
    """

    name: str
    title: str
    x: str
    y: str
    series: Mapping[str, Sequence[Point]]
    from_zero: bool = False


@dataclass(frozen=True)
class Line:
    """A line of the plot: its name, its place in the legend, its look, and the places of its points."""

    name: str
    legend: Point
    colour: int
    marker: str
    places: tuple[Point, ...]

    @property
    def points(self) -> str:
        """As an SVG polyline has them."""
        return " ".join(f"{x},{y}" for x, y in self.places)


@dataclass(frozen=True)
class PlotFigure:
    """What the template draws: the title's lines, the axes, and the lines with their legend below the axes."""

    title: tuple[str, ...]
    frame: PlotArea
    x: tuple[Tick, ...]
    y: tuple[Tick, ...]
    lines: tuple[Line, ...]
    height: int


def to_svg(plot: Plot) -> str:
    """The plot as an SVG file that needs nothing else, the same every time. MissingPackage when jinja2 is missing."""
    return render("plot.svg.j2", plot=plot, figure=plot_figure(plot), line_height=_LINE)


def plot_figure(plot: Plot) -> PlotFigure:
    """Where everything of a plot stands. ValueError for a point that is not finite."""
    title = tuple(textwrap.wrap(plot.title, int(_WIDTH / _LETTER)))
    top = (len(title) + 1) * _LINE + 8  # below the title and the y axis' name
    frame = PlotArea(_WIDTH, top + _PLOT, left=52, right=16, top=top, bottom=46, ticks=6)
    x, x_ticks = frame.x_axis(*_range([point[0] for points in plot.series.values() for point in points]))
    values = [point[1] for points in plot.series.values() for point in points]
    y, y_ticks = frame.y_axis(*_range([0.0, *values] if plot.from_zero else values))
    lines = tuple(_lines(plot, x, y, frame.height + 16))
    return PlotFigure(title, frame, x_ticks, y_ticks, lines, round(lines[-1].legend[1] + 14) if lines else frame.height)


def _range(values: Sequence[float]) -> Point:
    """The ends of an axis, with some room for the marker at the high end."""
    if not all(map(math.isfinite, values)):
        raise ValueError("a point of a plot is NaN or infinite")
    low, high = min(values, default=0.0), max(values, default=1.0)
    return low, high + 0.04 * (high - low or abs(high) or 1.0)


def _lines(plot: Plot, x: Scale, y: Scale, below: int) -> Iterator[Line]:
    columns = _columns(list(plot.series))
    looks = zip(cycle(range(COLOURS)), cycle(MARKERS), strict=True)
    for place, ((name, points), (colour, marker)) in enumerate(zip(plot.series.items(), looks, strict=False)):
        row, column = divmod(place, columns)
        legend = (round(12 + column * _WIDTH / columns, 1), below + row * _LINE)
        yield Line(name, legend, colour, marker, tuple((x(across), y(up)) for across, up in points))


def _columns(names: Sequence[str]) -> int:
    """How many names fit side by side, each with a piece of its line."""
    widest = max((len(name) for name in names), default=1) * _LETTER + 46
    return max(1, min(4, int(_WIDTH / widest)))
