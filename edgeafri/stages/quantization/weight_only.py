"""weight_only: linear layers whose weights have 4 or 8 bits and one scale per block; activations stay float32.

MatMulNBits of onnxruntime: it multiplies in int8 where the processor has kernels for that (accuracy level 4), else in
float32. Weights lie as that operator's page says: (outputs, blocks, bytes of a block), two 4-bit codes in a byte, the
first in the lower half.
"""

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from edgeafri.errors import ModelError
from edgeafri.stages.graphs.cleanup import drop_unused
from edgeafri.stages.graphs.linear_layers import float_products
from edgeafri.stages.quantization.blocks import packed, quantize_blocks

_DOMAIN = "com.microsoft"
_INT8_PRODUCTS = 4  # accuracy level: activations may become int8 block by block


def quantize_weights(graph: onnx.ModelProto, bits: int, block: int) -> onnx.ModelProto:
    """Put MatMulNBits in the place of every MatMul and Gemm with a float32 matrix of its own. Changes `graph`.

    ModelError for a graph with fused attention, which keeps its matrices inside.
    """
    _check_unfused(graph)
    products = float_products(graph)
    nodes: list[onnx.NodeProto] = []
    made: set[str] = set()
    for node in graph.graph.node:
        matrix = products.get(node.name)
        if matrix is None or not _is_plain(node):
            nodes.append(node)
            continue
        rows = _rows(matrix, node)
        if matrix.name not in made:
            graph.graph.initializer.extend(_tensors(matrix.name, rows, bits, block))
            made.add(matrix.name)
        nodes.extend(_product(node, rows.shape, bits, block))
    del graph.graph.node[:]
    graph.graph.node.extend(nodes)
    graph.opset_import.append(helper.make_opsetid(_DOMAIN, 1))
    drop_unused(graph)
    return graph


def _check_unfused(graph: onnx.ModelProto) -> None:
    if any(node.op_type == "Attention" for node in graph.graph.node):
        hint = "Run optimize without fuse, or use form dynamic."
        raise ModelError("quantize: form 'weights' cannot read the matrices inside fused attention", hint)


def _is_plain(node: onnx.NodeProto) -> bool:
    attributes = {item.name: helper.get_attribute_value(item) for item in node.attribute}
    factors = (attributes.get("alpha", 1.0), attributes.get("beta", 1.0))
    return factors == (1.0, 1.0) and not attributes.get("transA", 0)


def _rows(matrix: onnx.TensorProto, node: onnx.NodeProto) -> NDArray[np.float32]:
    """The matrix with one row per output: (outputs, inputs)."""
    values: NDArray[np.float32] = numpy_helper.to_array(matrix)
    transposed = any(item.name == "transB" and item.i for item in node.attribute)
    return values if transposed else values.T


def _tensors(name: str, rows: NDArray[np.float32], bits: int, block: int) -> list[onnx.TensorProto]:
    codes, scales = quantize_blocks(rows, block, bits)
    kept = packed(codes[:, :, ::2], codes[:, :, 1::2]) if bits == 4 else codes
    return [
        numpy_helper.from_array(np.ascontiguousarray(kept), f"{name}_int{bits}"),
        numpy_helper.from_array(scales.reshape(-1), f"{name}_scale"),
    ]


def _product(node: onnx.NodeProto, shape: tuple[int, ...], bits: int, block: int) -> list[onnx.NodeProto]:
    x, weight, *bias = node.input
    out = f"{node.output[0]}_product" if bias else node.output[0]
    size = {"N": shape[0], "K": shape[1], "bits": bits, "block_size": block, "accuracy_level": _INT8_PRODUCTS}
    inputs = [x, f"{weight}_int{bits}", f"{weight}_scale"]
    nodes = [helper.make_node("MatMulNBits", inputs, [out], name=f"{node.name}_int{bits}", domain=_DOMAIN, **size)]
    if bias:
        nodes.append(helper.make_node("Add", [out, bias[0]], [node.output[0]], name=f"{node.name}_bias"))
    return nodes
