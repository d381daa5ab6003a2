"""What machines are compared by: a bundle's raw logits, and inferences with a mark before and after each."""

import os
import shutil
import tempfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from edgeafri.benchmark.timing import sentence_of
from edgeafri.bundle import GRAPH
from edgeafri.documents.answers import LogitsAnswer, MarksAnswer
from edgeafri.documents.runtime_requests import LogitsRequest, MarksRequest
from edgeafri.inference.external_data import check_external
from edgeafri.inference.noise import moved
from edgeafri.inference.predict import Predictor
from edgeafri.inference.session import forward, open_session
from edgeafri.runtime.engine import Engine, open_engine
from edgeafri.util.progress import Progress

MARK = -7071  # no descriptor of any file; the counting plugin of the emulator looks for it


def give_logits(request: LogitsRequest, progress: Progress) -> LogitsAnswer:
    """The logits of sentences; with a `noise` seed, those of the graph with a little noise in it."""
    engine = open_engine(request.bundle, request.threads)
    predictor = engine.predictor if request.noise is None else _noisy(engine, request.noise)
    if predictor is None:
        return LogitsAnswer(None, None)
    outputs = predictor.logits(request.sentences, progress)
    return LogitsAnswer(
        logits=tuple(tuple(map(tuple, output.logits.tolist())) for output in outputs),
        read=tuple(tuple(output.read.tolist()) for output in outputs),
    )


def mark_inferences(request: MarksRequest, progress: Progress) -> MarksAnswer:
    """Inferences of one sentence, after the warm-up: marks 0, 1 ... stand between them."""
    engine = open_engine(request.bundle, request.threads)
    encoder = engine.predictor.encoder
    ids = sentence_of(request.seq_len, encoder, encoder.tokenizer.get_vocab_size())
    mask = np.ones_like(ids)
    for _ in range(request.warmup):
        engine.predictor.forward(ids, mask)
    _mark(0)
    for run in range(request.runs):
        engine.predictor.forward(ids, mask)
        _mark(run + 1)
        progress(run + 1, request.runs)
    return MarksAnswer(request.runs)


def _mark(number: int) -> None:
    with suppress(OSError):  # that this fails is the point: it reaches the system and changes nothing
        os.lseek(MARK, number, os.SEEK_SET)


def _noisy(engine: Engine, seed: int) -> Predictor | None:
    source = engine.artifact.path / GRAPH
    model = moved(source.read_bytes(), seed)
    if model is None:
        return None
    # Windows removes no file that is mapped, as weights beside a graph are while its session lives.
    with tempfile.TemporaryDirectory(prefix="edgeafri-", ignore_cleanup_errors=True) as folder:
        target = Path(folder) / GRAPH
        target.write_bytes(model)
        for name in check_external(source):
            shutil.copy(source.with_name(name), target.with_name(name))
        session = open_session(target, engine.threads, engine.config.prepack)
        return replace(engine.predictor, forward=forward(session))
