"""What the models of one chain compute for the same sentences, and how far two of them are apart."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from edgeafri import bundle
from edgeafri.artifact import ArtifactKind
from edgeafri.data.dataset import Sentence, Split, Unit, read_split
from edgeafri.data.text import words_of
from edgeafri.documents.parity import Gap
from edgeafri.errors import DataError
from edgeafri.inference.evaluate import counts
from edgeafri.inference.metrics import scores
from edgeafri.inference.predict import Encoder, Logits, Predictor, SentenceLogits
from edgeafri.inference.session import forward, open_session
from edgeafri.stages.models import checkpoint
from edgeafri.stages.quantization.torch_dynamic import read_quantized
from edgeafri.stages.training.examples import raw_lines, spread
from edgeafri.util.progress import Progress, part_of, silent

SPLIT = "dev"  # test is never read for a choice
_BATCH = 32


@dataclass(frozen=True)
class ModelOutputs:
    """A model's labels, and by language its logits for every sentence."""

    labels: tuple[str, ...]
    sentences: Mapping[str, tuple[SentenceLogits, ...]]


def sentences_to_compare(
    languages: Sequence[str], data: Path | None, text: Path | None, unit: Unit, most: int | None
) -> tuple[Split, ...]:
    """At most `most` sentences of each language, spread over its file, all their words in NFC.

    They are those of dev where there is labelled `data`, else lines of raw `text`, which have no labels. DataError
    where there is neither, and for what cannot be read.
    """
    if data:
        splits = (read_split(data, code, SPLIT, unit) for code in languages)
        return tuple(replace(split, sentences=tuple(spread(split.sentences, most))) for split in splits)
    if not text:
        raise DataError("there is no text to compare the models on", "Add --data DIR, or --text DIR with LANG.txt.")
    lines = raw_lines(text, languages, most)
    return tuple(Split(code, "text", _without_labels(found, unit), {}, unit) for code, found in lines.items())


def has_labels(splits: Sequence[Split]) -> bool:
    """Whether the right labels of these sentences are known."""
    return all(split.name == SPLIT for split in splits)


def open_model(folder: Path, kind: ArtifactKind, unit: Unit) -> Predictor:
    """An artifact with its own tokenizer, ready to label. Int8 computes one sentence at a time, as on a device."""
    if kind == "bundle":
        return _open_bundle(folder, unit)
    config = checkpoint.read_config(folder)
    encoder, labels = checkpoint.read_encoder(folder, unit), checkpoint.labels_of(config)
    if kind == "onnx":
        return Predictor(encoder, labels, forward(open_session(folder / bundle.GRAPH, threads=1)))
    if checkpoint.QUANTIZED in config:
        return Predictor(encoder, labels, checkpoint.forward(read_quantized(folder)))
    return Predictor(encoder, labels, checkpoint.forward(checkpoint.read_model(folder)), _BATCH)


def read_outputs(predictor: Predictor, splits: Sequence[Split], progress: Progress = silent) -> ModelOutputs:
    """What a model computes for all sentences."""
    outputs = {}
    for place, split in enumerate(splits):
        words = [sentence.words for sentence in split.sentences]
        outputs[split.language] = tuple(predictor.logits(words, part_of(progress, place, len(splits))))
    return ModelOutputs(predictor.labels, outputs)


def gap_between(before: ModelOutputs, after: ModelOutputs, language: str) -> Gap:
    """How far two models of the same labels, in whatever order, are apart in a language."""
    ours, ours_read = _joined(before.sentences[language])
    theirs, theirs_read = _joined(after.sentences[language])
    both = ours_read & theirs_read
    if not both.any():
        return _gap(0, 0.0, 0.0, 0)
    theirs = theirs[:, [after.labels.index(label) for label in before.labels]]
    apart = np.abs(ours[both].astype(np.float64) - theirs[both])
    flips = ours[both].argmax(axis=1) != theirs[both].argmax(axis=1)
    return _gap(int(both.sum()), _finite(apart.max()), _finite(apart.mean()), int(flips.sum()))


def gaps_between(before: ModelOutputs, after: ModelOutputs, splits: Sequence[Split]) -> dict[str, Gap]:
    """The same for every language."""
    return {split.language: gap_between(before, after, split.language) for split in splits}


def over_all(gaps: Mapping[str, Gap]) -> Gap:
    """The gaps of several languages as one."""
    found = list(gaps.values())
    words = sum(gap.words for gap in found)
    means = [None if gap.mean is None else gap.mean * gap.words for gap in found]
    mean = None if None in means else sum(value for value in means if value is not None) / max(words, 1)
    return _gap(words, _largest([gap.largest for gap in found]), mean, sum(gap.flips for gap in found))


def f1_by_language(outputs: ModelOutputs, splits: Sequence[Split]) -> dict[str, float]:
    """F1 of every language in points; nothing where the right labels are not known."""
    if not has_labels(splits):
        return {}
    return {split.language: _f1(outputs, split) for split in splits}


def f1_lost(before: ModelOutputs, after: ModelOutputs, splits: Sequence[Split]) -> dict[str, float]:
    """The F1 that every language loses, in points; nothing where the right labels are not known."""
    ours, theirs = f1_by_language(before, splits), f1_by_language(after, splits)
    return {code: ours[code] - theirs[code] for code in ours}


def _f1(outputs: ModelOutputs, split: Split) -> float:
    # A label that the model does not know is one that it never gives.
    tags = (tag for sentence in split.sentences for tag in sentence.tags)
    labels = tuple(dict.fromkeys((*outputs.labels, *tags)))
    return scores(counts(split, outputs.sentences[split.language], labels)).f1


def _without_labels(lines: Sequence[str], unit: Unit) -> tuple[Sentence, ...]:
    return tuple(Sentence(tuple(words_of(line, unit)), ()) for line in lines)


def _open_bundle(folder: Path, unit: Unit) -> Predictor:
    config = bundle.read_config(folder)
    tokenizer = Tokenizer.from_file(str(folder / bundle.TOKENIZER))
    encoder = Encoder(tokenizer, config.frame, config.max_tokens, unit)
    return Predictor(encoder, config.labels, forward(open_session(folder / bundle.GRAPH, threads=1)))


def _joined(sentences: Sequence[SentenceLogits]) -> tuple[Logits, NDArray[np.bool_]]:
    return np.concatenate([item.logits for item in sentences]), np.concatenate([item.read for item in sentences])


def _gap(words: int, largest: float | None, mean: float | None, flips: int) -> Gap:
    percent = round(100 * flips / max(words, 1), 3)
    return Gap(words=words, largest=largest, mean=mean, flips=flips, flips_percent=percent)


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _largest(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return max(known, default=0.0) if len(known) == len(values) else None
