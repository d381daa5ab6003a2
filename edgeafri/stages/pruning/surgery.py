"""Surgery: cut parts out of a model; the rest is a smaller model of its own."""

import re

import torch
from transformers import PreTrainedModel

from edgeafri.stages.models import uneven_layers
from edgeafri.stages.models.uneven_layers import LayerSizes
from edgeafri.stages.pruning.allocation import Numbers, Parts

_LAYER = re.compile(r"encoder\.layer\.(\d+)\.(.+)")


def cut(model: PreTrainedModel, parts: Parts) -> PreTrainedModel:
    """A model of the parts that stay, in float32 and evaluation mode; the model given is left as it is.

    Without heads, units and layers it answers as the model with these masked: their outputs at 0, a layer stepped
    over. Without hidden dimensions it does not, because layer norms then see other means. Every tensor is new and
    contiguous; tied weights stay tied. ModelError for a family whose layers are not known.
    """
    uneven_layers.layers_of(model)
    own = uneven_layers.sizes_of(model.config.to_dict())
    sizes = LayerSizes(own.head_size, tuple(map(len, parts.heads)), tuple(map(len, parts.ffn)))
    small = uneven_layers.build(type(model), uneven_layers.described(model.config, len(parts.hidden), sizes))
    weights = model.state_dict()
    with torch.no_grad():
        for name, weight in small.named_parameters():
            weight.copy_(_part(weights, name, weight.shape, parts, own.head_size))
    return small.eval()


def _part(weights: dict[str, torch.Tensor], name: str, shape: torch.Size, parts: Parts, head_size: int) -> torch.Tensor:
    """What stays of a weight. An axis that is still too long after heads and units are chosen is the hidden one."""
    found = _LAYER.search(name)
    if found is None:
        part = weights[name]
    else:
        number = int(found[1])
        part = weights[f"{name[: found.start(1)]}{parts.layers[number]}{name[found.end(1) :]}"]
        axis, kept = _own_axis(found[2], parts.heads[number], parts.ffn[number], head_size)
        part = part.index_select(axis, torch.tensor(kept)) if kept else part
    for axis, size in enumerate(shape):
        if part.shape[axis] != size:
            part = part.index_select(axis, torch.tensor(parts.hidden))
    return part


def _own_axis(tail: str, heads: Numbers, units: Numbers, head_size: int) -> tuple[int, Numbers]:
    """The axis of a layer's weight that heads or units lie on, and the indices that stay on it; none elsewhere."""
    context = tuple(head * head_size + index for head in heads for index in range(head_size))
    if tail.startswith("attention.self."):
        return 0, context
    if tail == "attention.output.dense.weight":
        return 1, context
    if tail.startswith("intermediate.dense."):
        return 0, units
    return 1, units if tail == "output.dense.weight" else ()
