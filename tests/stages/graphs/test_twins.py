"""twins: one graph says of every layer what the layer alone in the float graph does, there and at the next sum."""

import numpy as np
import onnx
import pytest

from edgeafri.inference.predict import padded
from edgeafri.stages.comparison.graph_runner import open_graph
from edgeafri.stages.graphs.splice import changed_layers, splice
from edgeafri.stages.graphs.twins import with_twins

FORMS = [{}, {"form": "static"}, {"form": "weights"}, {"weights": "float32"}]
AT_ATTENTION = "/roberta/encoder/layer.1/attention/output/LayerNorm/LayerNormalization_output_0"
AT_OUTPUT = "/roberta/encoder/layer.1/output/LayerNorm/LayerNormalization_output_0"
AT_EMBEDDINGS = "/roberta/embeddings/LayerNorm/LayerNormalization_output_0"
ENDS = {
    "word embeddings": AT_EMBEDDINGS,
    "layer 1 attention query": AT_ATTENTION,
    "layer 1 attention key": AT_ATTENTION,
    "layer 1 attention value": AT_ATTENTION,
    "layer 1 attention output": AT_ATTENTION,
    "layer 1 intermediate": AT_OUTPUT,
    "layer 1 output": AT_OUTPUT,
}


def graph_of(artifact):
    return onnx.load(artifact.path / "model.onnx")


def tensors(graph, names):
    """What a graph computes under these names."""
    asked = onnx.ModelProto()
    asked.CopyFrom(graph)
    given = {item.name for item in graph.graph.output}
    asked.graph.output.extend(onnx.ValueInfoProto(name=name) for name in dict.fromkeys(names) if name not in given)
    session = open_graph(asked)
    ids, mask = padded([(0, 5, 9, 17, 22, 31, 40, 2)], pad=1)
    feed = {"input_ids": ids, "attention_mask": mask}
    return session.run(list(names), {item.name: feed[item.name] for item in session.get_inputs()})


def relative(off, size):
    return float(np.sqrt(off / size))


def alone(before, after, layer, names):
    """What one layer does to tensors, alone in the float graph: |y' - y| / |y|."""
    plain, changed = tensors(before, names), tensors(splice(before, after, layer), names)
    return [relative(np.square(two - one).sum(), np.square(one).sum()) for one, two in zip(plain, changed, strict=True)]


@pytest.mark.parametrize("settings", FORMS)
def test_twins_tell_what_layers_do_alone(optimized, forms, settings):
    """
    In every form, of themselves and of the sum they go into. 1 % is what onnxruntime's fusions of other nodes change.
    """
    before, after = graph_of(optimized), forms(**settings)
    layers = changed_layers(before, after)
    graph, probes = with_twins(before, after, layers)
    told = {probe.layer.name: probe for probe in probes}

    assert [probe.layer for probe in probes] == list(layers)
    for layer in (layer for layer in layers if layer.name in ENDS):
        probe = told[layer.name]
        found = tensors(graph, (*probe.local, *probe.summed))
        expected = alone(before, after, layer, (layer.output, ENDS[layer.name]))
        assert [relative(*found[:2]), relative(*found[2:])] == pytest.approx(expected, rel=0.01), layer.name


def test_the_answers_are_those_of_the_float_graph(optimized, quantized):
    """
    Twins read what flows and give nothing back; the graphs that were given stay as they are.
    """
    before, after = graph_of(optimized), graph_of(quantized)
    kept = before.SerializeToString(), after.SerializeToString()
    graph, _ = with_twins(before, after, changed_layers(before, after))

    assert np.array_equal(tensors(graph, ["logits"])[0], tensors(before, ["logits"])[0])
    assert (before.SerializeToString(), after.SerializeToString()) == kept


def test_what_goes_into_no_sum_is_told_by_itself(optimized, quantized):
    """
    The classifier stands behind the last of them.
    """
    before, after = graph_of(optimized), graph_of(quantized)
    _, probes = with_twins(before, after, changed_layers(before, after))

    assert [probe.layer.name for probe in probes if not probe.is_inside] == ["classifier"]


def test_a_fused_attention_has_a_twin_too(exported, fused):
    """
    Where fusion made one node of an attention, the two differ by rounding alone.
    """
    before, after = graph_of(exported), graph_of(fused)
    layers = [layer for layer in changed_layers(before, after) if layer.name.endswith("attention")]
    graph, probes = with_twins(before, after, layers)

    assert len(probes) == 2
    for probe in probes:
        assert relative(*tensors(graph, probe.summed)) < 1e-5


def test_sums_of_half_precision_do_not_overflow(optimized):
    """
    65,504 is the largest number of float16; a sum of squares passes it at once.
    """
    from onnx import TensorProto, helper, numpy_helper

    table = numpy_helper.from_array(np.full((64, 8), 100, np.float16), "table")
    other = numpy_helper.from_array(np.full((64, 8), 200, np.float16), "table")
    ids = helper.make_tensor_value_info("input_ids", TensorProto.INT64, [1, None])
    found = helper.make_tensor_value_info("found", TensorProto.FLOAT16, [1, None, 8])
    node = helper.make_node("Gather", ["table", "input_ids"], ["found"])
    before, after = (
        helper.make_model(
            helper.make_graph([node], "g", [ids], [found], [weight]),
            opset_imports=[helper.make_opsetid("", 18)],
            ir_version=8,
        )
        for weight in (table, other)
    )
    graph, (probe,) = with_twins(before, after, changed_layers(before, after))

    assert tensors(graph, probe.local) == [8 * 8 * 100**2, 8 * 8 * 100**2]
