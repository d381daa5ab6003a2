"""outliers: what a report shows of outlier channels: how far channels reach, layer by layer, and two tables."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from edgeafri.documents.layer_names import number_and_rest, together
from edgeafri.documents.outliers import ActivationReach, OutlierChannel, Outliers, OutlierTrial
from edgeafri.report.axes import PlotArea, Scale, Tick
from edgeafri.report.tables import Cells
from edgeafri.report.template import render

FRAME = PlotArea(320, 210, left=36, top=18, bottom=36)
SHOWN = 20  # rows of the table of channels; the JSON has all
# What layers read, by words in their names, in the order of a layer; the first that fits.
_KINDS = {
    "attention input": re.compile(r"att(?:entio)?n.*\b(?:query|key|value|w?qkv|[qkv]|in)\b", re.IGNORECASE),
    "attention output": re.compile(r"att(?:entio)?n", re.IGNORECASE),
    "feed-forward inner": re.compile(r"\b(?:output|lin2|wo|down proj)$", re.IGNORECASE),
    "feed-forward input": re.compile(r"\b(?:intermediate|lin1|wi|ffn|up proj|gate proj)\b", re.IGNORECASE),
}
_ORDER = ("attention input", "attention output", "feed-forward input", "feed-forward inner", "other")
_FEW = 4  # inputs outside the layers that words are enough for
_LABELS = 12  # below an axis
_ROOM = 2  # times the farthest channel: the top of the picture


@dataclass(frozen=True)
class Point:
    """The place of a channel."""

    x: float
    y: float


@dataclass(frozen=True)
class ReachPanel:
    """All inputs of one kind, layer by layer: the channels in float32, some of the others, and the line of medians.

    `said` is the picture in words; `top` stands beside the channel that reaches farthest.
    """

    frame: PlotArea
    title: str
    said: str
    in_float: tuple[Point, ...]
    others: tuple[Point, ...]
    median: str
    top: Tick
    top_y: float
    x: tuple[Tick, ...]
    y: tuple[Tick, ...]


@dataclass(frozen=True)
class OutlierPart:
    """What is shown of a search: in words, as pictures and as tables; `more` channels are left out of their table."""

    words: tuple[str, ...]
    panels: tuple[ReachPanel, ...]
    channels: list[Cells]
    more: int
    trials: list[Cells]


def outlier_part(found: Outliers) -> OutlierPart:
    """All of it, for the page and for Markdown."""
    rows = channel_rows(found.channels[:SHOWN]) if found.channels else []
    trials = trial_rows(found) if found.trials else []
    more = max(0, len(found.channels) - SHOWN)
    return OutlierPart(tuple(_words(found)), reach_panels(found), rows, more, trials)


def to_svg(found: Outliers) -> str:
    """The picture as an SVG file that needs nothing else. MissingPackage when jinja2 is missing."""
    return render("reach.svg.j2", panels=reach_panels(found))


def channel_rows(channels: Sequence[OutlierChannel]) -> list[Cells]:
    """One row per channel in float32, its header first: where it stands, how far it reaches, and what it costs int8."""
    return [("layer", "matrix", "channel", "largest", "median", "harm, %"), *map(_channel_row, channels)]


def _channel_row(item: OutlierChannel) -> Cells:
    layer, matrices = number_and_rest(together(item.layers))
    return (
        layer or "–",
        matrices,
        str(item.channel),
        f"{item.largest:.3g}",
        f"{item.median:.3g}",
        f"{item.share:.3g}",
    )


def trial_rows(found: Outliers) -> list[Cells]:
    """One row per number of channels that was tried, its header first; what changes is that of the worst language."""
    header = ("channels", "in float32, %", "labels changed, worst", "logits off by, worst", "")
    return [header, *(_trial_row(item, len(found.channels)) for item in found.trials)]


def _trial_row(item: OutlierTrial, kept: int) -> Cells:
    flips = max(item.flips, key=lambda code: item.flips[code], default=None)
    return (
        str(item.channels),
        f"{item.float_share:.2f}",
        "–" if flips is None else f"{item.flips[flips]:.2f} % {flips}",
        _logits(item.logits),
        "kept" if item.channels == kept else "",
    )


def _logits(off: Mapping[str, float | None]) -> str:
    """The mean difference in the language where it is largest; NaN is the worst."""
    if not off:
        return "–"
    worst = max(off, key=lambda code: float("inf") if (value := off[code]) is None else value)
    value = off[worst]
    return f"NaN {worst}" if value is None else f"{value:.2g} {worst}"


def _words(found: Outliers) -> Iterator[str]:
    if found.channels:
        yield f"{len(found.channels)} channels are multiplied in float32, all others in int8: {found.reason}."
        yield f"{found.harm_left:g} % of the harm that rounding activations does is left, as estimated."
    else:
        yield f"All channels are multiplied in int8. {found.reason[:1].upper()}{found.reason[1:]}."
    texts = sorted(set(found.calibrated_on.values()))
    count = " to ".join(dict.fromkeys(str(end) for end in (texts[:1] + texts[-1:])))
    yield f"Ranges are those on {count} sentences per language."
    for item in _few_others(found):
        name, most = together(item.layers), _farthest(item)
        yield f"Outside the layers, {name} reads numbers up to {most:.3g}, where the median is {item.median:.3g}."


def reach_panels(found: Outliers) -> tuple[ReachPanel, ...]:
    """One panel for every kind of input that the model has, all with the same scale; nothing where nothing is known.

    What stands outside the layers, as a head, has a panel only where it is more than a few words can say.
    """
    in_words = [item.activation for item in _few_others(found)]
    kinds: dict[str, list[ActivationReach]] = {}
    for item in found.reach:
        if item.activation not in in_words:
            kinds.setdefault(_kind(item), []).append(item)
    known = [value for item in found.reach for value in (*item.largest, item.median)]
    positive = [value for value in known if value > 0] or [1.0]
    y, y_ticks = FRAME.y_log_axis(min(positive), _ROOM * max(positive))
    in_float: dict[str, list[OutlierChannel]] = {}
    for channel in found.channels:
        in_float.setdefault(channel.activation, []).append(channel)
    return tuple(_panel(kind, kinds[kind], in_float, y, y_ticks) for kind in _ORDER if kind in kinds)


def _few_others(found: Outliers) -> Sequence[ActivationReach]:
    others = [item for item in found.reach if _kind(item) == _ORDER[-1]]
    return others if len(others) <= _FEW else ()


def _kind(item: ActivationReach) -> str:
    name = together(item.layers)
    return next((kind for kind, words in _KINDS.items() if words.search(name)), _ORDER[-1])


def _panel(
    kind: str,
    inputs: Sequence[ActivationReach],
    in_float: Mapping[str, Sequence[OutlierChannel]],
    y: Scale,
    y_ticks: tuple[Tick, ...],
) -> ReachPanel:
    x = FRAME.columns(len(inputs))
    kept = [[channel.largest for channel in in_float.get(item.activation, ())] for item in inputs]
    others = [_without(item.largest, values) for item, values in zip(inputs, kept, strict=True)]
    top = max(range(len(inputs)), key=lambda place: _farthest(inputs[place]))
    most, count = _farthest(inputs[top]), sum(map(len, kept))
    return ReachPanel(
        frame=FRAME,
        title=f"{kind.capitalize()}: {count} in float32" if count else kind.capitalize(),
        said=_said(inputs[top], count),
        in_float=_points(kept, x, y),
        others=_points(others, x, y),
        median=" ".join(f"{x[place]},{y(item.median)}" for place, item in enumerate(inputs)),
        top=Tick(x[top], f"{most:.3g}"),
        top_y=y(most),
        x=_x_ticks(inputs, x),
        y=y_ticks,
    )


def _points(values: Sequence[Sequence[float]], x: Sequence[float], y: Scale) -> tuple[Point, ...]:
    return tuple(Point(x[place], y(value)) for place, column in enumerate(values) for value in column)


def _without(largest: Sequence[float], kept: Sequence[float]) -> list[float]:
    """The largest numbers of channels, each of those in float32 taken out once."""
    left = list(largest)
    for value in kept:
        if value in left:
            left.remove(value)
    return left


def _farthest(item: ActivationReach) -> float:
    return max(item.largest, default=0.0)


def _said(item: ActivationReach, count: int) -> str:
    reaches = f"The farthest is {_farthest(item):.3g} in what {together(item.layers)} reads"
    return f"{reaches}, where the median of all channels is {item.median:.3g}. In float32: {count or 'none'}."


def _x_ticks(inputs: Sequence[ActivationReach], x: Sequence[float]) -> tuple[Tick, ...]:
    """The numbers of layers, else of places; not more than there is room for."""
    every = -(-len(inputs) // _LABELS)
    numbers = [number_and_rest(together(item.layers))[0] or str(place) for place, item in enumerate(inputs)]
    return tuple(Tick(x[place], numbers[place]) for place in range(0, len(inputs), every))
