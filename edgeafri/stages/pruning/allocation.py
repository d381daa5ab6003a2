"""Allocation: which parts of a model stay, by numbers or by goals. Arithmetic on importance scores, without a model."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from edgeafri.errors import ConfigError
from edgeafri.menu.settings import ShrinkSettings
from edgeafri.stages.models.uneven_layers import LayerSizes

_UNITS, _DIMENSIONS = 8, 8  # how many units or dimensions go at a time; heads go one by one. Also the fewest units
_NARROWEST = 16
_NEAREST = 1000  # the nearest share is given in thousandths, rounded up
Numbers = tuple[int, ...]
CostFunction = Callable[["PartCounts"], float]


@dataclass(frozen=True)
class ImportanceScores:
    """How much every part matters: one number per head and per unit, layer by layer, and one per hidden dimension.

    Several parts together matter as much as the root of their squares' sum: gradients point anywhere, so those of a
    group grow like its root, and a head is such a group already. `additive` scores are squares themselves and add up.
    """

    heads: tuple[tuple[float, ...], ...]
    ffn: tuple[tuple[float, ...], ...]
    hidden: tuple[float, ...]
    additive: bool = False

    @property
    def layers(self) -> tuple[float, ...]:
        """A layer matters as much as its heads and units together."""
        return tuple(sum(heads) + sum(ffn) for heads, ffn in zip(self.heads, self.ffn, strict=True))

    def of(self, layers: Numbers) -> "ImportanceScores":
        """The scores of some layers alone."""
        heads, ffn = (tuple(own[layer] for layer in layers) for own in (self.heads, self.ffn))
        return replace(self, heads=heads, ffn=ffn)


@dataclass(frozen=True)
class Parts:
    """What stays of a model, as indices from 0: layers; heads and units of each of these; hidden dimensions."""

    layers: Numbers
    heads: tuple[Numbers, ...]
    ffn: tuple[Numbers, ...]
    hidden: Numbers


@dataclass(frozen=True)
class PartCounts:
    """How many heads and units every layer has, and how wide all layers are."""

    heads: Numbers
    ffn: Numbers
    hidden: int


@dataclass(frozen=True)
class Goal:
    """A cost that is to fall to a share of `whole`, the cost now; `cost` computes it for a model with such counts."""

    name: str
    share: float
    whole: float
    cost: CostFunction

    def reached(self, counts: PartCounts) -> float:
        """The share of the cost that a model with such counts has."""
        return self.cost(counts) / self.whole


def check_settings(settings: ShrinkSettings, sizes: LayerSizes, hidden: int) -> None:
    """ConfigError for impossible numbers, before any work. `sizes` and `hidden` are the source's."""
    for name, own in (("layers", len(sizes.heads)), ("hidden", hidden)):
        if getattr(settings, name) is not None:
            _check_number(name, getattr(settings, name), own)
    layers = _count(settings.layers, len(sizes.heads))
    _check_layers("heads", settings.heads, sizes.heads, layers)
    _check_layers("ffn", settings.ffn, sizes.ffn, layers)


def kept_layers(settings: ShrinkSettings, scores: ImportanceScores) -> Numbers:
    """The layers that stay; they are chosen first."""
    return best(scores.layers, _count(settings.layers, len(scores.heads)))


def by_numbers(settings: ShrinkSettings, layers: Numbers, scores: ImportanceScores) -> Parts:
    """The heads, units and hidden dimensions of these layers that stay.

    One share of heads or units is a share of all in the layers: the best of all stay, at least one per layer, so that
    layers may become different. Importance is those of the whole model throughout.
    """
    left = scores.of(layers)
    hidden = best(scores.hidden, _count(settings.hidden, len(scores.hidden)))
    return Parts(layers, _of_layers(settings.heads, left.heads), _of_layers(settings.ffn, left.ffn), hidden)


