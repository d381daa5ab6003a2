"""Uneven layers: described in config.json, built and read through the one door, and usable wherever a model is."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from edgeafri.errors import ModelError
from edgeafri.inference.predict import padded
from edgeafri.inference.session import forward, open_session
from edgeafri.menu.settings import (
    BundleSettings,
    ExportOnnxSettings,
    FinetuneSettings,
    OptimizeSettings,
    QuantizeSettings,
)
from edgeafri.stages import bundle, export_onnx, finetune, optimize, quantize
from edgeafri.stages.models import checkpoint, uneven_layers
from edgeafri.stages.models.uneven_layers import KEY, LayerSizes
from edgeafri.stages.pruning.allocation import Parts
from edgeafri.stages.pruning.surgery import cut
from edgeafri.util.progress import silent

LANGUAGES = ("swa", "hau")
PARTS = Parts((0, 1), ((1,), (0, 1)), (tuple(range(20)), (1, 2, 3)), tuple(range(13)))
SIZES = LayerSizes(head_size=8, heads=(1, 2), ffn=(20, 3))
PLAIN = {"num_hidden_layers": 2, "hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32}
TOLERANCE = 1e-4  # of logits whose classifier is scaled up 200-fold


@pytest.fixture(scope="module")
def small(teacher_folder, tmp_path_factory, as_artifact):
    """The tiny teacher with unlike layers, 13 wide: neither head count divides the width."""
    folder = tmp_path_factory.mktemp("small")
    model, tokenizer = checkpoint.read_model(teacher_folder), checkpoint.read_tokenizer(teacher_folder)
    checkpoint.write_model(cut(model, PARTS), tokenizer, folder)
    return as_artifact(folder, "torch")


@pytest.fixture
def folder(small, tmp_path):
    """A copy that a test may break."""
    return shutil.copytree(small.path, tmp_path / "small")


def retold(folder, **values):
    """The config.json with these keys of the layers' description changed."""
    file = folder / "config.json"
    config = json.loads(file.read_text("utf-8"))
    file.write_text(json.dumps({**config, KEY: {**config[KEY], **values}}), "utf-8")
    return folder


def logits(model):
    ids = torch.tensor([[0, 5, 9, 17, 22, 31, 2]])
    with torch.no_grad():
        return model(input_ids=ids).logits


def test_the_sizes_of_a_plain_model_are_its_usual_fields():
    """
    All layers alike; heads that transformers took out are not counted.
    """
    assert uneven_layers.sizes_of(PLAIN) == LayerSizes(8, (2, 2), (32, 32))
    assert uneven_layers.sizes_of({**PLAIN, "pruned_heads": {"1": [0]}}) == LayerSizes(8, (2, 1), (32, 32))


def test_an_uneven_model_names_its_largest_layer_and_every_layer(small):
    """
    So that whoever reads the usual fields alone is not told too little.
    """
    config = checkpoint.read_config(small.path)
    usual = [config[name] for name in ("num_attention_heads", "intermediate_size", "hidden_size")]

    assert uneven_layers.sizes_of(config) == SIZES
    assert usual == [2, 20, 13]
    assert config["architectures"] == ["XLMRobertaForTokenClassification"]


def test_it_is_read_as_it_was_written(small, tmp_path):
    """
    Read and written again, weights and config are the same.
    """
    model = checkpoint.read_model(small.path)
    checkpoint.write_model(model, checkpoint.read_tokenizer(small.path), tmp_path)
    one, other = (load_file(folder / "model.safetensors") for folder in (small.path, tmp_path))

    assert not model.training
    assert model.config._attn_implementation == "eager"
    assert {name: weight.tolist() for name, weight in one.items()} == {name: w.tolist() for name, w in other.items()}
    assert checkpoint.read_config(tmp_path) == checkpoint.read_config(small.path)


def test_a_new_head_stands_on_uneven_layers(small):
    """
    Every layer as it is, the head of another size.
    """
    model = checkpoint.with_head(small.path, "ForSequenceClassification", ("a", "b", "c"), seed=1)
    own = load_file(small.path / "model.safetensors")
    name = "roberta.encoder.layer.1.attention.self.query.weight"

    assert model.state_dict()[name].tolist() == own[name].tolist()
    assert logits(model).shape == (1, 3)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"heads": [1]}, "'edgeafri_layers.heads' must be a list of 2 numbers, one per layer"),
        ({"ffn": 20}, "'edgeafri_layers.ffn' must be a list of 2 numbers, one per layer"),
        ({"heads": [0, 2]}, "'edgeafri_layers' must hold whole numbers from 1"),
        ({"ffn": [20, 3.0]}, "'edgeafri_layers' must hold whole numbers from 1"),
        ({"head_size": "8"}, "'edgeafri_layers' must hold whole numbers from 1"),
        ({"more": 1}, "'edgeafri_layers' must hold head_size, heads and ffn"),
    ],
)
def test_a_damaged_description_is_refused(folder, changed, said):
    """
    Named with the file, and no traceback.
    """
    with pytest.raises(ModelError) as caught:
        checkpoint.read_model(retold(folder, **changed))

    assert caught.value.message == f"{folder}/config.json: {said}"
    assert caught.value.hint == "The file was changed by hand or damaged: shrink the model again."


