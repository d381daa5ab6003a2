"""equivalence: a model with less vocabulary gives the outputs that it gave, where all tokens of the text are kept."""

import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from edgeafri.errors import ModelError
from edgeafri.inference.predict import Logits
from edgeafri.menu.facts.conversion import Compared, Equivalence

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# That of masked-LM logits is relative: these are sums over the width.
TOLERANCE = {"logits": 1e-6, "masked-LM logits": 1e-5, "hidden states": 1e-6}


def with_shared_weights(model: "PreTrainedModel") -> "PreTrainedModel":
    """A copy of a model that uses the same tensors: what is replaced in one stays in the other, and no memory is used.

    deepcopy takes what stands in its second argument, by id, as copied already.
    """
    weights = [*model.parameters(), *model.buffers()]
    return copy.deepcopy(model, {id(weight): weight for weight in weights})


def check_equivalence(
    whole: "PreTrainedModel", cut: "PreTrainedModel", kept: Sequence[int], inputs: Mapping[str, Sequence[Sequence[int]]]
) -> Equivalence:
    """By language, the largest difference of the logits before and after, on inputs whose tokens are all kept.

    `inputs` are ids before the cut, `kept` the old ids in their new order. Of a masked LM the kept tokens' logits are
    compared, relative to the largest; of a bare encoder its hidden states. ModelError when they differ.
    """
    masked = whole.get_output_embeddings() is not None
    kind = "masked-LM logits" if masked else "hidden states" if whole.base_model is whole else "logits"
    place = {old: new for new, old in enumerate(kept)}
    found = {}
    for code, rows in inputs.items():
        differences = [_difference(whole, cut, row, place, masked) for row in rows]
        found[code] = Compared(inputs=len(rows), largest_difference=max(differences, default=None))
        if differences and max(differences) > TOLERANCE[kind]:
            message = f"trim: {kind} in {code} are off by {max(differences):.1g} where all subwords are kept"
            hint = "Report it, with the name of the model: its outputs depend on more than its subwords."
            raise ModelError(message, hint)
    return Equivalence(of=kind, tolerance=TOLERANCE[kind], languages=found)


def _difference(
    whole: "PreTrainedModel", cut: "PreTrainedModel", row: Sequence[int], place: Mapping[int, int], masked: bool
) -> float:
    """The largest difference of the two models' logits on one input, relative to the largest for a masked LM."""
    before, after = _outputs(whole, row), _outputs(cut, [place[token] for token in row])
    if masked:
        before = before[..., list(place)]
    off = float(np.abs(before - after).max())
    return off / float(np.abs(before).max()) if masked else off


def _outputs(model: "PreTrainedModel", row: Sequence[int]) -> Logits:
    """The logits, or where there is no head the hidden states that one would read.

    One input at a time: both models stand in memory here, and what a batch computes would come on top.
    """
    with torch.inference_mode():
        outputs: Logits = model(input_ids=torch.tensor([row]))[0].numpy()
    return outputs
