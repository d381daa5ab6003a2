"""distill: train a small student on the outputs of a teacher, in one of four modes (distillation/objectives.py).

The student starts from the source's layers. Where labels are learnt, the best epoch is chosen on dev; on raw text, by
the loss on lines held out. The teacher is computed once, and its outputs are cached on disk for the other epochs.
"""

import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from edgeafri.artifact import Artifact
from edgeafri.data.dataset import Split
from edgeafri.errors import DataError, ModelError
from edgeafri.inference.predict import Predictor
from edgeafri.menu.facts.training import DistillFacts, Validation
from edgeafri.menu.settings import DistillSettings
from edgeafri.stages.distillation.objectives import PROJECTION, Objective, objective_of, temperature_of
from edgeafri.stages.distillation.output_cache import CachedOutputs, CacheFile, TopLogits, bytes_of, cache_files
from edgeafri.stages.distillation.pair import Pair, by_words, read_pair
from edgeafri.stages.distillation.student import shape_of
from edgeafri.stages.distillation.teacher_outputs import Outputs, Teacher, cached_in_memory, live_teacher
from edgeafri.stages.models import checkpoint
from edgeafri.stages.training import validation
from edgeafri.stages.training.examples import (
    Batch,
    Example,
    Examples,
    Masking,
    labelled_examples,
    masked_examples,
    raw_lines,
    raw_words,
    split_held_out,
    unlabelled_examples,
)
from edgeafri.stages.training.forecast import forecast_training
from edgeafri.stages.training.loop import train
from edgeafri.stages.training.resume import used_precision
from edgeafri.stages.training.training_task import History, TrainingTask, Validate
from edgeafri.util.progress import Progress

_BATCH = 32
_MOST_CACHED = 4_000_000_000  # bytes that `cache: auto` spends on the teacher's outputs


@dataclass(frozen=True)
class DistillSetup:
    """All that a distillation needs, read and checked. `cached` are the files of the teacher's outputs, if any.

    `validated` is labelled dev data, or raw text held out.
    """

    pair: Pair
    objective: Objective
    examples: Examples
    validated: Sequence[Split] | Examples
    teacher: Teacher
    cached: tuple[CacheFile, ...]
    top: TopLogits | None


def run(source: Artifact, settings: DistillSettings, out: Path, progress: Progress) -> DistillFacts:
    """Train the student, and leave the weights of its best epoch in `out`; facts give both sizes and the quality."""
    setup = prepare(source, settings)
    pair, teacher = setup.pair, _cached_teacher(setup, out / "outputs", progress)
    before = checkpoint.parameters(pair.teacher)
    history = train(pair.student, _training_task(setup, teacher), settings, out / "checkpoints", progress)
    if hasattr(pair.student, PROJECTION):
        delattr(pair.student, PROJECTION)
    # Mode relation trains no head, and one that was not trained must not pass for one that was.
    student = pair.student.base_model if settings.mode == "relation" else pair.student
    checkpoint.write_model(student, pair.tokenizer, out)
    precision = used_precision(out / "checkpoints")
    for folder in ("checkpoints", "outputs"):
        shutil.rmtree(out / folder, ignore_errors=True)
    task, reached = _reached(setup, settings, history)
    return DistillFacts(
        mode=settings.mode,
        **asdict(shape_of(pair.student.config)),
        inputs=len(setup.examples),
        teacher_answers_bytes=bytes_of(setup.cached, setup.examples),
        task=task,
        validation=reached,
        parameters_before=before,
        parameters=checkpoint.parameters(student),
        precision=precision,
    )


def forecast(source: Artifact, settings: DistillSettings) -> str:
    """How long it will take on this machine, and how many bytes the teacher's outputs take on disk."""
    setup = prepare(source, settings)
    teacher = cached_in_memory(setup.teacher) if setup.cached else setup.teacher
    text = forecast_training(setup.pair.student, _training_task(setup, teacher), settings)
    size = bytes_of(setup.cached, setup.examples) / 1e6
    return f"{text}; outputs of the teacher {size:,.1f} MB on disk" if setup.cached else text


def prepare(source: Artifact, settings: DistillSettings) -> DistillSetup:
    """Read models and data. Everything that can be known to be wrong is found here, before any work."""
    pair = read_pair(source, settings)
    objective = objective_of(settings, shape_of(pair.student.config), shape_of(pair.teacher.config))
    if objective.projected:
        torch.manual_seed(settings.seed)
        wide = torch.nn.Linear(pair.student.config.hidden_size, pair.teacher.config.hidden_size)
        pair.student.add_module(PROJECTION, wide)
    if pair.task is not None and not pair.masked and settings.mode != "relation":
        return _with_labels(pair, objective, settings)
    return _with_text(pair, objective, settings)


def _with_labels(pair: Pair, objective: Objective, settings: DistillSettings) -> DistillSetup:
    """Labelled data, and raw text beside it where there is any; validated on dev."""
    labels = checkpoint.labels_of(pair.teacher.config)
    dataset = validation.dataset_of("distill", settings, pair.encoder.unit)
    learnt, dev = dataset.splits("train"), dataset.splits("dev")
    dataset.check_labels("train", labels)
    dataset.check_labels("dev", labels)
    sentences = [(split.language, [list(item.words) for item in split.sentences]) for split in learnt]
    found = [item for split in learnt for item in labelled_examples(pair.encoder, split, labels)]
    if settings.text is not None:
        lines = raw_lines(settings.text, settings.languages, settings.lines)
        raw = [(code, raw_words(pair.encoder, own)) for code, own in lines.items()]
        found += [item for code, own in raw for item in unlabelled_examples(pair.encoder, own, code)]
        sentences += raw
    if settings.teacher is not None and settings.mode == "task" and by_words(settings):
        found, teacher = _word_by_word(pair, found, [words for _, own in sentences for words in own], labels)
        return DistillSetup(pair, objective, Examples(found), dev, teacher, (), None)
    data = Examples([item for item in found if item.positions])
    teacher = live_teacher(pair.teacher, objective.teacher_outputs)
    return DistillSetup(pair, objective, data, dev, teacher, *_cache_files(pair, objective, settings, data))


