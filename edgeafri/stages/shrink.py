"""shrink: heads, feed-forward units, layers and width that matter least are taken out; what is left is really smaller.

Scores are measured once, on the whole model. With epochs, the smaller model is then taught by the model as it was.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from edgeafri.artifact import Artifact
from edgeafri.data.dataset import Split, check_labels
from edgeafri.device.profile import read_profile
from edgeafri.errors import DataError, ModelError
from edgeafri.inference.predict import Encoder
from edgeafri.menu.settings import Distill, Learning, Shrink
from edgeafri.stages import distill
from edgeafri.stages.models import checkpoint
from edgeafri.stages.models.uneven_layers import sizes_of
from edgeafri.stages.pruning import allocation, importance, surgery
from edgeafri.stages.pruning.allocation import Cost, Counts, Goal, Parts, Scores
from edgeafri.stages.pruning.costs import Costs, costs_of, counts_in
from edgeafri.stages.training import examples, validation
from edgeafri.stages.training.examples import Masks, Row, Rows
from edgeafri.tasks import Task, tasks_of, unit_of
from edgeafri.util.progress import Progress, silent

_LENGTH = 128  # sub-words of the sentence whose multiply-accumulates are counted
_SMALL, _FACTS = "small", "facts.json"  # what a recovery starts from, kept in its unfinished folder


@dataclass(frozen=True)
class Prepared:
    """All that shrinking needs, read and checked; `rows` is what scores are measured on, None for the weights alone."""

    model: Any
    tokenizer: Any
    encoder: Encoder
    task: Task | None
    costs: Costs
    goals: tuple[Goal, ...]
    rows: Rows | None = None


def run(source: Artifact, settings: Shrink, out: Path, progress: Progress) -> Mapping[str, Any]:
    """Leave the smaller model in `out`; facts name sizes and costs, and of every goal what was asked and reached."""
    if not settings.learns:
        return shrunk(prepare(source, settings), settings, out, progress)
    if not (out / _SMALL).is_dir():  # else a recovery that was stopped goes on
        begun = out / f"{_SMALL}.partial"
        shutil.rmtree(begun, ignore_errors=True)
        begun.mkdir()
        facts = shrunk(prepare(source, settings), settings, begun, progress)
        (begun / _FACTS).write_text(json.dumps(facts), "utf-8")
        begun.rename(out / _SMALL)
    facts = json.loads((out / _SMALL / _FACTS).read_text("utf-8"))
    learnt = distill.run(replace(source, path=out / _SMALL), recovery(source, settings), out, progress)
    shutil.rmtree(out / _SMALL)
    return {**learnt, **facts}


def forecast(source: Artifact, settings: Shrink) -> str:
    """How long the recovery will take on this machine, tried on a model about as small."""
    ready = replace(prepare(source, settings), rows=None)  # other scores, found at once: other parts, nearly as many
    with TemporaryDirectory() as folder:
        shrunk(ready, settings, Path(folder), silent)
        return distill.forecast(replace(source, path=Path(folder)), recovery(source, settings))


def prepare(source: Artifact, settings: Shrink) -> Prepared:
    """Read model and data. Everything that can be known to be wrong is, before any work."""
    config = checkpoint.read_config(source.path)
    task = _task_of(source, settings)
    _check_recovery(settings, task)
    model, tokenizer = checkpoint.read_model(source.path), checkpoint.read_tokenizer(source.path)
    checkpoint.check_finite(model, "shrink", source.path)
    costs = costs_of(model)
    allocation.check_asked(settings, sizes_of(config), model.config.hidden_size)
    encoder = checkpoint.encoder(
        tokenizer, min(settings.max_length, checkpoint.max_tokens(config)), unit_of(task.name) if task else "word"
    )
    goals = _goals(settings, costs, model.config)
    ready = Prepared(model, tokenizer, encoder, task, costs, goals)
    return ready if settings.importance == "magnitude" else replace(ready, rows=_rows(ready, settings))


def shrunk(ready: Prepared, settings: Shrink, out: Path, progress: Progress) -> dict[str, Any]:
    """Measure, choose, cut, and write the smaller model into a folder; its facts."""
    scores = _scores(ready, settings, progress)
    layers = allocation.layers_kept(settings, scores)
    parts = (
        allocation.by_goals(ready.goals, layers, scores)
        if ready.goals
        else allocation.by_numbers(settings, layers, scores)
    )
    small = surgery.cut(ready.model, parts)
    checkpoint.write_model(small, ready.tokenizer, out)
    return _facts(ready, counts_in(small.config), parts)


def recovery(source: Artifact, settings: Shrink) -> Distill:
    """The distillation that follows: the model as it was teaches its labels, or its masked-LM answers."""
    shared = {field.name: getattr(settings, field.name) for field in fields(Learning)}
    given = Distill(**shared, teacher=source.path, text=settings.text, lines=settings.lines)
    masked = any(task.unit == "token" for task in tasks_of(checkpoint.own_architecture(source.path)))
    return replace(given, mode="agnostic") if masked else replace(given, data=settings.data)


def _task_of(source: Artifact, settings: Shrink) -> Task | None:
    """The task of the model's head, by name where several share it; none for a bare encoder."""
    found = {row.name: row for row in tasks_of(checkpoint.own_architecture(source.path))}
    task = found.get(settings.task) or found.get(source.manifest.task) or next(iter(found.values()), None)
    if task is None and (settings.learns or settings.importance != "magnitude"):
        hint = "Use --importance magnitude without --epochs, which asks the weights alone, or fine-tune it first."
        raise ModelError(f"shrink: {source.path} has no head, so there is no loss to measure", hint)
    return task


