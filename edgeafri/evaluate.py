"""Quality per language: labelled sentences through a predictor, counted entity by entity."""

from collections.abc import Sequence
from typing import Any

from edgeafri.dataset import Split
from edgeafri.metrics import scores, sentence_counts
from edgeafri.predict import Predictor
from edgeafri.progress import Tick, silent

Quality = dict[str, dict[str, Any]]
"""Per language: precision, recall, F1 in points, sentences, words; a sentence's (correct, predicted, gold)."""


def evaluate(predictor: Predictor, splits: Sequence[Split], tick: Tick = silent) -> Quality:
    """Entity precision, recall and F1 of every split, keyed by its language."""
    total = sum(len(split.sentences) for split in splits)
    quality: Quality = {}
    before = 0
    for split in splits:
        quality[split.language] = _one(predictor, split, before, total, tick)
        before += len(split.sentences)
    return quality


def average(quality: Quality) -> float:
    """The mean of the languages' F1, every language counting the same."""
    return sum(float(entry["f1"]) for entry in quality.values()) / len(quality)


def _one(predictor: Predictor, split: Split, before: int, total: int, tick: Tick) -> dict[str, Any]:
    size = len(split.sentences)

    def tick_here(done: int, rows: int) -> None:
        tick(before + size * done // max(rows, 1), total)

    predicted = predictor.label([sentence.words for sentence in split.sentences], tick_here)
    gold = [sentence.tags for sentence in split.sentences]
    counts = sentence_counts(gold, [item.labels for item in predicted])
    result = scores(counts)
    return {
        "precision": result.precision,
        "recall": result.recall,
        "f1": result.f1,
        "sentences": size,
        "words": sum(len(tags) for tags in gold),
        "counts": counts.tolist(),
    }
