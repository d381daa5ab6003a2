"""signals: what a model says of a batch beside its labels, asked of teacher and student alike."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from edgeafri.stages.models import checkpoint
from edgeafri.stages.training.loop import Batch

Signals = dict[str, torch.Tensor]
Teacher = Callable[[Batch], Signals]


@dataclass(frozen=True)
class Wanted:
    """What is asked of a model: its answers, hidden states by number (0: embeddings), the last layer's attention
    averaged over heads, and query, key and value of one layer (1: the first)."""

    answers: bool = False
    hidden: tuple[int, ...] = ()
    attention: bool = False
    layer: int | None = None


def signals(model: Any, batch: Batch, wanted: Wanted) -> Signals:
    """What a model says of a batch.

    `answers` (places, labels); `hidden0`, `hidden1` ... (batch, length, width) in the order asked for; `attention`
    (batch, length, length); `query`, `key`, `value` (batch, length, width). All in float32, also in bfloat16 training.
    """
    states = bool(wanted.hidden) or wanted.layer is not None
    more = {"output_hidden_states": states, "output_attentions": wanted.attention}
    found: Signals = {}
    if wanted.answers:
        found["answers"], said = checkpoint.answers(model, batch, **more)
    else:
        said = model.base_model(batch["input_ids"], attention_mask=batch["attention_mask"], **more)
    found |= {f"hidden{place}": said.hidden_states[number] for place, number in enumerate(wanted.hidden)}
    if wanted.attention:
        found["attention"] = said.attentions[-1].mean(dim=1)
    if wanted.layer is not None:
        own = model.base_model.encoder.layer[wanted.layer - 1].attention.self
        below = said.hidden_states[wanted.layer - 1]
        found |= {name: getattr(own, name)(below) for name in ("query", "key", "value")}
    return {name: value.float() for name, value in found.items()}


def live(model: Any, wanted: Wanted) -> Teacher:
    """A teacher that is asked anew for every batch."""

    def ask(batch: Batch) -> Signals:
        if wanted == Wanted():
            return {}  # a student that learns from labels alone need not wait for a teacher
        with torch.inference_mode():
            found = signals(model.to(batch["input_ids"].device), batch, wanted)
        return {name: value.clone() for name, value in found.items()}  # inference tensors cannot meet gradients

    return ask


def remembering(teacher: Teacher) -> Teacher:
    """A teacher that is asked about a batch once and then knows its answer, as a cache on disk will."""
    known: dict[tuple[int, ...], Signals] = {}

    def ask(batch: Batch) -> Signals:
        numbers = tuple(batch["numbers"].tolist())
        if numbers not in known:
            known[numbers] = teacher(batch)
        return known[numbers]

    return ask
