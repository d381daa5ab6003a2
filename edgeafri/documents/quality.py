"""Quality per language: of one model, and of a bundle beside its teacher."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from edgeafri.documents.base import Document, omitted_when_none

FEW = 10  # below so many entities or texts in a language's test split, a bootstrap interval says nothing
AVERAGE = "avg"  # beside the codes of languages: their mean, every language counting the same


@dataclass(frozen=True, kw_only=True)
class LanguageQuality(Document):
    """Quality of a model on one split of one language. Precision, recall, F1 and accuracy are in points, 0 to 100.

    `accuracy` is given where whole texts are labelled. `loss` is the mean cross-entropy in nats, `seconds` wall time.
    `counts` has a row per sentence, as inference.metrics explains; intervals are drawn from it.
    """

    precision: float
    recall: float
    f1: float
    accuracy: float | None = omitted_when_none()
    loss: float
    seconds: float
    sentences: int
    words: int
    counts: tuple[tuple[int, ...], ...] | None = omitted_when_none()


Quality = Mapping[str, LanguageQuality]
"""The quality of one model, by language."""


@dataclass(frozen=True, kw_only=True)
class ModelEvaluation(Document):
    """What a worker answers of a torch model."""

    quality: Quality


@dataclass(frozen=True, kw_only=True)
class BundleEvaluation(Document):
    """What `edgeafri eval --json` prints; a worker's answer has `counts` in place of `average_f1`.

    `notes` has, by language, how many words or lines of the data were repaired while reading.
    """

    bundle_id: str
    sample: bool
    int8_arithmetic: str
    metric: str
    quality: Quality
    notes: Mapping[str, Mapping[str, int]]
    average_f1: float | None = omitted_when_none()


@dataclass(frozen=True)
class Drop(Document):
    """F1 points that the bundle is below the teacher, and their 95 % interval. A gain is negative."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Worst(Document):
    """The language that lost most, and its points."""

    lang: str
    drop: float


@dataclass(frozen=True, kw_only=True)
class QualityComparison(Document):
    """Teacher and bundle beside each other, by language; `avg` is their mean. All numbers are in points of F1.

    `units` counts the entities or texts, whichever `counted` names, of each language's split.
    """

    metric: str = ""
    split: str = ""
    teacher: Mapping[str, float] = field(default_factory=dict)
    bundle: Mapping[str, float] = field(default_factory=dict)
    drop: Mapping[str, Drop] = field(default_factory=dict)
    counted: Literal["entities", "texts"] = "entities"
    units: Mapping[str, int] = field(default_factory=dict)
    worst: Worst | None = None
    test_sentences_in_train: Mapping[str, int] | None = omitted_when_none()

    def notes(self) -> tuple[str, ...]:
        """A note for every language whose test split is too small to judge by."""
        few = {code: count for code, count in self.units.items() if count < FEW}
        return tuple(f"{code}: {self.counted} in test: {count}, too few to judge by" for code, count in few.items())
