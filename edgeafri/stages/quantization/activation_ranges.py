"""activation_ranges: how far every channel of what linear layers read reaches on calibration text, in one pass.

An int8 product rounds its input to 255 steps between the least and the largest number of the whole tensor, so that one
channel that reaches far takes the steps of all others.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from edgeafri.errors import ModelError
from edgeafri.inference.predict import EncodedInput, padded
from edgeafri.stages.graphs.linear_layers import float_products
from edgeafri.stages.quantization.calibration_text import CalibrationInputs
from edgeafri.util.in_threads import in_threads
from edgeafri.util.progress import Progress

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

Floats = NDArray[np.float64]
OpenGraph = Callable[[onnx.ModelProto], "InferenceSession"]
_STEPS = 255
_AXES_ARE_INPUTS = 18  # the operator set from which ReduceMax reads its axes as an input
_ROWS, _FIRST = "ranges/rows", "ranges/first"


@dataclass(frozen=True)
class Product:
    """A linear layer: its output, its matrix and the number of its outputs.

    `rows` holds the sum of squares of every row of the matrix, one for each channel that is read; `energy` the sum of
    squares of what comes out, the mean over tokens, one for each sentence.
    """

    output: str
    matrix: str
    outputs: int
    rows: Floats
    energy: Floats


@dataclass(frozen=True)
class Activation:
    """What linear layers read: the least and the largest number of every channel in every sentence.

    `low` and `high` have the shape (sentences, channels); `products` read it.
    """

    name: str
    low: Floats
    high: Floats
    products: tuple[Product, ...]

    @property
    def reach(self) -> Floats:
        """The largest absolute number of every channel over all sentences, of shape (channels,)."""
        reach: Floats = np.maximum(-self.low, self.high).max(axis=0)
        return reach

    def rounding_error(self, left_out: Sequence[int] = ()) -> float:
        """What rounding to int8 does to the products when these channels are left out of the range.

        The mean square of the error as a share of the mean square of what comes out, summed over the products. Errors
        are taken as uniform in a step: a twelfth of its square each.
        """
        kept = np.setdiff1d(np.arange(self.low.shape[1]), left_out)
        # A range of onnxruntime's holds 0.
        width = self.high[:, kept].max(axis=1, initial=0) - self.low[:, kept].min(axis=1, initial=0)
        error = (width / _STEPS) ** 2 / 12
        return sum(float(np.mean(error * item.rows[kept].sum() / item.energy)) for item in self.products)


def measure_ranges(
    graph: onnx.ModelProto, text: CalibrationInputs, open_graph: OpenGraph, progress: Progress
) -> tuple[Activation, ...]:
    """The ranges of every activation that a float32 MatMul reads, in the order of the graph.

    ModelError that names the channels where a number is NaN or infinite: no scale holds such a number.
    """
    readers = _readers(graph)
    session = open_graph(_measuring(graph, readers))
    wanted = [item.name for item in session.get_inputs()]
    rows = [row for found in text.rows.values() for row in found]

    def ranges(row: EncodedInput) -> Sequence[Floats]:
        ids, mask = padded([row.ids], text.frame.pad)
        feed = {"input_ids": ids, "attention_mask": mask}
        values: Sequence[Floats] = session.run(None, {name: feed[name] for name in wanted})
        return values

    taken = list(in_threads(ranges, rows, progress))
    names = [item.name for item in session.get_outputs()]
    found = {name: np.asarray(values, np.float64) for name, values in zip(names, zip(*taken, strict=True), strict=True)}
    _check_finite(readers, found)
    matrices = float_products(graph)
    return tuple(_activation(name, nodes, matrices, found) for name, nodes in readers.items())


def _readers(graph: onnx.ModelProto) -> dict[str, list[onnx.NodeProto]]:
    """By activation the products that read it, without what a fused node reads too, which nothing can split."""
    matrices = float_products(graph)
    fused = {node.input[0] for node in graph.graph.node if node.op_type == "Attention"}
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.graph.node:
        if node.op_type == "MatMul" and node.name in matrices and node.input[0] not in fused:
            readers.setdefault(node.input[0], []).append(node)
    return readers


def _measuring(graph: onnx.ModelProto, readers: Mapping[str, Sequence[onnx.NodeProto]]) -> onnx.ModelProto:
    """The graph that gives ranges and energies, and no logits."""
    measuring = onnx.ModelProto()
    measuring.CopyFrom(graph)
    body = measuring.graph
    opset = next(entry.version for entry in measuring.opset_import if entry.domain in ("", "ai.onnx"))
    body.initializer.append(numpy_helper.from_array(np.array([0]), _FIRST))
    widths = {name: float_products(graph)[nodes[0].name].dims[0] for name, nodes in readers.items()}
    for width in set(widths.values()):
        body.initializer.append(numpy_helper.from_array(np.array([-1, width]), f"{_ROWS}{width}"))
    del body.output[:]
    for name, nodes in readers.items():
        body.node.extend(_reductions(name, widths[name], opset))
        body.node.extend(node for product in nodes for node in _mean_square(product.output[0]))
        given = [f"{name}{end}" for end in ("/low", "/high", "/sum")]
        given += [f"{product.output[0]}/square_mean" for product in nodes]
        body.output.extend(onnx.ValueInfoProto(name=output) for output in given)
    return measuring


def _reductions(name: str, width: int, opset: int) -> Iterator[onnx.NodeProto]:
    """Least, largest and sum of every channel; the sum alone is sure to carry a NaN."""
    rows = f"{name}/rows"
    yield helper.make_node("Reshape", [name, f"{_ROWS}{width}"], [rows])
    for kind, end in (("ReduceMin", "/low"), ("ReduceMax", "/high"), ("ReduceSum", "/sum")):
        if kind == "ReduceSum" or opset >= _AXES_ARE_INPUTS:
            yield helper.make_node(kind, [rows, _FIRST], [name + end], keepdims=0)
        else:
            yield helper.make_node(kind, [rows], [name + end], keepdims=0, axes=[0])


def _mean_square(name: str) -> Iterator[onnx.NodeProto]:
    yield helper.make_node("Mul", [name, name], [f"{name}/square"])
    yield helper.make_node("ReduceMean", [f"{name}/square"], [f"{name}/square_mean"], keepdims=0)


def _activation(
    name: str,
    nodes: Sequence[onnx.NodeProto],
    matrices: Mapping[str, onnx.TensorProto],
    found: Mapping[str, Floats],
) -> Activation:
    products = []
    for node in nodes:
        matrix = numpy_helper.to_array(matrices[node.name]).astype(np.float64)
        outputs = matrix.shape[1]
        energy = np.maximum(found[f"{node.output[0]}/square_mean"] * outputs, np.finfo(np.float64).tiny)
        products.append(Product(node.output[0], node.input[1], outputs, np.square(matrix).sum(axis=1), energy))
    return Activation(name, found[f"{name}/low"], found[f"{name}/high"], tuple(products))


def _check_finite(readers: Mapping[str, object], found: Mapping[str, Floats]) -> None:
    for name in readers:
        bad = np.flatnonzero(~np.isfinite(found[f"{name}/sum"]).all(axis=0))
        if len(bad):
            shown = ", ".join(str(channel) for channel in bad[:8]) + (", ..." if len(bad) > 8 else "")
            message = f"quantize: NaN or infinite numbers in {name}, channel {shown}"
            hint = "The model itself computes them on this text; look at its weights, or save it in float32 again."
            raise ModelError(message, hint)
