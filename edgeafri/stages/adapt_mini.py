"""adapt-mini: give a masked LM a new language by a new vocabulary alone: tokenizer and word embedding, the rest frozen.

The embedding is learnt through the whole model (Artetxe et al. 2020), or through a mini-model that stands inside it and
costs less (Marchisio et al. 2023), and then used in the whole model. With `into`, a task head that the same model
learnt with frozen embeddings is kept: it has then never seen a label of the new language.
"""

import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from edgeafri.artifact import Artifact
from edgeafri.errors import DataError, ModelError
from edgeafri.menu.facts.training import AdaptMiniFacts
from edgeafri.menu.settings import AdaptMiniSettings
from edgeafri.stages.models import checkpoint
from edgeafri.stages.training import examples, flops, second_head, validation
from edgeafri.stages.training.examples import Examples, Masking
from edgeafri.stages.training.forecast import forecast_training
from edgeafri.stages.training.loop import train
from edgeafri.stages.training.resume import used_precision
from edgeafri.stages.training.training_task import Loss, TrainingTask, Validate
from edgeafri.stages.vocab import embeddings
from edgeafri.tasks import task, tasks_of
from edgeafri.util.progress import Progress

_SAMPLE = 2000  # lines that fertility is counted on, at most
_LARGEST = 700.0  # a loss whose exponential is still finite


@dataclass(frozen=True)
class TokenizerFigures:
    """How a tokenizer cuts text: its ids, subwords per word, and the share of subwords that are the unknown one."""

    vocabulary: int
    fertility: float
    unknown: float


