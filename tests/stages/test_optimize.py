"""optimize: fewer nodes, no dead weights, the same logits; fused attention only when asked for."""

import shutil
from collections import Counter

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeafri.errors import ConfigError, ModelError
from edgeafri.inference.predict import padded
from edgeafri.inference.session import forward, open_session
from edgeafri.menu.settings import ExportOnnxSettings, OptimizeSettings, QuantizeSettings
from edgeafri.settings import read
from edgeafri.stages import export_onnx, optimize, quantize
from edgeafri.stages.models import checkpoint
from edgeafri.stages.optimize import drop_unused, tie_tables
from edgeafri.util.progress import silent

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
    facts = optimize.run(exported, OptimizeSettings(), tmp_path, silent)
    before, after = onnx.load(exported.path / "model.onnx"), onnx.load(tmp_path / "model.onnx")

    assert facts.to_json() == {
        "nodes_before": len(before.graph.node),
        "nodes": len(after.graph.node),
        "positions_sliced": True,
        "segments_folded": True,
        "fused": [],
    }
    assert facts.nodes < facts.nodes_before / 1.5


def test_only_standard_operators_are_left(optimized):
    """
    Without fusion any ONNX runtime reads the graph, and its versions stay pinned.
    """
    graph = onnx.load(optimized.path / "model.onnx")

    assert {node.domain for node in graph.graph.node} == {""}
    assert [(entry.domain, entry.version) for entry in graph.opset_import] == [("", 18)]


@pytest.mark.parametrize(
    ("fuse", "nodes"),
    [
        (("attention",), {"Attention": 2}),
        (("layernorm",), {"SkipLayerNormalization": 4}),
        (("gelu",), {"BiasGelu": 2}),
        (("attention", "layernorm", "gelu"), {"Attention": 2, "SkipLayerNormalization": 4, "BiasGelu": 2}),
    ],
)
def test_fusing_keeps_the_logits(exported, logits_of, tmp_path, as_artifact, fuse, nodes):
    """
    One node computes what its parts computed; what was not asked for keeps its standard operators.
    """
    facts = optimize.run(exported, OptimizeSettings(fuse=fuse), tmp_path, silent)
    graph = onnx.load(tmp_path / "model.onnx")

    assert Counter(node.op_type for node in graph.graph.node if node.domain == "com.microsoft") == nodes
    assert facts.fused == fuse
    assert relative_difference(logits_of(as_artifact(tmp_path, "onnx")), logits_of(exported)) < TOLERANCE


def test_what_is_fused_is_read_from_a_recipe_and_a_command_line():
    """
    As a list or as words between commas; a word that is none is refused with the nearest.
    """
    for value in (["attention", "gelu"], "attention,gelu"):
        assert read(OptimizeSettings, {"fuse": value}, "optimize").fuse == ("attention", "gelu")
    with pytest.raises(ConfigError, match=r"optimize\.fuse: 'gellu' is not one of its values") as caught:
        read(OptimizeSettings, {"fuse": "gellu"}, "optimize")
    assert caught.value.hint == "Did you mean 'gelu'? Known: attention, gelu, layernorm."


def test_a_fused_graph_can_be_quantized(fused, tmp_path, as_artifact, logits_of):
    """
    Its tensors have types that shape inference does not find; a tenth of the logits' range catches a wrong scale.
    """
    quantize.run(fused, QuantizeSettings(), tmp_path, silent)
    graph = onnx.load(tmp_path / "model.onnx").graph
    before, after = logits_of(fused), logits_of(as_artifact(tmp_path, "onnx"))

    assert sum(node.op_type == "QAttention" for node in graph.node) == 2
    assert np.abs(after - before).max() < 0.1 * (before.max() - before.min())


def test_places_are_sliced_from_a_constant(optimized):
    """
    What XLM-R counts out of the ids, and its one segment, are gone.
    """
    graph = onnx.load(optimized.path / "model.onnx").graph
    names = {weight.name for weight in graph.initializer}

    assert not {"CumSum", "Expand", "Where"} & {node.op_type for node in graph.node}
    assert any(node.op_type == "Slice" and node.output[0] == "position_ids" for node in graph.node)
    assert not [name for name in names if "token_type" in name]


