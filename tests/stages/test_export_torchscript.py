"""export-torchscript: logits of the model that was traced, at every size; opened only as a whole artifact of ours."""

import zipfile

import numpy as np
import pytest
import torch

from edgeafri import menu
from edgeafri.artifact import Manifest, seal
from edgeafri.builder.jobs import plan_jobs
from edgeafri.builder.recipe import Step
from edgeafri.errors import ArtifactError, ConfigError, ModelError
from edgeafri.menu.settings import ExportTorchscriptSettings
from edgeafri.stages import export_torchscript
from edgeafri.stages.export_torchscript import Scripted, read_scripted
from edgeafri.stages.models import checkpoint, uneven_layers
from edgeafri.stages.quantization import torch_dynamic
from edgeafri.util.files import Digests
from edgeafri.util.progress import silent

# torch says once that tracing and quantized tensors will go one day.
pytestmark = [
    pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor:UserWarning"),
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
]
SIZES = ((1, 3), (1, 62), (5, 7))


@pytest.fixture(scope="module")
def made(teacher, tmp_path_factory):
    """A function: weights to the tiny teacher traced with them, and the stage's facts. Not to be changed."""
    found = {}
    for weights in ("float32", "int8"):
        out = tmp_path_factory.mktemp(weights)
        found[weights] = out, export_torchscript.run(teacher, ExportTorchscriptSettings(weights), out, silent)
    return found


@pytest.fixture
def sealed(made, tmp_path):
    """A function: a traced model to an artifact of it, of the kind that is asked for."""

    def seal_copy(weights="float32", kind="torchscript"):
        folder = tmp_path / f"{kind}-{weights}"
        folder.mkdir()
        for file in made[weights][0].iterdir():
            (folder / file.name).write_bytes(file.read_bytes())
        manifest = Manifest(kind, "ner", ("swa",), "export-torchscript", {}, None, {}, {})
        return seal(folder, manifest, Digests(tmp_path / "digests.json")).path

    return seal_copy


@pytest.mark.parametrize("name", ["teacher", "classifier", "masked"])
def test_logits_equal_torchs_on_a_padded_batch(name, batch, tmp_path, request):
    """
    Words, whole texts, and a head tied to the embeddings. The same operators in the same order: equal in every bit,
    but for what a frozen graph may compute ahead, which 1e-4 allows as it does of an ONNX graph.
    """
    source = request.getfixturevalue(name)
    facts = export_torchscript.run(source, ExportTorchscriptSettings(), tmp_path, silent)
    difference = checkpoint.forward(checkpoint.read_model(source.path))(*batch) - checkpoint.forward(
        Scripted(tmp_path)
    )(*batch)

    assert np.abs(difference).max() < 1e-4
    assert facts.max_logit_difference < 1e-4


@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize("weights", ["float32", "int8"])
def test_batch_and_length_are_free(made, teacher, weights, shape):
    """
    A trace records one input; nothing of its size may stay in the graph.
    """
    model = checkpoint.read_model(teacher.path)
    model = torch_dynamic.quantize(model) if weights == "int8" else model
    ids = np.random.default_rng(0).integers(2, 50, size=shape)
    expected, found = (checkpoint.forward(one)(ids, np.ones_like(ids)) for one in (model, Scripted(made[weights][0])))

    assert np.abs(expected - found).max() < 1e-4


def test_layers_of_unlike_size_are_traced(teacher, batch, tmp_path):
    """
    As any model's.
    """
    config = checkpoint.read_model(teacher.path).config
    sizes = uneven_layers.LayerSizes(head_size=8, heads=(2, 1), ffn=(32, 12))
    model = uneven_layers.build(
        type(checkpoint.read_model(teacher.path)), uneven_layers.described(config, 16, sizes)
    ).eval()
    expected = checkpoint.forward(model)(*batch)
    ids, mask = (torch.from_numpy(values) for values in batch)

    assert np.abs(export_torchscript.trace(model)(ids, mask).detach().numpy() - expected).max() < 1e-4


def test_int8_is_smaller_and_its_difference_is_recorded(made):
    """
    The fact is against the float model; the weights of the linear layers take a quarter.
    """
    plain, small = made["float32"][1], made["int8"][1]

    assert small.bytes == (made["int8"][0] / "model.pt").stat().st_size < plain.bytes
    assert (plain.weight_bits, small.weight_bits) == (32, 8)
    assert small.max_logit_difference > 1e-4 > plain.max_logit_difference
    assert checkpoint.read_config(made["int8"][0])["edgeafri_quantized"] == "dynamic-int8"
    assert "edgeafri_quantized" not in checkpoint.read_config(made["float32"][0])


