"""shrink: take out the attention heads, feed-forward units, layers and width that matter least, for smaller tensors.

Importance is measured once, on the whole model. With epochs, the smaller model then learns from the model as it was.
"""

import json
import shutil
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerFast

from edgeafri.artifact import Artifact
from edgeafri.data.dataset import Split, check_labels
from edgeafri.device.profile import read_profile
from edgeafri.errors import DataError, ModelError
from edgeafri.inference.predict import Encoder
from edgeafri.menu.facts.training import Reached, ShrinkFacts
from edgeafri.menu.settings import DistillSettings, LearningSettings, ShrinkSettings
from edgeafri.stages import distill
from edgeafri.stages.models import checkpoint
from edgeafri.stages.models.uneven_layers import sizes_of
from edgeafri.stages.pruning import allocation, importance, surgery
from edgeafri.stages.pruning.allocation import CostFunction, Goal, ImportanceScores, PartCounts, Parts
from edgeafri.stages.pruning.costs import CostModel, cost_model_of, counts_in
from edgeafri.stages.training import examples, validation
from edgeafri.stages.training.examples import Example, Examples, Masking
from edgeafri.tasks import Task, tasks_of, unit_of
from edgeafri.util.progress import Progress, silent

_LENGTH = 128  # subwords of the sentence whose multiply-accumulates are counted
_SMALL, _FACTS = "small", "facts.json"  # what a recovery starts from, kept in its unfinished folder


@dataclass(frozen=True)
class ShrinkSetup:
    """All that shrinking needs, read and checked. Importance is measured on `examples`, or on the weights if None."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    encoder: Encoder
    task: Task | None
    costs: CostModel
    goals: tuple[Goal, ...]
    examples: Examples | None = None


def run(source: Artifact, settings: ShrinkSettings, out: Path, progress: Progress) -> ShrinkFacts:
    """Leave the smaller model in `out`; facts give sizes and costs, and for every goal what was asked and reached."""
    if not settings.learns:
        return shrunk(prepare(source, settings), settings, out, progress)
    if not (out / _SMALL).is_dir():  # else a recovery that was stopped goes on
        begun = out / f"{_SMALL}.partial"
        shutil.rmtree(begun, ignore_errors=True)
        begun.mkdir()
        small = shrunk(prepare(source, settings), settings, begun, progress)
        (begun / _FACTS).write_text(json.dumps(small.to_json()), "utf-8")
        begun.rename(out / _SMALL)
    facts = ShrinkFacts.from_json(json.loads((out / _SMALL / _FACTS).read_text("utf-8")))
    learnt = distill.run(replace(source, path=out / _SMALL), recovery(source, settings), out, progress)
    shutil.rmtree(out / _SMALL)
    return replace(
        facts,
        mode=learnt.mode,
        inputs=learnt.inputs,
        teacher_answers_bytes=learnt.teacher_answers_bytes,
        validation=learnt.validation,
        precision=learnt.precision,
    )


def forecast(source: Artifact, settings: ShrinkSettings) -> str:
    """How long the recovery will take on this machine, tried on a model about as small."""
    setup = replace(
        prepare(source, settings), examples=None
    )  # scored by its weights, at once: other parts, nearly as many
    with TemporaryDirectory() as folder:
        shrunk(setup, settings, Path(folder), silent)
        return distill.forecast(replace(source, path=Path(folder)), recovery(source, settings))


def prepare(source: Artifact, settings: ShrinkSettings) -> ShrinkSetup:
    """Read model and data. Everything that can be known to be wrong is found here, before any work."""
    config = checkpoint.read_config(source.path)
    task = _task_of(source, settings)
    _check_recovery(settings, task)
    model, tokenizer = checkpoint.read_model(source.path), checkpoint.read_tokenizer(source.path)
    checkpoint.check_finite(model, "shrink", source.path)
    costs = cost_model_of(model)
    allocation.check_settings(settings, sizes_of(config), model.config.hidden_size)
    encoder = checkpoint.encoder(
        tokenizer, min(settings.max_length, checkpoint.max_tokens(config)), unit_of(task.name) if task else "word"
    )
    goals = _goals(settings, costs, model.config)
    setup = ShrinkSetup(model, tokenizer, encoder, task, costs, goals)
    return setup if settings.importance == "magnitude" else replace(setup, examples=_examples(setup, settings))


def shrunk(setup: ShrinkSetup, settings: ShrinkSettings, out: Path, progress: Progress) -> ShrinkFacts:
    """Measure, choose, cut, and write the smaller model into a folder; returns its facts."""
    scores = _scores(setup, settings, progress)
    layers = allocation.kept_layers(settings, scores)
    parts = (
        allocation.by_goals(setup.goals, layers, scores)
        if setup.goals
        else allocation.by_numbers(settings, layers, scores)
    )
    small = surgery.cut(setup.model, parts)
    checkpoint.write_model(small, setup.tokenizer, out)
    return _facts(setup, counts_in(small.config), parts)


def recovery(source: Artifact, settings: ShrinkSettings) -> DistillSettings:
    """The distillation that follows: the model as it was teaches its labels, or its masked-LM logits."""
    shared = {field.name: getattr(settings, field.name) for field in fields(LearningSettings)}
    given = DistillSettings(**shared, teacher=source.path, text=settings.text, lines=settings.lines)
    masked = any(task.unit == "token" for task in tasks_of(checkpoint.own_architecture(source.path)))
    return replace(given, mode="agnostic") if masked else replace(given, data=settings.data)


def _task_of(source: Artifact, settings: ShrinkSettings) -> Task | None:
    """The task of the model's head, by name where several share it; none for a bare encoder."""
    found = {row.name: row for row in tasks_of(checkpoint.own_architecture(source.path))}
    task = found.get(settings.task) or found.get(source.manifest.task) or next(iter(found.values()), None)
    if task is None and (settings.learns or settings.importance != "magnitude"):
        hint = "Use --importance magnitude without --epochs, which needs the weights alone, or fine-tune it first."
        raise ModelError(f"shrink: {source.path} has no head, so there is no loss to measure", hint)
    return task


