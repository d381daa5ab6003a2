"""Objectives: the modes of distillation; which outputs each compares, and by which losses."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel

from edgeafri.errors import ConfigError
from edgeafri.menu.settings import DistillSettings
from edgeafri.stages.distillation.student import EncoderShape, layer_map
from edgeafri.stages.distillation.teacher_outputs import Outputs, Teacher, WantedOutputs, outputs_of
from edgeafri.stages.training import losses
from edgeafri.stages.training.examples import Batch
from edgeafri.stages.training.training_task import Loss

PROJECTION = "distill_projection"  # a module of the student while it learns: from its width to the teacher's
_SOFT, _MASK, _COSINE = 5.0, 2.0, 1.0  # DistilBERT's published weights of its three losses
_HALF = 0.5  # AfroXLMR-Comet's weight of soft targets, and of attention
_TEMPERATURE = {"task": 8.0}  # the AfriBERTa study's; 2 elsewhere, as DistilBERT and AfroXLMR-Comet
_USUAL_TEMPERATURE = 2.0
Compare = Callable[[PreTrainedModel, Outputs, Outputs, Batch], Tensor]


@dataclass(frozen=True)
class Objective:
    """Which outputs of teacher and student are compared, and how: compare(student, its outputs, teacher's, batch).

    `projected` says that hidden states of different widths are compared: the student needs PROJECTION.
    """

    teacher_outputs: WantedOutputs
    student_outputs: WantedOutputs
    compare: Compare
    projected: bool = False

    def loss(self, teacher: Teacher) -> Loss:
        """The objective as a loss of the training loop."""

        def loss(model: PreTrainedModel, batch: Batch) -> Tensor:
            ours, theirs = outputs_of(model, batch, self.student_outputs), teacher(batch)
            with torch.autocast(batch["input_ids"].device.type, enabled=False):  # losses are sums of small differences
                return self.compare(model, ours, theirs, batch)

        return loss


def objective_of(settings: DistillSettings, student: EncoderShape, teacher: EncoderShape) -> Objective:
    """The objective of a mode, for these two shapes."""
    return {"task": _task, "agnostic": _agnostic, "attention": _attention, "relation": _relation}[settings.mode](
        settings, student, teacher
    )


def temperature_of(settings: DistillSettings) -> float:
    """The temperature of the settings, or the one that the paper of the mode used."""
    return settings.temperature or _TEMPERATURE.get(settings.mode, _USUAL_TEMPERATURE)


def _task(settings: DistillSettings, student: EncoderShape, teacher: EncoderShape) -> Objective:
    """Soft targets of a fine-tuned teacher; with `hard` true labels, with `match` hidden states by TinyBERT's map."""
    if not (settings.soft or settings.hard or settings.match):
        raise ConfigError("distill: 'soft', 'hard' and 'match' are all 0, so nothing is learnt", "Give one a weight.")
    pairs = layer_map(student.layers, teacher.layers) if settings.match else ()
    temperature = temperature_of(settings)

    def compare(model: PreTrainedModel, ours: Outputs, theirs: Outputs, batch: Batch) -> Tensor:
        loss = ours["logits"].new_zeros(())
        if settings.soft:
            loss = loss + settings.soft * _soft(ours, theirs, temperature)
        if settings.hard:
            loss = loss + settings.hard * losses.hard_targets(ours["logits"], batch["targets"])
        for index in range(len(pairs)):
            states = _projected(model, _real(ours[f"hidden{index}"], batch))
            loss = loss + settings.match * losses.hidden(states, _real(theirs[f"hidden{index}"], batch))
        return loss

    ours, theirs = (tuple(pair[side] for pair in pairs) for side in (0, 1))
    of_student = WantedOutputs(logits=True, hidden=ours)
    of_teacher = WantedOutputs(logits=bool(settings.soft), hidden=theirs)
    return Objective(of_teacher, of_student, compare, bool(pairs) and student.hidden != teacher.hidden)


def _agnostic(settings: DistillSettings, student: EncoderShape, teacher: EncoderShape) -> Objective:
    """DistilBERT (Sanh et al. 2019): soft masked-LM targets, the masked subwords, and the last state's direction."""
    temperature = temperature_of(settings)

    def compare(model: PreTrainedModel, ours: Outputs, theirs: Outputs, batch: Batch) -> Tensor:
        states = _projected(model, _real(ours["hidden0"], batch))
        return (
            _SOFT * _soft(ours, theirs, temperature)
            + _MASK * losses.hard_targets(ours["logits"], batch["targets"])
            + _COSINE * losses.cosine(states, _real(theirs["hidden0"], batch))
        )

    of_student, of_teacher = (WantedOutputs(logits=True, hidden=(shape.layers,)) for shape in (student, teacher))
    return Objective(of_teacher, of_student, compare, student.hidden != teacher.hidden)


def _attention(settings: DistillSettings, student: EncoderShape, teacher: EncoderShape) -> Objective:
    """AfroXLMR-Comet (arXiv 2502.18020): half soft targets, half the last attention map, averaged over heads."""
    temperature = temperature_of(settings)

    def compare(model: PreTrainedModel, ours: Outputs, theirs: Outputs, batch: Batch) -> Tensor:
        ours_map, theirs_map = (found["attention"].unsqueeze(1) for found in (ours, theirs))
        maps = losses.attention(ours_map, theirs_map, batch["attention_mask"])
        return _HALF * _soft(ours, theirs, temperature) + _HALF * maps

    return Objective(WantedOutputs(logits=True, attention=True), WantedOutputs(logits=True, attention=True), compare)


def _relation(settings: DistillSettings, student: EncoderShape, teacher: EncoderShape) -> Objective:
    """MiniLMv2 (Wang et al. 2021): relations of queries, keys and values of a teacher layer, to the student's last."""
    layer = settings.layer or teacher.layers
    if layer > teacher.layers:
        raise ConfigError(f"distill: 'layer' {layer} is more than the teacher has", f"Use at most {teacher.layers}.")
    heads = settings.relation_heads or teacher.heads
    losses.check_heads(heads, student.hidden, teacher.hidden)

    def compare(model: PreTrainedModel, ours: Outputs, theirs: Outputs, batch: Batch) -> Tensor:
        mask = batch["attention_mask"]
        parts = [losses.relations(ours[name], theirs[name], mask, heads) for name in ("query", "key", "value")]
        return torch.stack(parts).mean()

    return Objective(WantedOutputs(layer=layer), WantedOutputs(layer=student.layers), compare)


def _soft(ours: Outputs, theirs: Outputs, temperature: float) -> Tensor:
    if "logits" in theirs:
        return losses.soft_targets(ours["logits"], theirs["logits"], temperature)
    return losses.top_soft_targets(ours["logits"], theirs["values"], theirs["ids"], theirs["total"], temperature)


def _real(states: Tensor, batch: Batch) -> Tensor:
    """(batch, length, width) to (real positions, width)."""
    return states[batch["attention_mask"].bool()]


def _projected(model: PreTrainedModel, states: Tensor) -> Tensor:
    projection = getattr(model, PROJECTION, None)
    return states if projection is None else projection(states)
