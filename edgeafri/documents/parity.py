"""How far the models of a build are apart: after every step, and layer by layer."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from edgeafri.documents.base import Document


@dataclass(frozen=True, kw_only=True)
class Gap(Document):
    """How far two models are apart in the words that both read (whole texts count as one word).

    `largest` and `mean` are absolute differences of the logits, None when one of them is NaN or infinite. `flips`
    counts the labels that changed.
    """

    words: int = 0
    largest: float | None = None
    mean: float | None = None
    flips: int
    flips_percent: float


@dataclass(frozen=True, kw_only=True)
class GapByLanguage(Gap):
    """The gap over all languages, and in each."""

    languages: Mapping[str, Gap] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ParityRow(Document):
    """One artifact of a chain: how far it is from the one before it (`step`), and from the first (`reference`).

    `another_model` says that the step was not meant to leave the answers alone. `f1` is in points, by language, empty
    where the text has no labels; `lost` is the F1 that the step cost. A model without a head has no numbers.
    """

    stage: str
    id: str = ""
    kind: str = ""
    another_model: bool = False
    f1: Mapping[str, float]
    step: GapByLanguage | None = None
    reference: GapByLanguage | None = None
    lost: Mapping[str, float] | None = None


@dataclass(frozen=True, kw_only=True)
class Parity(Document):
    """What every step of a build changed, on the same sentences. `on` is "dev", or "text" where nothing is labelled."""

    on: str
    sentences: Mapping[str, int]
    rows: tuple[ParityRow, ...]
    int8_arithmetic: str


@dataclass(frozen=True, kw_only=True)
class LayerCost(Document):
    """What one layer costs by itself; the gap is that between the models with and without it.

    `local_error` is |y' - y| / |y| of what comes out of the layer, None when that is NaN. `lost` is F1 in points, by
    language, empty where the text has no labels; `worst` names the language that lost most.
    """

    layer: str
    tensor: str
    local_error: float | None
    words: int
    largest: float | None
    mean: float | None
    flips: int
    flips_percent: float
    lost: Mapping[str, float]
    worst: str | None


@dataclass(frozen=True)
class LayerCosts(Document):
    """Every layer that two graphs compute differently, the most costly first."""

    layers: tuple[LayerCost, ...]
