"""static: scales of activations are those of numpy on the calibration text, in every method; weights as in dynamic."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeafri.errors import ModelError
from edgeafri.inference.predict import padded
from edgeafri.stages.quantization.calibration_text import calibration_inputs
from edgeafri.stages.quantization.static import Reader, quantize_by_text


@pytest.fixture
def sentences(optimized, text):
    """Calibration text of two languages, eight sentences each."""
    return calibration_inputs(optimized.path, ("swa", "hau"), text, None, 8)


def weights_of(graph: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {weight.name: numpy_helper.to_array(weight) for weight in graph.graph.initializer}


def activations(graph: onnx.ModelProto, names: list[str], text) -> dict[str, np.ndarray]:
    """What these tensors hold for all sentences, one after another."""
    import onnxruntime

    shown = onnx.ModelProto()
    shown.CopyFrom(graph)
    del shown.graph.output[:]
    shown.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    session = onnxruntime.InferenceSession(shown.SerializeToString(), providers=["CPUExecutionProvider"])
    found = {name: [] for name in names}
    for row in (row for rows in text.rows.values() for row in rows):
        ids, mask = padded([row.ids], text.frame.pad)
        feed = {"input_ids": ids, "attention_mask": mask}
        values = session.run(names, {item.name: feed[item.name] for item in session.get_inputs()})
        for name, value in zip(names, values, strict=True):
            found[name].append(value.ravel())
    return {name: np.concatenate(values) for name, values in found.items()}


def test_ranges_are_those_of_numpy(optimized, sentences, tmp_path):
    """
    Scale and zero point of every linear layer's input, from the least and the largest value over all sentences.
    """
    before = onnx.load(optimized.path / "model.onnx")
    after = quantize_by_text(onnx.load(optimized.path / "model.onnx"), tmp_path / "q.onnx", sentences, "minmax")
    weights = weights_of(after)
    nodes = {node.input[0]: node for node in after.graph.node if node.op_type == "QuantizeLinear"}
    found = activations(before, list(nodes), sentences)

    assert len(nodes) == 2 * 4 + 1
    for name, node in nodes.items():
        low, high = min(found[name].min(), 0), max(found[name].max(), 0)
        scale, zero = weights[node.input[1]], weights[node.input[2]]
        np.testing.assert_allclose(scale, (high - low) / 255, rtol=1e-4)  # the sums around it are ordered otherwise
        assert abs(int(zero) - round(-low / float(scale))) <= 1
        assert zero.dtype == np.uint8


def test_weights_are_signed_and_per_channel(optimized, sentences, tmp_path):
    """
    A scale for every output, zero points of zero, off by half a scale at most; what a layer gives stays float32.
    """
    before = weights_of(onnx.load(optimized.path / "model.onnx"))
    after = quantize_by_text(onnx.load(optimized.path / "model.onnx"), tmp_path / "q.onnx", sentences, "minmax")
    weights, made_by = weights_of(after), {node.output[0]: node for node in after.graph.node}
    layers = [node for node in after.graph.node if node.op_type == "MatMul" and node.input[1] in made_by]
    layers = [node for node in layers if made_by[node.input[1]].op_type == "DequantizeLinear"]

    assert len(layers) == 13
    for node in layers:
        codes, scales, zeros = (weights[name] for name in made_by[node.input[1]].input)
        matrix = before[made_by[node.input[1]].input[0].removesuffix("_quantized")]
        assert codes.dtype == zeros.dtype == np.int8
        assert scales.shape == (matrix.shape[1],)
        assert not zeros.any()
        assert (np.abs(codes * scales - matrix) <= scales * (0.5 + 1e-5)).all()
        assert not any(user.op_type == "QuantizeLinear" for user in after.graph.node if node.output[0] in user.input)


@pytest.mark.parametrize("method", ["entropy", "percentile"])
def test_the_other_methods_cut_ranges_and_never_widen_them(optimized, sentences, tmp_path, method):
    """
    Both leave out what is rare; a histogram's last bin may reach over the largest value by its width.
    """
    scales = {}
    for chosen in ("minmax", method):
        graph = onnx.load(optimized.path / "model.onnx")
        after = quantize_by_text(graph, tmp_path / f"{chosen}.onnx", sentences, chosen)
        weights = weights_of(after)
        nodes = [node for node in after.graph.node if node.op_type == "QuantizeLinear"]
        scales[chosen] = np.array([weights[node.input[1]] for node in nodes])

    assert (scales[method] <= scales["minmax"] * 1.02).all()
    assert (scales[method] < scales["minmax"]).any()


def test_fused_attention_is_refused(fused, sentences, tmp_path):
    """
    One scale would have to do for three products.
    """
    with pytest.raises(ModelError, match="form 'static' cannot calibrate fused attention") as error:
        quantize_by_text(onnx.load(fused.path / "model.onnx"), tmp_path / "q.onnx", sentences, "minmax")

    assert error.value.hint == "Run optimize without fuse, or use form dynamic."


def test_the_reader_gives_every_sentence_once(sentences):
    """
    Alone, so that no padding is counted, in the languages' order, and only what the graph asks for.
    """
    reader = Reader(sentences, ["input_ids"])
    reader.set_range(1, 3)
    part = [reader.get_next(), reader.get_next(), reader.get_next()]

    assert len(reader) == 16
    assert [feed["input_ids"].tolist() for feed in part[:2]] == [[list(row.ids)] for row in sentences.rows["swa"][1:3]]
    assert part[2] is None
    assert list(part[0]) == ["input_ids"]
