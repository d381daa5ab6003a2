"""distill: a small student learns from a teacher, in one of four ways (lessons.py).

The student starts from the source's layers. Where labels are learnt, the best epoch is chosen on dev; on raw text, by
the loss on lines held back. The teacher is asked once, and its answers are kept on disk for the epochs that follow.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from edgeafri.artifact import Artifact
from edgeafri.data.dataset import Split, check_labels
from edgeafri.errors import ConfigError, DataError, ModelError
from edgeafri.inference.predict import Encoder, Predictor
from edgeafri.menu.settings import Distill
from edgeafri.stages.distillation.objectives import PROJECTION, Lesson, lesson_of, temperature_of
from edgeafri.stages.distillation.output_cache import Kept, Kind, Top, bytes_of, kinds_of
from edgeafri.stages.distillation.student import Shape, check_smaller, new_student, shape_of
from edgeafri.stages.distillation.teacher_outputs import Signals, Teacher, live, remembering
from edgeafri.stages.models import checkpoint, uneven_layers
from edgeafri.stages.training import examples, validation
from edgeafri.stages.training.examples import Masks, Row, Rows
from edgeafri.stages.training.loop import Batch, Course, Judge, expected, train, used_precision
from edgeafri.tasks import Task, tasks_of, unit_of
from edgeafri.util.progress import Progress

_BATCH = 32
_MOST_KEPT = 4_000_000_000  # bytes that `auto` spends on the teacher's answers


@dataclass(frozen=True)
class Pair:
    """Teacher and student with what they read: the student's own tokenizer, and the task of the teacher's head."""

    teacher: Any
    student: Any
    tokenizer: Any
    encoder: Encoder
    teacher_folder: Path
    task: Task | None


@dataclass(frozen=True)
class Prepared:
    """All that a distillation needs, read and checked: `kept` names the files of the teacher's answers, if any."""

    pair: Pair
    lesson: Lesson
    rows: Rows
    judged: Sequence[Split] | Rows
    teacher: Teacher
    kept: tuple[Kind, ...]
    top: Top | None


def run(source: Artifact, settings: Distill, out: Path, progress: Progress) -> Mapping[str, Any]:
    """Teach the student, and leave the best epoch's weights in `out`; facts name both sizes and the quality on dev."""
    ready = prepare(source, settings)
    pair, teacher = ready.pair, _kept(ready, out / "answers", progress)
    before = checkpoint.parameters(pair.teacher)
    history = train(pair.student, _course(ready, teacher), settings, out / "checkpoints", progress)
    if hasattr(pair.student, PROJECTION):
        delattr(pair.student, PROJECTION)
    # A head that was never taught must not pass for one that was.
    student = pair.student.base_model if settings.mode == "relation" else pair.student
    checkpoint.write_model(student, pair.tokenizer, out)
    facts: dict[str, Any] = {"parameters_before": before, "parameters": checkpoint.parameters(student)}
    facts["precision"] = used_precision(out / "checkpoints")
    for folder in ("checkpoints", "answers"):
        shutil.rmtree(out / folder, ignore_errors=True)
    return {**_facts(ready, settings, history), **facts}


def forecast(source: Artifact, settings: Distill) -> str:
    """How long it will take on this machine, and what the teacher's answers take on disk."""
    ready = prepare(source, settings)
    teacher = remembering(ready.teacher) if ready.kept else ready.teacher
    said = expected(ready.pair.student, _course(ready, teacher), settings)
    size = bytes_of(ready.kept, ready.rows) / 1e6
    return f"{said}; teacher's answers {size:,.1f} MB on disk" if ready.kept else said