def _check_recovery(settings: Shrink, task: Task | None) -> None:
    masked = task is not None and task.unit == "token"
    if settings.learns and not (settings.languages and (settings.text if masked else settings.data)):
        hint = f"Add --{'text' if masked else 'data'} DIR with --languages swa,hau, or leave out --epochs."
        raise DataError(f"shrink: no {'raw text' if masked else 'labelled data'} to recover on", hint)


def _goals(settings: Shrink, costs: Costs, config: Any) -> tuple[Goal, ...]:
    """The goals asked for, each with its cost."""
    length, whole = _length(config), counts_in(config)
    asked: list[tuple[str, float | None, Cost]] = [
        ("macs", settings.macs, lambda counts: costs.macs(counts, length)),
        ("bytes", settings.bytes, costs.bytes),
    ]
    for name, share in (settings.latency_of or {}).items():
        asked.append((f"latency_of.{name}", share, partial(costs.milliseconds, profile=read_profile(name))))
    goals = tuple(Goal(name, share, cost(whole), cost) for name, share, cost in asked if share is not None)
    allocation.check_goals(goals, allocation.fewest_layers(whole, settings.layers))
    return goals


def _length(config: Any) -> int:
    return min(_LENGTH, checkpoint.max_tokens(config.to_dict()))


def _rows(ready: Prepared, settings: Shrink) -> Rows:
    """What scores are measured on: dev with its labels, else raw text. DataError where there is nothing to read."""
    masked = ready.task is not None and ready.task.unit == "token"
    if settings.data is not None and not masked:
        dev = validation.splits_of("shrink", settings, "dev", ready.encoder.unit)
        found = [item for split in dev for item in _labelled(ready, split, settings.sentences)]
    elif settings.text is not None:
        lines = examples.raw_lines(settings.text, settings.languages, settings.sentences)
        found = [item for code, own in lines.items() for item in _raw(ready.encoder, own, code, masked)]
    else:
        hint = f"Add {'' if masked else '--data DIR or '}--text DIR with --languages, or use --importance magnitude."
        raise DataError(f"shrink: no text to measure importance '{settings.importance}' on", hint)
    read = [item for item in found if item.places]
    if not read:
        raise DataError("shrink: the text to measure importance on has nothing to read", "Add sentences of words.")
    return Rows(read, _masks(ready, settings.seed) if masked else None)


def _labelled(ready: Prepared, split: Split, most: int) -> list[Row]:
    labels = checkpoint.labels_of(ready.model.config.to_dict())
    check_labels(split, labels)
    some = replace(split, sentences=tuple(examples.spread(split.sentences, most)))
    return examples.labelled_rows(ready.encoder, some, labels)


def _raw(encoder: Encoder, lines: list[str], language: str, masked: bool) -> list[Row]:
    if masked:
        return examples.masked_rows(encoder, lines, language)
    return examples.unlabelled_rows(encoder, examples.raw_words(encoder, lines), language)


def _masks(ready: Prepared, seed: int) -> Masks:
    mask = ready.tokenizer.mask_token_id
    if mask is None:
        raise ModelError("shrink: the tokenizer has no mask token, which a masked-LM head needs", "Set mask_token.")
    return Masks(mask, ready.model.config.vocab_size, seed, everywhere=False, fixed=True)


def _scores(ready: Prepared, settings: Shrink, progress: Progress) -> Scores:
    if ready.rows is None:
        return importance.magnitude(ready.model)
    squared = settings.importance == "fisher"
    return importance.measured(ready.model, ready.rows, ready.encoder.frame.pad, squared, settings.seed, progress)


def _facts(ready: Prepared, counts: Counts, parts: Parts) -> dict[str, Any]:
    whole, length = counts_in(ready.model.config), _length(ready.model.config)
    task = {"task": ready.task.name} if ready.task else {}
    sizes: dict[str, Any] = {}
    for name, kept in (("_before", whole), ("", counts)):
        sizes[f"parameters{name}"] = ready.costs.parameters(kept)
        sizes[f"macs{name}"] = ready.costs.macs(kept, length)
        sizes[f"bytes{name}"] = ready.costs.bytes(kept)
    return {
        **task,
        **sizes,
        "layers": list(parts.layers),
        "heads": list(counts.heads),
        "ffn": list(counts.ffn),
        "hidden": counts.hidden,
        "goals": {goal.name: {"asked": goal.share, "reached": round(goal.reached(counts), 4)} for goal in ready.goals},
        "scored_inputs": 0 if ready.rows is None else len(ready.rows),
    }
