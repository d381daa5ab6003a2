"""prune: the weights of least magnitude become zero, over all linear layers at once, or two in every four of a row.

With `when: after` nothing is trained. With `before` the model is then fine-tuned, and the zeros stay zero. With
`during` more and more weights become zero in fine-tuning. Zeros alone make no file smaller and no model faster: the
facts say how many bytes a sparse file would have.
"""

import shutil
from dataclasses import replace
from pathlib import Path

from transformers import PreTrainedModel

from edgeafri.artifact import Artifact
from edgeafri.errors import DataError, ModelError
from edgeafri.menu.facts.training import PruneFacts
from edgeafri.menu.settings import PruneSettings
from edgeafri.stages import finetune
from edgeafri.stages.models import checkpoint
from edgeafri.stages.training import sparsity, validation
from edgeafri.stages.training.forecast import forecast_training
from edgeafri.stages.training.loop import train
from edgeafri.stages.training.resume import used_precision
from edgeafri.stages.training.sparsity import ZeroMasks
from edgeafri.stages.training.training_task import SCORE, Validate
from edgeafri.tasks import tasks_of
from edgeafri.util.progress import Progress


def run(source: Artifact, settings: PruneSettings, out: Path, progress: Progress) -> PruneFacts:
    """Set weights to zero, and fine-tune where asked; facts state the zeros of every matrix and of the whole model."""
    _check(settings)
    if settings.when == "after":
        progress(0, 1)
        model = checkpoint.read_model(source.path)
        checkpoint.check_finite(model, "prune", source.path)
        sparsity.apply(model, _masks(model, settings))
        checkpoint.write_model(model, checkpoint.read_tokenizer(source.path), out)
        return replace(facts_of(model), task=_task_of(source, settings))
    setup = prepare(source, settings)
    history = train(setup.model, setup.training, settings, out / "checkpoints", progress)
    checkpoint.write_model(setup.model, setup.tokenizer, out)
    precision = used_precision(out / "checkpoints")
    shutil.rmtree(out / "checkpoints", ignore_errors=True)
    reached = validation.dev_facts(history, settings.languages)
    return replace(facts_of(setup.model), train_sentences=setup.sentences, precision=precision, validation=reached)


def forecast(source: Artifact, settings: PruneSettings) -> str:
    """How long it will take on this machine."""
    _check(settings)
    setup = prepare(source, settings)
    return forecast_training(setup.model, setup.training, settings)


def prepare(source: Artifact, settings: PruneSettings) -> finetune.FinetuneSetup:
    """What finetune prepares, with weights pruned already (before) or with the schedule that prunes them (during)."""
    setup = finetune.prepare(source, settings)
    checkpoint.check_finite(setup.model, "prune", source.path)
    if settings.when == "before":
        sparsity.apply(setup.model, _masks(setup.model, settings))
        return setup
    schedule = sparsity.cubic(settings.sparsity, settings.ramp)
    return setup.with_zeros(schedule, only_when_sparse(setup.training.validate, settings.sparsity))


def facts_of(model: PreTrainedModel) -> PruneFacts:
    """Zeros of every linear matrix and of the whole model, the bytes of the weights, and those of a sparse file."""
    weights, zeros = sparsity.linear_weights(model), sparsity.zeros(model)
    total = sum(weight.numel() for weight in weights.values())
    return PruneFacts(
        prunable=total,
        zeros=sum(zeros.values()),
        sparsity=sum(zeros.values()) / total,
        sparsity_per_matrix={name: round(zeros[name] / weights[name].numel(), 4) for name in weights},
        dense_bytes=checkpoint.weight_bytes(model),
        sparse_bytes=sparsity.sparse_bytes(model),
    )


def only_when_sparse(validate: Validate, wanted: float) -> Validate:
    """A validation in which an epoch with fewer zeros than wanted is never the best: its score is below any F1."""

    def validate_sparse(model: PreTrainedModel) -> dict[str, float]:
        missing = wanted - sparsity.share_of_zeros(model)
        found = validate(model)
        # The score rises with the zeros, so that patience does not end the training while zeros become more.
        return found if missing < 0.001 else {**found, SCORE: -1.0 - missing}

    return validate_sparse


def _task_of(source: Artifact, settings: PruneSettings) -> str | None:
    """The task of the head, which nothing was taught here: the one asked for among those that share it."""
    found = [row.name for row in tasks_of(checkpoint.own_architecture(source.path))]
    likely = [name for name in (settings.task, source.manifest.task, *found) if name in found]
    return likely[0] if likely else None


def _masks(model: PreTrainedModel, settings: PruneSettings) -> ZeroMasks:
    if settings.pattern == "unstructured":
        return sparsity.by_magnitude(model, settings.sparsity)
    masks = sparsity.two_of_four(model)
    if not masks:
        hint = "Use --pattern unstructured."
        raise ModelError("prune: no linear layer has rows that divide into fours, as pattern 2:4 needs", hint)
    return masks


def _check(settings: PruneSettings) -> None:
    if settings.learns and not (settings.data and settings.languages):
        hint = "Add --data DIR with --languages swa,hau, its folders to learn from, or use --when after."
        raise DataError(f"prune: nothing to learn from, as --when {settings.when} must", hint)
