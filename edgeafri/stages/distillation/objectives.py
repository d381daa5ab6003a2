"""lessons: the modes of distillation; what each asks of teacher and student, and what is to come close."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from edgeafri.errors import ConfigError
from edgeafri.menu.settings import Distill
from edgeafri.stages.distillation.student import Shape, layer_map
from edgeafri.stages.distillation.teacher_outputs import Signals, Teacher, Wanted, signals
from edgeafri.stages.training import losses
from edgeafri.stages.training.loop import Batch, Loss

PROJECTION = "distill_projection"  # a module of the student's while it learns: its width to the teacher's
_SOFT, _MASK, _COSINE = 5.0, 2.0, 1.0  # DistilBERT's published weights of its three losses
_HALF = 0.5  # AfroXLMR-Comet's weight of answers, and of attention
_TEMPERATURE = {"task": 8.0}  # the AfriBERTa study's; 2 elsewhere, as DistilBERT and AfroXLMR-Comet
_USUAL_TEMPERATURE = 2.0
Compare = Callable[[Any, Signals, Signals, Batch], Tensor]


@dataclass(frozen=True)
class Lesson:
    """What teacher and student are asked, and how far the student is off: compare(student, its own, teacher's, batch).

    `projected` says that hidden states are compared whose widths differ: the student needs PROJECTION.
    """

    of_teacher: Wanted
    of_student: Wanted
    compare: Compare
    projected: bool = False

    def loss(self, teacher: Teacher) -> Loss:
        """The lesson as a loss of the training loop."""

        def loss(model: Any, batch: Batch) -> Tensor:
            ours, theirs = signals(model, batch, self.of_student), teacher(batch)
            with torch.autocast(batch["input_ids"].device.type, enabled=False):  # losses are sums of small differences
                return self.compare(model, ours, theirs, batch)

        return loss


def lesson_of(settings: Distill, student: Shape, teacher: Shape) -> Lesson:
    """The lesson of a mode, for these two shapes."""
    return {"task": _task, "agnostic": _agnostic, "attention": _attention, "relation": _relation}[settings.mode](
        settings, student, teacher
    )


def temperature_of(settings: Distill) -> float:
    """The temperature asked for, or the one its paper used."""
    return settings.temperature or _TEMPERATURE.get(settings.mode, _USUAL_TEMPERATURE)


def _task(settings: Distill, student: Shape, teacher: Shape) -> Lesson:
    """Soft targets of a fine-tuned teacher; with `hard` true labels, with `match` hidden states by TinyBERT's map."""
    if not (settings.soft or settings.hard or settings.match):
        raise ConfigError("distill: 'soft', 'hard' and 'match' are all 0, so nothing is learnt", "Give one a weight.")
    pairs = layer_map(student.layers, teacher.layers) if settings.match else ()
    temperature = temperature_of(settings)

    def compare(model: Any, ours: Signals, theirs: Signals, batch: Batch) -> Tensor:
        loss = ours["answers"].new_zeros(())
        if settings.soft:
            loss = loss + settings.soft * _soft(ours, theirs, temperature)
        if settings.hard:
            loss = loss + settings.hard * losses.hard_targets(ours["answers"], batch["targets"])
        for place in range(len(pairs)):
            states = _projected(model, _real(ours[f"hidden{place}"], batch))
            loss = loss + settings.match * losses.hidden(states, _real(theirs[f"hidden{place}"], batch))
        return loss

    ours, theirs = (tuple(pair[side] for pair in pairs) for side in (0, 1))
    of_student, of_teacher = Wanted(answers=True, hidden=ours), Wanted(answers=bool(settings.soft), hidden=theirs)
    return Lesson(of_teacher, of_student, compare, bool(pairs) and student.hidden != teacher.hidden)


def _agnostic(settings: Distill, student: Shape, teacher: Shape) -> Lesson:
    """DistilBERT (Sanh et al. 2019): soft masked-LM targets, the hidden sub-words, and the last state's direction."""
    temperature = temperature_of(settings)

    def compare(model: Any, ours: Signals, theirs: Signals, batch: Batch) -> Tensor:
        states = _projected(model, _real(ours["hidden0"], batch))
        return (
            _SOFT * _soft(ours, theirs, temperature)
            + _MASK * losses.hard_targets(ours["answers"], batch["targets"])
            + _COSINE * losses.cosine(states, _real(theirs["hidden0"], batch))
        )

    of_student, of_teacher = (Wanted(answers=True, hidden=(shape.layers,)) for shape in (student, teacher))
    return Lesson(of_teacher, of_student, compare, student.hidden != teacher.hidden)


def _attention(settings: Distill, student: Shape, teacher: Shape) -> Lesson:
    """AfroXLMR-Comet (arXiv 2502.18020): half soft targets, half the last attention map, averaged over heads."""
    temperature = temperature_of(settings)

    def compare(model: Any, ours: Signals, theirs: Signals, batch: Batch) -> Tensor:
        ours_map, theirs_map = (found["attention"].unsqueeze(1) for found in (ours, theirs))
        maps = losses.attention(ours_map, theirs_map, batch["attention_mask"])
        return _HALF * _soft(ours, theirs, temperature) + _HALF * maps

    return Lesson(Wanted(answers=True, attention=True), Wanted(answers=True, attention=True), compare)


def _relation(settings: Distill, student: Shape, teacher: Shape) -> Lesson:
    """MiniLMv2 (Wang et al. 2021): relations of queries, keys and values of a teacher layer, to the student's last."""
    layer = settings.layer or teacher.layers
    if layer > teacher.layers:
        raise ConfigError(f"distill: 'layer' {layer} is more than the teacher has", f"Use at most {teacher.layers}.")
    heads = settings.relation_heads or teacher.heads
    losses.check_heads(heads, student.hidden, teacher.hidden)

    def compare(model: Any, ours: Signals, theirs: Signals, batch: Batch) -> Tensor:
        mask = batch["attention_mask"]
        parts = [losses.relations(ours[name], theirs[name], mask, heads) for name in ("query", "key", "value")]
        return torch.stack(parts).mean()

    return Lesson(Wanted(layer=layer), Wanted(layer=student.layers), compare)


def _soft(ours: Signals, theirs: Signals, temperature: float) -> Tensor:
    if "answers" in theirs:
        return losses.soft_targets(ours["answers"], theirs["answers"], temperature)
    return losses.top_soft_targets(ours["answers"], theirs["values"], theirs["ids"], theirs["total"], temperature)


def _real(states: Tensor, batch: Batch) -> Tensor:
    """(batch, length, width) to (real positions, width)."""
    return states[batch["attention_mask"].bool()]


def _projected(model: Any, states: Tensor) -> Tensor:
    projection = getattr(model, PROJECTION, None)
    return states if projection is None else projection(states)
