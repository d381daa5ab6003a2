"""splice: a layer is what stands between two names; put into another graph, it is all that changes there."""

import copy

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edgeafri.errors import ModelError
from edgeafri.inference.predict import padded
from edgeafri.inference.session import forward
from edgeafri.menu import stage
from edgeafri.stages.comparison.graph_runner import open_graph
from edgeafri.stages.graphs.float_channels import split_channels
from edgeafri.stages.graphs.splice import Layer, changed_layers, splice
from edgeafri.stages.graphs.twins import with_twins

INNER = "/roberta/encoder/layer.1/output/dense/MatMul_output_0"
QUERY = "/roberta/encoder/layer.0/attention/self/query/MatMul_output_0"


def graph_of(artifact):
    return onnx.load(artifact.path / "model.onnx")


def logits(graph):
    ids, mask = padded([(0, 5, 9, 17, 22, 31, 40, 2)], pad=1)
    return forward(open_graph(graph))(ids, mask)


def weights_of(graph):
    return {weight.name: numpy_helper.to_array(weight) for weight in graph.graph.initializer}


FORMS = [{}, {"form": "static"}, {"form": "weights"}, {"form": "weights", "weights": "int8"}]


@pytest.mark.parametrize("settings", FORMS)
def test_all_layers_put_back_are_the_float_graph(optimized, forms, settings):
    """
    In every form. 1e-6 is float32 itself: onnxruntime may fuse other nodes around them.
    """
    before, after = graph_of(optimized), forms(**settings)
    graph = after
    for layer in changed_layers(before, after):
        graph = splice(graph, before, layer)

    assert np.abs(logits(after) - logits(before)).max() > 1e-3
    assert np.abs(logits(graph) - logits(before)).max() < 1e-6 * np.abs(logits(before)).max()


@pytest.mark.parametrize("settings", FORMS)
def test_all_layers_put_in_are_the_quantized_graph(optimized, forms, settings):
    """
    Layers that share the scale of their input bring it each for themselves.
    """
    before, after = graph_of(optimized), forms(**settings)
    graph = before
    for layer in changed_layers(before, after):
        graph = splice(graph, after, layer)

    assert np.abs(logits(graph) - logits(after)).max() < 1e-6 * np.abs(logits(after)).max()


def test_layers_have_names_for_people(optimized, quantized):
    """
    Tables, the six matrices of each of two layers, the classifier, in the order of the graph.
    """
    names = [layer.name for layer in changed_layers(graph_of(optimized), graph_of(quantized))]

    assert names[-7:] == [
        "layer 1 attention key",
        "layer 1 attention query",
        "layer 1 attention value",
        "layer 1 attention output",
        "layer 1 intermediate",
        "layer 1 output",
        "classifier",
    ]
    assert "word embeddings" in names
    assert len(set(names)) == len(names)


def test_layers_of_one_name_are_told_apart(classifier_graphs):
    """
    A text's head has two matrices; where a short name would be the same, the graph's own is given.
    """
    graphs = [graph_of(classifier_graphs[name]) for name in ("optimize", "quantize")]
    names = [layer.name for layer in changed_layers(*graphs)]

    assert len(set(names)) == len(names)
    assert {"classifier", "classifier out proj"} <= set(names)


def test_matrices_that_were_split_together_are_one_layer_named_after_both(optimized):
    """
    Where neurons stay in float32, what stands between two matrices has other names: it cannot be put back alone.
    """
    before, after = graph_of(optimized), graph_of(optimized)
    inner = next(node.input[0] for node in before.graph.node if node.output[0] == INNER)
    hidden = next(node.input[0] for node in before.graph.node if node.output[0] == QUERY)
    split_channels(after, {inner: (3, 5), hidden: (1,)})
    layers = {layer.name: layer for layer in changed_layers(before, after)}
    put_back = splice(after, before, *layers.values())

    assert list(layers) == [
        "layer 0 attention key",
        "layer 0 attention query",
        "layer 0 attention value",
        "layer 1 intermediate, output",
    ]
    assert layers["layer 1 intermediate, output"].output == INNER
    assert [node.op_type for node in put_back.graph.node] == [node.op_type for node in before.graph.node]
    assert np.array_equal(logits(put_back), logits(before))


def test_equal_layers_are_not_listed(exported, optimized):
    """
    Folding rewrites how positions are counted and leaves the other layers as they are.
    """
    names = [layer.name for layer in changed_layers(graph_of(exported), graph_of(optimized))]

    assert set(names) <= {"position embeddings", "token type embeddings"}
    assert changed_layers(graph_of(optimized), graph_of(optimized)) == ()