def _check_recovery(settings: ShrinkSettings, task: Task | None) -> None:
    masked = task is not None and task.unit == "token"
    if settings.learns and not (settings.languages and (settings.text if masked else settings.data)):
        hint = f"Add --{'text' if masked else 'data'} DIR with --languages swa,hau, or leave out --epochs."
        raise DataError(f"shrink: no {'raw text' if masked else 'labelled data'} to recover on", hint)


def _goals(settings: ShrinkSettings, costs: CostModel, config: PretrainedConfig) -> tuple[Goal, ...]:
    """The goals asked for, each with its cost."""
    length, whole = _length(config), counts_in(config)
    asked: list[tuple[str, float | None, CostFunction]] = [
        ("macs", settings.macs, lambda counts: costs.macs(counts, length)),
        ("bytes", settings.bytes, costs.bytes),
    ]
    for name, share in (settings.latency_of or {}).items():
        asked.append((f"latency_of.{name}", share, partial(costs.milliseconds, profile=read_profile(name))))
    goals = tuple(Goal(name, share, cost(whole), cost) for name, share, cost in asked if share is not None)
    allocation.check_goals(goals, allocation.fewest_layers(whole, settings.layers))
    return goals


def _length(config: PretrainedConfig) -> int:
    return min(_LENGTH, checkpoint.max_tokens(config))


def _examples(setup: ShrinkSetup, settings: ShrinkSettings) -> Examples:
    """What scores are measured on: dev with its labels, else raw text. DataError where there is nothing to read."""
    masked = setup.task is not None and setup.task.unit == "token"
    if settings.data is not None and not masked:
        dev = validation.dataset_of("shrink", settings, setup.encoder.unit).splits("dev")
        found = [item for split in dev for item in _labelled(setup, split, settings.sentences)]
    elif settings.text is not None:
        lines = examples.raw_lines(settings.text, settings.languages, settings.sentences)
        found = [item for code, own in lines.items() for item in _raw(setup.encoder, own, code, masked)]
    else:
        hint = f"Add {'' if masked else '--data DIR or '}--text DIR with --languages, or use --importance magnitude."
        raise DataError(f"shrink: no text to measure importance '{settings.importance}' on", hint)
    read = [item for item in found if item.positions]
    if not read:
        raise DataError("shrink: the text to measure importance on has nothing to read", "Add sentences of words.")
    return Examples(read, _masking(setup, settings.seed) if masked else None)


def _labelled(setup: ShrinkSetup, split: Split, most: int) -> list[Example]:
    labels = checkpoint.labels_of(setup.model.config)
    check_labels(split, labels)
    some = replace(split, sentences=tuple(examples.spread(split.sentences, most)))
    return examples.labelled_examples(setup.encoder, some, labels)


def _raw(encoder: Encoder, lines: list[str], language: str, masked: bool) -> list[Example]:
    if masked:
        return examples.masked_examples(encoder, lines, language)
    return examples.unlabelled_examples(encoder, examples.raw_words(encoder, lines), language)


def _masking(setup: ShrinkSetup, seed: int) -> Masking:
    mask_id = setup.tokenizer.mask_token_id
    if mask_id is None:
        raise ModelError("shrink: the tokenizer has no mask token, which a masked-LM head needs", "Set mask_token.")
    return Masking(mask_id, setup.model.config.vocab_size, seed, everywhere=False, fixed=True)


def _scores(setup: ShrinkSetup, settings: ShrinkSettings, progress: Progress) -> ImportanceScores:
    if setup.examples is None:
        return importance.magnitude(setup.model)
    squared = settings.importance == "fisher"
    return importance.measured(setup.model, setup.examples, setup.encoder.frame.pad, squared, settings.seed, progress)


def _facts(setup: ShrinkSetup, counts: PartCounts, parts: Parts) -> ShrinkFacts:
    whole, length, costs = counts_in(setup.model.config), _length(setup.model.config), setup.costs
    return ShrinkFacts(
        task=setup.task.name if setup.task else None,
        parameters_before=costs.parameters(whole),
        macs_before=costs.macs(whole, length),
        bytes_before=costs.bytes(whole),
        parameters=costs.parameters(counts),
        macs=costs.macs(counts, length),
        bytes=costs.bytes(counts),
        layers=parts.layers,
        heads=counts.heads,
        ffn=counts.ffn,
        hidden=counts.hidden,
        goals={goal.name: Reached(asked=goal.share, reached=round(goal.reached(counts), 4)) for goal in setup.goals},
        scored_inputs=0 if setup.examples is None else len(setup.examples),
    )
