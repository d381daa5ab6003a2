"""surgery: parts are taken out of a model, and what is left is a smaller model of its own."""

import re
from typing import Any

import torch

from edgeafri.stages.models import uneven_layers
from edgeafri.stages.models.uneven_layers import Sizes
from edgeafri.stages.pruning.allocation import Numbers, Parts

_LAYER = re.compile(r"encoder\.layer\.(\d+)\.(.+)")


def cut(model: Any, parts: Parts) -> Any:
    """A model of the parts that stay, in float32 and evaluation mode; the model given is left as it is.

    Without heads, units and layers it answers as the model with these masked: their outputs at 0, a layer stepped
    over. Without hidden dimensions it does not, because layer norms then see other means. Every tensor is new and
    contiguous; tied weights stay tied. ModelError for a family whose layers are not known.
    """
    uneven_layers.layers_of(model)
    own = uneven_layers.sizes_of(model.config.to_dict())
    sizes = Sizes(own.head_size, tuple(map(len, parts.heads)), tuple(map(len, parts.ffn)))
    small = uneven_layers.build(type(model), uneven_layers.described(model.config, len(parts.hidden), sizes))
    weights = model.state_dict()
    with torch.no_grad():
        for name, weight in small.named_parameters():
            weight.copy_(_part(weights, name, weight.shape, parts, own.head_size))
    return small.eval()


def _part(weights: dict[str, Any], name: str, shape: torch.Size, parts: Parts, head_size: int) -> Any:
    """What stays of a weight. An axis that is still too long after heads and units are chosen is the hidden one."""
    place = _LAYER.search(name)
    if place is None:
        part = weights[name]
    else:
        number = int(place[1])
        part = weights[f"{name[: place.start(1)]}{parts.layers[number]}{name[place.end(1) :]}"]
        axis, kept = _own_axis(place[2], parts.heads[number], parts.ffn[number], head_size)
        part = part.index_select(axis, torch.tensor(kept)) if kept else part
    for axis, size in enumerate(shape):
        if part.shape[axis] != size:
            part = part.index_select(axis, torch.tensor(parts.hidden))
    return part


def _own_axis(tail: str, heads: Numbers, units: Numbers, head_size: int) -> tuple[int, Numbers]:
    """The axis of a layer's weight that goes over heads or units, and what stays on it; none where neither do."""
    context = tuple(head * head_size + place for head in heads for place in range(head_size))
    if tail.startswith("attention.self."):
        return 0, context
    if tail == "attention.output.dense.weight":
        return 1, context
    if tail.startswith("intermediate.dense."):
        return 0, units
    return 1, units if tail == "output.dense.weight" else ()
