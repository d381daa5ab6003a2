"""Engine: a bundle, opened and ready to label."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgeafri.artifact import Artifact, load_bundle
from edgeafri.bundle import GRAPH, TOKENIZER, BundleConfig, read_config
from edgeafri.data.text import Word, split_words, words_of
from edgeafri.documents.answers import Entity, TextEntities, TextLabel
from edgeafri.errors import ArtifactError
from edgeafri.inference.external_data import check_external
from edgeafri.inference.metrics import entities
from edgeafri.inference.predict import Encoder, Predictor, SentenceLabels, SentenceLogits
from edgeafri.inference.session import forward, multiplies_exactly, open_session
from edgeafri.tasks import unit_of
from edgeafri.util.files import Digests


@dataclass(frozen=True)
class Engine:
    """An open bundle. `load_ms` is the time to read tokenizer and graph; hashing and imports are not in it."""

    artifact: Artifact
    config: BundleConfig
    predictor: Predictor
    threads: int
    load_ms: float


def open_engine(path: Path, threads: int | None = None, fresh: bool = False, twin: bool = False) -> Engine:
    """Check a bundle's files and open it; `fresh` hashes every file again, `twin` is that of open_session.

    ArtifactError for what is not right.
    """
    with Digests() as digests:
        artifact = load_bundle(path, digests, fresh)
    config = read_config(path)
    _check_weights(artifact)
    count = threads or min(config.threads, os.cpu_count() or 1)
    return _opened(artifact, config, count, twin)


def label_texts(engine: Engine, texts: Sequence[str]) -> list[TextEntities] | list[TextLabel]:
    """Raw texts with what the bundle finds in each: its entities, or its label."""
    if engine.predictor.encoder.unit == "text":
        return classify(engine, texts)
    return [TextEntities(text, found) for text, found in zip(texts, find_entities(engine, texts), strict=True)]


def find_entities(engine: Engine, texts: Sequence[str]) -> list[tuple[Entity, ...]]:
    """The entities of raw texts: label, the user's own characters, offsets in code points of the user's text, score."""
    words = [split_words(text) for text in texts]
    labelled = engine.predictor.label([[word.text for word in line] for line in words])
    return [_entities(*triple) for triple in zip(texts, words, labelled, strict=True)]


def classify(engine: Engine, texts: Sequence[str]) -> list[TextLabel]:
    """The label of raw texts, its probability, and that of every label; no label where a text has no words."""
    words = [words_of(text, "text") for text in texts]
    outputs, labels = engine.predictor.logits(words), engine.config.labels
    return [_label(*triple, labels) for triple in zip(texts, words, outputs, strict=True)]


def _check_weights(artifact: Artifact) -> None:
    for name in check_external(artifact.path / GRAPH):
        if name not in artifact.manifest.files:
            message = f"{artifact.path}: {name} holds weights, and the manifest does not name it"
            raise ArtifactError(message, "Build the bundle again.")


def _opened(artifact: Artifact, config: BundleConfig, threads: int, twin: bool) -> Engine:
    import onnxruntime  # noqa: F401  # imported before the clock starts
    from tokenizers import Tokenizer

    multiplies_exactly()  # asked once per process
    began = time.perf_counter()
    tokenizer = Tokenizer.from_file(str(artifact.path / TOKENIZER))
    session = open_session(artifact.path / GRAPH, threads, config.prepack, twin)
    load_ms = (time.perf_counter() - began) * 1000
    encoder = Encoder(tokenizer, config.frame, config.max_tokens, unit_of(config.task))
    tokens = config.batch_tokens  # so many inputs are never reached, as each has several tokens
    predictor = Predictor(encoder, config.labels, forward(session), batch=tokens or 1, tokens=tokens or None)
    return Engine(artifact, config, predictor, threads, load_ms)


def _entities(text: str, words: list[Word], labelled: SentenceLabels) -> tuple[Entity, ...]:
    return tuple(
        Entity(
            label=kind,
            text=text[words[first].start : words[last].end],
            start=words[first].start,
            end=words[last].end,
            score=round(sum(labelled.scores[first : last + 1]) / (last + 1 - first), 4),
        )
        for kind, first, last in sorted(entities(labelled.labels), key=lambda entity: entity[1])
    )


def _label(text: str, words: list[str], output: SentenceLogits, labels: tuple[str, ...]) -> TextLabel:
    if not words:
        return TextLabel(text, None, None, {})
    shares = np.exp(output.logits[0] - output.logits[0].max())
    shares /= shares.sum()
    found = {label: round(float(share), 4) for label, share in zip(labels, shares, strict=True)}
    best = labels[int(shares.argmax())]
    return TextLabel(text, best, found[best], found)
