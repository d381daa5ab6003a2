"""FLOPs: the floating-point operations of a training, from the shapes of the matrices and from which weights learn.

A product of (m, k) and (k, n) is 2 m k n. Backward costs as much again for the gradient of each side that needs one:
the input's wherever something below learns, a weight's where it learns. Attention has two products of activations per
head. What is no matrix product is not counted (norms, softmax, look-ups, the optimizer), and validation neither.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice

from torch import nn
from transformers import PreTrainedModel

from edgeafri.menu.settings import LearningSettings
from edgeafri.stages.models import uneven_layers
from edgeafri.stages.training import second_head
from edgeafri.stages.training.training_task import History, Loss, TrainingTask, epochs_of

_MULTIPLY_ADD = 2
_COUNTED = 2000  # batches of an epoch, at most


@dataclass(frozen=True)
class FlopCount:
    """Operations per subword, per pair of subwords of one input, and per position that is compared."""

    token: int = 0
    pair: int = 0
    position: int = 0

    def __add__(self, other: "FlopCount") -> "FlopCount":
        return FlopCount(self.token + other.token, self.pair + other.pair, self.position + other.position)

    def of(self, inputs: int, length: int, positions: int) -> int:
        """Operations of one step over so many inputs padded to `length`, of which so many positions are compared."""
        return self.token * inputs * length + self.pair * inputs * length**2 + self.position * positions


def whole(model: PreTrainedModel) -> FlopCount:
    """A step of a masked LM through all its layers and its own head."""
    body, flows = _layers(uneven_layers.layers_of(model), _learns(model.base_model.embeddings))
    return body + _head(second_head.head_of(model), model, flows)


def mini(model: PreTrainedModel) -> FlopCount:
    """A step of the mini-model that ends in the second head."""
    layers = second_head.mini_body(model).encoder.layer
    body, flows = _layers(layers, _learns(model.base_model.embeddings))
    return body + _head(model.second_head, model, flows)


def joint(model: PreTrainedModel) -> FlopCount:
    """A step of the whole model with both heads."""
    return whole(model) + _head(model.second_head, model, flows=True)


def training_flops(
    model: PreTrainedModel, training: TrainingTask, settings: LearningSettings, history: History
) -> int | None:
    """Operations of a whole training, from batches of its first epoch as they were padded.

    The other epochs mask other positions and pair other examples, which changes less than a hundredth; the first
    batches of a very long epoch stand for all. None for a family whose layers are not known.
    """
    if not uneven_layers.known(model.config):
        return None
    count, examples, total, counted = _COUNTS.get(training.loss, whole)(model), training.examples, 0, 0
    examples.epoch = 0
    sampler = training.sampler(settings)
    numbers = islice(sampler, _COUNTED * settings.batch)
    while chosen := list(islice(numbers, settings.batch)):
        positions = sum(len(examples[number].positions) for number in chosen)
        total += count.of(len(chosen), int(examples.lengths[chosen].max()), positions)
        counted += len(chosen)
    return round(Fraction(total * len(sampler), counted) * epochs_of(training, settings, history))


def _layers(layers: Iterable[nn.Module], flows: bool) -> tuple[FlopCount, bool]:
    """The operations of a stack of layers, and whether a gradient flows through its output."""
    total = FlopCount()
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
        total += FlopCount(token, pair)
    return total, flows


def _head(head: nn.Module, model: PreTrainedModel, flows: bool) -> FlopCount:
    """A masked-LM head: its square matrix, and the word embedding as its output matrix."""
    dense = next(part for part in head.modules() if isinstance(part, nn.Linear))
    table = model.get_input_embeddings().weight
    square = _product(dense, flows)
    flows = flows or _learns(dense) or any(_learns(part) for part in head.modules() if isinstance(part, nn.LayerNorm))
    return FlopCount(position=square + _MULTIPLY_ADD * table.numel() * (1 + flows + table.requires_grad))


def _product(part: nn.Linear, flows: bool) -> int:
    """Forward, and backward for the input and for the weight where they need it."""
    return int(_MULTIPLY_ADD * part.weight.numel() * (1 + flows + part.weight.requires_grad))


def _learns(part: nn.Module) -> bool:
    return any(weight.requires_grad for weight in part.parameters())


_COUNTS: Mapping[Loss, Callable[[PreTrainedModel], FlopCount]] = {
    second_head.mini_loss: mini,
    second_head.joint_loss: joint,
}
