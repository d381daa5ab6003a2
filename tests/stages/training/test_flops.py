"""flops: the count from shapes is that of torch's own counter, whatever learns and whatever is frozen."""

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import DistilBertConfig, DistilBertForMaskedLM, XLMRobertaConfig, XLMRobertaForMaskedLM

from edgeafri.menu.settings import AdaptMaftSettings
from edgeafri.stages.training import flops, second_head, validation
from edgeafri.stages.training.examples import Example, Examples, Masking
from edgeafri.stages.training.flops import FlopCount
from edgeafri.stages.training.training_task import TrainingTask

INPUTS, LENGTH, PLACES, VOCABULARY = 3, 11, 7, 50


def model_of(layer=None, new_layers=0):
    """A masked LM of four layers, with a second head where a layer is given."""
    sizes = {"num_hidden_layers": 4, "hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 24}
    model = XLMRobertaForMaskedLM(XLMRobertaConfig(vocab_size=VOCABULARY, attn_implementation="eager", **sizes))
    if layer:
        second_head.attach(model, second_head.HeadPlace(layer, new_layers))
    return model


def embeddings_alone(model):
    model.requires_grad_(False)
    model.get_input_embeddings().weight.requires_grad_(True)
    return model


def second_head_alone(model):
    model.requires_grad_(False)
    model.second_head.requires_grad_(True)
    return model


def counted(model, loss):
    """What torch counts in one step."""
    ids = torch.randint(5, VOCABULARY, (INPUTS, LENGTH))
    positions = torch.arange(PLACES) * 3
    batch = {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "positions": positions,
        "targets": ids[0, :PLACES],
    }
    with FlopCounterMode(display=False) as counter:
        loss(model, batch).backward()
    return counter.get_total_flops()


@pytest.mark.parametrize(
    ("model", "loss", "cost"),
    [
        (model_of(), validation.hard_loss(None), flops.whole),
        (embeddings_alone(model_of()), validation.hard_loss(None), flops.whole),
        (model_of(2), second_head.joint_loss, flops.joint),
        (second_head_alone(model_of(2, 1)), second_head.mini_loss, flops.mini),
        (embeddings_alone(model_of(2)), second_head.mini_loss, flops.mini),
        (embeddings_alone(model_of(2, 1)), second_head.mini_loss, flops.mini),
    ],
    ids=["full training", "standard", "joint pretraining", "new layers", "mini-joint", "mini-post"],
)
def test_a_step_costs_what_torch_counts(model, loss, cost):
    """
    To the operation: products of matrices, forward and backward, are all that is counted by either.
    """
    assert cost(model).of(INPUTS, LENGTH, PLACES) == counted(model, loss)


def test_a_mini_model_costs_less_than_the_model():
    """
    Two layers of four; with one of its own, three.
    """
    standard, joint, post = (
        cost(embeddings_alone(model)).of(INPUTS, LENGTH, PLACES)
        for cost, model in ((flops.whole, model_of()), (flops.mini, model_of(2)), (flops.mini, model_of(2, 1)))
    )

    assert joint < post < standard


def training_of(loss, lengths):
    """A training of rows of those lengths, whose every subword is compared."""
    rows = [Example(tuple(range(5, 5 + length)), range(1, length - 1), range(length - 2), "swa") for length in lengths]
    masks = Masking(4, VOCABULARY, seed=1, everywhere=True, fixed=True)
    return TrainingTask(Examples(rows, masks), 1, loss, lambda model: {})


def test_a_training_is_the_sum_of_its_batches():
    """
    Every batch as long as its longest row, for every epoch that was validated.
    """
    training = training_of(validation.hard_loss(None), [5, 9, 9, 7, 6])
    settings = AdaptMaftSettings(("swa",), batch=2, epochs=9)
    order = list(training.sampler(settings))
    longest = [max(training.examples.lengths[order[start : start + 2]]) for start in (0, 2, 4)]
    cost = flops.whole(model_of())
    expected = cost.token * int(np.dot(longest, (2, 2, 1))) + cost.position * (5 + 9 + 9 + 7 + 6 - 2 * 5)
    expected += cost.pair * int(np.dot(np.square(longest), (2, 2, 1)))

    assert flops.training_flops(model_of(), training, settings, [{}, {}, {}]) == 3 * expected


def test_of_a_long_epoch_the_first_batches_stand_for_all(monkeypatch):
    """
    Examples of one length: exactly, then.
    """
    settings = AdaptMaftSettings(("swa",), batch=2)
    training = training_of(validation.hard_loss(None), [8] * 10)
    whole = flops.training_flops(model_of(), training, settings, [{}])
    monkeypatch.setattr(flops, "_COUNTED", 2)

    assert flops.training_flops(model_of(), training, settings, [{}]) == whole


def test_what_falls_says_what_is_run():
    """
    A second head's loss stops at its layer.
    """
    settings, model = AdaptMaftSettings(("swa",), batch=2), model_of(2)
    losses = (second_head.mini_loss, validation.hard_loss(None), second_head.joint_loss)
    found = [flops.training_flops(model, training_of(loss, [8] * 4), settings, [{}]) for loss in losses]

    assert found == sorted(found)
    assert len(set(found)) == 3


def test_a_family_whose_layers_are_not_known_is_not_counted():
    """
    It can be trained all the same.
    """
    config = DistilBertConfig(vocab_size=VOCABULARY, n_layers=1, dim=8, n_heads=2, hidden_dim=16)

    assert (
        flops.training_flops(DistilBertForMaskedLM(config), training_of(None, [8] * 2), AdaptMaftSettings(), [{}])
        is None
    )


def test_costs_add_up():
    """
    A model and its second head.
    """
    assert FlopCount(1, 2, 3) + FlopCount(10, 20, 30) == FlopCount(11, 22, 33)
    assert FlopCount(1, 2, 3).of(2, 5, 7) == 1 * 10 + 2 * 50 + 3 * 7
