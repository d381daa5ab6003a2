"""quantize: one scale a row in tables, one a channel in linear layers, signed; what a setting spares stays as it is."""

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edgeafri.data.dataset import read_split
from edgeafri.errors import ConfigError, DataError
from edgeafri.inference.predict import Predictor
from edgeafri.inference.session import forward, open_session
from edgeafri.menu.settings import QuantizeSettings
from edgeafri.stages import quantize
from edgeafri.stages.models import checkpoint
from edgeafri.stages.quantization.embedding_tables import quantize_rows
from edgeafri.util.progress import silent

TONES = ("negative", "neutral", "positive")


def graph_of(folder):
    return onnx.load(folder / "model.onnx").graph


def weights_of(folder):
    return {weight.name: numpy_helper.to_array(weight) for weight in graph_of(folder).initializer}


def float_weights(folder, operator, place):
    """The float32 weights that nodes of that kind read at that input."""
    weights = weights_of(folder)
    names = {node.input[place] for node in graph_of(folder).node if node.op_type == operator}
    return {name: weights[name] for name in names if name in weights and weights[name].dtype == np.float32}


def test_embeddings_are_numpys_per_row_codes(optimized, tmp_path):
    """
    Every table in the graph is what quantize_rows makes of the float table, and nothing else is kept of it.
    """
    facts = quantize.run(optimized, QuantizeSettings(weights="float32"), tmp_path, silent)
    before, after = float_weights(optimized.path, "Gather", 0), weights_of(tmp_path)
    tables = {name: table for name, table in before.items() if table.ndim == 2}

    assert (facts.tables, facts.embedding_bits, facts.weight_bits) == (len(tables), 8, 32) == (2, 8, 32)
    for name, table in tables.items():
        codes, scales = quantize_rows(table)
        assert (after[f"{name}_int8"] == codes).all()
        assert (after[f"{name}_scale"] == scales).all()
        assert name not in after


def test_int8_embeddings_leave_linear_layers_alone(optimized, tmp_path):
    """
    With weights at float32 every matrix is bit for bit the one before.
    """
    quantize.run(optimized, QuantizeSettings(weights="float32"), tmp_path, silent)
    before, after = float_weights(optimized.path, "MatMul", 1), float_weights(tmp_path, "MatMul", 1)

    assert len(before) == 13
    assert before.keys() == after.keys()
    assert all((after[name] == weight).all() for name, weight in before.items())


def test_linear_weights_are_signed_and_per_channel(optimized, tmp_path):
    """
    Six matrices a layer and the classifier: int8, a scale for every output channel, zero points of zero.
    """
    facts = quantize.run(optimized, QuantizeSettings(embeddings="float32"), tmp_path, silent)
    weights = weights_of(tmp_path)
    nodes = [node for node in graph_of(tmp_path).node if node.op_type == "MatMulInteger"]

    assert (facts.linear_layers, facts.weight_bits, facts.embedding_bits) == (13, 8, 32)
    assert len(nodes) == 13
    for node in nodes:
        matrix, zero = weights[node.input[1]], weights[node.input[3]]
        scales = weights[node.input[1].replace("_quantized", "_scale")]
        assert matrix.dtype == zero.dtype == np.int8
        assert scales.shape == (matrix.shape[1],)
        assert not zero.any()


def test_linear_weights_are_off_by_half_a_scale_at_most(optimized, tmp_path):
    """
    Against the float matrices; a scale is max|column| / 127 or a little more.
    """
    quantize.run(optimized, QuantizeSettings(embeddings="float32"), tmp_path, silent)
    before, after = float_weights(optimized.path, "MatMul", 1), weights_of(tmp_path)

    for name, matrix in before.items():
        scales = after[f"{name}_scale"]
        assert (np.abs(after[f"{name}_quantized"] * scales - matrix) <= scales * (0.5 + 1e-5)).all()
        assert (scales <= np.abs(matrix).max(axis=0) / 127 * 1.01).all()


