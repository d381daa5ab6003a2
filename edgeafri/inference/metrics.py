"""F1 of entities and of classes, and how sure it is: bootstrap intervals, of one system and of the drop between two.

Entities are counted as seqeval counts them by default, classes averaged as scikit-learn's macro average. Precision,
recall, F1 and accuracy are in points, 0 to 100.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeafri.documents.quality import Drop

MatchCounts = NDArray[np.int64]
"""Shape (sentences, 3 * groups): how often a sentence has a group correct, predicted and gold, group after group.

All entities are one group, so F1 is their micro average. Every class is a group of its own, which makes it macro.
"""

_TAILS = (2.5, 97.5)
_CELLS = 1 << 24  # how many counts are drawn at once: 128 MB


@dataclass(frozen=True)
class PrecisionRecallF1:
    """Precision, recall and F1, each the mean over the groups that stand in gold or in the prediction, in points."""

    precision: float
    recall: float
    f1: float


def entities(tags: Sequence[str]) -> set[tuple[str, int, int]]:
    """The entities (type, first word, last word) of one sentence.

    Lenient as seqeval's default: an I- that continues nothing of its type starts an entity. B-, I-, O only.
    """
    found: set[tuple[str, int, int]] = set()
    start, kind = 0, ""
    for index, tag in enumerate([*tags, "O"]):
        prefix, _, here = tag.partition("-")
        if kind and (prefix != "I" or here != kind):
            found.add((kind, start, index - 1))
        if prefix == "O":
            kind = ""
        elif prefix == "B" or here != kind:
            start, kind = index, here
    return found


def sentence_counts(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> MatchCounts:
    """Correct, predicted and gold entities of every sentence, shape (sentences, 3).

    Both hold the same sentences with a tag for every word.
    """
    pairs = [(entities(ours), entities(theirs)) for ours, theirs in zip(gold, predicted, strict=True)]
    rows = [(len(want & have), len(have), len(want)) for want, have in pairs]
    return np.array(rows, dtype=np.int64).reshape(-1, 3)


def class_counts(gold: Sequence[str], predicted: Sequence[str], labels: Sequence[str]) -> MatchCounts:
    """Correct, predicted and gold of every text, label by label, shape (texts, 3 * labels).

    Both hold one label for each of the same texts. KeyError for one that is not among `labels`.
    """
    index = {label: number for number, label in enumerate(labels)}
    pairs = [(index[ours], index[theirs]) for ours, theirs in zip(gold, predicted, strict=True)]
    is_label = np.array(pairs, dtype=np.int64).reshape(-1, 2, 1) == np.arange(len(labels))
    want, have = is_label[:, 0], is_label[:, 1]
    groups = np.stack([want & have, have, want], axis=2)
    return groups.reshape(len(pairs), 3 * len(labels)).astype(np.int64)


def scores(counts: MatchCounts) -> PrecisionRecallF1:
    """P = correct / predicted, R = correct / gold, F1 = 2 correct / (predicted + gold); 0 where nothing is divided.

    Each is the mean over the groups with predicted + gold > 0.
    """
    sums = counts.sum(axis=0)
    correct, predicted, gold = _groups(sums)
    both = predicted + gold
    return PrecisionRecallF1(
        float(_mean(correct, predicted, both)), float(_mean(correct, gold, both)), float(_f1(sums))
    )


def accuracy(counts: MatchCounts) -> float:
    """The share of gold that is correct, in points; of classes, the share of texts with the right label."""
    correct, _, gold = (int(group.sum()) for group in _groups(counts.sum(axis=0)))
    return 100.0 * correct / gold if gold else 0.0


def interval(counts: MatchCounts, draws: int = 1000, seed: int = 0) -> tuple[float, float]:
    """The 95 % percentile bootstrap interval of F1 over sentences (Efron & Tibshirani 1993, chapter 13).

    F1 of `draws` samples of as many sentences, drawn with replacement; their 2.5th and 97.5th percentile.
    """
    low, high = np.percentile(_f1(_resampled(counts, draws, np.random.default_rng(seed))), _TAILS)
    return float(low), float(high)


def drop(reference: MatchCounts, candidate: MatchCounts, draws: int = 1000, seed: int = 0) -> Drop:
    """F1(reference) - F1(candidate) on the same sentences, with its paired bootstrap interval.

    Every draw takes the same sentences for both systems (Berg-Kirkpatrick et al. 2012), so what is hard for both
    cancels out.
    """
    return average_drop({"": reference}, {"": candidate}, draws, seed)


def average_drop(
    reference: Mapping[str, MatchCounts], candidate: Mapping[str, MatchCounts], draws: int = 1000, seed: int = 0
) -> Drop:
    """The mean over languages of `drop`, every language resampled on its own.

    mean over l of F1(reference_l) - F1(candidate_l). Both hold the same languages; their order does not matter.
    """
    generator = np.random.default_rng(seed)
    values, drawn = [], []
    for language in sorted(reference.keys() | candidate.keys()):
        ours, theirs = reference[language], candidate[language]
        values.append(scores(ours).f1 - scores(theirs).f1)
        f1 = _f1(_resampled(np.stack([ours, theirs], axis=1), draws, generator))
        drawn.append(f1[:, 0] - f1[:, 1])
    low, high = np.percentile(np.mean(drawn, axis=0), _TAILS)
    return Drop(float(np.mean(values)), float(low), float(high))


# In quotes, because numpy loads its generators, 3 MB of them, at the first mention.
def _resampled(counts: MatchCounts, draws: int, generator: "np.random.Generator") -> MatchCounts:
    """Sums over `draws` samples of sentences, drawn with replacement; sentences are the first axis, then draws."""
    size = len(counts)
    at_once = max(1, _CELLS // max(counts.size, 1))
    parts = []
    for first in range(0, draws, at_once):
        chosen = generator.integers(max(size, 1), size=(min(at_once, draws - first), size))
        parts.append(counts[chosen].sum(axis=1))
    return np.concatenate(parts)


def _f1(sums: MatchCounts) -> NDArray[np.float64]:
    """Mean F1 in points; the last axis holds (correct, predicted, gold), group after group."""
    correct, predicted, gold = _groups(sums)
    both = predicted + gold
    return _mean(2 * correct, both, both)


def _mean(part: MatchCounts, whole: MatchCounts, size: MatchCounts) -> NDArray[np.float64]:
    """part / whole in points, 0 where nothing is divided; its mean over the groups whose size is not 0."""
    there = size > 0
    shares = 100.0 * part / np.maximum(whole, 1) * there
    mean: NDArray[np.float64] = shares.sum(axis=-1) / np.maximum(there.sum(axis=-1), 1)
    return mean


def _groups(sums: MatchCounts) -> tuple[MatchCounts, MatchCounts, MatchCounts]:
    """Correct, predicted and gold, each with the groups as its last axis."""
    return sums[..., 0::3], sums[..., 1::3], sums[..., 2::3]