@pytest.mark.parametrize("stage", ["exported", "optimized", "fused"])
def test_padding_changes_nothing(stage, request):
    """
    A sentence alone has the logits of the same sentence in a padded batch; 1e-4 is what an export is allowed.
    """
    graph = request.getfixturevalue(stage).path / "model.onnx"
    run = forward(open_session(graph, threads=1))
    rows = [(0, 5, 9, 17, 22, 31, 40, 2), (0, 12, 2), (0, *range(2, 49), 2)]
    together = run(*padded(rows, pad=1))

    for row, found in zip(rows, together, strict=True):
        alone = run(*padded([row], pad=1))[0]
        assert np.abs(found[: len(row)] - alone).max() < 1e-4


def test_a_shared_embedding_stays_in_the_file_once(masked, tmp_path_factory, tmp_path, logits_of, as_artifact):
    """
    A masked-LM head multiplies with the word embedding turned over; folding alone would write that down too.
    """
    folder = tmp_path_factory.mktemp("masked")
    export_onnx.run(masked, ExportOnnxSettings(), folder, silent)
    exported = as_artifact(folder, "onnx")
    optimize.run(exported, OptimizeSettings(), tmp_path, silent)
    graph = onnx.load(tmp_path / "model.onnx").graph
    rows = int(checkpoint.read_config(masked.path)["vocab_size"])
    largest = [weight for weight in graph.initializer if rows in weight.dims and len(weight.dims) == 2]

    assert [list(weight.dims) for weight in largest] == [[rows, 16]]
    assert relative_difference(logits_of(as_artifact(tmp_path, "onnx")), logits_of(exported)) < TOLERANCE


def test_a_graph_that_onnxruntime_cannot_run_is_refused(exported, tmp_path, as_artifact):
    """
    Known operators and no sense: shapes that cannot be multiplied.
    """
    folder = shutil.copytree(exported.path, tmp_path / "odd")
    graph = onnx.load(folder / "model.onnx")
    graph.graph.node[-1].input[0] = graph.graph.node[-1].input[1]
    next(node for node in graph.graph.node if node.op_type == "Gather" and "word" in node.input[0]).input[1] = "nothing"
    onnx.save_model(graph, folder / "model.onnx")

    with pytest.raises(ModelError) as caught:
        optimize.run(as_artifact(folder, "onnx"), OptimizeSettings(), tmp_path, silent)
    assert caught.value.message.startswith(f"{folder / 'model.onnx'}: onnxruntime cannot run it (")
    assert caught.value.hint == "Export the model again: edgeafri export-onnx MODEL --out DIR."


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
    optimize.run(exported, OptimizeSettings(), tmp_path, silent)

    assert (tmp_path / "model.onnx").read_bytes() == (optimized.path / "model.onnx").read_bytes()


def test_unused_nodes_weights_and_operator_sets_go():
    """
    What nothing reads is dead weight on a device, and so is what only that reads.
    """
    ones = np.ones(2, dtype=np.float32)
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "dead"], ["unread"]), helper.make_node("Add", ["x", "read"], ["y"])],
        "two weights, one read",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])],
        [numpy_helper.from_array(ones, "read"), numpy_helper.from_array(ones, "dead")],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=opsets)
    drop_unused(model)

    assert [node.op_type for node in model.graph.node] == ["Add"]
    assert [weight.name for weight in model.graph.initializer] == ["read"]
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 18)]


def test_only_an_equal_table_is_tied():
    """
    Turned over and equal in every number: of the same shape is not enough.
    """
    table = np.arange(6, dtype=np.float32).reshape(3, 2)
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["rows"]),
        helper.make_node("MatMul", ["rows", "turned"], ["a"]),
        helper.make_node("MatMul", ["rows", "other"], ["b"]),
    ]
    weights = {"table": table, "turned": table.T.copy(), "other": table.T + 1}
    initializers = [numpy_helper.from_array(values, name) for name, values in weights.items()]
    graph = helper.make_model(helper.make_graph(nodes, "tied", [], [], initializers))
    tie_tables(graph)

    assert [weight.name for weight in graph.graph.initializer] == ["table", "other"]
    assert graph.graph.node[0].op_type == "Transpose"
    assert list(graph.graph.node[0].output) == ["turned"]
