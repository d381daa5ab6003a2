"""Importance: how much each head, feed-forward unit and hidden dimension matters to a model.

A part's output is multiplied with a gate of 1. Taylor: the mean over sentences of |dL/dgate| (Michel et al. 2019;
Molchanov et al. 2019, first order); Fisher: the root of the mean of its square, so that both have one unit. L is the
cross entropy of a sentence, the mean over the positions that are compared. Magnitude needs the weights alone.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.hooks import RemovableHandle
from transformers import PreTrainedModel

from edgeafri.stages.models import checkpoint, uneven_layers
from edgeafri.stages.pruning.allocation import ImportanceScores
from edgeafri.stages.training.examples import IGNORED, Batch, Collator, Examples
from edgeafri.util.progress import Progress

_BATCH = 16


def measured(
    model: PreTrainedModel, examples: Examples, pad_id: int, squared: bool, seed: int, progress: Progress
) -> ImportanceScores:
    """Scores from the gradient of the loss of examples at every gate: Taylor's, or Fisher's with `squared`.

    Where a target is IGNORED, a label is drawn from the model's own probabilities by `seed`, as the true Fisher asks.
    """
    draw, numbers = torch.Generator().manual_seed(seed), np.argsort(examples.lengths, kind="stable")
    collate, totals = Collator(pad_id), None
    for start in range(0, len(numbers), _BATCH):
        batch = collate([examples[number] for number in numbers[start : start + _BATCH].tolist()])
        found = [grad.square() if squared else grad.abs() for grad in gradients(model, batch, draw)]
        sums = [grad.sum(dim=0, dtype=torch.float64) for grad in found]
        totals = sums if totals is None else [total + more for total, more in zip(totals, sums, strict=True)]
        progress(min(start + _BATCH, len(examples)), len(examples))
    means = [total / len(examples) for total in totals or []]
    return _scores([(mean.sqrt() if squared else mean).tolist() for mean in means])


def gradients(model: PreTrainedModel, batch: Batch, draw: torch.Generator) -> list[Tensor]:
    """dL/dgate for a batch: (batch, heads) per layer, then (batch, units) per layer, then (batch, width)."""
    size, config = len(batch["input_ids"]), model.config
    sizes = uneven_layers.sizes_of(config.to_dict())
    gates = [torch.ones(size, 1, count, requires_grad=True) for count in (*sizes.heads, *sizes.ffn, config.hidden_size)]
    with ExitStack() as hooks:
        for hook in _hooked(model, gates, sizes.head_size):
            hooks.callback(hook.remove)
        total = _losses(model, batch, draw).sum()
    return [grad.squeeze(1) for grad in torch.autograd.grad(total, gates)]


def magnitude(model: PreTrainedModel) -> ImportanceScores:
    """The sum of squares of the weights of each head, unit and dimension, so that parts of different size compare.

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


def _scores(found: Sequence[Sequence[float]]) -> ImportanceScores:
    """From one list of all: heads layer by layer, units layer by layer, dimensions."""
    lists, layers = [tuple(own) for own in found], (len(found) - 1) // 2
    return ImportanceScores(tuple(lists[:layers]), tuple(lists[layers:-1]), lists[-1])


def _hooked(model: PreTrainedModel, gates: Sequence[Tensor], head_size: int) -> Iterator[RemovableHandle]:
    """Every gate in its place while the hooks are there. A dimension has one gate, at all layer norms."""
    layers = uneven_layers.layers_of(model)
    for layer, heads, units in zip(layers, gates, gates[len(layers) : -1], strict=False):
        context = heads.repeat_interleave(head_size, dim=-1)
        yield layer.attention.output.dense.register_forward_pre_hook(_times(context))
        yield layer.output.dense.register_forward_pre_hook(_times(units))
    for part in model.base_model.modules():
        if isinstance(part, nn.LayerNorm):
            yield part.register_forward_hook(lambda _, __, output: output * gates[-1])


def _times(gate: Tensor) -> Callable[[nn.Module, tuple[Tensor, ...]], tuple[Tensor, ...]]:
    return lambda _, inputs: (inputs[0] * gate, *inputs[1:])


def _losses(model: PreTrainedModel, batch: Batch, draw: torch.Generator) -> Tensor:
    """The loss of every input: (batch,)."""
    logits = checkpoint.answers(model, batch)[0].float()
    drawn = torch.multinomial(logits.detach().softmax(dim=-1), 1, generator=draw).squeeze(1)
    targets = torch.where(batch["targets"] == IGNORED, drawn, batch["targets"])
    size, length = batch["input_ids"].shape
    inputs = batch["positions"] // length
    counts = torch.bincount(inputs, minlength=size).clamp(min=1)
    return torch.zeros(size).index_add(0, inputs, functional.cross_entropy(logits, targets, reduction="none")) / counts
