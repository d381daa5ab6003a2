"""importance: how much each head, feed-forward unit and hidden dimension matters to a model.

A part's output is multiplied with a gate of 1. Taylor: the mean over sentences of |dL/dgate| (Michel et al. 2019;
Molchanov et al. 2019, first order); Fisher: the root of the mean of its square, so that both have one unit. L is the
cross entropy of a sentence, the mean over the places that are read. Magnitude asks the weights alone.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from edgeafri.stages.models import checkpoint, uneven_layers
from edgeafri.stages.pruning.allocation import Scores
from edgeafri.stages.training.examples import IGNORED, Collator, Rows
from edgeafri.stages.training.loop import Batch
from edgeafri.util.progress import Progress

_BATCH = 16


def measured(model: Any, rows: Rows, pad: int, squared: bool, seed: int, progress: Progress) -> Scores:
    """Scores from what the rows' loss says of every gate. Taylor's, or `squared` Fisher's.

    Where a target is IGNORED, a label is drawn from the model's own answers by `seed`, as the true Fisher asks.
    """
    draw, numbers = torch.Generator().manual_seed(seed), np.argsort(rows.lengths, kind="stable")
    collate, totals = Collator(pad), None
    for start in range(0, len(numbers), _BATCH):
        batch = collate([rows[number] for number in numbers[start : start + _BATCH].tolist()])
        found = [grad.square() if squared else grad.abs() for grad in gradients(model, batch, draw)]
        sums = [grad.sum(dim=0, dtype=torch.float64) for grad in found]
        totals = sums if totals is None else [total + more for total, more in zip(totals, sums, strict=True)]
        progress(min(start + _BATCH, len(rows)), len(rows))
    means = [total / len(rows) for total in totals or []]
    return _scores([(mean.sqrt() if squared else mean).tolist() for mean in means])


def gradients(model: Any, batch: Batch, draw: torch.Generator) -> list[Tensor]:
    """dL/dgate of every row of a batch: (rows, heads) a layer, then (rows, units) a layer, then (rows, width)."""
    size, config = len(batch["input_ids"]), model.config
    sizes = uneven_layers.sizes_of(config.to_dict())
    gates = [torch.ones(size, 1, count, requires_grad=True) for count in (*sizes.heads, *sizes.ffn, config.hidden_size)]
    with ExitStack() as hooks:
        for hook in _hooked(model, gates, sizes.head_size):
            hooks.callback(hook.remove)
        total = _losses(model, batch, draw).sum()
    return [grad.squeeze(1) for grad in torch.autograd.grad(total, gates)]


def magnitude(model: Any) -> Scores:
    """The sum of squares of the weights of each head, unit and dimension, so that parts of unlike size compare.

    A head has its rows of query, key and value and its columns of the output, a unit its row and its column, and a
    dimension its rows and columns of all layers' matrices. Biases and embeddings do not count.
    """
    sizes, heads, units = uneven_layers.sizes_of(model.config.to_dict()), [], []
    hidden = torch.zeros(model.config.hidden_size)
    with torch.no_grad():
        for layer, count in zip(uneven_layers.layers_of(model), sizes.heads, strict=True):
            own = layer.attention.self
            inwards = sum(part.weight.square() for part in (own.query, own.key, own.value))
            context = inwards + layer.attention.output.dense.weight.square().T
            feed = layer.intermediate.dense.weight.square() + layer.output.dense.weight.square().T
            heads.append(context.sum(dim=1).reshape(count, sizes.head_size).sum(dim=1).tolist())
            units.append(feed.sum(dim=1).tolist())
            hidden += context.sum(dim=0) + feed.sum(dim=0)
    return replace(_scores([*heads, *units, hidden.tolist()]), additive=True)


def _scores(found: Sequence[Sequence[float]]) -> Scores:
    """From one list of all: heads layer by layer, units layer by layer, dimensions."""
    lists, layers = [tuple(own) for own in found], (len(found) - 1) // 2
    return Scores(tuple(lists[:layers]), tuple(lists[layers:-1]), lists[-1])


def _hooked(model: Any, gates: Sequence[Tensor], head_size: int) -> Iterator[Any]:
    """Every gate in its place while the hooks are there. One gate a dimension stands at all layer norms."""
    layers = uneven_layers.layers_of(model)
    for layer, heads, units in zip(layers, gates, gates[len(layers) : -1], strict=False):
        context = heads.repeat_interleave(head_size, dim=-1)
        yield layer.attention.output.dense.register_forward_pre_hook(_times(context))
        yield layer.output.dense.register_forward_pre_hook(_times(units))
    for part in model.base_model.modules():
        if isinstance(part, torch.nn.LayerNorm):
            yield part.register_forward_hook(lambda _, __, output: output * gates[-1])


def _times(gate: Tensor) -> Callable[[Any, tuple[Tensor, ...]], tuple[Tensor, ...]]:
    return lambda _, inputs: (inputs[0] * gate, *inputs[1:])


def _losses(model: Any, batch: Batch, draw: torch.Generator) -> Tensor:
    """The loss of every row: (rows,)."""
    logits = checkpoint.answers(model, batch)[0].float()
    drawn = torch.multinomial(logits.detach().softmax(dim=-1), 1, generator=draw).squeeze(1)
    targets = torch.where(batch["targets"] == IGNORED, drawn, batch["targets"])
    size, length = batch["input_ids"].shape
    rows = batch["places"] // length
    places = torch.bincount(rows, minlength=size).clamp(min=1)
    return torch.zeros(size).index_add(0, rows, functional.cross_entropy(logits, targets, reduction="none")) / places
