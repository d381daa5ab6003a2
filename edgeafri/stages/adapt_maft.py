"""adapt-maft: masked-LM training on raw text of several languages at once, from where an encoder stands.

Multilingual adaptive fine-tuning (Alabi et al. 2022): one model for all languages, lines without words left out. An
encoder with another head gets a masked-LM head, tied to its embeddings. The text is tokenized once, into files
(training/token_store.py), and several processes may train together (training/distributed.py).
"""

import math
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from edgeafri.artifact import Artifact
from edgeafri.errors import ConfigError, DataError, ModelError
from edgeafri.menu.facts.training import AdaptMaftFacts, BeforeAfter, TextCounts
from edgeafri.menu.settings import AdaptMaftSettings
from edgeafri.stages.models import checkpoint
from edgeafri.stages.training import distributed, flops, second_head, validation
from edgeafri.stages.training.examples import Examples, Masking
from edgeafri.stages.training.forecast import forecast_training
from edgeafri.stages.training.loop import train
from edgeafri.stages.training.resume import used_precision
from edgeafri.stages.training.token_store import RawText, TokenStore, open_store
from edgeafri.stages.training.training_task import SCORE, TrainingTask
from edgeafri.tasks import task
from edgeafri.util.progress import Progress, silent

_SAMPLE = 1000  # lines per language that a forecast tokenizes
_LARGEST = 700.0  # a loss whose exponential is still finite


@dataclass(frozen=True)
class MaftSetup:
    """All that a masked-LM training needs."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    training: TrainingTask


def run(source: Artifact, settings: AdaptMaftSettings, out: Path, progress: Progress) -> AdaptMaftFacts:
    """Train on the text of all languages together; the epoch with the lowest loss on lines held out is kept."""
    processes = processes_of(settings)
    open_store(out / "tokens", _raw_text(source.path, settings, settings.lines), progress)
    given = (source.path, settings, out)
    if processes == 1:
        facts = learn(*given, progress)
    else:
        facts = distributed.run_distributed(learn, given, processes, progress)
    for folder in ("checkpoints", "tokens"):
        shutil.rmtree(out / folder, ignore_errors=True)
    return facts


def forecast(source: Artifact, settings: AdaptMaftSettings) -> str:
    """How long it will take on this machine, from a sample of the text."""
    processes = processes_of(settings)
    with tempfile.TemporaryDirectory() as folder:
        sample = min(_SAMPLE, settings.lines or _SAMPLE)
        store = open_store(Path(folder) / "tokens", _raw_text(source.path, settings, sample), silent)
        setup = prepare(source.path, settings, store)
        text = forecast_training(setup.model, setup.training, settings, _size(store, sample, settings.lines))
    return text if processes == 1 else f"{text}; less with {processes} processes"


def learn(source: Path, settings: AdaptMaftSettings, out: Path, progress: Progress) -> AdaptMaftFacts:
    """Train on the store in `out`, alone or as one of several processes, and write the model; facts of the training."""
    store = open_store(out / "tokens", _raw_text(source, settings, settings.lines), silent)
    setup = prepare(source, settings, store)
    model, training = setup.model, setup.training
    known = checkpoint.own_architecture(source).endswith(task("mask").head)
    before = training.validate(model.to(distributed.device()).eval()) if known else None
    history = train(model, training, settings, out / "checkpoints", progress)
    if distributed.rank() == 0:
        checkpoint.write_model(model, setup.tokenizer, out)
    after = max(history, key=lambda entry: entry[SCORE])
    names = {code: f"loss_{code}" for code in settings.languages}
    return AdaptMaftFacts(
        processes=distributed.size(),
        corpus={code: TextCounts(**counts) for code, counts in store.counts.items()},
        inputs=len(training.examples),
        precision=used_precision(out / "checkpoints"),
        flops=flops.training_flops(model, training, settings, history),
        loss={code: before_after(before, after, name, _rounded) for code, name in names.items()},
        perplexity={code: before_after(before, after, name, perplexity) for code, name in names.items()},
        perplexity_average=before_after(before, after, "loss", perplexity),
        validation=validation.text_facts(history),
    )


def prepare(source: Path, settings: AdaptMaftSettings, store: TokenStore) -> MaftSetup:
    """Read the model, and make the training from the store."""
    tokenizer = checkpoint.read_tokenizer(source)
    model = checkpoint.with_head(source, task("mask").head, None, settings.seed, settings.dropout)
    vocabulary = (tokenizer.mask_token_id, model.config.vocab_size, settings.seed)
    fresh = Masking(*vocabulary, everywhere=False, fixed=False, whole_words=settings.whole_words)
    held_out = Examples(store.validation, replace(fresh, fixed=True), store.validation.outline)
    loss, validation_loss = second_head.set_up(model, settings)
    pad_id = checkpoint.frame(tokenizer).pad
    training = TrainingTask(
        Examples(store.training, fresh, store.training.outline),
        pad_id,
        loss,
        validation.on_text(held_out, pad_id, validation_loss),
        one_language_per_batch=settings.mixing == "single",
        validation_steps=settings.validation_steps,
    )
    return MaftSetup(model, tokenizer, training)


def processes_of(settings: AdaptMaftSettings) -> int:
    """How many processes train: as many as the settings say, else one per GPU, as far as they share a batch evenly.

    Always 1 on Windows, where torch moves no gradients over the loopback interface alone. ConfigError for more.
    """
    gpus = torch.cuda.device_count()
    if sys.platform == "win32":
        if (settings.processes or 1) > 1:
            message = f"adapt-maft: {settings.processes} processes, but several work on Linux and macOS only"
            raise ConfigError(message, "Leave out --processes.")
        return 1
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


def before_after(
    before: Mapping[str, float] | None, after: Mapping[str, float], name: str, of: Callable[[float], float]
) -> BeforeAfter:
    """A figure of the loss of that name in two validations; `before` is None for a new head, which only guesses."""
    return BeforeAfter(before=None if before is None else of(before[name]), after=of(after[name]))


def _rounded(loss: float) -> float:
    return round(loss, 4)


def perplexity(loss: float) -> float:
    return round(math.exp(min(loss, _LARGEST)), 2)


def _raw_text(source: Path, settings: AdaptMaftSettings, lines: int | None) -> RawText:
    """The text to store. DataError or ModelError where text or tokenizer cannot be used."""
    if settings.text is None:
        raise DataError("adapt-maft: no raw text", "Add --text DIR with LANG.txt, one sentence per line.")
    tokenizer = checkpoint.read_tokenizer(source)
    if tokenizer.mask_token_id is None:
        raise ModelError(f"{source}: its tokenizer has no mask token", "Use an encoder that was trained with one.")
    limit = min(settings.max_length, checkpoint.max_tokens(checkpoint.read_config(source)))
    return RawText(settings.text, settings.languages, lines, checkpoint.encoder(tokenizer, limit))


def _size(store: TokenStore, sample: int, lines: int | None) -> tuple[int, int]:
    """Inputs and subwords to learn from, estimated from a store of so many lines per language; exact if that is all."""
    totals = np.zeros(2)
    for counts in store.counts.values():
        there = counts["lines"]
        times = min(lines or there, there) / min(sample, there)
        totals += np.array([counts["inputs"], counts["sub_words"]]) * times
    inputs = sum(counts["inputs"] for counts in store.counts.values())
    learnt = totals * len(store.training) / inputs
    return round(learnt[0]), round(learnt[1])
