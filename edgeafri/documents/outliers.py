"""What quantize found of outlier channels, what it kept in float32 of them, and what that cost and brought."""

from collections.abc import Mapping
from dataclasses import dataclass

from edgeafri.documents.base import Document
from edgeafri.documents.layer_names import together

FEW = 8  # sentences of a language; below that, a range says more about the sentences than about the language


@dataclass(frozen=True, kw_only=True)
class OutlierChannel(Document):
    """A channel that is multiplied in float32, and the layers that read it.

    `largest` is the largest absolute number in it, `median` that of the channels beside it. `share` is the part of all
    harm that goes with it, in per cent, as estimated from ranges.
    """

    layers: tuple[str, ...]
    activation: str
    channel: int
    largest: float
    median: float
    share: float


@dataclass(frozen=True, kw_only=True)
class ActivationReach(Document):
    """How far the channels of an activation reach: the largest of them, descending, and the median of all.

    `harm` is what rounding it to int8 by itself does to the logits, squared, in per cent of the sum over all of them.
    """

    layers: tuple[str, ...]
    activation: str
    channels: int
    largest: tuple[float, ...]
    median: float
    harm: float


@dataclass(frozen=True, kw_only=True)
class OutlierTrial(Document):
    """A number of channels that was tried, and how far the labels and logits then are from those of float32.

    `float_share` are the multiplications in float32 and the sums they need, in per cent of all multiplications of the
    linear layers. `flips` are per cent of the labels, `logits` the mean absolute difference; both by language.
    """

    channels: int
    float_share: float
    flips: Mapping[str, float]
    logits: Mapping[str, float | None]

    @property
    def worst_logits(self) -> float:
        """The mean difference of the logits in the language where it is largest; infinite where one is NaN."""
        return max((float("inf") if value is None else value for value in self.logits.values()), default=0.0)


@dataclass(frozen=True, kw_only=True)
class Outliers(Document):
    """The search for outlier channels: on which text, what was found, what was tried, and why it ended there.

    `calibrated_on` counts the sentences by language that ranges come from, `compared_on` those that trials were
    compared on. `harm_left` is what is left of the harm of rounding activations, in per cent, as estimated.
    """

    calibrated_on: Mapping[str, int]
    compared_on: Mapping[str, int]
    channels: tuple[OutlierChannel, ...]
    reach: tuple[ActivationReach, ...]
    trials: tuple[OutlierTrial, ...]
    harm_left: float
    reason: str

    def line(self) -> str:
        """How many channels stayed in float32."""
        count = len(self.channels)
        return f"{count or 'no'} outlier channel{'s' * (count != 1)} in float32"

    def told(self) -> str:
        """Which channels are in float32, why and at what price; for a model where some are."""
        kept = next((item for item in self.trials if item.channels == len(self.channels)), None)
        price = f"takes {kept.float_share:g} % of the multiplications of linear layers and " if kept else ""
        return (
            f"Linear layers multiply in int8, except for {self.line()}: one scale serves all channels of a tensor, and "
            f"these reach so far that it would hardly tell the others apart; {self.farthest}. This {price}leaves "
            f"{self.harm_left:g} % of the harm that rounding activations does, as estimated from "
            f"{sum(self.calibrated_on.values()):,} sentences."
        )

    def notes(self) -> tuple[str, ...]:
        """What was done about outlier channels, in sentences."""
        few = [code for code, count in self.calibrated_on.items() if count < FEW]
        warnings = (f"fewer than {FEW} sentences of {', '.join(few)} to find outlier channels on",) if few else ()
        if not self.channels:
            return (f"all channels are in int8: {self.reason}", *warnings)
        return (f"{self.line()} ({self.farthest}): {self.reason}", *warnings)

    @property
    def farthest(self) -> str:
        """Of the channels in float32 the one that reaches farthest, in words; empty where there is none."""
        if not self.channels:
            return ""
        far = max(self.channels, key=lambda item: item.largest)
        reach = f"{far.largest:g} where the median is {far.median:g}"
        return f"the farthest is channel {far.channel} of what {together(far.layers)} reads, {reach}"
