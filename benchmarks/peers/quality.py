"""What a form does to the labels on test: F1 per language, points lost against the float model, labels that changed."""

from collections.abc import Mapping, Sequence
from typing import Any

from edgeafri.data.dataset import Split
from edgeafri.inference.metrics import MatchCounts, average_drop, scores, sentence_counts

Labels = Mapping[str, Sequence[Sequence[str]]]
"""By language, a label for every word of every sentence."""


def compared(splits: Sequence[Split], base: Labels, mine: Labels) -> dict[str, Any]:
    """F1 and points lost by language, the paired 95 % interval of the mean loss, and flips.

    Flips are the share of words whose label is not that of `base`, in per cent.
    """
    before, after = counts(splits, base), counts(splits, mine)
    lost = average_drop(before, after)
    f1 = {code: scores(found).f1 for code, found in after.items()}
    return {
        "f1": rounded(f1),
        "lost": rounded({code: scores(found).f1 - f1[code] for code, found in before.items()}),
        "lost_interval": [round(lost.low, 2), round(lost.high, 2)],
        "flips": rounded({split.language: flips(base[split.language], mine[split.language]) for split in splits}),
    }


def counts(splits: Sequence[Split], labels: Labels) -> dict[str, MatchCounts]:
    return {
        split.language: sentence_counts([item.tags for item in split.sentences], labels[split.language])
        for split in splits
    }


def flips(base: Sequence[Sequence[str]], mine: Sequence[Sequence[str]]) -> float:
    """The share of words with another label, in per cent."""
    pairs = [pair for one, other in zip(base, mine, strict=True) for pair in zip(one, other, strict=True)]
    return 100 * sum(one != other for one, other in pairs) / max(len(pairs), 1)


def rounded(values: Mapping[str, float]) -> dict[str, float]:
    return {code: round(value, 3) for code, value in values.items()}
