"""dynamic: int8 linear layers through onnxruntime's dynamic quantization.

The input of a layer is quantized at run time, to u8 with a scale of its own, and multiplied with weights that have one
scale per output channel.
"""

from collections.abc import Collection
from pathlib import Path

import onnx
from onnx import TensorProto
from onnxruntime.quantization import QuantType, quantize_dynamic

from edgeafri.stages.graphs.linear_layers import FLOAT_KINDS


def quantize_as_it_comes(graph: onnx.ModelProto, scratch: Path, in_float: Collection[str] = ()) -> onnx.ModelProto:
    """The graph with signed int8 weights, but for the nodes `in_float`; `scratch` is a file that it may write."""
    quantize_dynamic(
        graph,
        str(scratch),
        op_types_to_quantize=list(FLOAT_KINDS),
        nodes_to_exclude=list(in_float),
        per_channel=True,
        weight_type=QuantType.QInt8,
        # Fused graphs name tensors whose type shape inference does not find.
        extra_options={"DefaultTensorType": TensorProto.FLOAT},
    )
    return onnx.load(scratch)
