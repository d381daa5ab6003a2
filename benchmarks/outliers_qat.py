"""Last steps of training for int8: the model learns to answer as it does in float32 while its products are rounded.

    python benchmarks/outliers_qat.py --teacher DIR --data DIR --lang swa,hau,yor --out DIR [--minutes 10] [--rate 2e-5]

In every linear layer the weights are rounded as `edgeafri quantize` stores them, and the input as DynamicQuantizeLinear
does, with one scale for a sentence; gradients go straight through the rounding, and into the scale as in LSQ (Esser et
al. 2020, arXiv 1902.08153), so that an outlier pays for the steps it takes from the others. The loss is the mean
square of what the logits are away from the float model's; labels are not read. Ends after so many minutes of processor
time. Writes a model that `edgeafri export-onnx` and `optimize` turn into what `outliers.py --also` compares.
"""

import argparse
import copy
import random
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from edgeafri.data.dataset import read_split
from edgeafri.inference.predict import padded
from edgeafri.stages.models import checkpoint
from edgeafri.stages.training.speed import float32_by_onednn
from edgeafri.tasks import tasks_of, unit_of

WEIGHT_STEPS, STEPS = 127, 255
SMALLEST = 1e-8  # of a scale, for a row of zeros
TOLD_EVERY = 20


class RoundedLinear(nn.Module):
    """A linear layer whose weights and inputs are rounded to int8, and computed with in float32."""

    def __init__(self, layer: nn.Linear, mask: list[Tensor]) -> None:
        super().__init__()
        self.layer, self.mask = layer, mask

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(round_input(x, self.mask[0]), round_rows(self.layer.weight), self.layer.bias)


def round_rows(weight: Tensor) -> Tensor:
    """A matrix of shape (outputs, inputs) in signed int8, one scale per output."""
    scale = weight.abs().amax(dim=1, keepdim=True).clamp_min(SMALLEST) / WEIGHT_STEPS
    return rounded(weight / scale) * scale


def round_input(x: Tensor, mask: Tensor) -> Tensor:
    """Numbers of shape (sentences, tokens, channels) in unsigned int8, as DynamicQuantizeLinear rounds each sentence.

    The range holds 0. Tokens that `mask` (sentences, tokens) hides as padding do not count in it.
    """
    seen = x * mask[:, :, None] if x.dim() == 3 else x
    across = tuple(range(1, x.dim()))
    low = seen.amin(dim=across, keepdim=True).clamp_max(0)
    scale = (seen.amax(dim=across, keepdim=True).clamp_min(0) - low).clamp_min(SMALLEST) / STEPS
    zero = torch.round(-low / scale).detach()
    return ((rounded(x / scale) + zero).clamp(0, STEPS) - zero) * scale


def rounded(x: Tensor) -> Tensor:
    """The nearest integers, with the gradient of x itself."""
    return x + (torch.round(x) - x).detach()


def main() -> None:
    options = arguments()
    torch.manual_seed(options.seed)
    unit = unit_of(tasks_of(checkpoint.own_architecture(options.teacher))[0].name)
    encoder = checkpoint.read_encoder(options.teacher, unit)
    splits = [read_split(options.data, code, "train", unit) for code in options.lang]
    rows = encoder.encode([sentence.words for split in splits for sentence in split.sentences])
    teacher = checkpoint.read_model(options.teacher)
    with float32_by_onednn():
        student = train(teacher, [row.ids for row in rows], encoder.frame.pad, options)
    options.out.mkdir(parents=True, exist_ok=True)
    checkpoint.write_model(student, checkpoint.read_tokenizer(options.teacher), options.out)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", required=True, type=Path)
    parser.add_argument("--data", required=True, type=Path, help="Labelled data; the text of its train files is read.")
    parser.add_argument("--lang", required=True, type=lambda value: value.split(","))
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--minutes", type=float, default=10, help="Of processor time.")
    parser.add_argument("--rate", type=float, default=2e-5, help="Learning rate at the start; it falls to 0.")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def train(teacher: nn.Module, rows: Sequence[Sequence[int]], pad: int, options: argparse.Namespace) -> nn.Module:
    """A copy of the teacher, trained with rounded products for so many minutes."""
    student, mask = copy.deepcopy(teacher), [torch.empty(0)]
    weights = [weight for name, weight in student.named_parameters() if "embeddings." not in name]
    layers = round_layers(student, mask)
    optimizer = torch.optim.AdamW(weights, lr=options.rate, weight_decay=0.0)
    began, limit = time.process_time(), 60 * options.minutes
    for number, batch in enumerate(batches(rows, options.batch, options.seed), 1):
        spent = time.process_time() - began
        if spent >= limit:
            break
        optimizer.param_groups[0]["lr"] = options.rate * (1 - spent / limit)
        ids, mask[0] = (torch.from_numpy(part) for part in padded(batch, pad))
        loss = distance(student, teacher, ids, mask[0])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        if number % TOLD_EVERY == 1:
            print(f"step {number}, {spent / 60:.1f} minutes, loss {loss.item():.5f}", file=sys.stderr, flush=True)
    for parent, name, layer in layers:
        setattr(parent, name, layer)
    return student


def round_layers(model: nn.Module, mask: list[Tensor]) -> list[tuple[nn.Module, str, nn.Linear]]:
    """Put rounding around every linear layer; returns the layers, where each stood and what it was called."""
    found = [
        (parent, name, layer)
        for parent in model.modules()
        for name, layer in parent.named_children()
        if isinstance(layer, nn.Linear)
    ]
    for parent, name, layer in found:
        setattr(parent, name, RoundedLinear(layer, mask))
    return found


def distance(student: nn.Module, teacher: nn.Module, ids: Tensor, mask: Tensor) -> Tensor:
    """The mean square of what the logits of two models are apart, padding left out."""
    with torch.no_grad():
        wanted = teacher(input_ids=ids, attention_mask=mask).logits
    apart = (student(input_ids=ids, attention_mask=mask).logits - wanted) ** 2
    if apart.dim() == 3:
        return (apart * mask[:, :, None]).sum() / (mask.sum() * apart.shape[-1])
    return apart.mean()


def batches(rows: Sequence[Sequence[int]], size: int, seed: int) -> Iterator[list[Sequence[int]]]:
    """Batches of rows of like length in random order, without end."""
    draw = random.Random(seed)
    ordered = sorted(rows, key=len)
    starts = list(range(0, len(ordered), size))
    while True:
        draw.shuffle(starts)
        yield from (list(ordered[start : start + size]) for start in starts)


if __name__ == "__main__":
    main()
