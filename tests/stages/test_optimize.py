"""optimize: fewer nodes, no dead weights, the same logits; fused attention only when asked for."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgeafri.progress import silent
from edgeafri.stages import optimize
from edgeafri.stages.menu import Optimize
from edgeafri.stages.optimize import drop_unused

# Float32 sums in another order: relative to the logits, whose classifier is scaled up 200-fold.
TOLERANCE = 1e-5


def relative_difference(found, expected):
    return np.abs(found - expected).max() / np.abs(expected).max()


def test_folding_keeps_the_logits(exported, optimized, logits_of):
    """
    Constants are computed ahead; nothing else changes.
    """
    assert relative_difference(logits_of(optimized), logits_of(exported)) < TOLERANCE


def test_folding_makes_the_graph_smaller(exported, tmp_path):
    """
    The facts count nodes as they stand in the files.
    """
    facts = optimize.run(exported, Optimize(), tmp_path, silent)
    before, after = onnx.load(exported.path / "model.onnx"), onnx.load(tmp_path / "model.onnx")

    assert facts == {"nodes_before": len(before.graph.node), "nodes": len(after.graph.node)}
    assert facts["nodes"] < facts["nodes_before"]


def test_only_standard_operators_are_left(optimized):
    """
    Without fusion any ONNX runtime reads the graph, and its versions stay pinned.
    """
    graph = onnx.load(optimized.path / "model.onnx")

    assert {node.domain for node in graph.graph.node} == {""}
    assert [(entry.domain, entry.version) for entry in graph.opset_import] == [("", 18)]


def test_fusing_keeps_the_logits(exported, fused, logits_of):
    """
    One attention node a layer computes what its parts computed.
    """
    graph = onnx.load(fused.path / "model.onnx")

    assert sum(node.op_type == "Attention" for node in graph.graph.node) == 2
    assert relative_difference(logits_of(fused), logits_of(exported)) < TOLERANCE


def test_the_fused_graph_names_its_operator_set(fused):
    """
    A graph with contributed operators says so, and names no operator set that it does not use.
    """
    graph = onnx.load(fused.path / "model.onnx")

    assert {entry.domain for entry in graph.opset_import} == {"", "com.microsoft"}


def test_configuration_and_tokenizer_travel(exported, optimized):
    """
    The next stages find what the exporter left, unchanged.
    """
    for name in ("config.json", "tokenizer.json"):
        assert (optimized.path / name).read_bytes() == (exported.path / name).read_bytes()


def test_equal_input_gives_equal_bytes(exported, optimized, tmp_path):
    """
    The stage draws nothing and names nothing by time.
    """
    optimize.run(exported, Optimize(), tmp_path, silent)

    assert (tmp_path / "model.onnx").read_bytes() == (optimized.path / "model.onnx").read_bytes()


def test_unused_weights_and_operator_sets_go():
    """
    What no node reads is dead weight on a device.
    """
    ones = np.ones(2, dtype=np.float32)
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "read"], ["y"])],
        "two weights, one read",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])],
        [numpy_helper.from_array(ones, "read"), numpy_helper.from_array(ones, "dead")],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=opsets)
    drop_unused(model)

    assert [weight.name for weight in model.graph.initializer] == ["read"]
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 18)]