def prepare(source: Artifact, settings: Distill) -> Prepared:
    """Read models and data. Everything that can be known to be wrong is, before any work."""
    pair = _pair(source, settings)
    lesson = lesson_of(settings, shape_of(pair.student.config), shape_of(pair.teacher.config))
    if lesson.projected:
        torch.manual_seed(settings.seed)
        wide = torch.nn.Linear(pair.student.config.hidden_size, pair.teacher.config.hidden_size)
        pair.student.add_module(PROJECTION, wide)
    if pair.task is not None and pair.task.unit != "token" and settings.mode != "relation":
        return _with_labels(pair, lesson, settings)
    return _with_text(pair, lesson, settings)


def _pair(source: Artifact, settings: Distill) -> Pair:
    folder = settings.teacher or source.path
    task = _task_of(folder, settings, source.manifest.task)
    head = task.head if task else "Model"
    teacher = checkpoint.read_model(folder) if task else checkpoint.with_head(folder, head, None, settings.seed)
    labels = checkpoint.labels_of(teacher.config.to_dict()) if task and task.unit != "token" else None
    start = checkpoint.with_head(source.path, head, labels, settings.seed, settings.dropout)
    shape = student_shape(settings, shape_of(start.config))
    check_smaller(shape, shape_of(teacher.config))
    student = start  # as it stands, uneven layers too, unless another shape or other weights are asked for
    if shape != shape_of(start.config) or settings.take == "random":
        student = new_student(start, shape, settings.take, settings.seed)
    _check_even((teacher, student), settings)
    tokenizer = checkpoint.read_tokenizer(source.path)
    if settings.teacher is not None:
        _check_tokenizers(tokenizer, checkpoint.read_tokenizer(folder), settings)
    limit = min(settings.max_length, *(checkpoint.max_tokens(model.config.to_dict()) for model in (teacher, student)))
    encoder = checkpoint.encoder(tokenizer, limit, unit_of(task.name) if task else "word")
    return Pair(teacher, student, tokenizer, encoder, folder, task)


def _task_of(folder: Path, settings: Distill, likely: str) -> Task | None:
    """The task of the teacher's head, as far as the mode needs one. ModelError where the mode needs another.

    Several tasks share a head: the one asked for, else the `likely` one, else the first.
    """
    if settings.mode == "relation":
        return None
    found = {row.name: row for row in tasks_of(checkpoint.own_architecture(folder))}
    if settings.mode == "task" and found and settings.task not in (None, *found):
        hint = f"Use --task {' or --task '.join(found)}, or a teacher that was fine-tuned for {settings.task}."
        raise ModelError(f"distill: {folder} has a head for {' or '.join(found)}, not for {settings.task}", hint)
    task = found.get(settings.task or likely) or next(iter(found.values()), None)
    masked = task is not None and task.unit == "token"
    if settings.mode == "agnostic" and not masked:
        hint = "Train one first: edgeafri adapt-maft MODEL --text DIR --out TEACHER. Or use --mode relation."
        raise ModelError(f"distill: {folder} has no masked-LM head for mode agnostic to learn from", hint)
    if settings.mode == "task" and (task is None or masked):
        hint = "Fine-tune it first (edgeafri finetune), or use --mode agnostic."
        raise ModelError(f"distill: {folder} is not fine-tuned, so mode task has no answers to learn from", hint)
    if task is None:
        hint = "Use --mode relation, which needs none, or train the teacher first."
        raise ModelError(f"distill: {folder} has no head whose answers mode {settings.mode} could learn from", hint)
    return task


def student_shape(settings: Distill, start: Shape) -> Shape:
    """The shape asked for. A share is rounded down, at least to 1; a width by share to a multiple of the heads."""
    names = ("layers", "hidden", "heads", "ffn")
    for name in names:
        size = getattr(settings, name)
        if size is not None and size >= 1 and size != int(size):
            raise ConfigError(f"distill: '{name}' {size:g} is no whole number", "Give one, or a share below 1.")
    asked = {name: _size(getattr(settings, name), getattr(start, name)) for name in names}
    if settings.hidden is not None and settings.hidden < 1:
        asked["hidden"] = max(asked["heads"], asked["hidden"] - asked["hidden"] % asked["heads"])
    return Shape(**asked)


