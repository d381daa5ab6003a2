"""second head: a mini-model inside a model, that shares its weights, travels with it, and is not in others' way."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import DistilBertConfig, DistilBertForMaskedLM, XLMRobertaForMaskedLM

from edgeafri.errors import ConfigError, ModelError
from edgeafri.menu.settings import AdaptMaftSettings
from edgeafri.stages.models import checkpoint
from edgeafri.stages.training import second_head, validation

BATCH = {
    "input_ids": torch.tensor([[0, 9, 12, 2], [0, 7, 2, 1]]),
    "attention_mask": torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]]),
    "positions": torch.tensor([1, 2, 5]),
    "targets": torch.tensor([9, 12, 7]),
}


@pytest.fixture
def model(masked):
    return checkpoint.read_model(masked.path)


def kept_in(folder, model, masked):
    """The model in a folder."""
    checkpoint.write_model(model, checkpoint.read_tokenizer(masked.path), folder)
    return folder


def test_it_starts_as_the_models_own_head(model):
    """
    After the last but one layer with that layer's successor as its own, it is the model.
    """
    second_head.attach(model, second_head.HeadPlace(1, 1))

    assert torch.allclose(second_head.mini_loss(model, BATCH), validation.hard_loss(None)(model, BATCH))


def test_the_layers_above_are_not_run(model):
    """
    What they hold changes nothing.
    """
    second_head.attach(model, second_head.HeadPlace(1, 0))
    before = second_head.mini_loss(model, BATCH)
    for weight in model.roberta.encoder.layer[1].parameters():
        weight.data.fill_(float("nan"))

    assert second_head.mini_loss(model, BATCH) == before
    assert torch.isnan(validation.hard_loss(None)(model, BATCH))


def test_the_mini_model_shares_the_models_weights(model):
    """
    Learning one teaches the other; only layers of its own are new.
    """
    second_head.attach(model, second_head.HeadPlace(1, 1))
    body = second_head.mini_body(model)

    assert body.embeddings is model.roberta.embeddings
    assert body.encoder.layer[0] is model.roberta.encoder.layer[0]
    assert body.encoder.layer[1] is model.second_head.layers[0]
    assert len(model.roberta.encoder.layer) == 2


def test_the_joint_loss_is_the_sum_of_both(model):
    """
    From one pass.
    """
    second_head.attach(model, second_head.HeadPlace(1, 0))
    both = validation.hard_loss(None)(model, BATCH) + second_head.mini_loss(model, BATCH)

    assert torch.allclose(second_head.joint_loss(model, BATCH), both)


@pytest.mark.parametrize("new_layers", [0, 1])
def test_it_is_read_back_as_it_was_written(model, masked, tmp_path, new_layers):
    """
    Its weights stand beside the model's, and config.json says where it stands.
    """
    second_head.attach(model, second_head.HeadPlace(1, new_layers))
    model.second_head.bias.data += torch.arange(len(model.second_head.bias))
    folder = kept_in(tmp_path, model, masked)
    again = checkpoint.read_model(folder)
    second_head.read_into(again, folder)

    assert second_head.read_place(folder) == second_head.HeadPlace(1, new_layers)
    assert second_head.mini_loss(again, BATCH) == second_head.mini_loss(model.eval(), BATCH)


def test_who_does_not_know_it_reads_the_model(model, masked, tmp_path):
    """
    As if it were not there.
    """
    second_head.attach(model, second_head.HeadPlace(1, 1))
    plain = XLMRobertaForMaskedLM.from_pretrained(kept_in(tmp_path, model, masked))

    assert not hasattr(plain, "second_head")
    assert torch.allclose(
        validation.hard_loss(None)(plain.eval(), BATCH), validation.hard_loss(None)(model, BATCH), atol=1e-6
    )


def test_a_model_that_was_read_without_it_has_none(model, masked, tmp_path):
    """
    A stage that does not know it writes config.json as it was, but not the weights.
    """
    second_head.attach(model, second_head.HeadPlace(1, 0))
    folder = kept_in(tmp_path / "with", model, masked)
    without = kept_in(tmp_path / "without", checkpoint.read_model(folder), masked)

    assert second_head.KEY in json.loads((without / "config.json").read_text("utf-8"))
    assert second_head.read_place(without) is None


def test_it_is_removed_without_a_trace(model, masked, tmp_path):
    """
    Neither weights nor a word in config.json.
    """
    second_head.attach(model, second_head.HeadPlace(1, 0))
    second_head.remove(model)
    folder = kept_in(tmp_path, model, masked)

    assert load_file(folder / "model.safetensors").keys() == load_file(masked.path / "model.safetensors").keys()
    assert second_head.KEY not in json.loads((folder / "config.json").read_text("utf-8"))


@pytest.mark.parametrize(
    ("layer", "new_layers", "message", "hint"),
    [
        (2, 0, "a second head after layer 2: the model has 2 layers", "Use 1 to 1."),
        (1, 2, "1 layers and 2 new ones: the model has 2 layers", "Use --new-layers 1 or fewer"),
    ],
)
def test_a_mini_model_as_deep_as_the_model_is_refused(model, layer, new_layers, message, hint):
    """
    It would save nothing.
    """
    with pytest.raises(ConfigError) as caught:
        second_head.attach(model, second_head.HeadPlace(layer, new_layers))

    assert caught.value.message == message
    assert caught.value.hint.startswith(hint)


def test_a_folder_without_one_is_refused(model, masked):
    """
    The hint says how to make one.
    """
    with pytest.raises(ModelError) as caught:
        second_head.read_into(model, masked.path)

    assert caught.value.message == f"{masked.path}: it has no second head"
    assert "--second-head 2" in caught.value.hint


def test_one_for_another_vocabulary_is_refused(model, masked, tmp_path):
    """
    Its bias has one number per subword.
    """
    second_head.attach(model, second_head.HeadPlace(1, 0))
    folder = shutil.copytree(kept_in(tmp_path / "model", model, masked), tmp_path / "cut")
    weights = load_file(folder / "model.safetensors")
    weights["second_head.bias"] = weights["second_head.bias"][:5].clone()
    save_file(weights, folder / "model.safetensors", {"format": "pt"})

    with pytest.raises(ModelError, match="its second head does not fit the model"):
        second_head.read_into(checkpoint.read_model(folder), folder)


def test_what_learns_and_what_is_validated(model):
    """
    Without a second head nothing changes; jointly, the model's own head is validated; with own layers it learns alone.
    """
    plain, same = second_head.set_up(model, AdaptMaftSettings())
    assert plain is same
    assert not hasattr(model, "second_head")

    joint, validated = second_head.set_up(model, AdaptMaftSettings(second_head=1))
    assert joint is second_head.joint_loss
    assert validated(model, BATCH) == validation.hard_loss(None)(model, BATCH)
    assert all(weight.requires_grad for weight in model.parameters())

    assert second_head.set_up(model, AdaptMaftSettings(second_head=1, new_layers=1)) == (second_head.mini_loss,) * 2
    learning = {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert {name.split(".")[0] for name in learning} == {"second_head"}


def test_new_layers_without_a_second_head_are_refused():
    """
    They would belong to nothing.
    """
    with pytest.raises(ConfigError) as caught:
        AdaptMaftSettings(new_layers=1)

    assert caught.value.message == "adapt-maft: new layers belong to a second head"
    assert caught.value.hint.startswith("Add --second-head 2")


def test_a_family_with_other_layers_is_refused():
    """
    The message says what cannot be done, not what shrink does with layers.
    """
    config = DistilBertConfig(vocab_size=20, dim=8, n_layers=2, n_heads=2, hidden_dim=16, max_position_embeddings=8)

    with pytest.raises(ModelError) as caught:
        second_head.attach(DistilBertForMaskedLM(config), second_head.HeadPlace(1, 0))
    assert caught.value.message == "a distilbert model cannot have a second head"
    assert "bert, roberta, xlm-roberta" in caught.value.hint
