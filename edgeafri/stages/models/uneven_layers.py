"""uneven_layers: layers of different sizes, which no config of transformers can express, described and built.

config.json keeps its usual fields, the largest layer's sizes in them, and beside them, only where those do not say it
all: "edgeafri_layers": {"head_size": 64, "heads": [4, 3, 2], "ffn": [512, 300, 64]}, one number per layer.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn

from edgeafri.documents.base import Json, read_as
from edgeafri.errors import ModelError

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

KEY = "edgeafri_layers"
FAMILIES = ("bert", "roberta", "xlm-roberta", "camembert")  # their layers have the same parts under the same names


@dataclass(frozen=True)
class LayerSizes:
    """How large the layers are: attention heads and feed-forward units of each, and the width of every head."""

    head_size: int
    heads: tuple[int, ...]
    ffn: tuple[int, ...]


def sizes_of(config: Mapping[str, Json], where: str = "config.json") -> LayerSizes:
    """The layers' sizes that a config.json describes. ModelError at `where` when it contradicts itself."""
    if KEY in config:
        _check(config, where)
        return read_as(LayerSizes, config[KEY], f"{where}.{KEY}")
    names = ("num_hidden_layers", "num_attention_heads", "hidden_size", "intermediate_size")
    layers, heads, hidden, ffn = (read_as(int, config[name], f"{where}.{name}") for name in names)
    pruned = cast("Mapping[str, Sequence[int]]", config.get("pruned_heads") or {})
    gone = {int(layer): len(numbers) for layer, numbers in pruned.items()}
    left = tuple(heads - gone.get(layer, 0) for layer in range(layers))
    return LayerSizes(hidden // heads, left, (ffn,) * layers)


def described(config: "PretrainedConfig", hidden: int, sizes: LayerSizes) -> "PretrainedConfig":
    """A copy of a transformers config for layers of these sizes in an encoder `hidden` wide."""
    found = copy.deepcopy(config)
    found.num_hidden_layers, found.hidden_size = len(sizes.heads), hidden
    found.num_attention_heads, found.intermediate_size = max(sizes.heads), max(sizes.ffn)
    found.pruned_heads = {}  # the numbers of the layers and heads mean others here
    forget(found)
    if sizes != sizes_of(found.to_dict()):
        setattr(found, KEY, {"head_size": sizes.head_size, "heads": list(sizes.heads), "ffn": list(sizes.ffn)})
    return found


def forget(config: "PretrainedConfig") -> None:
    """Leave the usual fields of a transformers config alone. Changes `config`."""
    if hasattr(config, KEY):
        delattr(config, KEY)


def class_for(architecture: type["PreTrainedModel"], config: Mapping[str, Json]) -> type["PreTrainedModel"]:
    """The class that builds what a config describes: the architecture, or one of its name with uneven layers."""
    if KEY not in config or issubclass(architecture, _Uneven):
        return architecture
    return type(architecture.__name__, (_Uneven, architecture), {"__module__": architecture.__module__})


def build(architecture: type["PreTrainedModel"], config: "PretrainedConfig") -> "PreTrainedModel":
    """A new model of that config, in float32 with plain attention; the caller's random numbers go on as before."""
    with torch.random.fork_rng(range(torch.cuda.device_count())):
        # The public way, AutoModel.from_config(), knows only the classes of transformers, and not ours.
        return class_for(architecture, config.to_dict())._from_config(
            config, dtype=torch.float32, attn_implementation="eager"
        )


def layers_of(model: "PreTrainedModel") -> nn.ModuleList:
    """The encoder layers of a model. ModelError for a family whose layers have other parts."""
    if known(model.config):
        return model.base_model.encoder.layer
    hint = f"Use an encoder of these families with absolute positions: {', '.join(FAMILIES)}."
    raise ModelError(f"the layers of a {model.config.model_type} model cannot be of unlike size", hint)


def known(config: "PretrainedConfig") -> bool:
    """Whether the layers of a transformers config's family have the parts that are named here."""
    absolute = getattr(config, "position_embedding_type", "absolute") == "absolute"
    return config.model_type in FAMILIES and absolute


class _Uneven(nn.Module):
    """What an architecture does differently: each layer gets its own sizes, once all are built."""

    # Any: what else a class of transformers is built with is passed on as it is.
    def __init__(self, config: "PretrainedConfig", *more: Any, **named: Any) -> None:
        if not hasattr(config, KEY):
            super().__init__(config, *more, **named)
            return
        sizes, largest = sizes_of(config.to_dict()), config.num_attention_heads
        config.num_attention_heads = 1  # the largest layer's heads need not divide the width, and transformers asks
        super().__init__(config, *more, **named)
        config.num_attention_heads = largest
        for layer, heads, ffn in zip(layers_of(self), sizes.heads, sizes.ffn, strict=True):
            _resize(layer, config.hidden_size, heads, sizes.head_size, ffn)


def _resize(layer: nn.Module, hidden: int, heads: int, head_size: int, ffn: int) -> None:
    own, width = layer.attention.self, heads * head_size
    own.num_attention_heads, own.attention_head_size, own.all_head_size = heads, head_size, width
    own.scaling = head_size**-0.5  # transformers 5 keeps it beside them; 4.57 finds it anew
    for name in ("query", "key", "value"):
        setattr(own, name, nn.Linear(hidden, width))
    layer.attention.output.dense = nn.Linear(width, hidden)
    layer.intermediate.dense = nn.Linear(hidden, ffn)
    layer.output.dense = nn.Linear(ffn, hidden)


def _check(config: Mapping[str, Json], where: str) -> None:
    told, layers = config[KEY], config.get("num_hidden_layers")
    hint = "The file was changed by hand or damaged: shrink the model again."
    if not isinstance(told, Mapping) or set(told) != {"head_size", "heads", "ffn"}:
        raise ModelError(f"{where}: '{KEY}' must hold head_size, heads and ffn", hint)
    if config.get("pruned_heads"):
        raise ModelError(f"{where}: '{KEY}' and 'pruned_heads' cannot both be there", hint)
    numbers = [told["head_size"]]
    for name in ("heads", "ffn"):
        own = told[name]
        if not isinstance(own, list) or len(own) != layers:
            raise ModelError(f"{where}: '{KEY}.{name}' must be a list of {layers} numbers, one per layer", hint)
        numbers += own
    if any(type(number) is not int or number < 1 for number in numbers):
        raise ModelError(f"{where}: '{KEY}' must hold whole numbers from 1", hint)
