"""float_channels: the split graph computes what the whole one did, and the float32 part is as narrow as it can be."""

import copy

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from transformers import AlbertConfig, AlbertForTokenClassification

from edgeafri.inference.predict import padded
from edgeafri.inference.session import forward
from edgeafri.stages.comparison.graph_runner import open_graph
from edgeafri.stages.graphs.float_channels import split_channels
from edgeafri.stages.graphs.linear_layers import float_products

STANDARD = {"", "ai.onnx"}


def graph_of(artifact):
    return onnx.load(artifact.path / "model.onnx")


def logits(graph):
    ids, mask = padded([(0, 5, 9, 17, 22, 31, 40, 2)], pad=1)
    return forward(open_graph(graph))(ids, mask)


def activations_of(graph):
    """Every activation that a product reads, and how many channels it has."""
    matrices = float_products(graph)
    read = [node for node in graph.graph.node if node.op_type == "MatMul" and node.name in matrices]
    return {node.input[0]: matrices[node.name].dims[0] for node in read}


def shapes_of(graph):
    return {weight.name: tuple(weight.dims) for weight in graph.graph.initializer}


def inner(graph):
    """The activation inside the first feed-forward layer."""
    return next(name for name in activations_of(graph) if "intermediate" in name)


def hidden(graph):
    """What the first attention reads."""
    return next(iter(activations_of(graph)))


def whole_and_split(graph, channels):
    split = copy.deepcopy(graph)
    return split, split_channels(split, channels)


@pytest.mark.parametrize("count", [1, 3])
def test_the_logits_stay(optimized, count):
    """
    With channels of every activation split off, attention, feed-forward and head, the logits are those before.
    """
    graph = graph_of(optimized)
    chosen = {name: range(0, 2 * count, 2) for name in activations_of(graph)}
    split, in_float = whole_and_split(graph, chosen)

    assert np.abs(logits(split) - logits(graph)).max() < 1e-5
    assert len(in_float) >= len(float_products(graph))
    assert {node.domain for node in split.graph.node} <= STANDARD
    onnx.checker.check_model(split)


def test_the_logits_stay_in_a_classifier(classifier_graphs):
    """
    The head of whole texts reads one position, in two dimensions.
    """
    graph = graph_of(classifier_graphs["optimize"])
    split, _ = whole_and_split(graph, dict.fromkeys(activations_of(graph), (1,)))

    assert np.abs(logits(split) - logits(graph)).max() < 1e-5


def test_neurons_become_a_narrow_layer_and_nothing_is_copied(optimized):
    """
    Two neurons: both matrices lose them, a pair of matrices two wide stands beside, and no node picks channels.
    """
    graph = graph_of(optimized)
    name = inner(graph)
    width = activations_of(graph)[name]
    split, in_float = whole_and_split(graph, {name: (4, 9)})
    added = {name: shape for name, shape in shapes_of(split).items() if name not in shapes_of(graph)}
    kinds = [node.op_type for node in split.graph.node]

    hidden_width = activations_of(graph)[hidden(graph)]
    assert sorted(shape for shape in added.values() if len(shape) == 2) == sorted(
        [(2, hidden_width), (hidden_width, 2), (width - 2, hidden_width), (hidden_width, width - 2)]
    )
    assert len(in_float) == 2
    assert kinds.count("Gather") == [node.op_type for node in graph.graph.node].count("Gather")


def test_hidden_channels_are_zero_for_the_product_that_becomes_int8(optimized):
    """
    The activation that the int8 products read has zeros in place of the channels: its range is that of the others.
    """
    graph = graph_of(optimized)
    name = hidden(graph)
    split, _ = whole_and_split(graph, {name: (3,)})
    mask = next(weight for weight in split.graph.initializer if weight.name == f"{name}/kept")
    readers = [node for node in split.graph.node if node.op_type == "MatMul" and node.input[0] == f"{name}/rest"]

    assert np.flatnonzero(numpy_helper.to_array(mask) == 0).tolist() == [3]
    assert len(readers) == 3
    for node in readers:
        matrix = next(weight for weight in split.graph.initializer if weight.name == node.input[1])
        assert not numpy_helper.to_array(matrix)[3].any()


