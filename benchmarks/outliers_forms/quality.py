"""What a form does to labels and logits: F1 by language, points lost, labels that changed, how far logits are apart."""

from collections.abc import Mapping, Sequence
from typing import Any

from edgeafri.data.dataset import Split
from edgeafri.inference.evaluate import counts
from edgeafri.inference.metrics import MatchCounts, average_drop, scores
from edgeafri.stages.comparison.model_outputs import ModelOutputs, gaps_between, over_all


def apart(before: ModelOutputs, after: ModelOutputs, splits: Sequence[Split]) -> dict[str, Any]:
    """Labels changed, in per cent, over all words and in the worst language, and the mean difference of logits."""
    gaps = gaps_between(before, after, splits)
    whole = over_all(gaps)
    flips = {code: gap.flips_percent for code, gap in gaps.items()}
    return {
        "sentences": sum(len(split.sentences) for split in splits),
        "flips": round(whole.flips_percent, 3),
        "flips_worst": _worst(flips),
        "logits": whole.mean and round(whole.mean, 5),
    }


def compared(before: ModelOutputs, after: ModelOutputs, splits: Sequence[Split]) -> dict[str, Any]:
    """The same with F1 and points lost by language, and the paired 95 % interval of the mean that is lost."""
    ours, theirs = _counts(before, splits), _counts(after, splits)
    f1 = {code: scores(found).f1 for code, found in theirs.items()}
    lost = {code: scores(found).f1 - f1[code] for code, found in ours.items()}
    mean = average_drop(ours, theirs)
    return {
        **apart(before, after, splits),
        "f1": _rounded(f1),
        "lost": _rounded(lost),
        "lost_mean": round(mean.value, 3),
        "lost_interval": [round(mean.low, 2), round(mean.high, 2)],
        "lost_worst": _worst(lost),
    }


def _counts(outputs: ModelOutputs, splits: Sequence[Split]) -> dict[str, MatchCounts]:
    # A label that the model does not know is one that it never gives.
    tags = (tag for split in splits for sentence in split.sentences for tag in sentence.tags)
    labels = tuple(dict.fromkeys((*outputs.labels, *tags)))
    return {split.language: counts(split, outputs.sentences[split.language], labels) for split in splits}


def _worst(values: Mapping[str, float]) -> list[Any]:
    code = max(values, key=values.__getitem__)
    return [code, round(values[code], 3)]


def _rounded(values: Mapping[str, float]) -> dict[str, float]:
    return {code: round(value, 2) for code, value in values.items()}
