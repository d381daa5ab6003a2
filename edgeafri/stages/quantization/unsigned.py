"""unsigned: the exact twin of a graph with signed int8 weights, for processors that saturate products with those.

Weights + 128 with a zero point of 128 stand for the same numbers, and every product gives the same integers.
"""

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

# Where an operator reads its weights, and their zero point.
_PLACES = {"MatMulInteger": (1, 3), "QAttention": (1, 7), "DequantizeLinear": (0, 2)}


def make_unsigned(graph: onnx.ModelProto) -> None:
    """Turn every signed int8 weight of the linear layers into its unsigned twin. Changes `graph`."""
    weights = {weight.name: weight for weight in graph.graph.initializer}
    for name in set(_read(graph)):
        weight = weights.get(name)
        if weight is not None and weight.data_type == TensorProto.INT8:
            moved = numpy_helper.to_array(weight).astype(np.int16) + 128
            weight.CopyFrom(numpy_helper.from_array(moved.astype(np.uint8), name))


def _read(graph: onnx.ModelProto) -> Iterator[str]:
    for node in graph.graph.node:
        yield from (node.input[place] for place in _PLACES.get(node.op_type, ()))
