"""outliers: which channels of which activations are worth a product in float32, and how many of them.

Candidates are ranked by what they take away of the harm that rounding does, for each multiplication they add: the harm
of each activation is measured, and ranges tell how much smaller its steps become without a channel. How many of them is
decided by what a model with them answers: a step up the ladder is taken while it brings the logits of the worst
language closer to float32 by a twentieth.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from edgeafri.documents.outliers import ActivationReach, OutlierChannel, Outliers, OutlierTrial
from edgeafri.stages.graphs.splice import readable
from edgeafri.stages.quantization.activation_ranges import Activation
from edgeafri.util.progress import Progress

# What may be added, as a share of the multiplications of all linear layers: each twice the one before. The last adds
# about one per cent to the file of an encoder with half of its bytes in linear layers.
STEPS = (1 / 800, 1 / 400, 1 / 200)
FURTHER = (1 / 100, 1 / 50)  # only where the worst language still loses more than is allowed
WORTH = 0.95  # a step must bring the logits of the worst language within this share of the distance before
STANDS_OUT = 0.6  # channels whose absence leaves more of the harm than this are like the others
_MOST = 16  # channels of one activation: what would need more has no outliers
_SHOWN = 16  # channels of an activation in the facts

Plan = Mapping[str, tuple[int, ...]]
"""By activation, the channels that are multiplied in float32; empty where all stay in int8."""
Measure = Callable[[Plan], tuple[Mapping[str, float], Mapping[str, float | None]]]
"""Per cent of labels that change, and the mean difference of logits, by language."""


@dataclass(frozen=True)
class _Group:
    """Activations that the same matrices read, as in a model whose layers share them: one choice for all."""

    activations: tuple[Activation, ...]
    weights: tuple[float, ...]  # what the rounding error of an activation is multiplied by, to give its harm

    @cached_property
    def order(self) -> tuple[int, ...]:
        """The channels that reach farthest, the farthest first."""
        reach = np.max([item.reach for item in self.activations], axis=0)
        return tuple(int(channel) for channel in np.argsort(-reach, kind="stable")[:_MOST])

    @cached_property
    def harms(self) -> tuple[float, ...]:
        """The harm with none, one, two ... of these channels left out."""
        counts = range(len(self.order) + 1)
        weighted = list(zip(self.weights, self.activations, strict=True))
        return tuple(sum(by * item.rounding_error(self.order[:count]) for by, item in weighted) for count in counts)

    def cost(self, count: int) -> int:
        """Multiplications and sums per token that so many channels add."""
        outputs = sum(product.outputs for item in self.activations for product in item.products)
        widths = sum(len(item.reach) for item in self.activations)
        return count * outputs + outputs + widths if count else 0

    def best_step(self, count: int) -> tuple[float, int]:
        """From `count` channels on: the most harm that one addition can save, and how many channels it takes."""
        gains = [
            ((self.harms[count] - self.harms[more]) / (self.cost(more) - self.cost(count)), more)
            for more in range(count + 1, len(self.harms))
        ]
        return max(gains, default=(0.0, count))


class Ladder:
    """Ever more channels in float32, the most useful for their cost first.

    `harm` is by activation what its rounding does to the logits, as a square, of whatever unit.
    """

    def __init__(self, activations: Sequence[Activation], harm: Mapping[str, float]) -> None:
        self.activations, self.harm = activations, harm
        groups: dict[tuple[str, ...], list[Activation]] = {}
        for item in activations:
            groups.setdefault(tuple(product.matrix for product in item.products), []).append(item)
        self.groups = tuple(_Group(tuple(items), tuple(map(self._weight, items))) for items in groups.values())
        self.macs = sum(len(item.reach) * product.outputs for item in activations for product in item.products)
        self.whole = sum(harm.values())

    def plans(self, shares: Sequence[float]) -> Iterator[Plan]:
        """The plan for each of these shares of all multiplications, ascending; plans that add nothing are left out."""
        counts = [0] * len(self.groups)
        for share in shares:
            before = list(counts)
            while (best := self._best(counts)) is not None and self._cost(best) <= share * self.macs:
                counts = best
            if counts != before:
                yield self._plan(counts)

    def float_share(self, plan: Plan) -> float:
        """What a plan adds, as a share of the multiplications of all linear layers."""
        return self._cost([self._count(group, plan) for group in self.groups]) / self.macs

    def harm_left(self, plan: Plan) -> float:
        """The share of the harm that is left with a plan, as estimated; 1 where there is none at all."""
        left = sum(group.harms[self._count(group, plan)] for group in self.groups)
        return left / self.whole if self.whole else 1.0

    def share(self, item: Activation, left_out: Sequence[int] = ()) -> float:
        """The share of all harm that an activation does when these channels are left out."""
        return self._weight(item) * item.rounding_error(left_out) / self.whole if self.whole else 0.0

    def _weight(self, item: Activation) -> float:
        error = item.rounding_error()
        return self.harm[item.name] / error if error else 0.0

    def _best(self, counts: Sequence[int]) -> list[int] | None:
        """The counts after the step that saves most harm for what it costs; None when no step saves any."""
        steps = [group.best_step(count) for group, count in zip(self.groups, counts, strict=True)]
        place = max(range(len(steps)), key=lambda place: steps[place][0])
        gain, more = steps[place]
        return [*counts[:place], more, *counts[place + 1 :]] if gain > 0 else None

    def _cost(self, counts: Sequence[int]) -> int:
        return sum(group.cost(count) for group, count in zip(self.groups, counts, strict=True))

    def _count(self, group: _Group, plan: Plan) -> int:
        return len(plan.get(group.activations[0].name, ()))

    def _plan(self, counts: Sequence[int]) -> Plan:
        return {
            item.name: group.order[:count]
            for group, count in zip(self.groups, counts, strict=True)
            for item in group.activations
            if count
        }


def choose(ladder: Ladder, measure: Measure, progress: Progress) -> tuple[Plan, tuple[OutlierTrial, ...], str]:
    """The plan that is worth it, every plan that was tried, and the reason in words.

    Nothing is tried where even the longest plan would leave most of the harm.
    """
    plans = list(ladder.plans(STEPS))
    left = ladder.harm_left(plans[-1]) if plans else 1.0
    if left > STANDS_OUT:
        return {}, (), f"no channel stands out: as many as pay would leave {100 * left:.0f} % of the harm of rounding"
    chosen: Plan = {}
    trials = [_trial(ladder, chosen, measure)]
    for place, plan in enumerate(plans):
        progress(place + 1, len(plans) + 1)
        trials.append(_trial(ladder, plan, measure))
        if trials[-1].worst_logits > WORTH * trials[-2].worst_logits:
            return chosen, tuple(trials), "more channels bring the logits of the worst language less than 5 % closer"
        chosen = plan
    return chosen, tuple(trials), "the most channels that pay in bytes and time"


def facts_of(
    ladder: Ladder,
    plan: Plan,
    trials: Sequence[OutlierTrial],
    reason: str,
    calibrated_on: Mapping[str, int],
    compared_on: Mapping[str, int],
) -> Outliers:
    """What was found and done, for the manifest."""
    channels = [found for item in ladder.activations for found in _channels(ladder, item, plan.get(item.name, ()))]
    return Outliers(
        calibrated_on=calibrated_on,
        compared_on=compared_on,
        channels=tuple(sorted(channels, key=lambda found: -found.share)),
        reach=tuple(_reach(ladder, item) for item in ladder.activations),
        trials=tuple(trials),
        harm_left=round(100 * ladder.harm_left(plan), 1),
        reason=reason,
    )


def _trial(ladder: Ladder, plan: Plan, measure: Measure) -> OutlierTrial:
    flips, logits = measure(plan)
    return OutlierTrial(
        channels=sum(len(channels) for channels in plan.values()),
        float_share=round(100 * ladder.float_share(plan), 3),
        flips={code: round(value, 3) for code, value in flips.items()},
        logits={code: None if value is None else round(value, 5) for code, value in logits.items()},
    )


def _channels(ladder: Ladder, item: Activation, channels: Sequence[int]) -> Iterator[OutlierChannel]:
    shares = [ladder.share(item, channels[:count]) for count in range(len(channels) + 1)]
    for place, channel in enumerate(channels):
        yield OutlierChannel(
            layers=_layers(item),
            activation=item.name,
            channel=channel,
            largest=_short(item.reach[channel]),
            median=_short(np.median(item.reach)),
            share=_short(100 * (shares[place] - shares[place + 1])),
        )


def _reach(ladder: Ladder, item: Activation) -> ActivationReach:
    return ActivationReach(
        layers=_layers(item),
        activation=item.name,
        channels=len(item.reach),
        largest=tuple(_short(value) for value in np.sort(item.reach)[::-1][:_SHOWN]),
        median=_short(np.median(item.reach)),
        harm=_short(100 * ladder.share(item)),
    )


def _layers(item: Activation) -> tuple[str, ...]:
    return tuple(readable(product.output) or product.output for product in item.products)


def _short(value: float) -> float:
    """A number with three digits that count."""
    return float(f"{value:.3g}")
