"""The pair of a distillation: the teacher, the student in the shape that the settings ask for, and what they read."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerFast

from edgeafri.artifact import Artifact
from edgeafri.errors import ConfigError, ModelError
from edgeafri.inference.predict import Encoder
from edgeafri.menu.settings import DistillSettings
from edgeafri.stages.distillation.student import EncoderShape, check_smaller, new_student, shape_of
from edgeafri.stages.models import checkpoint, uneven_layers
from edgeafri.tasks import Task, tasks_of, unit_of


@dataclass(frozen=True)
class Pair:
    """Teacher and student, the student's own tokenizer, and the task of the teacher's head."""

    teacher: PreTrainedModel
    student: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    encoder: Encoder
    teacher_folder: Path
    task: Task | None

    @property
    def masked(self) -> bool:
        """Whether the teacher is a masked LM."""
        return self.task is not None and self.task.unit == "token"


def read_pair(source: Artifact, settings: DistillSettings) -> Pair:
    """Read teacher and source, and make the student. ConfigError or ModelError for two that do not go together."""
    folder = settings.teacher or source.path
    task = _task_of(folder, settings, source.manifest.task)
    head = task.head if task else "Model"
    teacher = checkpoint.read_model(folder) if task else checkpoint.with_head(folder, head, None, settings.seed)
    labels = checkpoint.labels_of(teacher.config) if task and task.unit != "token" else None
    start = checkpoint.with_head(source.path, head, labels, settings.seed, settings.dropout)
    student = _student(start, teacher, settings)
    _check_even((teacher, student), settings)
    tokenizer = checkpoint.read_tokenizer(source.path)
    if settings.teacher is not None:
        _check_tokenizers(tokenizer, checkpoint.read_tokenizer(folder), settings)
    limit = min(settings.max_length, *(checkpoint.max_tokens(model.config) for model in (teacher, student)))
    encoder = checkpoint.encoder(tokenizer, limit, unit_of(task.name) if task else "word")
    return Pair(teacher, student, tokenizer, encoder, folder, task)


def _student(start: PreTrainedModel, teacher: PreTrainedModel, settings: DistillSettings) -> PreTrainedModel:
    """The source as it is, uneven layers too, unless another shape or other weights are asked for."""
    shape = student_shape(settings, shape_of(start.config))
    check_smaller(shape, shape_of(teacher.config))
    if shape == shape_of(start.config) and settings.take != "random":
        return start
    return new_student(start, shape, settings.take, settings.seed)


def _task_of(folder: Path, settings: DistillSettings, likely: str) -> Task | None:
    """The task of the teacher's head, as far as the mode needs one. ModelError where the mode needs another.

    Several tasks share a head: the one of the settings, else the `likely` one, else the first.
    """
    if settings.mode == "relation":
        return None
    found = {row.name: row for row in tasks_of(checkpoint.own_architecture(folder))}
    if settings.mode == "task" and found and settings.task not in (None, *found):
        hint = f"Use --task {' or --task '.join(found)}, or a teacher that was fine-tuned for {settings.task}."
        raise ModelError(f"distill: {folder} has a head for {' or '.join(found)}, not for {settings.task}", hint)
    task = found.get(settings.task or likely) or next(iter(found.values()), None)
    _check_mode(folder, settings, task)
    return task


def _check_mode(folder: Path, settings: DistillSettings, task: Task | None) -> None:
    masked = task is not None and task.unit == "token"
    if settings.mode == "agnostic" and not masked:
        hint = "Train one first: edgeafri adapt-maft MODEL --text DIR --out TEACHER. Or use --mode relation."
        raise ModelError(f"distill: {folder} has no masked-LM head, which mode agnostic learns from", hint)
    if settings.mode == "task" and (task is None or masked):
        hint = "Fine-tune it first (edgeafri finetune), or use --mode agnostic."
        raise ModelError(f"distill: {folder} is not fine-tuned, so mode task has no labels to learn from", hint)
    if task is None:
        hint = "Use --mode relation, which needs no head, or train the teacher first."
        raise ModelError(f"distill: {folder} has no head, whose logits mode {settings.mode} learns from", hint)


def student_shape(settings: DistillSettings, start: EncoderShape) -> EncoderShape:
    """The shape asked for. A share is rounded down, at least to 1; a width by share to a multiple of the heads."""
    names = ("layers", "hidden", "heads", "ffn")
    for name in names:
        size = getattr(settings, name)
        if size is not None and size >= 1 and size != int(size):
            raise ConfigError(f"distill: '{name}' {size:g} is not a whole number", "Give one, or a share below 1.")
    asked = {name: _size(getattr(settings, name), getattr(start, name)) for name in names}
    if settings.hidden is not None and settings.hidden < 1:
        asked["hidden"] = max(asked["heads"], asked["hidden"] - asked["hidden"] % asked["heads"])
    return EncoderShape(**asked)


def _size(asked: float | None, own: int) -> int:
    if asked is None:
        return own
    return int(asked) if asked >= 1 else max(1, int(own * asked))


def _check_even(models: Sequence[PreTrainedModel], settings: DistillSettings) -> None:
    if settings.mode == "relation" and any(hasattr(model.config, uneven_layers.KEY) for model in models):
        hint = "Use another --mode, or the model as it was before it was shrunk."
        raise ModelError("distill: mode relation compares layers as wide as their model, and here some are not", hint)


def _check_tokenizers(
    ours: PreTrainedTokenizerFast, theirs: PreTrainedTokenizerFast, settings: DistillSettings
) -> None:
    if ours.get_vocab() == theirs.get_vocab() or (settings.mode == "task" and by_words(settings)):
        return
    hint = "Distill from a teacher with the source's vocabulary"
    if settings.mode == "task":
        hint += ", or compare logits word by word: --align words (without --match)"
    sizes = f"{len(theirs):,} and {len(ours):,} subwords"
    raise ConfigError(f"distill: teacher and student have different vocabularies ({sizes})", f"{hint}.")


def by_words(settings: DistillSettings) -> bool:
    """Whether logits are compared word by word, so that the vocabularies may differ."""
    return settings.align == "words" and not settings.match