def by_goals(goals: Sequence[Goal], layers: Numbers, scores: ImportanceScores) -> Parts:
    """The parts that stay of these layers when every goal is met: again and again the chunk that matters least goes.

    A chunk is one head, 8 units of a layer, or 8 hidden dimensions; least is the lowest score for what it saves now,
    as shares of the goals not yet met. At least one head, 8 units and 16 dimensions stay. The hidden width is cut only
    where heads and units alone cannot reach a goal, because then no output stays exact: layer norms see other means.
    ConfigError, with the nearest share, for a goal that cannot be met.
    """
    left = scores.of(layers)
    counts = counts_of(left)
    check_goals(goals, counts)
    narrows = bool(_unmet(goals, _least(counts, narrow=False)))
    rising = [tuple(tuple(sorted(own)) for own in kind) for kind in (left.heads, left.ffn)]
    ranked = ImportanceScores(rising[0], rising[1], tuple(sorted(left.hidden)), left.additive)
    while unmet := _unmet(goals, counts):
        counts = _without_weakest(counts, unmet, ranked, narrows)
    heads, ffn = (
        tuple(best(one, count) for one, count in zip(own, kept, strict=True))
        for own, kept in ((left.heads, counts.heads), (left.ffn, counts.ffn))
    )
    return Parts(layers, heads, ffn, best(left.hidden, counts.hidden))


def check_goals(goals: Sequence[Goal], counts: PartCounts) -> None:
    """ConfigError for a goal that a model of such counts cannot meet, however small its layers become."""
    least = _least(counts, narrow=True)
    for goal in _unmet(goals, least):
        nearest = math.ceil(goal.reached(least) * _NEAREST) / _NEAREST
        further = "fewer --layers, or trimmed vocabulary, go" if goal.name == "bytes" else "fewer --layers go"
        hint = f"The nearest that can be reached is {nearest:g}; {further} further."
        raise ConfigError(f"shrink: goal '{goal.name}' {goal.share:g} cannot be met", hint)


def fewest_layers(counts: PartCounts, asked: float | None) -> PartCounts:
    """The counts of as many layers as asked for, the smallest ones, before it is known which will stay."""
    layers = _count(asked, len(counts.heads))
    return PartCounts(tuple(sorted(counts.heads)[:layers]), tuple(sorted(counts.ffn)[:layers]), counts.hidden)


def counts_of(scores: ImportanceScores) -> PartCounts:
    """How many parts have a score."""
    return PartCounts(tuple(map(len, scores.heads)), tuple(map(len, scores.ffn)), len(scores.hidden))


def best(scores: Sequence[float], count: int) -> Numbers:
    """The indices of so many of the highest scores, in rising order; of equal scores the first."""
    return tuple(sorted(sorted(range(len(scores)), key=lambda number: -scores[number])[:count]))


def best_of_all(scores: Sequence[Sequence[float]], share: float) -> tuple[Numbers, ...]:
    """The best of all lists together, as many as the share says, rounded down, and the best one of each list."""
    ranked = sorted(
        ((layer, number) for layer, own in enumerate(scores) for number in range(len(own))),
        key=lambda part: -scores[part[0]][part[1]],
    )
    first = {(layer, best(own, 1)[0]) for layer, own in enumerate(scores)}
    more = max(0, int(len(ranked) * share) - len(first))
    kept = first.union([part for part in ranked if part not in first][:more])
    return tuple(tuple(sorted(number for at, number in kept if at == layer)) for layer in range(len(scores)))


def _of_layers(asked: Sequence[float], scores: Sequence[Sequence[float]]) -> tuple[Numbers, ...]:
    if len(asked) == 1 and asked[0] < 1:
        return best_of_all(scores, asked[0])
    counts = asked or [len(own) for own in scores]
    counts = [*counts] * len(scores) if len(counts) == 1 else counts
    return tuple(best(own, int(count)) for own, count in zip(scores, counts, strict=True))


