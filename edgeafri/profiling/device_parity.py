"""Parity: do two machines compute the same with one bundle? Compared by logits in float32, by labels in int8."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeafri.data.dataset import Split
from edgeafri.documents.answers import LogitsAnswer
from edgeafri.inference.evaluate import counts
from edgeafri.inference.metrics import scores
from edgeafri.inference.predict import SentenceLogits

LARGEST_DIFFERENCE = 1e-4  # of float32 logits: kernels of two processors round differently
FLIP_SHARE = 0.001  # of the words, whose label may change in int8
_SURE = 0.05


@dataclass(frozen=True)
class Difference:
    """The largest difference of two machines' logits, and how many of the words got another label."""

    largest: float
    flips: int
    words: int


def readings_of(answer: LogitsAnswer) -> list[SentenceLogits]:
    """The readings in an answer to `logits`; none where it has no logits."""
    pairs = zip(answer.logits or (), answer.read or (), strict=True)
    return [SentenceLogits(np.array(logits, dtype=np.float32), np.array(read, dtype=bool)) for logits, read in pairs]


def difference(here: Sequence[SentenceLogits], there: Sequence[SentenceLogits]) -> Difference:
    """How far two machines' readings of the same sentences are apart, over the words that the model read."""
    one, other = _joined(here), _joined(there)
    if not len(one):
        return Difference(0.0, 0, 0)
    flips = int((one.argmax(axis=1) != other.argmax(axis=1)).sum())
    return Difference(float(np.abs(one - other).max()), flips, len(one))


def allowed_flips(words: int, noise_flips: int) -> float:
    """How many words may get another label in int8: as many as noise changes here, or 0.1 % of them."""
    return max(noise_flips, FLIP_SHARE * words)


def machines_agree(found: Difference, noise_flips: int, float32: bool) -> bool | None:
    """Whether two machines compute the same. None where too few words were compared to say.

    A float32 bundle is compared by its logits, any other by its labels. More flips than allowed are a failure once
    chance makes so many in less than 5 of 100 cases (Poisson).
    """
    if not found.words:
        return None
    if float32:
        return found.largest <= LARGEST_DIFFERENCE
    allowed = allowed_flips(found.words, noise_flips)
    if found.flips <= allowed:
        return True
    return False if _at_least(found.flips, allowed) < _SURE else None


def f1_of(split: Split, readings: Sequence[SentenceLogits], labels: tuple[str, ...]) -> float:
    """F1 in points, 0 to 100, by the metric of the task."""
    return scores(counts(split, readings, labels)).f1


def _joined(readings: Sequence[SentenceLogits]) -> NDArray[np.float32]:
    parts = [reading.logits[reading.read] for reading in readings if len(reading.logits)]
    return np.concatenate(parts) if parts else np.zeros((0, 1), dtype=np.float32)


def _at_least(count: int, mean: float) -> float:
    """The probability of `count` or more events where `mean` are expected (Poisson)."""
    term, below = math.exp(-mean), 0.0
    for number in range(count):
        below += term
        term *= mean / (number + 1)
    return 1 - below
