"""Outputs of a model on a batch beyond its labels, from teacher and student alike: logits, states, attention."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel

from edgeafri.stages.models import checkpoint
from edgeafri.stages.training.examples import Batch

Outputs = dict[str, torch.Tensor]
Teacher = Callable[[Batch], Outputs]


@dataclass(frozen=True)
class WantedOutputs:
    """Which outputs a model is to give: logits, hidden states by number (0: embeddings), the attention of the last
    layer averaged over heads, and query, key and value of one layer (1: the first)."""

    logits: bool = False
    hidden: tuple[int, ...] = ()
    attention: bool = False
    layer: int | None = None


def outputs_of(model: PreTrainedModel, batch: Batch, wanted: WantedOutputs) -> Outputs:
    """The wanted outputs of a model on a batch.

    `logits` (positions, labels); `hidden0`, `hidden1` ... (batch, length, width) in the order wanted; `attention`
    (batch, length, length); `query`, `key`, `value` (batch, length, width). All in float32, also in bfloat16 training.
    """
    states = bool(wanted.hidden) or wanted.layer is not None
    more = {"output_hidden_states": states, "output_attentions": wanted.attention}
    found: Outputs = {}
    if wanted.logits:
        found["logits"], raw = checkpoint.answers(model, batch, **more)
    else:
        raw = model.base_model(batch["input_ids"], attention_mask=batch["attention_mask"], **more)
    found |= {f"hidden{index}": raw.hidden_states[number] for index, number in enumerate(wanted.hidden)}
    if wanted.attention:
        found["attention"] = raw.attentions[-1].mean(dim=1)
    if wanted.layer is not None:
        own = model.base_model.encoder.layer[wanted.layer - 1].attention.self
        below = raw.hidden_states[wanted.layer - 1]
        found |= {name: getattr(own, name)(below) for name in ("query", "key", "value")}
    return {name: value.float() for name, value in found.items()}


def live_teacher(model: PreTrainedModel, wanted: WantedOutputs) -> Teacher:
    """A teacher that is computed anew for every batch."""

    def compute(batch: Batch) -> Outputs:
        if wanted == WantedOutputs():
            return {}  # a student that learns from labels alone need not wait for a teacher
        with torch.inference_mode():
            found = outputs_of(model.to(batch["input_ids"].device), batch, wanted)
        return {name: value.clone() for name, value in found.items()}  # autograd refuses tensors of inference mode

    return compute


def cached_in_memory(teacher: Teacher) -> Teacher:
    """A teacher that is computed once per batch, as with a cache on disk: for a forecast."""
    known: dict[tuple[int, ...], Outputs] = {}

    def compute(batch: Batch) -> Outputs:
        numbers = tuple(batch["numbers"].tolist())
        if numbers not in known:
            known[numbers] = teacher(batch)
        return known[numbers]

    return compute
