"""factorised_embedding: a word embedding as two smaller matrices, V x r and r x d (ALBERT, Lan et al. 2020, 3.1).

config.json keeps its usual fields and beside them "edgeafri_embedding_rank": r. The table stays an nn.Embedding with a
row for each token, so that all who look at rows find them; what it gives is made as wide as the encoder behind it.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from edgeafri.documents.base import Json
from edgeafri.errors import ConfigError, ModelError

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

KEY = "edgeafri_embedding_rank"


class FactorisedEmbedding(nn.Embedding):
    """Ids of shape (batch, length) to float vectors of shape (batch, length, width), through `rank` numbers each."""

    def __init__(self, tokens: int, rank: int, width: int, padding_idx: int | None) -> None:
        super().__init__(tokens, rank, padding_idx)
        self.up = nn.Linear(rank, width, bias=False)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        wide: torch.Tensor = self.up(super().forward(ids))
        return wide


def factorise(model: "PreTrainedModel", rank: int) -> float:
    """Replace the word embedding by the best of that rank; the share of its sum of squares that is left.

    The truncated singular value decomposition, found in the width's Gram matrix, so that no second table is needed.
    Changes `model` and its config. ConfigError for a rank that saves nothing, ModelError for a head that shares the
    table.
    """
    table, width = model.get_input_embeddings(), model.config.hidden_size
    tokens = table.num_embeddings
    if model.get_output_embeddings() is not None:
        hint = "Give it a task's head first, or leave out --factorise."
        raise ModelError("trim: a masked-LM head shares the word embedding, which cannot be factorised then", hint)
    if isinstance(table, FactorisedEmbedding):
        raise ModelError("trim: the word embedding is factorised already", "Leave out --factorise.")
    if rank * (tokens + width) >= tokens * width:
        most = (tokens * width - 1) // (tokens + width)
        raise ConfigError(f"trim: rank {rank} makes {tokens:,} x {width} numbers no fewer", f"Use {most} or less.")
    weight = table.weight.data
    strengths, directions = torch.linalg.eigh(weight.T.double() @ weight.double())
    kept = directions[:, -rank:].to(weight.dtype)
    small = FactorisedEmbedding(tokens, rank, width, table.padding_idx)
    small.weight.data, small.up.weight.data = weight @ kept, kept.contiguous()
    model.set_input_embeddings(small)
    setattr(model.config, KEY, rank)
    # The model becomes one of the class that reads it back, so that what is saved now is what is built then.
    model.__class__ = class_for(type(model), model.config.to_dict())
    return float(strengths[-rank:].sum() / strengths.sum())


def class_for(architecture: type["PreTrainedModel"], config: Mapping[str, Json]) -> type["PreTrainedModel"]:
    """The class that builds what a config describes: the architecture, or one of its name with a factorised table."""
    if KEY not in config or issubclass(architecture, _Factorised):
        return architecture
    return type(architecture.__name__, (_Factorised, architecture), {"__module__": architecture.__module__})


class _Factorised(nn.Module):
    """What an architecture does differently: its word embedding is made anew, once all is built."""

    # Any: what else a class of transformers is built with is passed on as it is.
    def __init__(self, config: "PretrainedConfig", *more: Any, **named: Any) -> None:
        super().__init__(config, *more, **named)
        if hasattr(config, KEY):
            table = self.get_input_embeddings()
            self.set_input_embeddings(
                FactorisedEmbedding(config.vocab_size, getattr(config, KEY), config.hidden_size, table.padding_idx)
            )
