"""What a bundle answers: labels of texts, whether it verifies, and what machines are compared by."""

from collections.abc import Mapping
from dataclasses import dataclass

from edgeafri.documents.base import Document


@dataclass(frozen=True)
class Entity(Document):
    """An entity in the user's own text: `start` (included) and `end` (excluded) count code points.

    `score` is the mean probability of its words' labels.
    """

    label: str
    text: str
    start: int
    end: int
    score: float


@dataclass(frozen=True)
class TextEntities(Document):
    """A text and the entities in it."""

    text: str
    entities: tuple[Entity, ...]


@dataclass(frozen=True)
class TextLabel(Document):
    """A text, its label, and the probability of every label. A text without words has no label."""

    text: str
    label: str | None
    score: float | None
    labels: Mapping[str, float]


@dataclass(frozen=True)
class RunAnswer(Document):
    """What `edgeafri run --json` prints: one result per text, in the order of the texts."""

    bundle_id: str
    sample: bool
    results: tuple[TextEntities | TextLabel, ...]


@dataclass(frozen=True)
class VerifyAnswer(Document):
    """What `edgeafri verify --json` prints.

    `golden` counts the golden sentences of each language. `differences` say in words which of them have other ids or
    labels here; `not_in_manifest` are files that do not belong to the bundle.
    """

    bundle_id: str
    sample: bool
    files: int
    not_in_manifest: tuple[str, ...]
    golden: Mapping[str, int]
    differences: tuple[str, ...]
    int8_arithmetic: str
    passed: bool


@dataclass(frozen=True)
class LogitsAnswer(Document):
    """Per sentence the logits, of shape (words or 1, labels), and which of them the model read.

    Both are None where a graph was to be shaken that has nothing to shake.
    """

    logits: tuple[tuple[tuple[float, ...], ...], ...] | None
    read: tuple[tuple[bool, ...], ...] | None


@dataclass(frozen=True)
class MarksAnswer(Document):
    """How many inferences were marked."""

    runs: int
