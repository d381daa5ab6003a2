"""One plot: lines over a common axis, readable without colours, the same bytes every time."""

import io
from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

from edgeafri.util.files import storage, write_whole
from edgeafri.util.packages import needed_by

Series = Mapping[str, Sequence[tuple[float, float]]]
# After Paul Tol's muted scheme, for any kind of colour vision (sron.nl/~pault); the sand is darker: it stands on white.
_TINTS = "332288 cc6677 117733 ddaa33 88ccee 882255 44aa99 aa4499 999933 000000 777777"
_COLOURS = tuple(f"#{tint}" for tint in _TINTS.split())
_MARKERS = "osD^vP*X<>ph"  # one more than there are colours: pairs repeat after 132 lines only
_STYLE = {
    "svg.hashsalt": "edgeafri",
    "font.size": 12,
    "axes.titlesize": 14,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "lines.linewidth": 1.8,
    "lines.markersize": 6,
}


def lines(series: Series, title: str, x: str, y: str, file: Path, from_zero: bool = False) -> None:
    """Draw a line a name through its (x, y) points into an SVG file, with the legend beside the axes.

    Points are joined in the order given. `from_zero` shows y from 0, so that what hardly differs looks so.
    MissingPackage without matplotlib.
    """
    svg = io.StringIO()
    with needed_by("a plot"):
        from matplotlib import style
    with style.context(["default", _STYLE]):  # not what a matplotlibrc of the user says
        # Without its date and its version, the same lines are the same file.
        figure(series, title, x, y, from_zero).savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    with storage(file.parent):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, svg.getvalue())


def figure(series: Series, title: str, x: str, y: str, from_zero: bool = False) -> Any:
    """The matplotlib figure. It is made without pyplot, so it needs no display and leaves no state."""
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(9, 5.4), layout="constrained")
    axes = drawn.add_subplot(title=title, xlabel=x, ylabel=y)
    looks = zip(cycle(_COLOURS), cycle(_MARKERS), strict=True)
    for (name, points), (colour, marker) in zip(series.items(), looks, strict=False):
        axes.plot(
            [point[0] for point in points], [point[1] for point in points], color=colour, marker=marker, label=name
        )
    if from_zero:
        axes.set_ylim(bottom=0)
    drawn.legend(handles=list(axes.lines), loc="outside right upper", frameon=False)
    return drawn
