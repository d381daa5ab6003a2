"""outlier_search: an outlier that was planted is found and leaves int8; where none is, the graph is the one without."""

import shutil

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edgeafri import menu
from edgeafri.errors import DataError, ModelError
from edgeafri.menu.settings import QuantizeSettings
from edgeafri.stages import quantize
from edgeafri.stages.models import checkpoint
from edgeafri.util.progress import silent

LANGUAGES = ("swa", "hau")
NEURON = 5


def plant(model, factor):
    """Make a neuron of the first feed-forward layer reach far, and the layer after it undo that."""
    layer = model.base_model.encoder.layer[0]
    layer.intermediate.dense.weight.data[NEURON] *= factor
    layer.intermediate.dense.bias.data[NEURON] = 3.0 * factor
    layer.output.dense.weight.data[:, NEURON] /= factor


@pytest.fixture(scope="module")
def planted(teacher_folder, tmp_path_factory, as_artifact):
    """A function: how far a neuron reaches, and the folded graph of the teacher with it."""

    def made(factor):
        model = checkpoint.read_model(teacher_folder)
        plant(model, factor)
        folder = tmp_path_factory.mktemp("planted")
        checkpoint.write_model(model, checkpoint.read_tokenizer(teacher_folder), folder)
        source = as_artifact(folder, "torch")
        for name in ("export-onnx", "optimize"):
            out = tmp_path_factory.mktemp(name)
            menu.load_stage(name).run(source, menu.stage(name).settings(), out, silent)
            source = as_artifact(out, "onnx")
        return source

    return made


def quantized(source, out, **settings):
    out.mkdir(parents=True, exist_ok=True)
    return quantize.run(source, QuantizeSettings(languages=LANGUAGES, **settings), out, silent)


def graph_of(folder):
    return onnx.load(folder / "model.onnx")


def worst(trial):
    return max(trial.logits.values())


def test_a_planted_outlier_leaves_int8(planted, text, tmp_path, monkeypatch):
    """
    The neuron that reaches far is found, kept in float32, and named; the logits come closer to those of float32.
    """
    monkeypatch.setattr("edgeafri.stages.quantization.outliers.STEPS", (1 / 10,))  # the tiny layers are 16 wide
    source = planted(50.0)
    facts = quantized(source, tmp_path / "auto", text=text)
    found = facts.outliers

    assert (found.channels[0].layers, found.channels[0].channel) == (("layer 0 output",), NEURON)
    assert found.channels[0].largest > 10 * found.channels[0].median
    assert worst(found.trials[1]) < worst(found.trials[0]) / 2
    assert found.calibrated_on == {"swa": 30, "hau": 10}
    assert "outlier channel" in facts.line()
    assert any("layer 0 output" in note and f"channel {NEURON}" in note for note in facts.notes())
    in_float = {node.name for node in graph_of(tmp_path / "auto").graph.node if node.name.endswith("MatMul/channels")}
    assert {f"/roberta/encoder/layer.0/{part}/dense/MatMul/channels" for part in ("intermediate", "output")} <= in_float


@pytest.mark.parametrize("form", ["dynamic", "static"])
def test_without_outliers_the_graph_is_the_one_before(optimized, text, tmp_path, form):
    """
    Byte for byte what it is when channels are not looked for; the facts say what was looked at.
    """
    facts = quantized(optimized, tmp_path / "auto", text=text, form=form)
    quantized(optimized, tmp_path / "none", text=text, form=form, outliers="none")
    one, other = ((tmp_path / name / "model.onnx").read_bytes() for name in ("auto", "none"))

    assert one == other
    assert facts.outliers.channels == ()
    assert len(facts.outliers.reach) > 6
    assert any("all channels are in int8: no channel stands out" in note for note in facts.notes())


def test_without_text_it_is_said(optimized, tmp_path):
    """
    No text: the graph is made, and a note says what was not looked for and what to add.
    """
    facts = quantized(optimized, tmp_path)

    assert facts.outliers is None
    assert any("outlier channels were not looked for" in note and "--text DIR" in note for note in facts.notes())


def test_nothing_is_said_where_nothing_multiplies_in_int8(optimized, tmp_path, text):
    """
    Weights in blocks and float32 have no activations with one scale.
    """
    for place, settings in enumerate(({"form": "weights"}, {"weights": "float32"}, {"outliers": "none"})):
        facts = quantized(optimized, tmp_path / str(place), text=text, **settings)
        assert (facts.outliers, facts.outliers_unknown) == (None, None)


def test_text_of_other_languages_alone_is_an_error(optimized, tmp_path, text):
    """
    A language without its file is named.
    """
    with pytest.raises(DataError, match=r"yor"):
        quantize.run(optimized, QuantizeSettings(languages=("yor",), text=text), tmp_path, silent)


def test_few_sentences_are_told(optimized, tmp_path, text):
    """
    Two sentences of a language: ranges are taken, with a note.
    """
    (tmp_path / "text").mkdir()
    for code in LANGUAGES:
        lines = (text / f"{code}.txt").read_text("utf-8").splitlines()
        (tmp_path / "text" / f"{code}.txt").write_text("\n".join(lines[: 2 if code == "hau" else 20]), "utf-8")
    facts = quantized(optimized, tmp_path / "out", text=tmp_path / "text")

    assert any("fewer than 8 sentences of hau" in note for note in facts.notes())


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_model_that_computes_no_number_is_told(optimized, as_artifact, text, tmp_path, value):
    """
    The activation and the channel; no scale holds such a number.
    """
    folder = shutil.copytree(optimized.path, tmp_path / "broken")
    graph = graph_of(folder)
    for weight in graph.graph.initializer:
        if weight.name.endswith("layer.0.intermediate.dense.bias"):
            values = numpy_helper.to_array(weight).copy()
            values[NEURON] = value
            weight.CopyFrom(numpy_helper.from_array(values, weight.name))
    onnx.save(graph, folder / "model.onnx")

    with pytest.raises(ModelError, match=rf"NaN or infinite numbers in .*intermediate.*, channel {NEURON}"):
        quantized(as_artifact(folder, "onnx"), tmp_path / "out", text=text)