def test_all_weights_are_in_the_graph_once(masked, tmp_path):
    """
    Frozen: no module is left to hold them, and a table that two layers share is one constant.
    """
    export_torchscript.run(masked, ExportTorchscriptSettings(), tmp_path, silent)
    model = checkpoint.read_model(masked.path)
    learnt, table = checkpoint.weight_bytes(model), 4 * model.config.vocab_size * model.config.hidden_size
    with zipfile.ZipFile(tmp_path / "model.pt") as file:
        constants = sum(entry.file_size for entry in file.infolist() if "/constants/" in entry.filename)

    assert list(torch.jit.load(str(tmp_path / "model.pt")).parameters()) == []
    # Norms that are all ones are one constant too; nothing is as large as the table.
    assert abs(constants - learnt) < table / 2


@pytest.mark.parametrize("weights", ["float32", "int8"])
def test_equal_input_gives_equal_bytes(made, teacher, tmp_path, weights):
    """
    The cache key promises it; torch would count traces in names, and write down who called from where.
    """
    export_torchscript.run(teacher, ExportTorchscriptSettings(weights), tmp_path, silent)
    with zipfile.ZipFile(tmp_path / "model.pt") as file:
        text = b"".join(file.read(name) for name in file.namelist() if "/code/" in name)

    assert [file.name for file in tmp_path.glob("*.pt")] == ["model.pt"]
    assert b"site-packages" not in text
    assert (tmp_path / "model.pt").read_bytes() == (made[weights][0] / "model.pt").read_bytes()


def test_it_says_where_it_runs(made):
    """
    In the manifest's facts and in the help (the line is in tests/menu): nobody copies it to a device.
    """
    assert made["float32"][1].runs_on == "a workstation with torch; for a device: export-onnx"
    assert "runs on a workstation with torch, on no device" in menu.stage("export-torchscript").about


def test_no_stage_takes_it():
    """
    A recipe that would bundle it is refused before any work.
    """
    with pytest.raises(ConfigError, match="step 'bundle' takes onnx, but gets torchscript"):
        plan_jobs([Step("export-torchscript"), Step("bundle")], "torch", {})


@pytest.mark.parametrize("weights", ["float32", "int8"])
def test_an_artifact_is_read_bit_for_bit(sealed, made, batch, weights):
    """
    Config and all, as what measures it asks.
    """
    model = read_scripted(sealed(weights))

    assert np.array_equal(checkpoint.forward(model)(*batch), checkpoint.forward(Scripted(made[weights][0]))(*batch))
    assert len(checkpoint.labels_of(model.config.to_dict())) == 9


def test_a_folder_that_is_no_artifact_is_not_opened(made):
    """
    A file of unknown origin never reaches torch.
    """
    with pytest.raises(ArtifactError, match="not an EdgeAfri artifact"):
        read_scripted(made["float32"][0])


def test_an_artifact_of_another_kind_is_not_opened(sealed):
    """
    Whatever files it holds.
    """
    folder = sealed(kind="torch")
    with pytest.raises(ArtifactError) as caught:
        read_scripted(folder)

    assert caught.value.message == f"{folder}: not an artifact of export-torchscript"
    assert caught.value.hint == "Make it from a torch folder: edgeafri export-torchscript MODEL --out DIR."


def test_a_changed_file_is_not_opened(sealed):
    """
    Its hash is checked first.
    """
    folder = sealed()
    file = folder / "model.pt"
    file.write_bytes(file.read_bytes()[:-1] + b"?")

    with pytest.raises(ArtifactError, match="content changed since it was sealed"):
        read_scripted(folder)


def test_a_damaged_file_is_refused(made, tmp_path):
    """
    Where it was sealed like that.
    """
    for file in made["float32"][0].iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes()[: 2000 if file.name == "model.pt" else None])

    with pytest.raises(ModelError) as caught:
        Scripted(tmp_path)
    assert caught.value.message.startswith(f"{tmp_path / 'model.pt'}: cannot be read (")
    assert "edgeafri export-torchscript MODEL --out DIR" in caught.value.hint


@pytest.mark.parametrize(
    ("difference", "message"),
    [
        (0.25, "export-torchscript: logits differ from torch by 0.25, allowed are 0.0001"),
        (float("nan"), "export-torchscript: the logits are NaN"),
    ],
)
def test_a_trace_that_computes_otherwise_is_refused(teacher, tmp_path, monkeypatch, difference, message):
    """
    A model with a choice in its code is traced as it chose for one input.
    """
    monkeypatch.setattr(checkpoint, "largest_difference", lambda model, other: difference)

    with pytest.raises(ModelError) as caught:
        export_torchscript.run(teacher, ExportTorchscriptSettings(), tmp_path, silent)
    assert caught.value.message == message
    assert caught.value.hint


def test_an_encoder_without_a_head_is_refused(encoder, tmp_path):
    """
    It labels nothing.
    """
    with pytest.raises(ModelError) as caught:
        export_torchscript.run(encoder, ExportTorchscriptSettings(), tmp_path, silent)
    assert caught.value.message == f"export-torchscript: {encoder.path} is an encoder without a head"
    assert caught.value.hint.startswith("Fine-tune it first: edgeafri finetune")
