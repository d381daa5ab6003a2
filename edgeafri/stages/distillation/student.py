"""The student of a distillation: its shape, the teacher's layers it learns from, and its first weights."""

import copy
import re
from dataclasses import dataclass
from typing import Literal

import torch
from transformers import PretrainedConfig, PreTrainedModel

from edgeafri.errors import ConfigError, ModelError
from edgeafri.stages.models import uneven_layers


@dataclass(frozen=True)
class EncoderShape:
    """The size of an encoder: its layers, its width, its attention heads, and the width of its feed-forward layers."""

    layers: int
    hidden: int
    heads: int
    ffn: int


def new_student(
    teacher: PreTrainedModel, shape: EncoderShape, take: Literal["first", "last", "spread", "random"], seed: int
) -> PreTrainedModel:
    """A model of the teacher's class in another shape, in float32 and evaluation mode, with plain attention.

    Its layers start as those of the teacher that `layers_taken` names, its embeddings and its head as the teacher's,
    every tensor cut to its leading part (DistilBERT's start, Sanh et al. 2019, section 3, plus the cut in width). With
    "random" all weights are drawn, the embeddings too. What is drawn depends on `seed` alone, and torch's random
    numbers go on for the caller as if nothing had been drawn. Tied weights stay tied and no storage is shared with the
    teacher, whose dropout, vocabulary and labels are kept. ConfigError for an impossible shape, ModelError for a
    teacher whose weights are not what its config says.
    """
    check_shape(shape, shape_of(teacher.config))
    student = _drawn(teacher, shape, seed)
    if take != "random":
        _take_weights(student, teacher, layers_taken(shape.layers, teacher.config.num_hidden_layers, take))
    return student.eval()


def shape_of(config: PretrainedConfig) -> EncoderShape:
    """The shape in a transformers config of BERT's family."""
    return EncoderShape(
        config.num_hidden_layers, config.hidden_size, config.num_attention_heads, config.intermediate_size
    )


def check_smaller(student: EncoderShape, teacher: EncoderShape) -> None:
    """ConfigError when the student has more than its teacher. Head counts are free: they cut the same matrices."""
    for name in ("layers", "hidden", "ffn"):
        if getattr(student, name) > getattr(teacher, name):
            raise ConfigError(
                f"distill: '{name}' {getattr(student, name)} makes a student larger than its teacher",
                f"Use at most {getattr(teacher, name)}, which the teacher has.",
            )


def check_shape(student: EncoderShape, teacher: EncoderShape) -> None:
    """ConfigError when the student has more than its teacher, or heads that do not divide its width."""
    check_smaller(student, teacher)
    if student.hidden % student.heads:
        fitting = ", ".join(str(count) for count in range(1, student.hidden + 1) if student.hidden % count == 0)
        raise ConfigError(
            f"distill: 'heads' {student.heads} does not divide 'hidden' {student.hidden}",
            f"Use a head count that does: {fitting}.",
        )


def layers_taken(student: int, teacher: int, take: Literal["first", "last", "spread"]) -> tuple[int, ...]:
    """The teacher's layers, from 0, that a student of so many starts from, in rising order.

    "spread" takes the first, the last and even steps between, a half rounded to the even number; one layer is the
    first. 6 of 12 are 0 2 4 7 9 11, as in DistilBERT's published script, while its paper says one of two. Both ends are
    kept because embeddings and head are taken too, and the layers beside them have learnt to work with them.
    """
    if take == "first":
        return tuple(range(student))
    if take == "last":
        return tuple(range(teacher - student, teacher))
    return _evenly(student - 1, teacher - 1)


def layer_map(student: int, teacher: int) -> tuple[tuple[int, int], ...]:
    """Which of the teacher's hidden states each of the student's learns from: (student's, teacher's), both from 0.

    0 is what the embeddings give, so n layers have n + 1 states; the last learns from the last, the others evenly:
    TinyBERT's uniform map g(m) = m · teacher / student (Jiao et al. 2020), rounded where it must be.
    """
    return tuple(enumerate(_evenly(student, teacher)))


def _drawn(teacher: PreTrainedModel, shape: EncoderShape, seed: int) -> PreTrainedModel:
    # torch seeds every GPU at once, so all their generators are put back, not only the processor's.
    with torch.random.fork_rng(range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        return type(teacher)._from_config(
            _config(teacher.config, shape), dtype=torch.float32, attn_implementation="eager"
        )


def _config(teacher: PretrainedConfig, shape: EncoderShape) -> PretrainedConfig:
    config = copy.deepcopy(teacher)
    config.num_hidden_layers, config.hidden_size = shape.layers, shape.hidden
    config.num_attention_heads, config.intermediate_size = shape.heads, shape.ffn
    config.pruned_heads = {}  # the numbers of the teacher's layers and heads mean others here
    uneven_layers.forget(config)  # a student in a shape of its own has layers of one size
    return config


def _take_weights(student: PreTrainedModel, teacher: PreTrainedModel, layers: tuple[int, ...]) -> None:
    weights = teacher.state_dict()
    with torch.no_grad():
        for name, weight in student.named_parameters():
            weight.copy_(_cut(weights, _name_in_teacher(name, layers), weight.shape))


def _name_in_teacher(name: str, layers: tuple[int, ...]) -> str:
    """encoder.layer.1.output.dense.bias to encoder.layer.7.output.dense.bias, when the second layer taken is 7."""
    return re.sub(r"(?<=\.layer\.)\d+(?=\.)", lambda number: str(layers[int(number[0])]), name, count=1)


def _cut(weights: dict[str, torch.Tensor], name: str, shape: torch.Size) -> torch.Tensor:
    """The leading part of a weight in that shape."""
    part = weights[name][tuple(slice(size) for size in shape)] if name in weights else None
    if part is None or part.shape != shape:
        found = "missing" if part is None else f"{tuple(weights[name].shape)}, too small to cut to {tuple(shape)}"
        hint = "Start from the model before heads were removed from it, or use take: random."
        raise ModelError(f"distill: the teacher's weight {name} is {found}", hint)
    return part


def _evenly(steps: int, last: int) -> tuple[int, ...]:
    """Whole numbers from 0 to `last` in so many steps of nearly the same size; only 0 when there are no steps."""
    return tuple(round(step * last / max(steps, 1)) for step in range(steps + 1))
