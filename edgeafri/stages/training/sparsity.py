"""sparsity: which weights of a model become zero, which are, and what holds them there while it learns.

Counted are the weight matrices of all linear layers, the classifier's too. Embeddings, biases and layer norms stay
dense, and so does a matrix that an embedding shares (Awobade et al. 2024, section 3.3).
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from transformers import TrainerCallback

from edgeafri.stages.models import checkpoint

Masks = dict[str, Tensor]
Growth = Callable[[int, int], float]
_GROWTHS = 50  # how often zeros grow, at most: each time, all weights are ranked
_GROUP, _KEPT = 4, 2  # of every four weights along a row, a 2:4 pattern keeps two


def linear_weights(model: Any) -> dict[str, Tensor]:
    """The weight of every linear layer by its name, of shape (out, in)."""
    tables = {id(part.weight) for part in model.modules() if isinstance(part, torch.nn.Embedding)}
    linear = ((name, part) for name, part in model.named_modules() if isinstance(part, torch.nn.Linear))
    return {f"{name}.weight": part.weight for name, part in linear if id(part.weight) not in tables}


def count_at(sparsity: float, total: int) -> int:
    """How many of `total` weights are zero at a sparsity, rounded to the nearest."""
    return round(sparsity * total)


def threshold(weights: Iterable[Tensor], count: int) -> float:
    """The magnitude t for which `count` weights lie below: the smallest that is kept, where no two are alike."""
    if count == 0:
        return 0.0
    sizes = torch.cat([weight.detach().abs().flatten() for weight in weights])
    return float(sizes.kthvalue(min(count + 1, len(sizes))).values)


def by_magnitude(model: Any, sparsity: float) -> Masks:
    """Per matrix which weights are kept: all with |w| >= t, the one threshold of the whole model."""
    weights = linear_weights(model)
    count = count_at(sparsity, sum(weight.numel() for weight in weights.values()))
    limit = threshold(weights.values(), count)
    return {name: weight.detach().abs() >= limit for name, weight in weights.items()}


def two_of_four(model: Any) -> Masks:
    """Per matrix which weights are kept: the two largest of every four along a row. Rows of other lengths are kept."""
    fitting = {name: weight for name, weight in linear_weights(model).items() if weight.shape[1] % _GROUP == 0}
    return {name: _largest_of_group(weight.detach()) for name, weight in fitting.items()}


def apply(model: Any, masks: Mapping[str, Tensor]) -> None:
    """Set to zero what the masks do not keep."""
    weights = linear_weights(model)
    with torch.no_grad():
        for name, mask in masks.items():
            weights[name].mul_(mask)


def zeros(model: Any) -> dict[str, int]:
    """How many weights of every matrix are exactly zero."""
    return {name: int((weight == 0).sum()) for name, weight in linear_weights(model).items()}


def share_of_zeros(model: Any) -> float:
    """The share of the linear layers' weights that are exactly zero. Nothing that was trained densely has any."""
    total = sum(weight.numel() for weight in linear_weights(model).values())
    return float(sum(zeros(model).values()) / max(total, 1))


def sparse_bytes(model: Any) -> int:
    """The bytes of all weights if each matrix were kept as a bit a place and its other weights, where that is less."""
    total, found = checkpoint.weight_bytes(model), zeros(model)
    for name, weight in linear_weights(model).items():
        total -= max(0, found[name] * weight.element_size() - -(-weight.numel() // 8))
    return total


def cubic(sparsity: float, ramp: float) -> Growth:
    """Zeros that grow fast at first and slowly at last: s (1 - (1 - t)^3), t from 0 to 1 over `ramp` of the steps.

    Zhu and Gupta 2017, section 3, with every weight ranked anew each time.
    """

    def grown(step: int, steps: int) -> float:
        last = max(1, int(ramp * steps))
        past = _GROWTHS * step // last / _GROWTHS  # in so many equal steps, the last of them at the end of the ramp
        return sparsity * (1 - (1 - min(1.0, past)) ** 3)

    return grown


class HoldZeros(TrainerCallback):
    """Keeps zeros at zero in training, and with `growth` makes more of them: a sparsity at step n of N.

    The masks are what is zero when training begins, so that a resumed run goes on with those of its checkpoint. No
    gradient flows into a zero, and momentum is taken back after every step.
    """

    def __init__(self, model: Any, growth: Growth | None = None) -> None:
        self._model, self._growth, self._reached = model, growth, 0.0
        self._masks: Masks = {}
        self._hooks: list[Any] = []

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Find the zeros; after a checkpoint is loaded and before the first step."""
        weights = linear_weights(self._model)
        self._masks = {name: weight.detach() != 0 for name, weight in weights.items()}
        learning = ((name, weight) for name, weight in weights.items() if weight.requires_grad)
        self._hooks = [weight.register_hook(self._blocking(name)) for name, weight in learning]

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Zero again what the step moved, and what the schedule takes now."""
        wanted = self._growth(state.global_step, state.max_steps) if self._growth else 0.0
        if wanted > self._reached:
            self._reached = wanted
            for name, mask in by_magnitude(self._model, wanted).items():
                self._masks[name] &= mask
        apply(self._model, self._masks)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Let the gradients go."""
        for hook in self._hooks:
            hook.remove()

    def _blocking(self, name: str) -> Callable[[Tensor], Tensor]:
        return lambda gradient: gradient * self._masks[name]


def _largest_of_group(weight: Tensor) -> Tensor:
    groups = weight.abs().reshape(-1, _GROUP)
    mask = torch.zeros_like(groups, dtype=torch.bool)
    mask.scatter_(1, groups.topk(_KEPT, dim=1).indices, True)
    return mask.reshape(weight.shape)
