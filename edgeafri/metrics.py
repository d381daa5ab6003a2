"""Entity F1, and how sure it is: bootstrap intervals over sentences, of one system and of the drop between two.

Entities are counted as seqeval counts them by default. Precision, recall and F1 are in points, 0 to 100.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]
"""Shape (sentences, 3): correct, predicted and gold entities of every sentence."""

_TAILS = (2.5, 97.5)
_CELLS = 1 << 22  # how many sentences are drawn at once: 32 MB of indices


@dataclass(frozen=True)
class Scores:
    """Micro precision, recall and F1 over all entities, in points."""

    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class Drop:
    """F1 points that the candidate is below the reference, and their 95 % interval. A gain is negative."""

    value: float
    low: float
    high: float


def entities(tags: Sequence[str]) -> set[tuple[str, int, int]]:
    """The entities (type, first word, last word) of one sentence.

    Lenient as seqeval's default: an I- that continues nothing of its type starts an entity. B-, I-, O only.
    """
    found: set[tuple[str, int, int]] = set()
    start, kind = 0, ""
    for place, tag in enumerate([*tags, "O"]):
        prefix, _, here = tag.partition("-")
        if kind and (prefix != "I" or here != kind):
            found.add((kind, start, place - 1))
        if prefix == "O":
            kind = ""
        elif prefix == "B" or here != kind:
            start, kind = place, here
    return found


def sentence_counts(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> Counts:
    """Correct, predicted and gold entities of every sentence, shape (sentences, 3).

    Both hold the same sentences with a tag for every word.
    """
    pairs = [(entities(ours), entities(theirs)) for ours, theirs in zip(gold, predicted, strict=True)]
    rows = [(len(want & have), len(have), len(want)) for want, have in pairs]
    return np.array(rows, dtype=np.int64).reshape(-1, 3)


def scores(counts: Counts) -> Scores:
    """P = correct / predicted, R = correct / gold, F1 = 2 correct / (predicted + gold); 0 where nothing is divided."""
    correct, predicted, gold = (int(total) for total in counts.sum(axis=0))
    return Scores(_share(correct, predicted), _share(correct, gold), _share(2 * correct, predicted + gold))


def interval(counts: Counts, draws: int = 1000, seed: int = 0) -> tuple[float, float]:
    """The 95 % percentile bootstrap interval of F1 over sentences (Efron & Tibshirani 1993, chapter 13).

    F1 of `draws` samples of as many sentences, drawn with replacement; their 2.5th and 97.5th percentile.
    """
    low, high = np.percentile(_f1(_resampled(counts, draws, np.random.default_rng(seed))), _TAILS)
    return float(low), float(high)


def drop(reference: Counts, candidate: Counts, draws: int = 1000, seed: int = 0) -> Drop:
    """F1(reference) - F1(candidate) on the same sentences, with its paired bootstrap interval.

    Every draw takes the same sentences for both systems (Berg-Kirkpatrick et al. 2012), so what is hard for both
    cancels out.
    """
    return average_drop({"": reference}, {"": candidate}, draws, seed)


def average_drop(
    reference: Mapping[str, Counts], candidate: Mapping[str, Counts], draws: int = 1000, seed: int = 0
) -> Drop:
    """The mean over languages of `drop`, every language resampled on its own.

    mean over l of F1(reference_l) - F1(candidate_l). Both hold the same languages; their order does not matter.
    """
    generator = np.random.default_rng(seed)
    values, drawn = [], []
    for language in sorted(reference.keys() | candidate.keys()):
        ours, theirs = reference[language], candidate[language]
        values.append(scores(ours).f1 - scores(theirs).f1)
        sums = _resampled(np.hstack([ours, theirs]), draws, generator)
        drawn.append(_f1(sums[:, :3]) - _f1(sums[:, 3:]))
    low, high = np.percentile(np.mean(drawn, axis=0), _TAILS)
    return Drop(float(np.mean(values)), float(low), float(high))


def _resampled(counts: Counts, draws: int, generator: np.random.Generator) -> Counts:
    """Column sums of `draws` samples of sentences with replacement, shape (draws, columns)."""
    size = len(counts)
    at_once = max(1, _CELLS // max(size, 1))
    parts = []
    for first in range(0, draws, at_once):
        chosen = generator.integers(max(size, 1), size=(min(at_once, draws - first), size))
        parts.append(counts[chosen].sum(axis=1))
    return np.concatenate(parts)


def _f1(sums: Counts) -> NDArray[np.float64]:
    """F1 in points of every row (correct, predicted, gold)."""
    below = sums[:, 1] + sums[:, 2]
    f1: NDArray[np.float64] = 200.0 * sums[:, 0] / np.maximum(below, 1)
    return f1


def _share(part: int, whole: int) -> float:
    return 100.0 * part / whole if whole else 0.0
