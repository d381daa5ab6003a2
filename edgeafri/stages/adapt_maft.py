"""adapt-maft: masked-LM training on raw text of several languages at once, from where an encoder stands.

Multilingual adaptive fine-tuning (Alabi et al. 2022): one model for all languages, lines without words left out. An
encoder that carries another head gets a masked-LM head, tied to its embeddings. Text is kept as sub-words on disk
(tokens.py), and several processes may train together (distributed.py).
"""

import math
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edgeafri.artifact import Artifact
from edgeafri.errors import ConfigError, DataError, ModelError
from edgeafri.menu.settings import AdaptMaft
from edgeafri.stages.models import checkpoint
from edgeafri.stages.training import distributed, flops, second_head, validation
from edgeafri.stages.training.examples import Masks, Rows
from edgeafri.stages.training.loop import SCORE, Course, expected, train, used_precision
from edgeafri.stages.training.token_store import Corpus, Store, stored
from edgeafri.tasks import task
from edgeafri.util.progress import Progress, silent

_SAMPLE = 1000  # lines of a language that a forecast cuts
_LARGEST = 700.0  # a loss whose exponential is still a number


def run(source: Artifact, settings: AdaptMaft, out: Path, progress: Progress) -> Mapping[str, Any]:
    """Train on every language's text together; the epoch with the lowest loss on lines held back is kept."""
    processes = processes_of(settings)
    store = stored(out / "tokens", _corpus(source.path, settings, settings.lines), progress)
    given = (source.path, settings, out)
    facts = learn(*given, progress) if processes == 1 else distributed.run_together(learn, given, processes, progress)
    for folder in ("checkpoints", "tokens"):
        shutil.rmtree(out / folder, ignore_errors=True)
    return {"task": "mask", "processes": processes, "corpus": store.counts, **facts}


def forecast(source: Artifact, settings: AdaptMaft) -> str:
    """How long it will take on this machine, from a sample of the text."""
    processes = processes_of(settings)
    with tempfile.TemporaryDirectory() as folder:
        sample = min(_SAMPLE, settings.lines or _SAMPLE)
        store = stored(Path(folder) / "tokens", _corpus(source.path, settings, sample), silent)
        model, _, course = prepare(source.path, settings, store)
        said = expected(model, course, settings, _size(store, sample, settings.lines))
    return said if processes == 1 else f"{said}; less with {processes} processes"


def learn(source: Path, settings: AdaptMaft, out: Path, progress: Progress) -> dict[str, Any]:
    """Train on the store in `out`, alone or as one of a team, and write the model; what can be counted."""
    store = stored(out / "tokens", _corpus(source, settings, settings.lines), silent)
    model, tokenizer, course = prepare(source, settings, store)
    known = checkpoint.own_architecture(source).endswith(task("mask").head)
    before = course.judge(model.to(distributed.device()).eval()) if known else None
    history = train(model, course, settings, out / "checkpoints", progress)
    if distributed.rank() == 0:
        checkpoint.write_model(model, tokenizer, out)
    return {
        "inputs": len(course.rows),
        "precision": used_precision(out / "checkpoints"),
        **flops.of_training(model, course, settings, history),
        **perplexities(settings.languages, before, max(history, key=lambda entry: entry[SCORE])),
        **validation.text_facts(history),
    }


def prepare(source: Path, settings: AdaptMaft, store: Store) -> tuple[Any, Any, Course]:
    """Model, tokenizer and course."""
    tokenizer = checkpoint.read_tokenizer(source)
    model = checkpoint.with_head(source, task("mask").head, None, settings.seed, settings.dropout)
    hidden = (tokenizer.mask_token_id, model.config.vocab_size, settings.seed)
    fresh = Masks(*hidden, everywhere=False, fixed=False, whole_words=settings.whole_words)
    fixed = replace(fresh, fixed=True)
    loss, judging = second_head.set_up(model, settings)
    pad = checkpoint.frame(tokenizer).pad
    judged = validation.on_text(Rows(store.judged, fixed, store.judged.outline), pad, judging)
    learnt = Rows(store.learnt, fresh, store.learnt.outline)
    course = Course(learnt, pad, loss, judged, single=settings.mixing == "single", judge_steps=settings.judge_steps)
    return model, tokenizer, course


def processes_of(settings: AdaptMaft) -> int:
    """How many processes train: those asked for, else one a GPU, as many as can share a batch evenly."""
    gpus = torch.cuda.device_count()
    if settings.processes is None:
        return max(count for count in range(1, max(1, gpus) + 1) if settings.batch % count == 0)
    if 0 < gpus < settings.processes:
        message = f"adapt-maft: {settings.processes} processes, but this machine has {gpus} GPU{'s' * (gpus > 1)}"
        raise ConfigError(message, "Leave out --processes: there is one for every GPU then.")
    if settings.batch % settings.processes:
        fitting = -(-settings.batch // settings.processes) * settings.processes
        message = f"adapt-maft: {settings.processes} processes cannot share a batch of {settings.batch} evenly"
        raise ConfigError(message, f"Add --batch {fitting}.")
    return settings.processes


def perplexities(
    languages: tuple[str, ...], before: Mapping[str, float] | None, after: Mapping[str, float]
) -> dict[str, Any]:
    """Loss and perplexity on lines held back, before and after, a language each, and the perplexity of the mean loss.

    `before` is None where the source had no masked-LM head: a new one only guesses.
    """
    names = {code: f"loss_{code}" for code in languages}
    return {
        "loss": {code: _each(before, after, name, lambda loss: round(loss, 4)) for code, name in names.items()},
        "perplexity": {code: _each(before, after, name, _perplexity) for code, name in names.items()},
        "perplexity_average": _each(before, after, "loss", _perplexity),
    }


def _each(
    before: Mapping[str, float] | None, after: Mapping[str, float], name: str, of: Callable[[float], float]
) -> dict[str, float | None]:
    return {"before": None if before is None else of(before[name]), "after": of(after[name])}


def _perplexity(loss: float) -> float:
    return round(math.exp(min(loss, _LARGEST)), 2)


def _corpus(source: Path, settings: AdaptMaft, lines: int | None) -> Corpus:
    """What is to be stored. DataError or ModelError where text or tokenizer cannot be used."""
    if settings.text is None:
        raise DataError("adapt-maft: no raw text", "Add --text DIR with LANG.txt, one sentence a line.")
    tokenizer = checkpoint.read_tokenizer(source)
    if tokenizer.mask_token_id is None:
        raise ModelError(f"{source}: its tokenizer has no mask token", "Use an encoder that was trained with one.")
    limit = min(settings.max_length, checkpoint.max_tokens(checkpoint.read_config(source)))
    return Corpus(settings.text, settings.languages, lines, checkpoint.encoder(tokenizer, limit))


def _size(store: Store, sample: int, lines: int | None) -> tuple[int, int]:
    """Inputs and sub-words to learn from, told from a store of so many lines a language; exact where that is all."""
    totals = np.zeros(2)
    for counts in store.counts.values():
        there = counts["lines"]
        times = min(lines or there, there) / min(sample, there)
        totals += np.array([counts["inputs"], counts["sub_words"]]) * times
    inputs = sum(counts["inputs"] for counts in store.counts.values())
    learnt = totals * len(store.learnt) / inputs
    return round(learnt[0]), round(learnt[1])
