"""quantize: int8 weights. Linear layers signed and per output channel, embedding tables per row.

Linear layers go through onnxruntime's dynamic quantization: x is quantized as it comes, u8 with its own scale, and
multiplied with s8 weights. Embedding tables get one scale a row, s = max|row| / 127, where onnxruntime's own tool keeps
one scale for the whole table, which is what hurts rare words. Only standard operators are used.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

from edgeafri.artifact import Artifact
from edgeafri.progress import Tick
from edgeafri.stages.export_onnx import GRAPH, carry, write_graph
from edgeafri.stages.menu import Quantize
from edgeafri.stages.optimize import drop_unused

_LINEAR = ["MatMul", "Gemm", "Attention"]


def run(source: Artifact, settings: Quantize, out: Path, tick: Tick) -> Mapping[str, Any]:
    """Quantize embeddings, then linear layers; what a setting leaves in float32 stays as it is."""
    tick(0, 3)
    graph = onnx.load(source.path / GRAPH)
    tables = quantize_tables(graph) if settings.embeddings == "int8" else []
    tick(1, 3)
    linear = _quantize_linear(graph, out / GRAPH) if settings.weights == "int8" else graph
    tick(2, 3)
    drop_unused(linear)
    write_graph(linear, out / GRAPH)
    carry(source.path, out)
    return {
        "weight_bits": 8 if settings.weights == "int8" else 32,
        "embedding_bits": 8 if settings.embeddings == "int8" else 32,
        "tables": len(tables),
        "linear_layers": sum(node.op_type in ("MatMulInteger", "QAttention") for node in linear.graph.node),
    }


def quantize_rows(table: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Symmetric int8 with one scale a row: codes (rows, width) and scales (rows, 1). Error is at most half a scale."""
    scales = np.abs(table).max(axis=1, keepdims=True) / np.float32(127)
    scales[scales == 0] = 1
    codes = np.clip(np.rint(table / scales), -127, 127).astype(np.int8)
    return codes, scales.astype(np.float32)


def quantize_tables(graph: onnx.ModelProto) -> list[str]:
    """Replace every float table that a Gather reads by int8 codes and scales. Changes `graph`; returns table names."""
    weights = {weight.name: weight for weight in graph.graph.initializer}
    nodes, names = [], []
    for node in graph.graph.node:
        table = weights.get(node.input[0]) if node.op_type == "Gather" else None
        if table is None or table.data_type != TensorProto.FLOAT or len(table.dims) != 2:
            nodes.append(node)
            continue
        if table.name not in names:
            names.append(table.name)
            graph.graph.initializer.extend(_row_tensors(table))
        nodes.extend(_gather_rows(node))
    del graph.graph.node[:]
    graph.graph.node.extend(nodes)
    drop_unused(graph)
    return names


def _row_tensors(table: onnx.TensorProto) -> list[onnx.TensorProto]:
    codes, scales = quantize_rows(numpy_helper.to_array(table))
    return [
        numpy_helper.from_array(codes, f"{table.name}_int8"),
        numpy_helper.from_array(scales, f"{table.name}_scale"),
    ]


def _gather_rows(node: onnx.NodeProto) -> list[onnx.NodeProto]:
    table, ids = node.input
    out = node.output[0]  # a linear layer behind it has its own scale for this, named after it
    return [
        helper.make_node("Gather", [f"{table}_int8", ids], [f"{out}_int8"], name=f"{node.name}_int8"),
        helper.make_node("Gather", [f"{table}_scale", ids], [f"{out}_row_scale"], name=f"{node.name}_row_scale"),
        helper.make_node("Cast", [f"{out}_int8"], [f"{out}_float"], name=f"{node.name}_cast", to=TensorProto.FLOAT),
        helper.make_node("Mul", [f"{out}_float", f"{out}_row_scale"], [out], name=f"{node.name}_mul"),
    ]


def _quantize_linear(graph: onnx.ModelProto, out: Path) -> onnx.ModelProto:
    quantize_dynamic(
        graph,
        str(out),
        op_types_to_quantize=_LINEAR,
        per_channel=True,
        weight_type=QuantType.QInt8,
        # Fused graphs name tensors whose type shape inference does not find.
        extra_options={"DefaultTensorType": TensorProto.FLOAT},
    )
    return onnx.load(out)