def _count(asked: float | None, own: int) -> int:
    if asked is None:
        return own
    return int(asked) if asked >= 1 else max(1, int(own * asked))


def _check_number(name: str, asked: float, own: int) -> None:
    if asked >= 1 and asked != int(asked):
        raise ConfigError(f"shrink: '{name}' {asked:g} is not a whole number", "Give one, or a share below 1.")
    if asked > own:
        hint = f"Use at most {own}, or a share below 1."
        raise ConfigError(f"shrink: '{name}' {asked:g} is more than there are", hint)


def _check_layers(name: str, asked: Sequence[float], own: Sequence[int], layers: int) -> None:
    """One share, one number for all layers, or one for each layer kept."""
    if len(asked) > 1 and len(asked) != layers:
        hint = f"Give one for each of the {layers} layers kept, or one for all."
        raise ConfigError(f"shrink: '{name}' lists {len(asked)} numbers", hint)
    # Which layers stay is not known yet where some go, so no layer may have fewer than asked for.
    limits = own if len(asked) == len(own) else [min(own)] * len(asked)
    for number, limit in zip(asked, limits, strict=True):
        if number <= 0 or (number < 1 and len(asked) > 1):
            hint = "Keep at least one per layer; with --layers whole layers go."
            raise ConfigError(f"shrink: '{name}' {number:g} leaves a layer without any", hint)
        _check_number(name, number, limit)


def _least(counts: PartCounts, narrow: bool) -> PartCounts:
    """The fewest parts that may stay."""
    hidden = min(counts.hidden, _NARROWEST) if narrow else counts.hidden
    return PartCounts((1,) * len(counts.heads), tuple(min(_UNITS, units) for units in counts.ffn), hidden)


def _unmet(goals: Sequence[Goal], counts: PartCounts) -> list[Goal]:
    return [goal for goal in goals if goal.reached(counts) > goal.share]


def _without_weakest(counts: PartCounts, goals: Sequence[Goal], ranked: ImportanceScores, narrows: bool) -> PartCounts:
    """The counts without the chunk of the lowest score for what it saves."""
    now = [goal.reached(counts) for goal in goals]
    saved: dict[PartCounts, float] = {}

    def price(chunk: tuple[float, PartCounts]) -> float:
        score, after = chunk
        same = replace(after, heads=(sum(after.heads),), ffn=(sum(after.ffn),))  # costs depend on sums alone
        if same not in saved:
            saved[same] = sum(before - goal.reached(after) for before, goal in zip(now, goals, strict=True))
        return score / saved[same] if saved[same] > 0 else float("inf")

    return min(_chunks(counts, ranked, narrows), key=price)[1]


def _chunks(counts: PartCounts, ranked: ImportanceScores, narrows: bool) -> Iterator[tuple[float, PartCounts]]:
    """Every chunk that may go, as its score and the counts without it."""
    least, together = _least(counts, narrows), partial(_weakest, ranked.additive)
    for layer, scores in enumerate(ranked.heads):
        if size := min(1, counts.heads[layer] - least.heads[layer]):
            yield together(scores, counts.heads[layer], size), replace(counts, heads=_less(counts.heads, layer, size))
    for layer, scores in enumerate(ranked.ffn):
        if size := min(_UNITS, counts.ffn[layer] - least.ffn[layer]):
            yield together(scores, counts.ffn[layer], size), replace(counts, ffn=_less(counts.ffn, layer, size))
    if size := min(_DIMENSIONS, counts.hidden - least.hidden):
        yield together(ranked.hidden, counts.hidden, size), replace(counts, hidden=counts.hidden - size)


def _weakest(additive: bool, rising: Sequence[float], left: int, size: int) -> float:
    gone = len(rising) - left
    chunk = rising[gone : gone + size]
    return sum(chunk) if additive else math.hypot(*chunk)


def _less(counts: Numbers, layer: int, size: int) -> Numbers:
    return (*counts[:layer], counts[layer] - size, *counts[layer + 1 :])