def test_float32_tables_stay_as_they_are(optimized, tmp_path):
    """
    With embeddings at float32 the tables are bit for bit the ones before.
    """
    quantize.run(optimized, QuantizeSettings(embeddings="float32"), tmp_path, silent)
    before, after = float_weights(optimized.path, "Gather", 0), float_weights(tmp_path, "Gather", 0)

    assert before.keys() <= after.keys()
    assert all((after[name] == table).all() for name, table in before.items())


def test_all_float32_changes_nothing(optimized, tmp_path, logits_of, as_artifact):
    """
    Both settings at float32 give the same logits bit for bit.
    """
    facts = quantize.run(optimized, QuantizeSettings(weights="float32", embeddings="float32"), tmp_path, silent)

    assert (facts.tables, facts.linear_layers) == (0, 0)
    assert (logits_of(as_artifact(tmp_path, "onnx")) == logits_of(optimized)).all()


def test_int8_logits_stay_close(optimized, quantized, logits_of):
    """
    Int8 is judged by labels elsewhere; here a tenth of the logits' range catches a wrong scale or zero point.
    """
    before, after = logits_of(optimized), logits_of(quantized)

    assert np.abs(after - before).max() < 0.1 * (before.max() - before.min())


def test_equal_input_gives_equal_bytes(optimized, quantized, tmp_path):
    """
    The cache key promises it: the stage draws nothing and names nothing by time.
    """
    quantize.run(optimized, QuantizeSettings(), tmp_path, silent)

    assert (tmp_path / "model.onnx").read_bytes() == (quantized.path / "model.onnx").read_bytes()


def test_no_float_table_or_matrix_is_left(quantized):
    """
    What stays float are scales, biases, norms and constants; all weights with two axes are int8.
    """
    weights = weights_of(quantized.path).items()
    left = [name for name, weight in weights if weight.ndim == 2 and weight.dtype == np.float32]

    assert all(name.endswith("_scale") for name in left)


def test_a_fused_graph_is_quantized_too(fused, tmp_path, logits_of, as_artifact):
    """
    Attention nodes become QAttention; the rest are integer products.
    """
    facts = quantize.run(fused, QuantizeSettings(), tmp_path, silent)
    before, after = logits_of(fused), logits_of(as_artifact(tmp_path, "onnx"))
    kinds = [node.op_type for node in graph_of(tmp_path).node]

    assert kinds.count("QAttention") == 2
    assert kinds.count("Attention") == 0
    assert facts.linear_layers == kinds.count("QAttention") + kinds.count("MatMulInteger") == 2 + 2 * 3 + 1
    assert np.abs(after - before).max() < 0.1 * (before.max() - before.min())


def test_the_head_of_a_classifier_is_quantized_per_channel(classifier_graphs):
    """
    Its two layers read one vector a text, which the exporter writes as Gemm: they become integer products all the same.
    """
    before, after = (classifier_graphs[name].path for name in ("optimize", "quantize"))
    weights = weights_of(after)
    kinds = [node.op_type for node in graph_of(after).node]

    assert [node.op_type for node in graph_of(before).node].count("Gemm") == 2
    assert (kinds.count("Gemm"), kinds.count("MatMulInteger")) == (0, 2 * 6 + 2)
    for name, outputs in (("classifier.dense.weight", 16), ("classifier.out_proj.weight", 3)):
        assert weights[f"{name}_quantized"].shape == (16, outputs)
        assert weights[f"{name}_scale"].shape == (outputs,)


def test_a_classifier_says_the_same_in_int8(classifier_graphs, texts):
    """
    Text by text, as a device reads them: the label stays and its logit hardly moves.
    """
    encoder = checkpoint.encoder(checkpoint.read_tokenizer(classifier_graphs["optimize"].path), 64, "text")
    words = [item.words for code in ("swa", "hau") for item in read_split(texts, code, "test", "text").sentences]
    before, after = (
        Predictor(encoder, TONES, forward(open_session(classifier_graphs[name].path / "model.onnx", 1))).logits(words)
        for name in ("optimize", "quantize")
    )
    logits = [np.concatenate([reading.logits for reading in readings]) for readings in (before, after)]

    assert (logits[0].argmax(axis=1) == logits[1].argmax(axis=1)).all()
    assert np.abs(logits[0] - logits[1]).max() < 0.1 * (logits[0].max() - logits[0].min())


