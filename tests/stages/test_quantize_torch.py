"""quantize-torch: linear layers as torch quantizes them, all else as it was; what is saved is read bit for bit."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from edgeafri.artifact import MODEL_FILES
from edgeafri.builder.jobs import plan_jobs
from edgeafri.builder.recipe import Step
from edgeafri.errors import ConfigError, MissingPackage, ModelError
from edgeafri.menu.settings import ExportOnnxSettings, FinetuneSettings, QuantizeTorchSettings
from edgeafri.stages import export_onnx, finetune, quantize_torch
from edgeafri.stages.models import checkpoint, uneven_layers
from edgeafri.stages.quantization import torch_dynamic
from edgeafri.util.progress import silent

# torch says once that quantized tensors will go one day.
pytestmark = pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor:UserWarning")


@pytest.fixture(scope="module")
def made(teacher, tmp_path_factory):
    """The tiny teacher in torch's int8, and the stage's facts. Not to be changed."""
    out = tmp_path_factory.mktemp("int8")
    return out, quantize_torch.run(teacher, QuantizeTorchSettings(), out, silent)


@pytest.fixture
def folder(made, tmp_path):
    """A copy of it that a test may break."""
    return shutil.copytree(made[0], tmp_path / "int8")


def reweighted(folder, change):
    """The weights with `change` made to them."""
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    return folder


def refusal(path, action=torch_dynamic.read_quantized):
    with pytest.raises(ModelError) as caught:
        action(path)
    return caught.value


def test_linear_weights_are_int8_with_one_scale_a_matrix(made, teacher):
    """
    Against numpy: symmetric over 255 levels, so a scale is max|w| / 127.5; six matrices a layer and the classifier.
    """
    before, after = load_file(teacher.path / "model.safetensors"), load_file(made[0] / "model.safetensors")
    names = [name.removesuffix(".scale") for name in after if name.endswith(".scale")]

    assert len(names) == made[1].linear_layers == 2 * 6 + 1
    for name in names:
        matrix, scale = before[f"{name}.weight"].numpy(), after[f"{name}.scale"].item()
        codes = np.clip(np.rint(matrix / np.float32(scale)), -128, 127)
        assert scale == pytest.approx(np.abs(matrix).max() / 127.5)
        assert after[f"{name}.zero_point"].item() == 0
        assert after[f"{name}.weight"].dtype == torch.int8
        # A quotient that ends in one half may be rounded to either side, for torch multiplies by 1 / scale.
        assert np.abs(after[f"{name}.weight"].numpy() - codes).max() <= 1
        assert (after[f"{name}.weight"].numpy() != codes).mean() < 0.01


def test_all_else_stays_as_it_was(made, teacher):
    """
    Embeddings, norms and biases are bit for bit the ones before; they are what int8 leaves large.
    """
    before, after = load_file(teacher.path / "model.safetensors"), load_file(made[0] / "model.safetensors")
    kept = {name for name in before if after[name].dtype != torch.int8}

    assert sum("embeddings" in name for name in kept) == 5
    assert sum(name.endswith("bias") for name in kept) == 1 + 2 * (6 + 2) + 1
    assert all(torch.equal(before[name], after[name]) for name in kept)


def test_the_folder_is_smaller_and_holds_no_pickle(made, teacher):
    """
    The facts are the files' own sizes; tokenizer and config travel along.
    """
    out, facts = made
    sizes = [(path / "model.safetensors").stat().st_size for path in (teacher.path, out)]
    files = {file.name for file in out.iterdir()}

    assert [facts.bytes_before, facts.bytes] == sizes
    assert facts.share == round(sizes[1] / sizes[0], 3) < 1
    assert facts.engine in torch.backends.quantized.supported_engines
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= files
    assert files <= {file.name for pattern in MODEL_FILES for file in out.glob(pattern)}
    assert checkpoint.read_config(out)["edgeafri_quantized"] == "dynamic-int8"


@pytest.mark.parametrize("name", ["teacher", "classifier", "masked"])
def test_what_is_saved_is_read_bit_for_bit(name, batch, tmp_path, request):
    """
    Logits of the folder are those of the model just quantized: words, whole texts, and a head tied to the embeddings.
    """
    model = torch_dynamic.quantize(checkpoint.read_model(request.getfixturevalue(name).path))
    torch_dynamic.write_quantized(model, checkpoint.read_tokenizer(request.getfixturevalue(name).path), tmp_path)
    again = torch_dynamic.read_quantized(tmp_path)

    assert np.array_equal(checkpoint.forward(again)(*batch), checkpoint.forward(model)(*batch))
    assert not again.training


def test_uneven_layers_are_read_bit_for_bit(teacher, batch, tmp_path):
    """
    Layers of unlike size are built before their weights are put in.
    """
    config = checkpoint.read_model(teacher.path).config
    sizes = uneven_layers.LayerSizes(head_size=8, heads=(2, 1), ffn=(32, 12))
    model = uneven_layers.build(
        type(checkpoint.read_model(teacher.path)), uneven_layers.described(config, 16, sizes)
    ).eval()
    small = torch_dynamic.quantize(model)
    torch_dynamic.write_quantized(small, checkpoint.read_tokenizer(teacher.path), tmp_path)

    assert np.array_equal(
        checkpoint.forward(torch_dynamic.read_quantized(tmp_path))(*batch), checkpoint.forward(small)(*batch)
    )


def test_logits_stay_close(made, teacher, batch):
    """
    A tenth of the logits' range catches a wrong scale; the fact is of the same order on inputs of its own.
    """
    before = checkpoint.forward(checkpoint.read_model(teacher.path))(*batch)
    after = checkpoint.forward(torch_dynamic.read_quantized(made[0]))(*batch)

    assert 0 < np.abs(after - before).max() < 0.1 * (before.max() - before.min())
    assert 0 < made[1].max_logit_difference < 0.1 * (before.max() - before.min())


def test_equal_input_gives_equal_bytes(made, teacher, tmp_path):
    """
    The cache key promises it: the stage draws nothing and names nothing by time.
    """
    quantize_torch.run(teacher, QuantizeTorchSettings(), tmp_path, silent)

    assert (tmp_path / "model.safetensors").read_bytes() == (made[0] / "model.safetensors").read_bytes()


def test_no_step_comes_after_it():
    """
    Found when the recipe is planned, before any work.
    """
    with pytest.raises(ConfigError) as caught:
        plan_jobs([Step("quantize-torch"), Step("export-onnx")], "torch", {})
    assert caught.value.message == "step 'export-onnx' takes torch, but gets torch-int8 at this place"


@pytest.mark.parametrize(
    ("stage", "settings"),
    [
        (quantize_torch, QuantizeTorchSettings()),
        (export_onnx, ExportOnnxSettings()),
    ],
)
def test_nothing_is_made_from_it(made, tmp_path, as_artifact, stage, settings):
    """
    A folder that is given to a stage all the same, itself included, is named with the way that there is.
    """
    error = refusal(made[0], lambda path: stage.run(as_artifact(path, "torch"), settings, tmp_path, silent))

    assert error.message == f"{made[0]}: torch's int8, which can be evaluated and timed, and nothing is made from it"
    assert "`quantize` in a recipe comes after export-onnx" in error.hint


def test_it_is_not_trained(made, data, tmp_path, as_artifact):
    """
    finetune would put a new head on it, and says the same instead.
    """
    settings = FinetuneSettings(languages=("swa",), data=data, epochs=1)
    error = refusal(made[0], lambda path: finetune.run(as_artifact(path, "torch"), settings, tmp_path, silent))

    assert error.message == f"{made[0]}: torch's int8, which can be evaluated and timed, and nothing is made from it"


def test_an_encoder_without_a_head_is_refused(encoder, tmp_path):
    """
    It has no logits to compare, and labels nothing.
    """
    error = refusal(encoder, lambda source: quantize_torch.run(source, QuantizeTorchSettings(), tmp_path, silent))

    assert error.message == f"quantize-torch: {encoder.path} is an encoder without a head"
    assert error.hint.startswith("Fine-tune it first: edgeafri finetune")


def test_weights_that_are_not_numbers_are_refused(teacher_folder, tmp_path, as_artifact):
    """
    A scale cannot be taken of them; the weight is named.
    """
    broken = shutil.copytree(teacher_folder, tmp_path / "broken")
    reweighted(broken, lambda weights: weights["classifier.weight"].fill_(float("nan")))
    source = as_artifact(broken, "torch")
    error = refusal(source, lambda source: quantize_torch.run(source, QuantizeTorchSettings(), tmp_path, silent))

    assert error.message == f"quantize-torch: {broken}: classifier.weight holds NaN or infinity"
    assert error.hint == "Save the model again."


def test_a_torch_without_int8_says_so(teacher, monkeypatch):
    """
    Builds of torch for other processors have no engine at all.
    """
    monkeypatch.setattr(torch_dynamic, "_ENGINES", ())
    model = checkpoint.read_model(teacher.path)

    with pytest.raises(MissingPackage) as caught:
        torch_dynamic.quantize(model)
    assert caught.value.message == "this build of torch computes no int8"
    assert "x86-64 and ARM" in caught.value.hint


@pytest.mark.parametrize("value", ["dynamic-int4", None, 8])
def test_another_scheme_is_refused(folder, value):
    """
    What a later version writes is not read as something else.
    """
    config = checkpoint.read_config(folder) | {"edgeafri_quantized": value}
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    error = refusal(folder)

    assert error.message == f"{folder}/config.json: 'edgeafri_quantized' must be 'dynamic-int8', got '{value}'"
    assert "edgeafri quantize-torch MODEL --out DIR" in error.hint


def test_cut_off_weights_are_refused(folder):
    """
    A copy that broke off is named with its folder and what to do.
    """
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1000])
    error = refusal(folder)

    assert error.message.startswith(f"{folder}: the weights cannot be read (")
    assert error.hint.startswith("Copy the folder again")


def test_a_folder_without_weights_is_refused(folder):
    """
    So is one whose file is not there.
    """
    (folder / "model.safetensors").unlink()

    assert refusal(folder).message.startswith(f"{folder}: the weights cannot be read (")


@pytest.mark.parametrize("name", ["classifier.scale", "classifier.zero_point"])
def test_a_missing_scale_is_refused(folder, name):
    """
    Int8 numbers alone mean nothing.
    """
    assert refusal(reweighted(folder, lambda weights: weights.pop(name))).message == f"{folder}: {name} is missing"


@pytest.mark.parametrize("name", ["classifier.weight", "classifier.bias", "roberta.embeddings.LayerNorm.weight"])
def test_missing_weights_are_refused(folder, name):
    """
    Of a linear layer and of what is in float32, as of any model.
    """
    error = refusal(reweighted(folder, lambda weights: weights.pop(name)))

    assert error.message == f"{folder}: 1 weights are missing, such as {name}"


def test_weights_of_another_shape_are_refused(folder):
    """
    A config that does not belong to its weights is noticed.
    """
    error = refusal(reweighted(folder, lambda weights: weights.update({"classifier.bias": torch.zeros(4)})))

    assert "the weights cannot be read" in error.message


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("classifier.scale", torch.tensor(0.0), "must be one number above 0"),
        ("classifier.scale", torch.tensor(float("nan")), "must be one number above 0"),
        ("classifier.scale", torch.tensor(float("inf")), "must be one number above 0"),
        ("classifier.scale", torch.ones(9), "must be one number above 0"),
        ("classifier.zero_point", torch.tensor(200), "must be one number that int8 holds"),
        ("classifier.zero_point", torch.zeros(9), "must be one number that int8 holds"),
    ],
)
def test_a_scale_that_cannot_be_is_refused(folder, name, value, rule):
    """
    The logits would be no numbers, or those of another scheme.
    """
    error = refusal(reweighted(folder, lambda weights: weights.update({name: value})))

    assert error.message == f"{folder}: {name} {rule}"


def test_a_linear_layer_in_float_is_refused(folder):
    """
    The measured model would not be the one that its config names.
    """
    error = refusal(reweighted(folder, lambda weights: weights.update({"classifier.weight": torch.ones(9, 16)})))

    assert error.message == f"{folder}: classifier: linear layers must be in int8, and nothing else"