def test_a_layer_split_on_both_sides_is_split_once_for_each(optimized):
    """
    The first feed-forward product makes neurons that leave and reads channels that leave.
    """
    graph = graph_of(optimized)
    product = next(node for node in graph.graph.node if "intermediate" in node.name and node.op_type == "MatMul")
    split, _ = whole_and_split(graph, {product.input[0]: (0, 5), inner(graph): (2,)})

    assert np.abs(logits(split) - logits(graph)).max() < 1e-5


def gated(width=16, neurons=24):
    """A graph of one gated feed-forward layer: (silu(x G) * (x U)) D."""
    random = np.random.default_rng(0)
    shapes = {"G": (width, neurons), "U": (width, neurons), "D": (neurons, width)}
    nodes = [
        helper.make_node("MatMul", ["x", "G"], ["gate"], "gate"),
        helper.make_node("Sigmoid", ["gate"], ["open"], "open"),
        helper.make_node("Mul", ["gate", "open"], ["silu"], "silu"),
        helper.make_node("MatMul", ["x", "U"], ["up"], "up"),
        helper.make_node("Mul", ["silu", "up"], ["inner"], "inner"),
        helper.make_node("MatMul", ["inner", "D"], ["logits"], "down"),
    ]
    body = helper.make_graph(
        nodes,
        "gated",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, None, width])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(random.normal(size=shape).astype(np.float32), name) for name, shape in shapes.items()],
    )
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def test_a_gated_layer_is_split_as_a_pair():
    """
    Both matrices that make the neurons become narrow, and only they are computed in float32.
    """
    graph = gated()
    split, in_float = whole_and_split(graph, {"inner": (0, 7, 8)})
    x = np.random.default_rng(1).normal(size=(1, 5, 16)).astype(np.float32)
    before, after = (open_graph(found).run(["logits"], {"x": x})[0] for found in (graph, split))

    assert np.abs(after - before).max() < 1e-4 * np.abs(before).max()
    assert len(in_float) == 3
    assert not any(node.op_type == "Gather" for node in split.graph.node)


def test_layers_that_share_a_matrix_share_its_parts(encoder_folder, tmp_path, as_artifact):
    """
    ALBERT has one layer's weights for all layers; they stand in the split graph once.
    """
    from edgeafri.menu import load_stage, stage
    from edgeafri.stages.models import checkpoint
    from edgeafri.util.progress import silent

    config = AlbertConfig(
        vocab_size=64, embedding_size=8, hidden_size=16, num_hidden_layers=3, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=32, num_labels=3, pad_token_id=1,
    )  # fmt: skip
    folder = tmp_path / "albert"
    folder.mkdir()
    checkpoint.write_model(AlbertForTokenClassification(config), checkpoint.read_tokenizer(encoder_folder), folder)
    source = as_artifact(folder, "torch")
    for name in ("export-onnx", "optimize"):
        out = tmp_path / name
        out.mkdir()
        load_stage(name).run(source, stage(name).settings(), out, silent)
        source = as_artifact(out, "onnx")
    graph = graph_of(source)
    read = [node for node in graph.graph.node if node.name in float_products(graph)]
    shared = {node.input[1] for node in read if "albert_layers" in node.name}
    chosen = {node.input[0]: (1,) for node in read if node.input[1] in shared}
    split, _ = whole_and_split(graph, chosen)
    matrices = [name for name, shape in shapes_of(split).items() if len(shape) == 2 and min(shape) > 1]

    assert len(chosen) > 6
    assert np.abs(logits(split) - logits(graph)).max() < 1e-5
    assert len(matrices) == len([shape for shape in shapes_of(graph).values() if len(shape) == 2 and min(shape) > 1])


def test_equal_constants_of_two_layers_get_parts_of_their_own(optimized):
    """
    Where two biases are equal, one constant stands for both; the neurons that leave differ, and so do its parts.
    """
    graph = graph_of(optimized)
    names = [name for name in activations_of(graph) if "intermediate" in name]
    biases = {node.input[0] for node in graph.graph.node if node.op_type == "Add" and "intermediate/dense" in node.name}
    split, _ = whole_and_split(graph, {names[0]: (1,), names[1]: (2, 3)})

    assert len(names) == 2
    assert len(biases) == 1
    assert np.abs(logits(split) - logits(graph)).max() < 1e-5
