"""embedding_tables: 8 bits with one scale per row, or 4 bits with one scale per block, in standard operators.

scale = max|row| / 127. onnxruntime's own tool has one scale for a whole table, which costs rare words most. 4 bits are
for the word embedding; the other tables are small, so that 8 bits cost nothing there.
"""

from collections.abc import Callable, Mapping

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgeafri.stages.graphs.cleanup import drop_unused
from edgeafri.stages.quantization.blocks import packed, quantize_blocks

Nodes = list[onnx.NodeProto]
Tensors = list[onnx.TensorProto]
_IDS = "input_ids"


def quantize_tables(graph: onnx.ModelProto, bits: int = 8, block: int = 128) -> list[str]:
    """Replace every float table that a Gather reads by codes and scales. Changes `graph`; returns the tables' names."""
    tables = float_tables(graph)
    words = _word_table(graph, tables) if bits == 4 else ""
    nodes: Nodes = []
    for node in graph.graph.node:
        if node.op_type != "Gather" or node.input[0] not in tables:
            nodes.append(node)
        elif node.input[0] == words:
            nodes.extend(_gather_blocks(node, tables[words].dims[1], block))
        else:
            nodes.extend(_gather_rows(node))
    for name, table in tables.items():
        graph.graph.initializer.extend(_block_tensors(table, block) if name == words else _row_tensors(table))
    del graph.graph.node[:]
    graph.graph.node.extend(nodes)
    drop_unused(graph)
    return list(tables)


def _word_table(graph: onnx.ModelProto, tables: Mapping[str, onnx.TensorProto]) -> str:
    """The table that the ids themselves are looked up in."""
    read = (node.input[0] for node in graph.graph.node if node.op_type == "Gather" and node.input[1] == _IDS)
    return next((name for name in read if name in tables), "")


def float_tables(graph: onnx.ModelProto) -> dict[str, onnx.TensorProto]:
    """The float32 weights with two axes that a Gather reads rows of, by name."""
    weights = {weight.name: weight for weight in graph.graph.initializer}
    read = [weights.get(node.input[0]) for node in graph.graph.node if node.op_type == "Gather"]
    return {
        table.name: table
        for table in read
        if table is not None and table.data_type == TensorProto.FLOAT and len(table.dims) == 2
    }


def quantize_rows(table: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Symmetric int8, one scale per row: codes (rows, width) and scales (rows, 1), off by half a scale at most."""
    scales = np.abs(table).max(axis=1, keepdims=True) / np.float32(127)
    scales[scales == 0] = 1
    codes = np.clip(np.rint(table / scales), -127, 127).astype(np.int8)
    return codes, scales.astype(np.float32)


def _row_tensors(table: onnx.TensorProto) -> Tensors:
    codes, scales = quantize_rows(numpy_helper.to_array(table))
    return [
        numpy_helper.from_array(codes, f"{table.name}_int8"),
        numpy_helper.from_array(scales, f"{table.name}_scale"),
    ]


def _gather_rows(node: onnx.NodeProto) -> Nodes:
    table, ids = node.input
    out = node.output[0]  # a linear layer behind it has its own scale for this, named after it
    return [
        helper.make_node("Gather", [f"{table}_int8", ids], [f"{out}_int8"], name=f"{node.name}_int8"),
        helper.make_node("Gather", [f"{table}_scale", ids], [f"{out}_row_scale"], name=f"{node.name}_row_scale"),
        helper.make_node("Cast", [f"{out}_int8"], [f"{out}_float"], name=f"{node.name}_cast", to=TensorProto.FLOAT),
        helper.make_node("Mul", [f"{out}_float", f"{out}_row_scale"], [out], name=f"{node.name}_mul"),
    ]


def _block_tensors(table: onnx.TensorProto, block: int) -> Tensors:
    """Codes of shape (rows, blocks, block / 2): a block's first half lies in the lower half of the bytes."""
    rows = numpy_helper.to_array(table)
    codes, scales = quantize_blocks(rows, block, bits=4)
    half = block // 2
    constants = {"four": np.uint8(4), "middle": np.float32(8), "shape": np.array([0, 0, codes[0].size])}
    constants |= {"start": np.array([0]), "end": np.array([rows.shape[1]]), "axis": np.array([2])}
    return [
        numpy_helper.from_array(packed(codes[:, :, :half], codes[:, :, half:]), f"{table.name}_int4"),
        numpy_helper.from_array(scales[:, :, None], f"{table.name}_scale"),
        *(numpy_helper.from_array(np.asarray(value), f"{table.name}_{key}") for key, value in constants.items()),
    ]


def _gather_blocks(node: onnx.NodeProto, width: int, block: int) -> Nodes:
    """Read bytes and scales, shift the two codes of each byte apart, scale them; shifts are the oldest operators."""
    table, ids = node.input
    made = _maker(node)
    out = node.output[0]
    whole = f"{out}_whole" if width % block else out  # blocks reach over the end of a row
    nodes = [
        made("Gather", [f"{table}_int4", ids], f"{out}_bytes"),
        made("Gather", [f"{table}_scale", ids], f"{out}_block_scale"),
        made("BitShift", [f"{out}_bytes", f"{table}_four"], f"{out}_left", direction="LEFT"),
        made("BitShift", [f"{out}_left", f"{table}_four"], f"{out}_low", direction="RIGHT"),
        made("BitShift", [f"{out}_bytes", f"{table}_four"], f"{out}_high", direction="RIGHT"),
        made("Concat", [f"{out}_low", f"{out}_high"], f"{out}_codes", axis=-1),
        made("Cast", [f"{out}_codes"], f"{out}_float", to=TensorProto.FLOAT),
        made("Sub", [f"{out}_float", f"{table}_middle"], f"{out}_signed"),
        made("Mul", [f"{out}_signed", f"{out}_block_scale"], f"{out}_blocks"),
        made("Reshape", [f"{out}_blocks", f"{table}_shape"], whole),
    ]
    if whole != out:
        nodes.append(made("Slice", [whole, *(f"{table}_{key}" for key in ("start", "end", "axis"))], out))
    return nodes


def _maker(node: onnx.NodeProto) -> Callable[..., onnx.NodeProto]:
    """A function that makes a node with one output, named after both."""

    def make(kind: str, inputs: list[str], output: str, **attributes: object) -> onnx.NodeProto:
        name = f"{node.name}_{output.removeprefix(node.output[0]).strip('_') or kind.lower()}"
        return helper.make_node(kind, inputs, [output], name=name, **attributes)

    return make
