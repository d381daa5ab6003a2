"""tables: int8 with a scale a row, or 4 bits with a scale a block, in operators that every onnxruntime has."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeafri.stages.optimize import drop_unused
from edgeafri.stages.quantization.blocks import quantize_blocks, read_blocks
from edgeafri.stages.quantization.embedding_tables import quantize_rows, quantize_tables


@pytest.fixture
def run():
    """A function: a graph and ids to what it gives."""
    import onnxruntime

    def answers(graph, **feeds):
        session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
        return session.run(None, feeds)[0]

    return answers


def lookup(table: np.ndarray, opset: int = 13) -> onnx.ModelProto:
    """A graph that reads rows of a table, its words' and another of ten rows."""
    nodes = [
        helper.make_node("Gather", ["words", "input_ids"], ["word"], name="read"),
        helper.make_node("Gather", ["places", "input_ids"], ["place"], name="count"),
        helper.make_node("Add", ["word", "place"], ["rows"], name="sum"),
    ]
    ids = helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "length"])
    out = helper.make_tensor_value_info("rows", TensorProto.FLOAT, ["batch", "length", table.shape[1]])
    weights = [numpy_helper.from_array(table, "words"), numpy_helper.from_array(table[:10] * 0, "places")]
    graph = helper.make_graph(nodes, "lookup", [ids], [out], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=7)


def table_of(rows: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(rows, width)).astype(np.float32)


def test_a_row_is_off_by_half_a_scale_at_most():
    """
    The bound of rounding, row by row; 1e-6 is float32 itself.
    """
    table = np.random.default_rng(0).normal(size=(50, 24)).astype(np.float32) * np.logspace(-4, 2, 50)[:, None]
    table = table.astype(np.float32)
    codes, scales = quantize_rows(table)

    assert (codes.dtype, scales.dtype, scales.shape) == (np.int8, np.float32, (50, 1))
    assert (np.abs(codes * scales - table) <= scales * (0.5 + 1e-6)).all()
    assert (np.abs(codes.astype(int)).max(axis=1) == 127).all()


def test_a_row_of_zeros_stays_zero():
    """
    The padding's row is zero in many models; its scale must not divide by zero.
    """
    codes, scales = quantize_rows(np.array([[0, 0], [1, -2]], dtype=np.float32))

    assert (codes * scales)[0].tolist() == [0, 0]
    assert np.isfinite(scales).all()


def test_codes_are_symmetric():
    """
    -128 is never used, so a row and its negative have negative codes of each other.
    """
    row = np.array([[0.3, -1.0, 0.77]], dtype=np.float32)

    assert quantize_rows(-row)[0].tolist() == (-quantize_rows(row)[0]).tolist()


@pytest.mark.parametrize("kind", [TensorProto.INT64, TensorProto.FLOAT])
def test_only_float_tables_are_tables(optimized, kind):
    """
    Position numbers and shapes are gathered too; they are no embeddings.
    """
    graph = onnx.load(optimized.path / "model.onnx")
    table = onnx.helper.make_tensor("numbers", kind, [2] if kind == TensorProto.FLOAT else [2, 1], [1, 2])
    del graph.graph.initializer[:]
    graph.graph.initializer.append(table)
    for node in graph.graph.node:
        if node.op_type == "Gather":
            node.input[0] = "numbers"

    drop_unused(graph)
    before = graph.SerializeToString()

    assert quantize_tables(graph) == []
    assert graph.SerializeToString() == before


@pytest.mark.parametrize("width", [64, 256, 40])
@pytest.mark.parametrize("block", [32, 128])
def test_four_bits_read_what_numpy_reads(run, width, block):
    """
    Bit for bit, at the oldest opset, also where blocks reach over the end of a row. The small table has 8 bits.
    """
    table = table_of(30, width)
    graph = lookup(table)
    names = quantize_tables(graph, 4, block)
    ids = np.array([[0, 3, 3], [9, 5, 1]])
    expected = read_blocks(*quantize_blocks(table, block, 4), 4, width)

    assert names == ["words", "places"]
    assert (run(graph, input_ids=ids) == expected[ids]).all()


def test_four_bits_take_half_a_byte():
    """
    And four bytes a block; nothing is left of the float table.
    """
    graph = lookup(table_of(30, 256))
    quantize_tables(graph, 4, 128)
    weights = {weight.name: weight for weight in graph.graph.initializer}

    assert len(weights["words_int4"].raw_data) == 30 * 256 // 2
    assert len(weights["words_scale"].raw_data) == 30 * 2 * 4
    assert "words" not in weights
    assert weights["places_int8"].data_type == TensorProto.INT8


def test_eight_bits_read_what_numpy_reads(run):
    """
    Bit for bit, a row times its scale.
    """
    table = table_of(30, 24)
    graph = lookup(table)
    quantize_tables(graph)
    codes, scales = quantize_rows(table)
    ids = np.array([[7, 0]])

    assert (run(graph, input_ids=ids) == (codes * scales)[ids]).all()
