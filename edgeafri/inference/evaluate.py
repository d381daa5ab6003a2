"""Quality per language: labelled data through a predictor, counted entity by entity or text by text."""

import time
from collections.abc import Sequence

import numpy as np

from edgeafri.data.dataset import Split
from edgeafri.documents.quality import LanguageQuality, Quality
from edgeafri.inference.metrics import MatchCounts, accuracy, class_counts, scores, sentence_counts
from edgeafri.inference.predict import Predictor, SentenceLogits, best_labels
from edgeafri.util.progress import Progress, silent


def evaluate(predictor: Predictor, splits: Sequence[Split], progress: Progress = silent) -> Quality:
    """Every split's quality, keyed by its language: entity F1 of words, macro F1 and accuracy of texts.

    `loss` is the mean cross-entropy over what was read, `seconds` the wall time of this machine, and `counts` what
    metrics.py draws intervals from.
    """
    total = sum(len(split.sentences) for split in splits)
    quality: dict[str, LanguageQuality] = {}
    before = 0
    for split in splits:
        quality[split.language] = _one(predictor, split, before, total, progress)
        before += len(split.sentences)
    return quality


def average(quality: Quality) -> float:
    """The mean of the languages' F1, every language counting the same."""
    return sum(entry.f1 for entry in quality.values()) / len(quality)


def _one(predictor: Predictor, split: Split, before: int, total: int, progress: Progress) -> LanguageQuality:
    size = len(split.sentences)

    def progress_here(done: int, rows: int) -> None:
        progress(before + size * done // max(rows, 1), total)

    began = time.perf_counter()
    outputs = predictor.logits([sentence.words for sentence in split.sentences], progress_here)
    seconds = time.perf_counter() - began
    found = counts(split, outputs, predictor.labels)
    result = scores(found)
    return LanguageQuality(
        precision=result.precision,
        recall=result.recall,
        f1=result.f1,
        accuracy=accuracy(found) if split.unit == "text" else None,
        loss=_loss(split, outputs, predictor.labels),
        seconds=seconds,
        sentences=size,
        words=sum(len(sentence.words) for sentence in split.sentences),
        counts=tuple(map(tuple, found.tolist())),
    )


def counts(split: Split, outputs: Sequence[SentenceLogits], labels: tuple[str, ...]) -> MatchCounts:
    """What metrics.py makes F1 and intervals of: how often each sentence has an entity, or its class, correct."""
    gold = [sentence.tags for sentence in split.sentences]
    predicted = [best_labels(output, labels).labels for output in outputs]
    if split.unit == "text":
        return class_counts([tags[0] for tags in gold], [tags[0] for tags in predicted], labels)
    return sentence_counts(gold, predicted)


def _loss(split: Split, outputs: Sequence[SentenceLogits], labels: tuple[str, ...]) -> float:
    """Mean cross-entropy over the words or texts that were read; 0 when there are none."""
    index = {label: number for number, label in enumerate(labels)}
    gold = np.array([index[tag] for sentence in split.sentences for tag in sentence.tags], dtype=np.int64)
    logits = np.concatenate([output.logits for output in outputs]).astype(np.float64)
    read = np.concatenate([output.read for output in outputs])
    top = logits.max(axis=1)
    losses = top + np.log(np.exp(logits - top[:, None]).sum(axis=1)) - logits[np.arange(len(gold)), gold]
    return float(losses[read].mean()) if read.any() else 0.0
