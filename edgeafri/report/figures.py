"""figures: where bars, lines and marks of a report stand, in numbers that a template draws as CSS or SVG."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, zip_longest

from edgeafri.documents.checks import Check
from edgeafri.documents.quality import AVERAGE
from edgeafri.report.axes import PlotArea, Scale, Tick
from edgeafri.report.checks import limit, measured, outcome
from edgeafri.report.entry import TIERS, Entry, MemoryCurve, Timing
from edgeafri.report.tables import Cells, LanguageRow, bundle_bytes, group_rows, timing_row, title_of
from edgeafri.report.words import number

FRAME = PlotArea(320, 200)
_IN_SIGHT = 3  # times the longest bar


@dataclass(frozen=True)
class CheckBar:
    """A check as a bar: what is written beside it, and in per cent of its width the value, the interval and the limit.

    `mark` is the limit's place, `zero` that of 0.
    """

    check: Check
    outcome: str
    shown: str
    most: str
    value: float | None
    interval: tuple[float, float] | None
    zero: float
    mark: float


@dataclass(frozen=True)
class TimingBar:
    """A tier's time as a bar, in per cent of its width; `row` has the same in words, `mark` is the limit's place."""

    timing: Timing
    row: Cells
    interval: tuple[float, float] | None
    value: float | None
    mark: float | None


@dataclass(frozen=True)
class Segment:
    """A part of a stacked bar, in per cent of its width."""

    name: str
    size: int
    start: float
    width: float


@dataclass(frozen=True)
class MemoryFigure:
    """A line of memory over time: the points of an SVG polyline, the starts of phases, and the limit's height."""

    where: str
    points: str
    phases: tuple[Tick, ...]
    limit: float | None
    limit_text: str
    peak_text: str
    x: tuple[Tick, ...]
    y: tuple[Tick, ...]


@dataclass(frozen=True)
class ParetoPoint:
    """One bundle in a Pareto plot: its number, and its place by worst and by average loss."""

    number: int
    title: str
    x: float
    worst: float
    low: float | None
    high: float | None
    average: float | None
    best: bool


@dataclass(frozen=True)
class ParetoFigure:
    """Bundles by what they cost against what they lose; `front` are the points of those that no other beats."""

    title: str
    x_name: str
    marks: tuple[ParetoPoint, ...]
    front: str
    x: tuple[Tick, ...]
    y: tuple[Tick, ...]


def check_bar(item: Check) -> CheckBar:
    """Where a check's value, its interval and its limit stand."""
    known = [value for value in (item.measured, item.low, item.high) if value is not None]
    place = placed([*known, item.limit, 0.0])
    return CheckBar(
        check=item,
        outcome=outcome(item),
        shown=measured(item),
        most=limit(item),
        value=None if item.measured is None else place(item.measured),
        interval=None if item.high is None else (place(item.low or 0.0), place(item.high)),
        zero=place(0.0),
        mark=place(item.limit),
    )


def timing_bars(timings: Sequence[Timing], most: float | None) -> list[TimingBar]:
    """The tiers on one scale from zero, with the limit `most` in ms.

    A limit that is far off would make all bars points: it is left out.
    """
    ends = [value for timing in timings for value in (timing.low, timing.high, timing.middle) if value is not None]
    in_sight = most if most is not None and most <= _IN_SIGHT * max(ends, default=0.0) else None
    place = placed([*ends, in_sight or 0.0, 0.0])
    return [
        TimingBar(
            timing=timing,
            row=timing_row(timing),
            interval=None if timing.low is None or timing.high is None else (place(timing.low), place(timing.high)),
            value=None if timing.middle is None else place(timing.middle),
            mark=None if in_sight is None else place(in_sight),
        )
        for timing in timings
    ]


def segments(groups: Mapping[str, int]) -> list[Segment]:
    """The groups of tensors as parts of one bar."""
    found, start = [], 0.0
    for name, size, share in group_rows(groups):
        found.append(Segment(name, size, round(start, 2), round(share, 2)))
        start += share
    return found


def scale(rows: Sequence[LanguageRow]) -> Scale:
    """Where a drop stands on the plot of all languages, in per cent of its width."""
    return placed([value for row in rows for value in (row.drop, row.low, row.high) if value is not None] + [0.0])


def placed(values: Sequence[float]) -> Scale:
    """A scale in per cent that holds all values, with some room at the end."""
    low, high = min(values), max(values)
    span = (high - low) * 1.08 or 1.0
    return lambda value: round((value - low) / span * 100, 2)