@dataclass(frozen=True)
class MiniSetup:
    """All that the training needs: the model with its new vocabulary, the validation of the whole model, and how its
    tokenizer before and after cuts the text."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    training: TrainingTask
    validate_whole: Validate
    before: TokenizerFigures
    after: TokenizerFigures


def run(source: Artifact, settings: AdaptMiniSettings, out: Path, progress: Progress) -> AdaptMiniFacts:
    """Learn the new embedding and leave the model, or the one of `into`, with it in `out`."""
    setup = prepare(source, settings)
    history = train(setup.model, setup.training, settings, out / "checkpoints", progress)
    count = flops.training_flops(setup.model, setup.training, settings, history)
    precision = used_precision(out / "checkpoints")
    _take_bias(setup.model, settings.method)
    loss = setup.validate_whole(setup.model)["loss"]
    second_head.remove(setup.model)
    result = setup.model if settings.into is None else plugged(settings.into, setup)
    checkpoint.write_model(result, setup.tokenizer, out)
    shutil.rmtree(out / "checkpoints", ignore_errors=True)
    found = tasks_of(type(result).__name__)
    return AdaptMiniFacts(
        task=found[0].name if found else task("mask").name,
        method=settings.method,
        inputs=len(setup.training.examples),
        precision=precision,
        flops=count,
        vocabulary_before=setup.before.vocabulary,
        fertility_before=setup.before.fertility,
        unknown_before=setup.before.unknown,
        vocabulary=setup.after.vocabulary,
        fertility=setup.after.fertility,
        unknown=setup.after.unknown,
        validation=validation.text_facts(history),
        perplexity=round(math.exp(min(loss, _LARGEST)), 2),
    )


def forecast(source: Artifact, settings: AdaptMiniSettings) -> str:
    """How long it will take on this machine."""
    setup = prepare(source, settings)
    return forecast_training(setup.model, setup.training, settings)


def prepare(source: Artifact, settings: AdaptMiniSettings) -> MiniSetup:
    """Read, check and set up everything. DataError, ModelError or ConfigError for what cannot be, before any work."""
    if settings.text is None:
        raise DataError("adapt-mini: no raw text", "Add --text DIR with LANG.txt, one sentence per line.")
    check_source(source.path, settings.method)
    model = checkpoint.with_head(source.path, task("mask").head, None, settings.seed, settings.dropout)
    if settings.method != "standard":
        second_head.read_into(model, source.path)
    if settings.into is not None:
        embeddings.check_same(model, checkpoint.read_model(settings.into), str(settings.into))
    old = checkpoint.read_tokenizer(source.path)
    if old.mask_token_id is None:
        raise ModelError(f"{source.path}: its tokenizer has no mask token", "Use an encoder that was trained with one.")
    lines = examples.raw_lines(settings.text, settings.languages, settings.lines)
    every = [line for own in lines.values() for line in own]
    new = embeddings.new_tokenizer(old, every, settings.languages, settings.vocabulary)
    freeze_body(model, old, new, settings)
    training, validate_whole = _training_task(model, new, lines, settings)
    before, after = (_figures(tokenizer, examples.spread(every, _SAMPLE)) for tokenizer in (old, new))
    return MiniSetup(model, new, training, validate_whole, before, after)


def check_source(path: Path, method: str) -> None:
    """ModelError for a model that is no masked LM, or has not the second head that the method asks for."""
    if not checkpoint.own_architecture(path).endswith(task("mask").head):
        hint = "Make it one: edgeafri adapt-maft SOURCE --text DIR --languages swa,hau."
        raise ModelError(f"adapt-mini: {path} has no masked-LM head", hint)
    if method == "standard":
        return
    joint, place = method == "mini-joint", second_head.read_place(path)
    if place is None or joint != (place.new_layers == 0):
        how = "--second-head 2" if joint else "--second-head 2 --new-layers 1"
        found = "no second head" if place is None else "one that was made otherwise"
        hint = f"Make it: edgeafri adapt-maft SOURCE {how} --text DIR --languages swa,hau: the languages it knows."
        raise ModelError(f"adapt-mini: method {method} learns through a second head; {path} has {found}", hint)


def freeze_body(
    model: PreTrainedModel, old: PreTrainedTokenizerFast, new: PreTrainedTokenizerFast, settings: AdaptMiniSettings
) -> None:
    """Give the model its new vocabulary, and freeze all but its word embedding and the bias of its head."""
    table = embeddings.start(model, old, new, settings.init, settings.seed)
    bias = embeddings.start_bias(_bias(model, settings.method).detach(), old, new)
    embeddings.plug(model, table, new, bias)
    if settings.method != "standard":
        model.second_head.bias = torch.nn.Parameter(bias)
    model.requires_grad_(False)
    model.get_input_embeddings().weight.requires_grad_(True)
    _bias(model, settings.method).requires_grad_(True)


def plugged(into: Path, setup: MiniSetup) -> PreTrainedModel:
    """The fine-tuned model with the new vocabulary; its head and all its layers as they were."""
    model = checkpoint.read_model(into)
    embeddings.plug(model, setup.model.get_input_embeddings().weight.detach(), setup.tokenizer)
    return model


def _training_task(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    lines: Mapping[str, Sequence[str]],
    settings: AdaptMiniSettings,
) -> tuple[TrainingTask, Validate]:
    """The training, validated by the loss that it lowers, and the validation of the whole model on the same lines."""
    encoder = checkpoint.encoder(tokenizer, min(settings.max_length, checkpoint.max_tokens(model.config)))
    every = [item for code, own in lines.items() for item in examples.masked_examples(encoder, own, code)]
    learnt, held_out = examples.split_held_out(every)
    fresh = Masking(tokenizer.mask_token_id, len(tokenizer), settings.seed, everywhere=False, fixed=False)
    pad_id, whole = encoder.frame.pad, validation.hard_loss(None)
    loss: Loss = whole if settings.method == "standard" else second_head.mini_loss
    validated = Examples(held_out, replace(fresh, fixed=True))
    training = TrainingTask(Examples(learnt, fresh), pad_id, loss, validation.on_text(validated, pad_id, loss))
    return training, validation.on_text(validated, pad_id, whole)


def _bias(model: PreTrainedModel, method: str) -> torch.Tensor:
    """The bias that learns: that of the second head, or that of the model's own head."""
    found: torch.Tensor = model.get_output_embeddings().bias if method == "standard" else model.second_head.bias
    return found


def _take_bias(model: PreTrainedModel, method: str) -> None:
    """Give the model's own head the learnt bias: it says how frequent each subword is, which holds for both heads."""
    with torch.no_grad():
        model.get_output_embeddings().bias.copy_(_bias(model, method))


def _figures(tokenizer: PreTrainedTokenizerFast, lines: Sequence[str]) -> TokenizerFigures:
    encodings = tokenizer.backend_tokenizer.encode_batch(list(lines), add_special_tokens=False)
    ids = [token for item in encodings for token in item.ids]
    words = sum(len(line.split()) for line in lines)
    unknown = round(ids.count(tokenizer.unk_token_id) / len(ids), 4)
    return TokenizerFigures(len(tokenizer), round(len(ids) / words, 3), unknown)
