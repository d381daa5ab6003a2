"""Second head: a masked-LM head after a model's first layers, which with them is a mini-model inside the model.

Two ways to one (Marchisio et al. 2023): learnt together with the model's own head (mini-joint), or put later on frozen
first layers, with layers of its own below the head (mini-post). Its weights stand beside the model's in the same files,
as `second_head.*`, and config.json says where it stands: "edgeafri_second_head": {"layer": 2, "new_layers": 0}.
A program that does not know it reads the model without it.
"""

import copy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import safe_open
from torch import nn
from transformers import PreTrainedModel

from edgeafri.documents.base import read_as
from edgeafri.errors import ConfigError, ModelError
from edgeafri.menu.settings import AdaptMaftSettings
from edgeafri.stages.models import checkpoint, uneven_layers
from edgeafri.stages.training import losses, validation
from edgeafri.stages.training.examples import IGNORED, Batch
from edgeafri.stages.training.training_task import Loss

KEY = "edgeafri_second_head"
_NAME = "second_head"
M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True)
class HeadPlace:
    """Where a second head stands: after which layer of the model, and with how many layers of its own."""

    layer: int
    new_layers: int


class SecondHead(nn.Module):
    """The transform of a masked-LM head, a bias for the vocabulary, and layers of its own, none where learnt jointly.

    Its output matrix is the model's word embedding.
    """

    def __init__(self, layers: nn.ModuleList, dense: nn.Linear, norm: nn.LayerNorm, bias: torch.Tensor) -> None:
        super().__init__()
        self.layers, self.dense, self.norm, self.bias = layers, dense, norm, nn.Parameter(bias)

    def forward(self, hidden: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
        """Hidden states (positions, width) and the word embedding to logits of shape (positions, vocabulary)."""
        return nn.functional.linear(self.norm(nn.functional.gelu(self.dense(hidden))), table, self.bias)


def attach(model: PreTrainedModel, place: HeadPlace) -> None:
    """Put a second head into a masked LM. Changes `model`.

    It starts as a copy of the model's own head, and its own layers as copies of those that follow. ConfigError when the
    model has not so many layers, ModelError for a family whose layers have other parts.
    """
    layer, new_layers = place.layer, place.new_layers
    if not uneven_layers.known(model.config):
        hint = f"Use an encoder of these families with absolute positions: {', '.join(uneven_layers.FAMILIES)}."
        raise ModelError(f"a {model.config.model_type} model cannot have a second head", hint)
    layers = uneven_layers.layers_of(model)
    if not 1 <= layer < len(layers):
        hint = f"Use 1 to {len(layers) - 1}." if len(layers) > 1 else "Use a deeper model."
        raise ConfigError(f"a second head after layer {layer}: the model has {len(layers)} layers", hint)
    if layer + new_layers > len(layers):
        hint = f"Use --new-layers {len(layers) - layer} or fewer, or a lower --second-head."
        raise ConfigError(f"{layer} layers and {new_layers} new ones: the model has {len(layers)} layers", hint)
    own = copy.deepcopy(nn.ModuleList(layers[layer : layer + new_layers]))
    dense, norm = (copy.deepcopy(_first(head_of(model), kind)) for kind in (nn.Linear, nn.LayerNorm))
    model.second_head = SecondHead(own, dense, norm, model.get_output_embeddings().bias.detach().clone())
    setattr(model.config, KEY, asdict(place))


def set_up(model: PreTrainedModel, settings: AdaptMaftSettings) -> tuple[Loss, Loss]:
    """The losses of a masked-LM training and of its validation; attaches the second head that the settings ask for.

    A head with layers of its own is learnt alone, and the model is frozen.
    """
    plain = validation.hard_loss(None)
    if settings.second_head is None:
        remove(model)  # one of an earlier training, which this training does not go on with
        return plain, plain
    attach(model, HeadPlace(settings.second_head, settings.new_layers))
    if not settings.new_layers:
        return joint_loss, plain
    model.requires_grad_(False)
    model.second_head.requires_grad_(True)
    return mini_loss, mini_loss


def read_place(path: Path) -> HeadPlace | None:
    """Where the second head of the model in a folder stands; None where it has none."""
    found = checkpoint.read_config(path).get(KEY)
    return read_as(HeadPlace, found, KEY) if found and _weights(path) else None


def read_into(model: PreTrainedModel, path: Path) -> None:
    """Attach the second head in the folder that `model` was read from. ModelError for a damaged one."""
    place, weights = read_place(path), _weights(path)
    if place is None:
        raise ModelError(f"{path}: it has no second head", "Make one: edgeafri adapt-maft --second-head 2.")
    attach(model, place)
    try:
        model.second_head.load_state_dict(weights)
    except RuntimeError:
        hint = "The vocabulary was changed after it was made: make it again with edgeafri adapt-maft --second-head."
        raise ModelError(f"{path}: its second head does not fit the model", hint) from None


def remove(model: PreTrainedModel) -> None:
    """Take the second head away. Changes `model`."""
    if hasattr(model, _NAME):
        del model.second_head
    if hasattr(model.config, KEY):
        delattr(model.config, KEY)


def head_of(model: PreTrainedModel) -> nn.Module:
    """The masked-LM head of a model."""
    found: nn.Module = getattr(model, "lm_head", None) or model.cls
    return found


def mini_body(model: PreTrainedModel) -> PreTrainedModel:
    """The first layers and the second head's own layers, as an encoder that shares every weight with `model`."""
    body, first = model.base_model, getattr(model.config, KEY)["layer"]
    # A shallow copy of a torch module shares its table of submodules too, so each copy gets a table of its own.
    encoder, shallow = copy.copy(body.encoder), copy.copy(body)
    encoder._modules, shallow._modules = dict(encoder._modules), dict(shallow._modules)
    encoder._modules["layer"] = nn.ModuleList([*body.encoder.layer[:first], *model.second_head.layers])
    shallow._modules["encoder"] = encoder
    return shallow


def mini_loss(model: PreTrainedModel, batch: Batch) -> torch.Tensor:
    """Cross entropy of the second head over its mini-model; the layers above are not run."""
    hidden = mini_body(model)(**_inputs(batch)).last_hidden_state
    return _loss(model, hidden, batch)


def joint_loss(model: PreTrainedModel, batch: Batch) -> torch.Tensor:
    """The sum of both heads' cross entropies, from one pass (Marchisio et al. 2023)."""
    body = model.base_model(**_inputs(batch), output_hidden_states=True)
    logits = head_of(model)(body.last_hidden_state.flatten(0, 1)[batch["positions"]])
    first = losses.hard_targets(logits.float(), batch["targets"], None, IGNORED)
    return first + _loss(model, body.hidden_states[getattr(model.config, KEY)["layer"]], batch)


def _loss(model: PreTrainedModel, hidden: torch.Tensor, batch: Batch) -> torch.Tensor:
    table = model.get_input_embeddings().weight
    logits = model.second_head(hidden.flatten(0, 1)[batch["positions"]], table)
    return losses.hard_targets(logits.float(), batch["targets"], None, IGNORED)


def _inputs(batch: Batch) -> dict[str, torch.Tensor]:
    return {name: batch[name] for name in ("input_ids", "attention_mask")}


def _first(head: nn.Module, kind: type[M]) -> M:
    return next(part for part in head.modules() if isinstance(part, kind))


def _weights(path: Path) -> dict[str, torch.Tensor]:
    """The second head's weights in a folder's files, without their prefix."""
    found: dict[str, torch.Tensor] = {}
    for file in sorted(path.glob("*.safetensors")):
        with safe_open(file, "pt") as opened:
            names = [name for name in opened.keys() if name.startswith(f"{_NAME}.")]  # noqa: SIM118  # no mapping
            found |= {name.removeprefix(f"{_NAME}."): opened.get_tensor(name) for name in names}
    return found
