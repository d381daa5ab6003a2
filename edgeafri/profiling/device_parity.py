"""Parity: do two machines compute the same of one bundle? Logits where rounding is all there is, else labels."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeafri.data.dataset import Split
from edgeafri.inference.evaluate import counts
from edgeafri.inference.metrics import scores
from edgeafri.inference.predict import SentenceLogits

LARGEST = 1e-4  # by which float32 logits may differ
SHARE = 0.001  # of the places whose label int8 may change
_SURE = 0.05


@dataclass(frozen=True)
class Difference:
    """Two answers side by side: the largest distance of two logits, and in how many of the places the label differs."""

    largest: float
    flips: int
    places: int


def readings_of(answer: Mapping[str, Any]) -> list[SentenceLogits]:
    """The readings in an answer to `logits`."""
    pairs = zip(answer["logits"], answer["read"], strict=True)
    return [SentenceLogits(np.array(logits, dtype=np.float32), np.array(read, dtype=bool)) for logits, read in pairs]


def difference(here: Sequence[SentenceLogits], there: Sequence[SentenceLogits]) -> Difference:
    """How far two machines' readings of the same sentences are apart, over the places that were read."""
    one, other = _joined(here), _joined(there)
    if not len(one):
        return Difference(0.0, 0, 0)
    flips = int((one.argmax(axis=1) != other.argmax(axis=1)).sum())
    return Difference(float(np.abs(one - other).max()), flips, len(one))


def allowed_flips(places: int, noise_flips: int) -> float:
    """How many of the places may have another label in int8: as many as noise changes here, or 0.1 % of them."""
    return max(noise_flips, SHARE * places)


def judge(found: Difference, noise_flips: int, exact: bool) -> bool | None:
    """Whether the machines agree; None where so few places, or none, cannot tell.

    Of an `exact` bundle (float32) by its logits. Else by flips: more than allowed are a failure once chance makes so
    many in less than 5 of 100 cases (Poisson).
    """
    if not found.places:
        return None
    if exact:
        return found.largest <= LARGEST
    allowed = allowed_flips(found.places, noise_flips)
    if found.flips <= allowed:
        return True
    return False if _at_least(found.flips, allowed) < _SURE else None


def f1_of(split: Split, readings: Sequence[SentenceLogits], labels: tuple[str, ...]) -> float:
    """F1 in points, by the metric of the task."""
    return scores(counts(split, readings, labels)).f1


def _joined(readings: Sequence[SentenceLogits]) -> NDArray[np.float32]:
    parts = [reading.logits[reading.read] for reading in readings if len(reading.logits)]
    return np.concatenate(parts) if parts else np.zeros((0, 1), dtype=np.float32)


def _at_least(count: int, mean: float) -> float:
    """The probability of `count` or more events where `mean` are expected."""
    term, below = math.exp(-mean), 0.0
    for number in range(count):
        below += term
        term *= mean / (number + 1)
    return 1 - below
