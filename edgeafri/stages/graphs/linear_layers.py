"""linear_layers: which nodes of a graph are linear layers, whatever form their weights have."""

from dataclasses import dataclass

import onnx
from onnx import TensorProto

FLOAT_KINDS = ("MatMul", "Gemm", "Attention")
_INTEGER_KINDS = ("MatMulInteger", "QAttention")
_BITS = {TensorProto.FLOAT: 32, TensorProto.FLOAT16: 16, TensorProto.INT8: 8, TensorProto.UINT8: 8}


@dataclass(frozen=True)
class Linear:
    """One linear layer: how many weights it has, how many bits each takes, and whether they lie in blocks."""

    weights: int
    bits: int
    blocks: bool = False


def linear_layers(graph: onnx.ModelProto) -> tuple[Linear, ...]:
    """The linear layers of a graph, in order: float, dynamic, static (Q/DQ) and weight-only."""
    weights = {weight.name: weight for weight in graph.graph.initializer}
    made_by = {output: node for node in graph.graph.node for output in node.output}
    found = [_layer(node, weights, made_by) for node in graph.graph.node]
    return tuple(layer for layer in found if layer is not None)


def float_products(graph: onnx.ModelProto) -> dict[str, onnx.TensorProto]:
    """Every MatMul and Gemm that reads a float32 matrix of the graph's own: the node's name and the matrix."""
    weights = {weight.name: weight for weight in graph.graph.initializer}
    read = {node.name: weights.get(node.input[1]) for node in graph.graph.node if node.op_type in ("MatMul", "Gemm")}
    return {
        name: matrix
        for name, matrix in read.items()
        if matrix is not None and matrix.data_type == TensorProto.FLOAT and len(matrix.dims) == 2
    }


def _layer(
    node: onnx.NodeProto, weights: dict[str, onnx.TensorProto], made_by: dict[str, onnx.NodeProto]
) -> Linear | None:
    if node.op_type == "MatMulNBits":
        size = {item.name: item.i for item in node.attribute}
        return Linear(size["K"] * size["N"], size["bits"], blocks=True)
    if node.op_type not in (*FLOAT_KINDS, *_INTEGER_KINDS):
        return None
    giver = made_by.get(node.input[1])
    name = giver.input[0] if giver is not None and giver.op_type == "DequantizeLinear" else node.input[1]
    weight = weights.get(name)
    if weight is None or len(weight.dims) != 2:
        return None
    rows, columns = weight.dims
    return Linear(rows * columns, _BITS[weight.data_type])
