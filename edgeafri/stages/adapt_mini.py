"""adapt-mini: a masked LM gets a new language by a new vocabulary alone: tokenizer and word embedding, the rest frozen.

The embedding is learnt through the whole model (Artetxe et al. 2020), or through a mini-model that stands inside it and
costs less (Marchisio et al. 2023), and then used in the whole one. A task head learnt by the same model, its embeddings
frozen, is kept with `into`: it has then never seen a label of the new language.
"""

import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from edgeafri.artifact import Artifact
from edgeafri.errors import DataError, ModelError
from edgeafri.menu.settings import AdaptMini
from edgeafri.stages.models import checkpoint
from edgeafri.stages.training import examples, flops, second_head, validation
from edgeafri.stages.training.examples import Masks, Rows
from edgeafri.stages.training.loop import Course, Judge, Loss, expected, train, used_precision
from edgeafri.stages.vocab import embeddings
from edgeafri.tasks import task, tasks_of
from edgeafri.util.progress import Progress

_SAMPLE = 2000  # lines that fertility is counted on, at most
_LARGEST = 700.0  # a loss whose exponential is still a number


@dataclass(frozen=True)
class Prepared:
    """All that the training needs: the model with its new vocabulary, what judges it whole, and how text is cut."""

    model: Any
    tokenizer: Any
    course: Course
    whole: Judge
    cuts: Mapping[str, float]


def run(source: Artifact, settings: AdaptMini, out: Path, progress: Progress) -> Mapping[str, Any]:
    """Learn the new embedding and leave the model, or the one of `into`, with it in `out`."""
    ready = prepare(source, settings)
    history = train(ready.model, ready.course, settings, out / "checkpoints", progress)
    facts = {
        "method": settings.method,
        "inputs": len(ready.course.rows),
        "precision": used_precision(out / "checkpoints"),
        **flops.of_training(ready.model, ready.course, settings, history),
        **ready.cuts,
        **validation.text_facts(history),
    }
    _take_bias(ready.model, settings.method)
    facts["perplexity"] = round(math.exp(min(ready.whole(ready.model)["loss"], _LARGEST)), 2)
    second_head.remove(ready.model)
    result = ready.model if settings.into is None else plugged(settings.into, ready)
    checkpoint.write_model(result, ready.tokenizer, out)
    shutil.rmtree(out / "checkpoints", ignore_errors=True)
    found = tasks_of(type(result).__name__)
    return {"task": found[0].name if found else task("mask").name, **facts}


def forecast(source: Artifact, settings: AdaptMini) -> str:
    """How long it will take on this machine."""
    ready = prepare(source, settings)
    return expected(ready.model, ready.course, settings)


def prepare(source: Artifact, settings: AdaptMini) -> Prepared:
    """Read, check and set up everything. DataError, ModelError or ConfigError for what cannot be, before any work."""
    if settings.text is None:
        raise DataError("adapt-mini: no raw text", "Add --text DIR with LANG.txt, one sentence a line.")
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
    course, whole = _course(model, new, lines, settings)
    return Prepared(model, new, course, whole, _cuts(old, new, examples.spread(every, _SAMPLE)))


def check_source(path: Path, method: str) -> None:
    """ModelError for a model that is no masked LM, or has not the second head that the method asks for."""
    if not checkpoint.own_architecture(path).endswith(task("mask").head):
        hint = "Make it one: edgeafri adapt-maft SOURCE --text DIR --languages swa,hau."
        raise ModelError(f"adapt-mini: {path} has no masked-LM head", hint)
    if method == "standard":
        return
    joint, told = method == "mini-joint", second_head.described(path)
    if told is None or joint != (told["new_layers"] == 0):
        how = "--second-head 2" if joint else "--second-head 2 --new-layers 1"
        found = "no second head" if told is None else "one that was made otherwise"
        hint = f"Make it: edgeafri adapt-maft SOURCE {how} --text DIR --languages swa,hau: the languages it knows."
        raise ModelError(f"adapt-mini: method {method} learns through a second head; {path} has {found}", hint)


def freeze_body(model: Any, old: Any, new: Any, settings: AdaptMini) -> None:
    """Give the model its new vocabulary, and let its word embedding and the head's bias learn alone."""
    table = embeddings.start(model, old, new, settings.init, settings.seed)
    bias = embeddings.start_bias(_bias(model, settings.method).detach(), old, new)
    embeddings.plug(model, table, new, bias)
    if settings.method != "standard":
        model.second_head.bias = torch.nn.Parameter(bias)
    model.requires_grad_(False)
    model.get_input_embeddings().weight.requires_grad_(True)
    _bias(model, settings.method).requires_grad_(True)


def plugged(into: Path, ready: Prepared) -> Any:
    """The fine-tuned model with the new vocabulary; its head and all its layers as they were."""
    model = checkpoint.read_model(into)
    embeddings.plug(model, ready.model.get_input_embeddings().weight.detach(), ready.tokenizer)
    return model


def _course(
    model: Any, tokenizer: Any, lines: Mapping[str, Sequence[str]], settings: AdaptMini
) -> tuple[Course, Judge]:
    """The training, judged by what is learnt through, and the judge of the whole model on the same lines."""
    encoder = checkpoint.encoder(tokenizer, min(settings.max_length, checkpoint.max_tokens(model.config.to_dict())))
    learnt, judged = examples.held_out(
        [row for code, own in lines.items() for row in examples.masked_rows(encoder, own, code)]
    )
    fresh, fixed = (
        Masks(tokenizer.mask_token_id, len(tokenizer), settings.seed, everywhere=False, fixed=fixed)
        for fixed in (False, True)
    )
    pad, whole = encoder.frame.pad, validation.hard_loss(None)
    loss: Loss = whole if settings.method == "standard" else second_head.mini_loss
    on = Rows(judged, fixed)
    return Course(Rows(learnt, fresh), pad, loss, validation.on_text(on, pad, loss)), validation.on_text(on, pad, whole)


def _bias(model: Any, method: str) -> torch.Tensor:
    """The bias that learns: a second head's, or the model's own head's."""
    found: torch.Tensor = model.get_output_embeddings().bias if method == "standard" else model.second_head.bias
    return found


def _take_bias(model: Any, method: str) -> None:
    """What a second head learnt of how frequent sub-words are holds for the model's own head too."""
    with torch.no_grad():
        model.get_output_embeddings().bias.copy_(_bias(model, method))


def _cuts(old: Any, new: Any, lines: Sequence[str]) -> dict[str, float]:
    """Size of both vocabularies, sub-words a word, and the share of sub-words that are unknown."""
    words = sum(len(line.split()) for line in lines)
    found: dict[str, float] = {}
    for end, tokenizer in (("_before", old), ("", new)):
        encodings = tokenizer.backend_tokenizer.encode_batch(list(lines), add_special_tokens=False)
        ids = [place for item in encodings for place in item.ids]
        found |= {
            f"vocabulary{end}": len(tokenizer),
            f"fertility{end}": round(len(ids) / words, 3),
            f"unknown{end}": round(ids.count(tokenizer.unk_token_id) / len(ids), 4),
        }
    return found
