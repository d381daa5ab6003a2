"""answers: what models of one chain say of the same words, and how far two of them are apart."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from edgeafri import bundle
from edgeafri.artifact import Kind
from edgeafri.data.dataset import Sentence, Split, Unit, read_split
from edgeafri.data.text import words_of
from edgeafri.errors import DataError
from edgeafri.inference.evaluate import counts
from edgeafri.inference.metrics import scores
from edgeafri.inference.predict import Encoder, Logits, Predictor, Reading
from edgeafri.inference.session import forward, open_session
from edgeafri.stages.models import checkpoint
from edgeafri.stages.quantization.torch_dynamic import read_quantized
from edgeafri.stages.training.examples import raw_lines, spread
from edgeafri.util.progress import Progress, silent

SPLIT = "dev"  # test is never read for a choice
_BATCH = 32


@dataclass(frozen=True)
class Answers:
    """A model's labels, and by language what it said of every sentence."""

    labels: tuple[str, ...]
    readings: Mapping[str, tuple[Reading, ...]]


@dataclass(frozen=True)
class Gap:
    """How far two models are apart in the words that both read.

    Largest and mean absolute difference of the logits (None when one is no number) and how many labels changed.
    """

    words: int
    largest: float | None
    mean: float | None
    flips: int


def questions(request: Mapping[str, Any], unit: Unit, most: int | None) -> tuple[Split, ...]:
    """Sentences of every one of its `languages`, at most `most`, spread over the file, all their words in NFC.

    Of dev where the request has labelled `data`, else lines of its raw `text`, which have no tags. DataError where it
    has neither, and for what cannot be read.
    """
    languages: Sequence[str] = request["languages"]
    if request.get("data"):
        splits = (read_split(Path(request["data"]), code, SPLIT, unit) for code in languages)
        return tuple(replace(split, sentences=tuple(spread(split.sentences, most))) for split in splits)
    if not request.get("text"):
        raise DataError("there is no text to compare the models on", "Add --data DIR, or --text DIR with LANG.txt.")
    lines = raw_lines(Path(request["text"]), languages, most)
    return tuple(Split(code, "text", _untagged(found, unit), {}, unit) for code, found in lines.items())


def labelled(splits: Sequence[Split]) -> bool:
    """Whether it is known what is right."""
    return all(split.name == SPLIT for split in splits)


def opened(folder: Path, kind: Kind, unit: Unit) -> Predictor:
    """An artifact with its own tokenizer, ready to label. Int8 reads a sentence at a time, as on a device."""
    if kind == "bundle":
        return _opened_bundle(folder, unit)
    config = checkpoint.read_config(folder)
    encoder = checkpoint.encoder(checkpoint.read_tokenizer(folder), checkpoint.max_tokens(config), unit)
    labels = checkpoint.labels_of(config)
    if kind == "onnx":
        return Predictor(encoder, labels, forward(open_session(folder / bundle.GRAPH, threads=1)))
    if checkpoint.QUANTIZED in config:
        return Predictor(encoder, labels, checkpoint.forward(read_quantized(folder)))
    return Predictor(encoder, labels, checkpoint.forward(checkpoint.read_model(folder)), _BATCH)


def ask(predictor: Predictor, splits: Sequence[Split], progress: Progress = silent) -> Answers:
    """What a model says of all sentences."""
    total, done = sum(len(split.sentences) for split in splits), 0
    readings = {}
    for split in splits:
        readings[split.language] = tuple(predictor.read([sentence.words for sentence in split.sentences]))
        done += len(split.sentences)
        progress(done, total)
    return Answers(predictor.labels, readings)


def gap(before: Answers, after: Answers, language: str) -> Gap:
    """How far two models of the same labels, in whatever order, are apart in a language."""
    ours, ours_read = _joined(before.readings[language])
    theirs, theirs_read = _joined(after.readings[language])
    both = ours_read & theirs_read
    if not both.any():
        return Gap(0, 0.0, 0.0, 0)
    theirs = theirs[:, [after.labels.index(label) for label in before.labels]]
    apart = np.abs(ours[both].astype(np.float64) - theirs[both])
    flips = ours[both].argmax(axis=1) != theirs[both].argmax(axis=1)
    return Gap(int(both.sum()), _number(apart.max()), _number(apart.mean()), int(flips.sum()))


def together(gaps: Sequence[Gap]) -> Gap:
    """The gaps of several languages as one."""
    words = sum(found.words for found in gaps)
    largest = _most([found.largest for found in gaps])
    means = [None if found.mean is None else found.mean * found.words for found in gaps]
    mean = None if None in means else sum(value for value in means if value is not None) / max(words, 1)
    return Gap(words, largest, mean, sum(found.flips for found in gaps))


def figures(found: Gap) -> dict[str, Any]:
    """A gap as a document has it: beside the count of flips, their share in per cent."""
    return {**asdict(found), "flips_percent": round(100 * found.flips / max(found.words, 1), 3)}


def quality(answers: Answers, splits: Sequence[Split]) -> dict[str, float]:
    """F1 of every language in points; nothing where it is not known what is right."""
    if not labelled(splits):
        return {}
    return {split.language: _f1(answers, split) for split in splits}


def _f1(answers: Answers, split: Split) -> float:
    # A label that the model does not know is one that it never gives.
    tags = (tag for sentence in split.sentences for tag in sentence.tags)
    labels = tuple(dict.fromkeys((*answers.labels, *tags)))
    return scores(counts(split, answers.readings[split.language], labels)).f1


def _untagged(lines: Sequence[str], unit: Unit) -> tuple[Sentence, ...]:
    return tuple(Sentence(tuple(words_of(line, unit)), ()) for line in lines)


def _opened_bundle(folder: Path, unit: Unit) -> Predictor:
    config = bundle.read_config(folder)
    tokenizer = Tokenizer.from_file(str(folder / bundle.TOKENIZER))
    encoder = Encoder(tokenizer, config.frame, config.max_tokens, unit)
    return Predictor(encoder, config.labels, forward(open_session(folder / bundle.GRAPH, threads=1)))


def _joined(readings: Sequence[Reading]) -> tuple[Logits, Any]:
    return np.concatenate([item.logits for item in readings]), np.concatenate([item.read for item in readings])


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _most(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return max(known, default=0.0) if len(known) == len(values) else None
