"""static: int8 linear layers whose inputs have one scale for all text, found on calibration text (Q/DQ).

Weights are signed with one scale per output channel. The output of a layer stays float32: a scale of its own would cost
quality, and onnxruntime does not need it.
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Literal

import onnx
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static

from edgeafri.errors import ModelError
from edgeafri.inference.predict import Ids, padded
from edgeafri.stages.graphs.linear_layers import float_products
from edgeafri.stages.quantization.calibration_text import CalibrationInputs

_KINDS = ["MatMul", "Gemm"]
_METHODS = {
    "minmax": CalibrationMethod.MinMax,
    "entropy": CalibrationMethod.Entropy,
    "percentile": CalibrationMethod.Percentile,
}
_AT_ONCE = 1  # inputs whose activations are in memory together


def quantize_by_text(
    graph: onnx.ModelProto,
    scratch: Path,
    text: CalibrationInputs,
    method: Literal["minmax", "entropy", "percentile"],
    in_float: Collection[str] = (),
) -> onnx.ModelProto:
    """The graph with signed int8 weights and fixed scales of activations; `scratch` is a file that it may write.

    The nodes `in_float` stay as they are.

    ModelError for a graph with fused attention, where one scale belongs to three products.
    """
    if any(node.op_type == "Attention" for node in graph.graph.node):
        hint = "Run optimize without fuse, or use form dynamic."
        raise ModelError("quantize: form 'static' cannot calibrate fused attention", hint)
    quantize_static(
        graph,
        str(scratch),
        Reader(text, [item.name for item in graph.graph.input]),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=_KINDS,
        nodes_to_quantize=[name for name in float_products(graph) if name not in in_float],
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        calibrate_method=_METHODS[method],
        extra_options={
            "OpTypesToExcludeOutputQuantization": _KINDS,
            "CalibStridedMinMax": _AT_ONCE,
        },
    )
    quantized = onnx.load(scratch)
    round_for_products_alone(quantized)
    return quantized


def round_for_products_alone(graph: onnx.ModelProto) -> None:
    """Give the exact values of a tensor to all who read it but the products. Changes `graph`.

    onnxruntime's tool gives the rounded values to the residual sums too, which costs quality and saves no time.
    """
    exact = {node.output[0]: node.input[0] for node in graph.graph.node if node.op_type == "QuantizeLinear"}
    rounded = {
        node.output[0]: exact[node.input[0]]
        for node in graph.graph.node
        if node.op_type == "DequantizeLinear" and node.input[0] in exact
    }
    for node in graph.graph.node:
        if node.op_type not in _KINDS:
            node.input[:] = [rounded.get(name, name) for name in node.input]


class Reader(CalibrationDataReader):
    """Calibration text as onnxruntime asks for it: so many inputs at a time, none padded, None after the last."""

    def __init__(self, text: CalibrationInputs, names: list[str]) -> None:
        self.rows = [row.ids for rows in text.rows.values() for row in rows]
        self.pad, self.names = text.frame.pad, names
        self.set_range(0, len(self.rows))

    def __len__(self) -> int:
        return len(self.rows)

    def set_range(self, start_index: int, end_index: int) -> None:
        """Go on with these inputs."""
        self.left = iter(self.rows[start_index:end_index])

    def get_next(self) -> Mapping[str, Ids] | None:
        """The next input by the names of the graph."""
        row = next(self.left, None)
        if row is None:
            return None
        ids, mask = padded([row], self.pad)
        feed = {"input_ids": ids, "attention_mask": mask}
        return {name: feed[name] for name in self.names}
