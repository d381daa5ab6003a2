"""fixed: scales of activations that are known before the model runs, from ranges on calibration text (Q/DQ).

A channel that is multiplied in float32 beside the int8 product needs no mask in front of a fixed scale: it saturates,
and the rows of the matrix that it meets are zero. Nor is the range looked for, as it is for a scale found at run time.
"""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from onnx import helper

from benchmarks.outliers_forms.rewriting import Rewriting
from edgeafri.stages.quantization.activation_ranges import Activation
from edgeafri.stages.quantization.embedding_tables import quantize_rows

_STEPS = 255
# What split_channels() calls the mask in front of an int8 product, and the neurons that stay in int8.
_KEPT, _REST = "/kept", "/rest"


def fix_scales(
    graph: Rewriting, ranges: Sequence[Activation], plan: Mapping[str, Collection[int]], chosen: Collection[str]
) -> None:
    """Round these activations with fixed scales, which the channels of the plan do not count in."""
    bounds = {item.name: item for item in ranges}
    for name in graph.activations():
        maker = graph.maker(name)
        masked = maker is not None and maker.op_type == "Mul" and maker.input[1] == f"{maker.input[0]}{_KEPT}"
        source = maker.input[0] if maker is not None and masked else name
        whole = source.removesuffix(_REST)
        if whole in chosen:
            item = bounds[whole]
            kept = np.setdiff1d(np.arange(item.low.shape[1]), list(plan.get(whole, ())))
            _fix(graph, name, source, min(item.low[:, kept].min(), 0.0), max(item.high[:, kept].max(), 0.0))


def _fix(graph: Rewriting, name: str, source: str, low: float, high: float) -> None:
    """Let the products of `name` read `source` rounded between `low` and `high`, and their matrices in int8."""
    scale = np.float32((high - low) / _STEPS)
    constants = [
        graph.constant(f"{source}/scale", np.array(scale)),
        graph.constant(f"{source}/zero", np.array(np.rint(-low / scale), np.uint8)),
    ]
    codes, rounded = f"{source}/codes", f"{source}/rounded"
    for node in graph.readers(name):
        node.input[:] = [rounded, _int8(graph, node.name, graph.matrix(node))]
    nodes = [
        helper.make_node("QuantizeLinear", [source, *constants], [codes], codes),
        helper.make_node("DequantizeLinear", [codes, *constants], [rounded], rounded),
    ]
    graph.after(source, nodes)


def _int8(graph: Rewriting, name: str, matrix: NDArray[np.float32]) -> str:
    """A matrix in int8 with one scale per column, read back by a node."""
    codes, scales = quantize_rows(matrix.T)
    stored = graph.constant(f"{name}/int8", codes.T)
    constants = [
        graph.constant(f"{name}/scales", scales[:, 0]),
        graph.constant(f"{name}/zeros", np.zeros(len(scales), np.int8)),
    ]
    read = f"{name}/weights"
    node = helper.make_node("DequantizeLinear", [stored, *constants], [read], read, axis=1)
    graph.graph.node.insert(0, node)
    return read