def _size(asked: float | None, own: int) -> int:
    if asked is None:
        return own
    return int(asked) if asked >= 1 else max(1, int(own * asked))


def _check_even(models: Sequence[Any], settings: Distill) -> None:
    if settings.mode == "relation" and any(hasattr(model.config, uneven_layers.KEY) for model in models):
        hint = "Use another --mode, or the model as it was before it was shrunk."
        raise ModelError("distill: mode relation compares layers as wide as their model, and here some are not", hint)


def _check_tokenizers(ours: Any, theirs: Any, settings: Distill) -> None:
    if ours.get_vocab() == theirs.get_vocab() or (settings.mode == "task" and _by_words(settings)):
        return
    hint = "Distill from a teacher with the source's vocabulary"
    if settings.mode == "task":
        hint += ", or compare answers word by word: --align words (without --match)"
    sizes = f"{len(theirs):,} and {len(ours):,} sub-words"
    raise ConfigError(f"distill: teacher and student cut words differently ({sizes})", f"{hint}.")


def _by_words(settings: Distill) -> bool:
    return settings.align == "words" and not settings.match


def _with_labels(pair: Pair, lesson: Lesson, settings: Distill) -> Prepared:
    """Labelled data, and raw text beside it where there is any; judged on dev."""
    labels = checkpoint.labels_of(pair.teacher.config.to_dict())
    learnt, dev = (validation.splits_of("distill", settings, name, pair.encoder.unit) for name in ("train", "dev"))
    for split in (*learnt, *dev):
        check_labels(split, labels)
    sentences = [(split.language, [list(item.words) for item in split.sentences]) for split in learnt]
    found = [item for split in learnt for item in examples.labelled_rows(pair.encoder, split, labels)]
    if settings.text is not None:
        lines = examples.raw_lines(settings.text, settings.languages, settings.lines)
        sentences += [(code, examples.raw_words(pair.encoder, own)) for code, own in lines.items()]
        found += [
            item for code, own in sentences[len(learnt) :] for item in examples.unlabelled_rows(pair.encoder, own, code)
        ]
    if settings.teacher is not None and settings.mode == "task" and _by_words(settings):
        found, teacher = _word_by_word(pair, found, [words for _, own in sentences for words in own], labels)
        return Prepared(pair, lesson, Rows(found), dev, teacher, (), None)
    data = Rows([item for item in found if item.places])
    return Prepared(
        pair, lesson, data, dev, live(pair.teacher, lesson.of_teacher), *_files(pair, lesson, settings, data)
    )


def _with_text(pair: Pair, lesson: Lesson, settings: Distill) -> Prepared:
    """Raw text only; judged by the loss on lines held back, with the same sub-words hidden every time."""
    if settings.text is None:
        hint = "Add --text DIR with LANG.txt, one sentence a line."
        raise DataError(f"distill: mode {settings.mode} learns from raw text, and none was given", hint)
    lines = examples.raw_lines(settings.text, settings.languages, settings.lines)
    found = [item for code, own in lines.items() for item in examples.masked_rows(pair.encoder, own, code)]
    learnt, judged = examples.held_out(found)
    fixed = _masks(pair, settings) if lesson.of_teacher.answers else None
    data = Rows(learnt, fixed)
    kinds, top = _files(pair, lesson, settings, data)
    if fixed is not None and not kinds:
        data = Rows(learnt, replace(fixed, fixed=False))
    teacher = live(pair.teacher, lesson.of_teacher)
    return Prepared(pair, lesson, data, Rows(judged, fixed), teacher, kinds, top)


def _masks(pair: Pair, settings: Distill) -> Masks:
    mask = pair.tokenizer.mask_token_id
    if mask is None:
        raise ModelError(f"distill: the tokenizer of {pair.teacher_folder} has no mask token", "Set mask_token.")
    return Masks(mask, pair.student.config.vocab_size, settings.seed, settings.targets == "all", fixed=True)