def test_a_description_beside_heads_taken_out_by_transformers_is_refused(folder):
    """
    Whose numbers the description already has.
    """
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text("utf-8")), "pruned_heads": {"1": [0]}}), "utf-8")
    with pytest.raises(ModelError, match="'edgeafri_layers' and 'pruned_heads' cannot both be there"):
        checkpoint.read_model(folder)


def test_weights_of_other_sizes_are_refused(folder):
    """
    As for any model whose config says something else.
    """
    with pytest.raises(ModelError, match="the weights cannot be read"):
        checkpoint.read_model(retold(folder, ffn=[20, 4]))


def test_another_family_is_refused(folder):
    """
    Its layers have other parts.
    """
    file = folder / "config.json"
    changed = {"model_type": "electra", "architectures": ["ElectraForTokenClassification"], "embedding_size": 13}
    file.write_text(json.dumps({**json.loads(file.read_text("utf-8")), **changed}), "utf-8")
    with pytest.raises(ModelError, match="the layers of a electra model cannot be of unlike size"):
        checkpoint.read_model(folder)


@pytest.mark.slow
def test_it_is_fine_tuned_and_read_again(small, data, tmp_path):
    """
    Through transformers' Trainer, its checkpoints included: the best epoch is read back into the model.
    """
    facts = finetune.run(
        small, FinetuneSettings(LANGUAGES, data=data, epochs=2, max_length=64, batch=8), tmp_path, silent
    )
    model = checkpoint.read_model(tmp_path)

    assert uneven_layers.sizes_of(checkpoint.read_config(tmp_path)) == SIZES
    assert len(facts.validation.epochs) == 2
    assert not torch.equal(
        model.roberta.encoder.layer[0].output.dense.weight,
        checkpoint.read_model(small.path).roberta.encoder.layer[0].output.dense.weight,
    )


@pytest.mark.slow
def test_a_killed_training_of_it_goes_on(small, data, killed_and_resumed):
    """
    Bit for bit as in one go.
    """
    settings = FinetuneSettings(LANGUAGES, data=data, epochs=2, max_length=64, batch=8)
    differing, first = killed_and_resumed(finetune.run, small, settings, (4, 6))

    assert differing == []
    assert first == (4, 6)


@pytest.mark.slow
def test_it_runs_on_a_device_as_in_torch(small, batch, logits_of, tmp_path, as_artifact):
    """
    Exported, folded or fused, its logits are torch's; in int8 it becomes a bundle, whose costs are its own.
    """
    ids, mask = batch
    expected = checkpoint.forward(checkpoint.read_model(small.path))(ids, mask)[mask.astype(bool)]
    made = {}
    for name, stage, settings, source in (
        ("graph", export_onnx, ExportOnnxSettings(), None),
        ("folded", optimize, OptimizeSettings(), "graph"),
        ("fused", optimize, OptimizeSettings("attention"), "graph"),
        ("int8", quantize, QuantizeSettings(), "folded"),
        ("bundle", bundle, BundleSettings(LANGUAGES, margin=0.0), "int8"),
    ):
        (tmp_path / name).mkdir()
        facts = stage.run(made.get(source, small), settings, tmp_path / name, silent)
        made[name] = as_artifact(tmp_path / name, "bundle" if name == "bundle" else "onnx")

    assert np.abs(logits_of(made["folded"]) - expected).max() < TOLERANCE
    assert np.abs(logits_of(made["fused"]) - expected).max() < TOLERANCE
    assert facts.costs.attention_macs_per_token_pair == 2 * 8 * 3
    assert facts.costs.linear_macs_per_token == 13 * (4 * 8 * 3 + 2 * 23 + 9)
    run = forward(open_session(tmp_path / "bundle" / "model.onnx", threads=1))
    assert np.isfinite(run(*padded([(0, 5, 2)], 1))).all()


def test_attention_is_scaled_by_the_size_of_a_head(small):
    """
    transformers 5 keeps the scale as a number in the layer, made before the layer got its own sizes.
    """
    layers = uneven_layers.layers_of(checkpoint.read_model(small.path))

    assert [layer.attention.self.scaling for layer in layers] == [SIZES.head_size**-0.5] * 2