def test_one_changed_number_is_a_changed_layer(optimized):
    """
    Same operators, same names, other weights.
    """
    before = graph_of(optimized)
    after = copy.deepcopy(before)
    weight = next(item for item in after.graph.initializer if len(item.dims) == 2)
    values = numpy_helper.to_array(weight).copy()
    values[0, 0] += 1
    weight.CopyFrom(numpy_helper.from_array(values, weight.name))

    assert len(changed_layers(before, after)) == 1


def test_a_fused_node_is_a_layer_too(exported, fused):
    """
    Where fusion made one node of an attention, that attention is one layer; put in alone, the logits stay.
    """
    before, after = graph_of(exported), graph_of(fused)
    layers = {layer.name: layer for layer in changed_layers(before, after)}
    graph = splice(before, after, layers["layer 0 attention"])

    assert {"layer 0 attention", "layer 1 attention"} <= set(layers)
    assert [node.op_type for node in graph.graph.node].count("Attention") == 1
    assert np.abs(logits(graph) - logits(before)).max() < 1e-5 * np.abs(logits(before)).max()


def test_nothing_else_changes_and_nothing_is_left_over(optimized, quantized):
    """
    The graphs that were given stay; in the new one the layer's float matrix has gone, and every other weight is there.
    """
    before, after = graph_of(optimized), graph_of(quantized)
    kept = before.SerializeToString(), after.SerializeToString()
    layer = next(item for item in changed_layers(before, after) if item.name == "layer 1 intermediate")
    graph = splice(before, after, layer)
    old, new = weights_of(before), weights_of(graph)
    gone = [name for name in old if name not in new]

    assert (before.SerializeToString(), after.SerializeToString()) == kept
    assert [old[name].shape for name in gone] == [(16, 32)]
    assert all((new[name] == value).all() for name, value in old.items() if name in new)
    assert [node.op_type for node in graph.graph.node].count("MatMulInteger") == 1


def shared(matrix, *between):
    """A graph whose two products share a matrix, as ALBERT's layers do, with nodes between it and them."""
    read = between[-1].output[0] if between else matrix
    nodes = [
        onnx.helper.make_node("Cast", ["input_ids"], ["x"], to=onnx.TensorProto.FLOAT),
        *between,
        onnx.helper.make_node("MatMul", ["x", read], ["first"]),
        onnx.helper.make_node("MatMul", ["first", read], ["second"]),
    ]
    ends = (("input_ids", onnx.TensorProto.INT64), ("second", onnx.TensorProto.FLOAT))
    given, found = (onnx.helper.make_tensor_value_info(name, kind, [1, 16]) for name, kind in ends)
    weight = numpy_helper.from_array(np.eye(16, dtype=np.float32), matrix)
    graph = onnx.helper.make_graph(nodes, "g", [given], [found], [weight])
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=8)


@pytest.mark.parametrize("together", [splice, lambda *graphs: with_twins(*graphs[:2], graphs[2:])[0]])
def test_a_matrix_that_layers_share_is_brought_once(together):
    """
    Spliced in together, and as twins.
    """
    before, after = shared("matrix"), shared("other", onnx.helper.make_node("Neg", ["other"], ["made"]))
    layers = changed_layers(before, after)
    names = [weight.name for weight in together(before, after, *layers).graph.initializer]

    assert len(layers) == 2
    assert sum(name.endswith("other") for name in names) == 1


def test_a_layer_that_is_not_there_is_named(optimized):
    """
    Graphs of two chains do not fit together.
    """
    graph = graph_of(optimized)
    with pytest.raises(ModelError) as error:
        splice(graph, graph, Layer("layer 9 output", "nowhere"))

    assert "no layer 'layer 9 output'" in error.value.message
    assert "work folder" in error.value.hint


def test_a_layer_without_an_input_in_common_is_an_error(optimized):
    """
    A constant in the place of a layer hangs on nothing that the other graph has.
    """
    graph, other = graph_of(optimized), graph_of(optimized)
    layer = Layer("classifier", "/classifier/MatMul_output_0")
    node = next(item for item in other.graph.node if item.output[0] == layer.output)
    node.input[0] = node.input[1]
    with pytest.raises(ModelError) as error:
        splice(graph, other, layer)

    assert "share nothing that goes into /classifier/MatMul_output_0" in error.value.message


def test_the_menu_has_the_forms_that_are_spliced():
    """
    A new form of quantize is to be tried here too.
    """
    from typing import get_args

    from edgeafri.settings import types_of

    assert set(get_args(types_of(stage("quantize").settings)["form"])) == {"dynamic", "static", "weights"}