def memory_figure(curve: MemoryCurve) -> MemoryFigure:
    """Memory over time from zero, with the limit in sight."""
    samples = [(float(pair[0]), float(pair[1])) for phase in curve.phases.values() for pair in phase]
    last, peak = max(second for second, _ in samples), max(held for _, held in samples)
    x, x_ticks = FRAME.x_axis(0.0, last or 1.0)
    y, y_ticks = FRAME.y_axis(0.0, max(peak, curve.limit or 0.0) * 1.05 or 1.0)
    line = " ".join(f"{x(second)},{y(held)}" for second, held in sorted(samples))
    phases = tuple(Tick(x(samples[0][0]), name) for name, samples in curve.phases.items())
    limit_text = "" if curve.limit is None else f"limit {number(curve.limit)} MB"
    height = None if curve.limit is None else y(curve.limit)
    return MemoryFigure(curve.where, line, phases, height, limit_text, f"{number(peak)} MB", x_ticks, y_ticks)


def pareto_figures(entries: Sequence[Entry]) -> list[ParetoFigure]:
    """Size against loss, and latency against loss, where two bundles and more have both numbers."""
    sizes = [_in_megabytes(entry) for entry in entries]
    figures = [_pareto("Size against loss", "bundle, MB", entries, sizes)]
    if tier := _shared_tier(entries):
        times = [_time(entry, tier) for entry in entries]
        what = "high end of the estimate, ms" if tier == "estimate" else f"p50 on the {tier}, ms"
        figures.append(_pareto("Latency against loss", what, entries, times))
    return [figure for figure in figures if figure is not None]


def _pareto(title: str, x_name: str, entries: Sequence[Entry], costs: Sequence[float | None]) -> ParetoFigure | None:
    numbered = enumerate(zip(entries, costs, strict=True), 1)
    known = [mark for mark in (_mark(place, entry, cost) for place, (entry, cost) in numbered) if mark is not None]
    if len(known) < 2:
        return None
    drops = [drop for item in known for drop in (item.worst, item.low, item.high, item.average) if drop is not None]
    x, x_ticks = FRAME.x_axis(0.0, max(item.x for item in known) * 1.1 or 1.0)
    y, y_ticks = FRAME.y_axis(min(0.0, *drops), max(0.0, *drops) or 1.0)
    best = front([(item.x, item.worst) for item in known])
    marks = tuple(_drawn(item, x, y, place in best) for place, item in enumerate(known))
    return ParetoFigure(title, x_name, marks, _stairs([mark for mark in marks if mark.best]), x_ticks, y_ticks)


def _mark(place: int, entry: Entry, cost: float | None) -> ParetoPoint | None:
    """A bundle by its own numbers, not yet places; None where its cost or its loss is not known."""
    quality = entry.quality
    if cost is None or quality is None or quality.worst is None:
        return None
    worst, average = quality.drop.get(quality.worst.lang), quality.drop.get(AVERAGE)
    return ParetoPoint(
        number=place,
        title=title_of(entry),
        x=cost,
        worst=quality.worst.drop,
        low=worst.low if worst else None,
        high=worst.high if worst else None,
        average=average.value if average else None,
        best=False,
    )


def _drawn(mark: ParetoPoint, x: Scale, y: Scale, best: bool) -> ParetoPoint:
    low, high, average = (None if value is None else y(value) for value in (mark.low, mark.high, mark.average))
    return replace(mark, x=x(mark.x), worst=y(mark.worst), low=low, high=high, average=average, best=best)


def _stairs(marks: Sequence[ParetoPoint]) -> str:
    """The points of a polyline that goes right to each next mark and then down to it."""
    ordered = sorted(marks, key=lambda mark: mark.x)
    corners = [f"{mark.x},{mark.worst}" for mark in ordered]
    turns = [f"{after.x},{before.worst}" for before, after in pairwise(ordered)]
    return " ".join(point for pair in zip_longest(corners, turns) for point in pair if point)


def front(points: Sequence[tuple[float, float]]) -> set[int]:
    """Which (cost, loss) points no other beats: none is as good in both and better in one."""

    def beats(one: tuple[float, float], other: tuple[float, float]) -> bool:
        return one[0] <= other[0] and one[1] <= other[1] and one != other

    return {place for place, point in enumerate(points) if not any(beats(other, point) for other in points)}


def _shared_tier(entries: Sequence[Entry]) -> str:
    """The best tier that all bundles with a known loss have, host times of one machine alone."""
    judged = [entry for entry in entries if _mark(0, entry, 0.0) is not None]
    for tier in reversed(TIERS):
        found = [next((item for item in entry.timings if item.tier == tier), None) for entry in judged]
        cases = {(item.where, item.seq_len, item.threads) for item in found if item is not None}
        if len(judged) > 1 and None not in found and len(cases) == 1:
            return tier
    return ""


def _time(entry: Entry, tier: str) -> float | None:
    timing = next((item for item in entry.timings if item.tier == tier), None)
    return None if timing is None else timing.high if timing.middle is None else timing.middle


def _in_megabytes(entry: Entry) -> float | None:
    size = bundle_bytes(entry)
    return None if size is None else size / 1e6