def _files(pair: Pair, lesson: Lesson, settings: Distill, data: Rows) -> tuple[tuple[Kind, ...], Top | None]:
    """The files of the teacher's answers; none where they would not pay or grow too large."""
    if settings.cache == "off" or (settings.cache == "auto" and settings.epochs == 1):
        return (), None
    masked = pair.task is not None and pair.task.unit == "token"
    top = Top(settings.top, temperature_of(settings)) if masked else None
    config = pair.teacher.config
    kinds = kinds_of(lesson.of_teacher, config.hidden_size, config.vocab_size if masked else config.num_labels, top)
    too_large = settings.cache == "auto" and bytes_of(kinds, data) > _MOST_KEPT
    return ((), None) if too_large else (kinds, top)


def _word_by_word(
    pair: Pair, found: Sequence[Row], sentences: Sequence[list[str]], labels: tuple[str, ...]
) -> tuple[list[Row], Teacher]:
    """The rows whose words the teacher read, and its answers to them, read with a tokenizer of its own."""
    tokenizer = checkpoint.read_tokenizer(pair.teacher_folder)
    limit = checkpoint.max_tokens(pair.teacher.config.to_dict())
    encoder = checkpoint.encoder(tokenizer, limit, pair.encoder.unit)
    readings = Predictor(encoder, labels, checkpoint.forward(pair.teacher), _BATCH).logits(sentences)
    kept, answers = [], []
    for row, item in zip(found, pair.encoder.encode(sentences), strict=True):
        reading, words = readings[item.sentence], list(item.words)
        read = reading.read[words]
        if read.any():
            places, targets = (
                tuple(v for v, seen in zip(own, read, strict=True) if seen) for own in (row.places, row.targets)
            )
            kept.append(replace(row, places=places, targets=targets))
            answers.append(torch.from_numpy(reading.logits[words][read]))

    def ask(batch: Batch) -> Signals:
        found = torch.cat([answers[number] for number in batch["numbers"].tolist()])
        return {"answers": found.to(batch["numbers"].device)}

    return kept, ask


def _kept(ready: Prepared, folder: Path, progress: Progress) -> Teacher:
    """The teacher to learn from: its answers on disk where that pays, written now if they are not there."""
    if not ready.kept:
        return ready.teacher
    kept = Kept(folder, ready.kept, ready.rows, ready.top)
    if not kept.complete:
        kept.fill(ready.teacher, ready.pair.encoder.frame.pad, progress)
    return kept


def _course(ready: Prepared, teacher: Teacher) -> Course:
    encoder, judged = ready.pair.encoder, ready.judged
    by: Judge
    if isinstance(judged, Rows):
        by = validation.on_text(judged, encoder.frame.pad, ready.lesson.loss(ready.teacher))
    else:
        by = validation.on_labels(encoder, checkpoint.labels_of(ready.pair.student.config.to_dict()), judged)
    return Course(ready.rows, encoder.frame.pad, ready.lesson.loss(teacher), by)


def _facts(ready: Prepared, settings: Distill, history: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    shape = shape_of(ready.pair.student.config)
    facts: dict[str, Any] = {
        "mode": settings.mode,
        "layers": shape.layers,
        "hidden": shape.hidden,
        "heads": shape.heads,
        "ffn": shape.ffn,
        "inputs": len(ready.rows),
        "teacher_answers_bytes": bytes_of(ready.kept, ready.rows),
    }
    if isinstance(ready.judged, Rows):
        task = {"task": "mask"} if ready.lesson.of_teacher.answers else {}
        return {**facts, **task, **validation.text_facts(history)}
    task = {"task": ready.pair.task.name} if ready.pair.task else {}
    return {**facts, **task, **validation.dev_facts(history, settings.languages)}