def _with_text(pair: Pair, objective: Objective, settings: DistillSettings) -> DistillSetup:
    """Raw text only; validated by the loss on lines held out, with the same subwords masked every time."""
    if settings.text is None:
        hint = "Add --text DIR with LANG.txt, one sentence per line."
        raise DataError(f"distill: mode {settings.mode} learns from raw text, and none was given", hint)
    lines = raw_lines(settings.text, settings.languages, settings.lines)
    found = [item for code, own in lines.items() for item in masked_examples(pair.encoder, own, code)]
    learnt, held_out = split_held_out(found)
    masking = _masking(pair, settings) if objective.teacher_outputs.logits else None
    data = Examples(learnt, masking)
    cached, top = _cache_files(pair, objective, settings, data)
    if masking is not None and not cached:  # a cache holds outputs for one masking only
        data = Examples(learnt, replace(masking, fixed=False))
    teacher = live_teacher(pair.teacher, objective.teacher_outputs)
    return DistillSetup(pair, objective, data, Examples(held_out, masking), teacher, cached, top)


def _masking(pair: Pair, settings: DistillSettings) -> Masking:
    mask_id = pair.tokenizer.mask_token_id
    if mask_id is None:
        raise ModelError(f"distill: the tokenizer of {pair.teacher_folder} has no mask token", "Set mask_token.")
    return Masking(mask_id, pair.student.config.vocab_size, settings.seed, settings.targets == "all", fixed=True)


def _cache_files(
    pair: Pair, objective: Objective, settings: DistillSettings, data: Examples
) -> tuple[tuple[CacheFile, ...], TopLogits | None]:
    """The files of the teacher's outputs; none where they would save nothing or grow too large."""
    if settings.cache == "off" or (settings.cache == "auto" and settings.epochs == 1):
        return (), None
    top = TopLogits(settings.top, temperature_of(settings)) if pair.masked else None
    config = pair.teacher.config
    labels = config.vocab_size if pair.masked else config.num_labels
    files = cache_files(objective.teacher_outputs, config.hidden_size, labels, top)
    too_large = settings.cache == "auto" and bytes_of(files, data) > _MOST_CACHED
    return ((), None) if too_large else (files, top)


def _word_by_word(
    pair: Pair, found: Sequence[Example], sentences: Sequence[list[str]], labels: tuple[str, ...]
) -> tuple[list[Example], Teacher]:
    """The examples with words that the teacher read, and its logits for these words, by its own tokenizer."""
    tokenizer = checkpoint.read_tokenizer(pair.teacher_folder)
    limit = checkpoint.max_tokens(pair.teacher.config)
    encoder = checkpoint.encoder(tokenizer, limit, pair.encoder.unit)
    readings = Predictor(encoder, labels, checkpoint.forward(pair.teacher), _BATCH).logits(sentences)
    kept, logits = [], []
    for example, item in zip(found, pair.encoder.encode(sentences), strict=True):
        reading, words = readings[item.sentence], list(item.words)
        read = reading.read[words]
        if read.any():
            positions, targets = (
                tuple(value for value, seen in zip(own, read, strict=True) if seen)
                for own in (example.positions, example.targets)
            )
            kept.append(replace(example, positions=positions, targets=targets))
            logits.append(torch.from_numpy(reading.logits[words][read]))

    def look_up(batch: Batch) -> Outputs:
        found = torch.cat([logits[number] for number in batch["numbers"].tolist()])
        return {"logits": found.to(batch["numbers"].device)}

    return kept, look_up


def _cached_teacher(setup: DistillSetup, folder: Path, progress: Progress) -> Teacher:
    """The teacher to learn from: its outputs on disk where that pays, written now if they are not there."""
    if not setup.cached:
        return setup.teacher
    cache = CachedOutputs(folder, setup.cached, setup.examples, setup.top)
    if not cache.complete:
        cache.fill(setup.teacher, setup.pair.encoder.frame.pad, progress)
    return cache


def _training_task(setup: DistillSetup, teacher: Teacher) -> TrainingTask:
    encoder, pad_id = setup.pair.encoder, setup.pair.encoder.frame.pad
    validate: Validate
    if isinstance(setup.validated, Examples):
        validate = validation.on_text(setup.validated, pad_id, setup.objective.loss(setup.teacher))
    else:
        labels = checkpoint.labels_of(setup.pair.student.config)
        validate = validation.on_labels(encoder, labels, setup.validated)
    return TrainingTask(setup.examples, pad_id, setup.objective.loss(teacher), validate)


def _reached(setup: DistillSetup, settings: DistillSettings, history: History) -> tuple[str | None, Validation]:
    """The task of the student's head, none where it has no trained head, and what its training reached."""
    if isinstance(setup.validated, Examples):
        return ("mask" if setup.objective.teacher_outputs.logits else None), validation.text_facts(history)
    return (setup.pair.task.name if setup.pair.task else None), validation.dev_facts(history, settings.languages)
