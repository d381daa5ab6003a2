"""prune: weights of least magnitude become zero, over all linear layers at once, or two in every four of a row.

After fine-tuning nothing is trained. Before it, the model is fine-tuned with its zeros held. During it, more and more
become zero. Zeros alone make a file no smaller and a model no faster: the facts say what a sparse file would weigh.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgeafri.artifact import Artifact
from edgeafri.errors import DataError, ModelError
from edgeafri.menu.settings import Prune
from edgeafri.stages import finetune
from edgeafri.stages.models import checkpoint
from edgeafri.stages.training import sparsity, validation
from edgeafri.stages.training.loop import SCORE, Judge, expected, train, used_precision
from edgeafri.stages.training.sparsity import Masks
from edgeafri.tasks import tasks_of
from edgeafri.util.progress import Progress


def run(source: Artifact, settings: Prune, out: Path, progress: Progress) -> Mapping[str, Any]:
    """Set weights to zero, and fine-tune where asked; facts state the zeros of every matrix and on the whole."""
    _check(settings)
    if settings.when == "after":
        progress(0, 1)
        model = checkpoint.read_model(source.path)
        checkpoint.check_finite(model, "prune", source.path)
        sparsity.apply(model, _masks(model, settings))
        checkpoint.write_model(model, checkpoint.read_tokenizer(source.path), out)
        return {**_task_of(source, settings), **facts_of(model)}
    ready = prepare(source, settings)
    history = train(ready.model, ready.course, settings, out / "checkpoints", progress)
    checkpoint.write_model(ready.model, ready.tokenizer, out)
    precision = used_precision(out / "checkpoints")
    shutil.rmtree(out / "checkpoints", ignore_errors=True)
    learnt = {"train_sentences": ready.sentences, "precision": precision}
    return {**facts_of(ready.model), **learnt, **validation.dev_facts(history, settings.languages)}


def forecast(source: Artifact, settings: Prune) -> str:
    """How long it will take on this machine."""
    _check(settings)
    ready = prepare(source, settings)
    return expected(ready.model, ready.course, settings)


def prepare(source: Artifact, settings: Prune) -> finetune.Prepared:
    """What finetune prepares, its weights pruned already (before) or with the schedule that prunes them (during)."""
    ready = finetune.prepare(source, settings)
    checkpoint.check_finite(ready.model, "prune", source.path)
    if settings.when == "before":
        sparsity.apply(ready.model, _masks(ready.model, settings))
        return ready
    growth = sparsity.cubic(settings.sparsity, settings.ramp)
    return ready.with_course(growth=growth, judge=only_when_grown(ready.course.judge, settings.sparsity))


def facts_of(model: Any) -> dict[str, Any]:
    """Zeros of every linear matrix and on the whole, the bytes of the weights, and what a sparse file would weigh."""
    weights, zeros = sparsity.linear_weights(model), sparsity.zeros(model)
    total = sum(weight.numel() for weight in weights.values())
    return {
        "prunable": total,
        "zeros": sum(zeros.values()),
        "sparsity": sum(zeros.values()) / total,
        "sparsity_per_matrix": {name: round(zeros[name] / weights[name].numel(), 4) for name in weights},
        "dense_bytes": checkpoint.weight_bytes(model),
        "sparse_bytes": sparsity.sparse_bytes(model),
    }


def only_when_grown(judge: Judge, wanted: float) -> Judge:
    """The judge, but an epoch with fewer zeros than wanted is never the best: its score lies below any F1."""

    def judged(model: Any) -> dict[str, float]:
        missing = wanted - sparsity.share_of_zeros(model)
        found = judge(model)
        # The score rises with the zeros, so that patience does not end the training while they grow.
        return found if missing < 0.001 else {**found, SCORE: -1.0 - missing}

    return judged


def _task_of(source: Artifact, settings: Prune) -> dict[str, str]:
    """The task of the head, which nothing was taught here: the one asked for among those that share it."""
    found = [row.name for row in tasks_of(checkpoint.own_architecture(source.path))]
    likely = [name for name in (settings.task, source.manifest.task, *found) if name in found]
    return {"task": likely[0]} if likely else {}


def _masks(model: Any, settings: Prune) -> Masks:
    if settings.pattern == "unstructured":
        return sparsity.by_magnitude(model, settings.sparsity)
    masks = sparsity.two_of_four(model)
    if not masks:
        hint = "Use --pattern unstructured."
        raise ModelError("prune: no linear layer has rows that divide into fours, as pattern 2:4 needs", hint)
    return masks


def _check(settings: Prune) -> None:
    if settings.learns and not (settings.data and settings.languages):
        hint = "Add --data DIR with --languages swa,hau, its folders to learn from, or use --when after."
        raise DataError(f"prune: nothing to learn from, as --when {settings.when} must", hint)
