"""Sparsity: which weights of a model become zero, which are zero, and what holds them there while it learns.

Counted are the weight matrices of all linear layers, the classifier's too. Embeddings, biases and layer norms stay
dense, and so does a matrix that an embedding shares (Awobade et al. 2024, section 3.3).
"""

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from edgeafri.stages.models import checkpoint

ZeroMasks = dict[str, Tensor]  # by a weight's name, True where it is kept and False where it becomes zero
SparsitySchedule = Callable[[int, int], float]  # the sparsity after a step, from that step and the number of steps
_INCREASES = 50  # how often a schedule raises the sparsity, at most: all weights are ranked each time
_GROUP, _KEPT = 4, 2  # of every four weights along a row, a 2:4 pattern keeps two


def linear_weights(model: nn.Module) -> dict[str, Tensor]:
    """The weight of every linear layer by its name, of shape (out, in)."""
    tables = {id(part.weight) for part in model.modules() if isinstance(part, nn.Embedding)}
    linear = ((name, part) for name, part in model.named_modules() if isinstance(part, nn.Linear))
    return {f"{name}.weight": part.weight for name, part in linear if id(part.weight) not in tables}


def count_at(sparsity: float, total: int) -> int:
    """How many of `total` weights are zero at a sparsity, rounded to the nearest."""
    return round(sparsity * total)


def threshold(weights: Iterable[Tensor], count: int) -> float:
    """The magnitude below which `count` weights lie: the smallest that is kept, where no two are equal."""
    if count == 0:
        return 0.0
    sizes = torch.cat([weight.detach().abs().flatten() for weight in weights])
    return float(sizes.kthvalue(min(count + 1, len(sizes))).values)


def by_magnitude(model: nn.Module, sparsity: float) -> ZeroMasks:
    """For every matrix which weights are kept: all with |w| >= t, with one threshold t for the whole model."""
    weights = linear_weights(model)
    count = count_at(sparsity, sum(weight.numel() for weight in weights.values()))
    limit = threshold(weights.values(), count)
    return {name: weight.detach().abs() >= limit for name, weight in weights.items()}


def two_of_four(model: nn.Module) -> ZeroMasks:
    """For every matrix which weights are kept: the two largest of every four along a row.

    A matrix whose rows do not divide into fours is left out, so all its weights are kept.
    """
    fitting = {name: weight for name, weight in linear_weights(model).items() if weight.shape[1] % _GROUP == 0}
    return {name: _largest_of_group(weight.detach()) for name, weight in fitting.items()}


def apply(model: nn.Module, masks: Mapping[str, Tensor]) -> None:
    """Set to zero what the masks do not keep."""
    weights = linear_weights(model)
    with torch.no_grad():
        for name, mask in masks.items():
            weights[name].mul_(mask)


def zeros(model: nn.Module) -> dict[str, int]:
    """How many weights of every matrix are exactly zero."""
    return {name: int((weight == 0).sum()) for name, weight in linear_weights(model).items()}


def share_of_zeros(model: nn.Module) -> float:
    """The share of the linear layers' weights that are exactly zero. Nothing that was trained densely has any."""
    total = sum(weight.numel() for weight in linear_weights(model).values())
    return float(sum(zeros(model).values()) / max(total, 1))


def sparse_bytes(model: nn.Module) -> int:
    """The bytes of all weights if each matrix were stored as one bit per weight and the weights that are not zero.

    A matrix that this would make larger counts as it is.
    """
    total, found = checkpoint.weight_bytes(model), zeros(model)
    for name, weight in linear_weights(model).items():
        total -= max(0, found[name] * weight.element_size() - -(-weight.numel() // 8))
    return total


def cubic(sparsity: float, ramp: float) -> SparsitySchedule:
    """A schedule that is fast at first and slow at last: s (1 - (1 - t)^3), t from 0 to 1 over `ramp` of the steps.

    Zhu and Gupta 2017, section 3, with every weight ranked anew each time.
    """

    def schedule(step: int, steps: int) -> float:
        last = max(1, int(ramp * steps))
        past = _INCREASES * step // last / _INCREASES  # so many equal parts, the last one at the end of the ramp
        return sparsity * (1 - (1 - min(1.0, past)) ** 3)

    return schedule


class HoldZeros(TrainerCallback):
    """Keeps zeros at zero in training, and with a `schedule` makes more of them.

    The masks are what is zero when training begins, so that a resumed run goes on with those of its checkpoint. No
    gradient flows into a zero. AdamW still moves a weight by its momentum, so zeros are set again after every step.
    """

    def __init__(self, model: nn.Module, schedule: SparsitySchedule | None = None) -> None:
        self._model, self._schedule, self._reached = model, schedule, 0.0
        self._masks: ZeroMasks = {}
        self._hooks: list[RemovableHandle] = []

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        """Find the zeros: Trainer has loaded the checkpoint by now, and has not made a step."""
        weights = linear_weights(self._model)
        self._masks = {name: weight.detach() != 0 for name, weight in weights.items()}
        learning = ((name, weight) for name, weight in weights.items() if weight.requires_grad)
        self._hooks = [weight.register_hook(self._blocking(name)) for name, weight in learning]

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        """Set to zero again what the step moved, and what the schedule adds now."""
        wanted = self._schedule(state.global_step, state.max_steps) if self._schedule else 0.0
        if wanted > self._reached:
            self._reached = wanted
            for name, mask in by_magnitude(self._model, wanted).items():
                self._masks[name] &= mask
        apply(self._model, self._masks)

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        """Let gradients flow again."""
        for hook in self._hooks:
            hook.remove()

    def _blocking(self, name: str) -> Callable[[Tensor], Tensor]:
        return lambda gradient: gradient * self._masks[name]


def _largest_of_group(weight: Tensor) -> Tensor:
    groups = weight.abs().reshape(-1, _GROUP)
    mask = torch.zeros_like(groups, dtype=torch.bool)
    mask.scatter_(1, groups.topk(_KEPT, dim=1).indices, True)
    return mask.reshape(weight.shape)
