"""Outputs: each is what the model's own layers compute, and a live teacher's can be learnt from."""

import pytest
import torch

from edgeafri.stages.distillation.teacher_outputs import WantedOutputs, live_teacher, outputs_of
from edgeafri.stages.models import checkpoint
from edgeafri.stages.training.examples import Collator, Item


@pytest.fixture(scope="module")
def batch():
    """Two rows of unlike length, padded; three positions, the last at position 2 of the second row."""
    items = [
        Item(0, (0, 5, 9, 17, 22, 31, 40, 2), (1, 4), (3, 4)),
        Item(1, (0, 12, 7, 2), (2,), (5,)),
    ]
    return Collator(1)(items)


@pytest.fixture(scope="module")
def model(masked):
    return checkpoint.read_model(masked.path)


def said(model, batch, **wanted):
    """What transformers gives for a batch."""
    with torch.no_grad():
        return model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], **wanted)


def found(model, batch, wanted):
    with torch.no_grad():
        return outputs_of(model, batch, wanted)


def test_answers_are_the_logits_at_the_places(model, batch):
    """
    A masked-LM head is asked for three subwords only, and says what it says of all of them. Float rounding apart.
    """
    answers = found(model, batch, WantedOutputs(logits=True))["logits"]
    logits = said(model, batch).logits

    torch.testing.assert_close(answers, torch.stack([logits[0, 1], logits[0, 4], logits[1, 2]]))


def test_labels_of_words_are_answers_too(teacher, batch):
    """
    Of a token-classification head, the logits at the positions.
    """
    model = checkpoint.read_model(teacher.path)
    answers = found(model, batch, WantedOutputs(logits=True))["logits"]
    logits = said(model, batch).logits

    assert torch.equal(answers, torch.stack([logits[0, 1], logits[0, 4], logits[1, 2]]))


def test_a_text_has_one_answer(encoder_folder, batch):
    """
    Of a sequence-classification head, the logits of each position's text.
    """
    model = checkpoint.with_head(encoder_folder, "ForSequenceClassification", ("bad", "good"), seed=1)
    answers = found(model, batch, WantedOutputs(logits=True))["logits"]
    logits = said(model, batch).logits

    assert torch.equal(answers, logits[[0, 0, 1]])


def test_hidden_states_come_in_the_order_asked_for(model, batch):
    """
    By number: 0 is what the embeddings give, 2 what the second layer does.
    """
    states = found(model, batch, WantedOutputs(hidden=(2, 0)))
    true = said(model, batch, output_hidden_states=True).hidden_states

    assert list(states) == ["hidden0", "hidden1"]
    assert torch.equal(states["hidden0"], true[2])
    assert torch.equal(states["hidden1"], true[0])


def test_attention_is_the_last_layers_mean_over_heads(model, batch):
    """
    Probabilities of every query over real keys: they add up to one, and padding gets nothing.
    """
    maps = found(model, batch, WantedOutputs(attention=True))["attention"]
    true = said(model, batch, output_attentions=True).attentions

    assert torch.equal(maps, true[-1].mean(dim=1))
    assert maps.shape == (2, 8, 8)
    torch.testing.assert_close(maps.sum(dim=-1), torch.ones(2, 8))
    assert maps[1, :, 4:].max() == 0


@pytest.mark.parametrize("layer", [1, 2])
def test_queries_keys_and_values_are_the_layers_own(model, batch, layer):
    """
    Equal to what the layer's projections are seen to give while the model runs.
    """
    seen, own = {}, model.base_model.encoder.layer[layer - 1].attention.self
    hooks = [
        getattr(own, name).register_forward_hook(lambda *given, name=name: seen.update({name: given[-1]}))
        for name in ("query", "key", "value")
    ]
    said(model, batch)
    for hook in hooks:
        hook.remove()
    states = found(model, batch, WantedOutputs(layer=layer))

    assert set(states) == {"query", "key", "value"}
    assert all(torch.equal(states[name], seen[name]) for name in states)


def test_an_encoder_without_a_head_has_signals(encoder_folder, batch):
    """
    Relations need no answers.
    """
    states = found(checkpoint.read_model(encoder_folder), batch, WantedOutputs(hidden=(2,), attention=True, layer=2))

    assert set(states) == {"hidden0", "attention", "query", "key", "value"}


def test_all_signals_come_of_one_reading(model, batch):
    """
    Asked for together they are what they are one by one.
    """
    wanted = {"logits": True, "hidden": (1,), "attention": True, "layer": 1}
    together = found(model, batch, WantedOutputs(**wanted))
    alone = {}
    for name, value in wanted.items():
        alone |= found(model, batch, WantedOutputs(**{name: value}))

    assert together.keys() == alone.keys()
    for name in alone:
        torch.testing.assert_close(together[name], alone[name])


def test_a_live_teacher_can_be_learnt_from(model, batch):
    """
    Its signals carry no gradient of their own, and let that of the student pass.
    """
    answers = live_teacher(model, WantedOutputs(logits=True))(batch)["logits"]
    student = torch.zeros_like(answers, requires_grad=True)
    (student - answers).square().sum().backward()

    assert not answers.requires_grad
    torch.testing.assert_close(student.grad, -2 * answers)
    assert all(weight.grad is None for weight in model.parameters())


def test_in_bfloat16_signals_are_compared_in_float32(model, batch):
    """
    The products are short, softmax and logarithm over a whole vocabulary must not be.
    """
    wanted = WantedOutputs(logits=True, hidden=(2,), attention=True, layer=1)
    with torch.autocast("cpu", torch.bfloat16):
        found = live_teacher(model, wanted)(batch)

    assert {str(values.dtype) for values in found.values()} == {"torch.float32"}