FORMS = ({}, {"form": "static"}, {"form": "weights"}, {"form": "weights", "weights": "int8"}, {"embeddings": "int4"})


@pytest.mark.parametrize("asked", FORMS)
def test_every_form_stays_close_and_says_what_it_did(optimized, text, tmp_path, logits_of, as_artifact, asked):
    """
    With 8 bits within a tenth of the logits' range, with 4 within a third: the fixture's weights are random.
    """
    settings = QuantizeSettings(text=text, languages=("swa", "hau"), **asked)
    facts = quantize.run(optimized, settings, tmp_path, silent)
    before, after = logits_of(optimized), logits_of(as_artifact(tmp_path, "onnx"))
    four = 4 in (facts.weight_bits, facts.embedding_bits)

    assert (facts.form, facts.isa) == (settings.form, None)
    assert facts.linear_layers == 13
    assert (facts.block is not None) == (four or settings.form == "weights")
    assert facts.calibrated_on == ({"swa": 30, "hau": 10} if settings.form == "static" else None)
    assert np.abs(after - before).max() < (0.33 if four else 0.1) * (before.max() - before.min())


@pytest.mark.parametrize("asked", FORMS)
def test_every_form_gives_equal_bytes_again(optimized, text, tmp_path, asked):
    """
    Calibration too: it draws nothing.
    """
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        settings = QuantizeSettings(text=text, languages=("swa", "hau"), **asked)
        quantize.run(optimized, settings, tmp_path / name, silent)

    assert (tmp_path / "one/model.onnx").read_bytes() == (tmp_path / "two/model.onnx").read_bytes()


@pytest.mark.parametrize("asked", FORMS)
def test_outputs_of_layers_keep_their_names(optimized, text, tmp_path, asked):
    """
    So that one layer of a graph can be put into another, and a loss be traced to it.
    """
    layers = [node for node in graph_of(optimized.path).node if node.op_type in ("MatMul", "Gemm", "Gather")]
    held = weights_of(optimized.path)
    wanted = {node.output[0] for node in layers if node.input[node.op_type != "Gather"] in held}
    quantize.run(optimized, QuantizeSettings(text=text, languages=("swa", "hau"), **asked), tmp_path, silent)

    assert wanted <= {name for node in graph_of(tmp_path).node for name in node.output}


@pytest.mark.parametrize(
    ("asked", "said", "hint"),
    [
        ({"weights": "int4"}, "form 'dynamic' multiplies in int8, so it has no int4 weights", "Add --form weights"),
        ({"form": "static", "weights": "int4"}, "form 'static' multiplies in int8", "Add --form weights"),
        ({"form": "static", "weights": "float32"}, "form 'static' does nothing", "Leave form out"),
        ({"calibration": "entropy"}, "calibration goes with form 'static', not 'dynamic'", "Add --form static."),
        ({"block": 32}, "nothing has blocks of 32 with these settings", "Add --embeddings int4 or --form weights."),
    ],
)
def test_settings_that_contradict_each_other(asked, said, hint):
    """
    Found before any work, each with what to change.
    """
    with pytest.raises(ConfigError, match=f"quantize: .*{said}") as error:
        QuantizeSettings(**asked)

    assert error.value.hint.startswith(hint)


def test_static_without_text_says_what_to_give(optimized, tmp_path):
    """
    There is no default text that would do for every language.
    """
    with pytest.raises(DataError, match="calibration: no text to calibrate on"):
        quantize.run(optimized, QuantizeSettings(form="static"), tmp_path, silent)
