"""What is asked of a bundle to compare machines: its raw logits, and inferences with a mark before and after each."""

import os
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from edgeafri.benchmark.timing import sentence_of
from edgeafri.bundle import GRAPH
from edgeafri.inference.external_data import check_external
from edgeafri.inference.noise import moved
from edgeafri.inference.predict import Predictor
from edgeafri.inference.session import forward, open_session
from edgeafri.runtime.engine import Engine, open_engine
from edgeafri.util.progress import Progress

MARK = -7071  # no descriptor of any file; the counting plugin of the emulator looks for it


def give_logits(request: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """The logits of `sentences`, lists of words: of shape (places, labels) each, and which places were read.

    With a `noise` seed, those of the graph with a little noise in it; None where it has no place for noise.
    """
    engine = open_engine(Path(request["bundle"]), request.get("threads"))
    seed = request.get("noise")
    predictor = engine.predictor if seed is None else _noisy(engine, seed)
    if predictor is None:
        return {"logits": None, "read": None}
    readings = predictor.read(request["sentences"], progress)
    return {
        "logits": [reading.logits.tolist() for reading in readings],
        "read": [reading.read.tolist() for reading in readings],
    }


def mark_inferences(request: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """`runs` inferences of one sentence of `seq_len` sub-words, after `warmup`: marks 0, 1 ... stand between them."""
    engine = open_engine(Path(request["bundle"]), request.get("threads"))
    encoder = engine.predictor.encoder
    ids = sentence_of(int(request["seq_len"]), encoder, encoder.tokenizer.get_vocab_size())
    mask = np.ones_like(ids)
    runs, warmup = int(request["runs"]), int(request["warmup"])
    for _ in range(warmup):
        engine.predictor.forward(ids, mask)
    _mark(0)
    for run in range(runs):
        engine.predictor.forward(ids, mask)
        _mark(run + 1)
        progress(run + 1, runs)
    return {"runs": runs}


def _mark(number: int) -> None:
    with suppress(OSError):  # that this fails is the point: it reaches the system and changes nothing
        os.lseek(MARK, number, os.SEEK_SET)


def _noisy(engine: Engine, seed: int) -> Predictor | None:
    source = engine.artifact.path / GRAPH
    model = moved(source.read_bytes(), seed)
    if model is None:
        return None
    with tempfile.TemporaryDirectory(prefix="edgeafri-") as folder:
        target = Path(folder) / GRAPH
        target.write_bytes(model)
        for name in check_external(source):
            shutil.copy(source.with_name(name), target.with_name(name))
        session = open_session(target, engine.threads, engine.config.prepack)
        return replace(engine.predictor, forward=forward(session))
