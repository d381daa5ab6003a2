"""flops: floating-point operations of a training step, from the shapes of the matrices and from what learns.

A product of (m, k) and (k, n) is 2 m k n. Backward costs as much again for the gradient of each side that needs one:
the input's wherever something below learns, a weight's where it learns. Attention has two products of activations a
head. Not counted is what is no matrix product (norms, softmax, look-ups, the optimizer), and the judging of epochs.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from typing import Any

from torch import nn

from edgeafri.menu.settings import Learning
from edgeafri.stages.models import uneven_layers
from edgeafri.stages.training import second_head
from edgeafri.stages.training.loop import Course, Loss, epochs_of

_MULTIPLY_ADD = 2
_COUNTED = 2000  # batches of an epoch, at most


@dataclass(frozen=True)
class Cost:
    """Operations for each sub-word, each pair of sub-words of one input, and each place that is compared."""

    token: int = 0
    pair: int = 0
    place: int = 0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.token + other.token, self.pair + other.pair, self.place + other.place)

    def of(self, inputs: int, length: int, places: int) -> int:
        """Operations of one step over so many inputs padded to `length`, with so many places among them."""
        return self.token * inputs * length + self.pair * inputs * length**2 + self.place * places


def whole(model: Any) -> Cost:
    """A step of a masked LM through all its layers and its own head."""
    body, flows = _layers(uneven_layers.layers_of(model), _learns(model.base_model.embeddings))
    return body + _head(second_head.head_of(model), model, flows)


def mini(model: Any) -> Cost:
    """A step of the mini-model that ends in the second head."""
    layers = second_head.mini_body(model).encoder.layer
    body, flows = _layers(layers, _learns(model.base_model.embeddings))
    return body + _head(model.second_head, model, flows)


def joint(model: Any) -> Cost:
    """A step of the whole model with both heads."""
    return whole(model) + _head(model.second_head, model, flows=True)


def of_training(
    model: Any, course: Course, settings: Learning, history: Sequence[Mapping[str, float]]
) -> dict[str, int]:
    """{"flops": operations of a whole training}, from batches of its first epoch as they were padded.

    The other epochs hide other places and pair other rows, which changes less than a hundredth; of a very long epoch
    the first batches stand for all. Nothing for a family whose layers are not known.
    """
    if not uneven_layers.known(model.config):
        return {}
    cost, rows, total, counted = _COSTS.get(course.loss, whole)(model), course.rows, 0, 0
    rows.epoch = 0
    order = course.order(settings)
    numbers = islice(order, _COUNTED * settings.batch)
    while chosen := list(islice(numbers, settings.batch)):
        places = sum(len(rows[number]["places"]) for number in chosen)
        total += cost.of(len(chosen), int(rows.lengths[chosen].max()), places)
        counted += len(chosen)
    return {"flops": round(Fraction(total * len(order), counted) * epochs_of(course, settings, history))}


def _layers(layers: Any, flows: bool) -> tuple[Cost, bool]:
    """The cost of a stack of layers, and whether a gradient flows through what it gives."""
    total = Cost()
    for layer in layers:
        own = layer.attention.self
        parts = (own.query, own.key, own.value)
        token = sum(_product(part, flows) for part in parts)
        flows = flows or any(map(_learns, parts))
        # Scores and their sum over values: two products of activations, each with two sides that need a gradient.
        pair = 2 * _MULTIPLY_ADD * own.query.out_features * (3 if flows else 1)
        for part in (layer.attention.output, layer.intermediate, layer.output):
            token += _product(part.dense, flows)
            flows = flows or _learns(part)
        total += Cost(token, pair)
    return total, flows


def _head(head: Any, model: Any, flows: bool) -> Cost:
    """A masked-LM head: its square matrix, and the word embedding as its output matrix."""
    dense = next(part for part in head.modules() if isinstance(part, nn.Linear))
    table = model.get_input_embeddings().weight
    square = _product(dense, flows)
    flows = flows or _learns(dense) or any(_learns(part) for part in head.modules() if isinstance(part, nn.LayerNorm))
    return Cost(place=square + _MULTIPLY_ADD * table.numel() * (1 + flows + table.requires_grad))


def _product(part: Any, flows: bool) -> int:
    """Forward, and backward for the input and for the weight where they need it."""
    return int(_MULTIPLY_ADD * part.weight.numel() * (1 + flows + part.weight.requires_grad))


def _learns(part: Any) -> bool:
    return any(weight.requires_grad for weight in part.parameters())


_COSTS: Mapping[Loss, Callable[[Any], Cost]] = {second_head.mini_loss: mini, second_head.joint_loss: joint}
