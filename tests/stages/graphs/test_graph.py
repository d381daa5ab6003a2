"""graph: what onnxruntime would stumble over is told before anything is written, with the file and what to do."""

import shutil

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeafri.builder.jobs import plan_jobs
from edgeafri.builder.pipeline import run_job
from edgeafri.builder.recipe import Step
from edgeafri.errors import ModelError
from edgeafri.inference.session import IR_VERSION
from edgeafri.stages.graphs.graph import nodes_of, read_graph, write_graph


def little(operator: str = "Add", domain: str = "", opset: int = 18, inputs=("input_ids", "attention_mask")):
    """A graph of one node and one weight that nodes of its branches would read."""
    node = helper.make_node(operator, list(inputs), ["sum"], domain=domain)
    last = helper.make_node("MatMul", ["float", "table"], ["logits"])
    ends = [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "length"]) for name in inputs]
    graph = helper.make_graph(
        [node, helper.make_node("Cast", ["sum"], ["float"], to=TensorProto.FLOAT), last],
        "little",
        ends,
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 3])],
        [numpy_helper.from_array(np.ones((4, 3), np.float32), "table")],
    )
    opsets = [helper.make_opsetid("", opset), *([helper.make_opsetid(domain, 1)] if domain else [])]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def refusal(graph, path):
    if isinstance(graph, bytes):
        path.write_bytes(graph)
    else:
        onnx.save_model(graph, path)
    with pytest.raises(ModelError) as caught:
        read_graph(path)
    return caught.value


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.onnx"


def test_what_is_written_is_read(path):
    """
    Weights and all; the file version is pinned, also where the library would write a newer one.
    """
    graph = little()
    graph.ir_version = 13
    write_graph(graph, path)

    assert read_graph(path) == graph
    assert graph.ir_version == IR_VERSION


def test_a_cut_off_graph_is_refused(path, exported):
    """
    Wherever it ends: a copy that broke off is no shorter model.
    """
    whole = (exported.path / "model.onnx").read_bytes()

    for share in (0.01, 0.5, 0.999):
        error = refusal(whole[: int(share * len(whole))], path)
        assert error.message.startswith(f"{path}: not readable as an ONNX graph (")
        assert error.hint == "Export the model again: edgeafri export-onnx MODEL --out DIR."


def test_an_empty_file_is_refused(path):
    """
    It would parse as a graph without nodes.
    """
    assert refusal(b"", path).message == f"{path}: not an ONNX graph, or cut off"


def test_a_missing_graph_is_refused(path):
    """
    A folder of another kind.
    """
    with pytest.raises(ModelError, match="not readable as an ONNX graph"):
        read_graph(path)


def with_weights_beside(path):
    onnx.save_model(little(), path, save_as_external_data=True, location="model.data", size_threshold=0)
    return path.with_name("model.data")


def test_weights_beside_the_graph_are_read(path):
    """
    Other tools write them there; our graphs are one file.
    """
    with_weights_beside(path)
    (table,) = read_graph(path).graph.initializer

    assert np.array_equal(numpy_helper.to_array(table), np.ones((4, 3)))
    assert not table.external_data


@pytest.mark.parametrize("left", [None, 8])
def test_missing_weights_beside_the_graph_are_named(path, left):
    """
    Gone altogether or cut off: the file and what to copy.
    """
    beside = with_weights_beside(path)
    if left is None:
        beside.unlink()
    else:
        beside.write_bytes(beside.read_bytes()[:left])

    with pytest.raises(ModelError) as caught:
        read_graph(path)
    assert caught.value.message == f"{path}: weights beside the graph are missing or cut off: model.data"
    assert caught.value.hint.startswith("Copy the whole folder")


def test_weights_outside_the_folder_are_refused(path):
    """
    A graph cannot have files of this machine read into it.
    """
    graph = little()
    (table,) = graph.graph.initializer
    table.ClearField("raw_data")
    table.data_location = TensorProto.EXTERNAL
    table.external_data.add(key="location", value="../../etc/passwd")

    assert "are missing or cut off: ../../etc/passwd" in refusal(graph, path).message


@pytest.mark.parametrize("opset", [9, 22])
def test_another_opset_is_refused(path, opset):
    """
    Older ones lack operators that later stages write, newer ones the oldest onnxruntime does not read.
    """
    error = refusal(little(opset=opset), path)

    assert error.message == f"{path}: opset {opset}; this version reads 13 to 21"
    assert error.hint == "Export it again: edgeafri export-onnx MODEL --out DIR, with --opset 18 or none."


def test_a_newer_file_version_is_refused(path):
    """
    onnxruntime would refuse it on the device.
    """
    graph = little()
    graph.ir_version = 13
    error = refusal(graph, path)

    assert error.message == f"{path}: file version (IR) 13; the oldest supported onnxruntime reads {IR_VERSION}"
    assert "edgeafri export-onnx MODEL --out DIR" in error.hint


@pytest.mark.parametrize(
    ("operator", "domain", "opset", "named"),
    [
        ("Gelu", "", 18, "Gelu of opset 18"),  # it came with 20
        ("Ad", "", 18, "Ad of opset 18"),
        ("Attend", "com.microsoft", 18, "com.microsoft.Attend of opset 1"),
        ("Add", "my.own", 18, "my.own.Add of opset 1"),
    ],
)
def test_an_unknown_operator_is_refused(path, operator, domain, opset, named):
    """
    By name: one of the standard's that came later, a misspelt one, one of nobody's.
    """
    error = refusal(little(operator, domain, opset), path)

    assert error.message == f"{path}: onnxruntime has no operator {named}"
    assert error.hint == "Export the model again: edgeafri export-onnx MODEL --out DIR."


def test_an_operator_in_a_branch_is_seen(path):
    """
    Branches hold nodes of their own.
    """
    inner = helper.make_graph([helper.make_node("Ad", ["sum"], ["x"])], "inner", [], [])
    branch = helper.make_node("If", ["sum"], ["y"], then_branch=inner, else_branch=inner)
    graph = little()
    graph.graph.node.append(branch)

    assert [node.op_type for node in nodes_of(branch)] == ["If", "Ad", "Ad"]
    assert "no operator Ad of opset 18" in refusal(graph, path).message


@pytest.mark.parametrize("inputs", [("pixels", "attention_mask"), ("input_ids", "token_type_ids"), ("x", "y")])
def test_a_graph_with_other_inputs_is_refused(path, inputs):
    """
    The runtime gives ids and mask.
    """
    error = refusal(little(inputs=inputs), path)

    assert error.message == f"{path}: takes {', '.join(inputs)} and gives logits, not ids and logits"
    assert error.hint == "Export it from its torch folder: edgeafri export-onnx MODEL --out DIR."


@pytest.mark.parametrize("stage", ["optimize", "quantize"])
@pytest.mark.parametrize("break_it", [lambda data: data[: len(data) // 2], lambda data: b""])
def test_a_stage_leaves_nothing_behind_when_it_refuses(exported, tmp_path, digests, as_artifact, stage: str, break_it):
    """
    Neither a folder that looks finished nor an unfinished one.
    """
    folder = shutil.copytree(exported.path, tmp_path / "graph")
    (folder / "model.onnx").write_bytes(break_it((folder / "model.onnx").read_bytes()))
    (job,) = plan_jobs([Step(stage)], "onnx", {})
    with pytest.raises(ModelError):
        run_job(
            job, as_artifact(folder, "onnx"), tmp_path / "work" / "out", tmp_path / "log", digests, lambda event: None
        )

    assert list((tmp_path / "work").iterdir()) == []
