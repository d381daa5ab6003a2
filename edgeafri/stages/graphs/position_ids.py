"""position_ids: the position ids that XLM-R computes from its input, and the one segment, as constants of the graph.

XLM-R's position ids are cumsum(ids != pad) * (ids != pad) + pad. The runtime puts padding at the end and nowhere else,
and then position i has the id pad + 1 + i: a slice of a constant, the same for every sentence. Padding had the id pad
and gets the next ones, which stand in the table too; the mask hides padding from all other positions.
"""

from collections import defaultdict

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

# How a tensor is computed: an operator with its operands, the name of an input, or a number.
Expression = str | int | float | tuple["Expression", ...]
_IDS, _POSITIONS = "input_ids", "position_ids"
_ORDERLESS = ("Add", "Mul", "Equal")
_KEEP_ZEROS = ("Expand", "Slice", "Reshape", "Unsqueeze", "Squeeze", "Identity", "Cast", "Gather")


def simplify_positions(graph: onnx.ModelProto) -> bool:
    """Slice the position ids from a constant where they were computed from the ids. Changes `graph`; says whether."""
    wires = _Wires(graph.graph)
    for place, node in enumerate(graph.graph.node):
        pad = _padding_of(wires.expression(node.input[1])) if wires.is_lookup(node) else None
        if pad is None:
            continue
        numbers = np.arange(pad + 1, wires.weights[node.input[0]].dims[0])
        node.input[1] = _POSITIONS
        for made in reversed(_sliced(graph.graph, numbers)):
            graph.graph.node.insert(place, made)
        return True
    return False


def fold_segments(graph: onnx.ModelProto) -> bool:
    """Add the row of the only segment to the rows of the positions. Changes `graph`; says whether.

    (word + segment) + position becomes word + (segment + position), as good a sum in float32.
    """
    wires = _Wires(graph.graph)
    for segment in filter(wires.is_lookup, graph.graph.node):
        if not wires.is_zero(segment.input[1]):
            continue
        inner, word = wires.added_to(segment.output[0])
        outer, other = wires.added_to(inner)
        position = wires.makers.get(other)
        if position is None or not wires.is_lookup(position) or len(wires.readers[position.input[0]]) > 1:
            continue
        table, row = (wires.weights[lookup.input[0]] for lookup in (position, segment))
        summed = numpy_helper.to_array(table) + numpy_helper.to_array(row)[0]
        table.CopyFrom(numpy_helper.from_array(summed, table.name))
        wires.makers[outer].input[:] = [word, other]
        return True
    return False


class _Wires:
    """Which node makes and which nodes read every tensor of a graph."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.weights = {weight.name: weight for weight in graph.initializer}
        self.makers = {name: node for node in graph.node for name in node.output}
        self.readers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
        for node in graph.node:
            for name in node.input:
                self.readers[name].append(node)

    def is_lookup(self, node: onnx.NodeProto) -> bool:
        """Whether a node reads rows of a float table."""
        table = self.weights.get(node.input[0]) if node.op_type == "Gather" else None
        return table is not None and table.data_type == TensorProto.FLOAT and len(table.dims) == 2

    def is_zero(self, name: str) -> bool:
        """Whether a tensor is zeros whatever the input is."""
        if name in self.weights:
            return not numpy_helper.to_array(self.weights[name]).any()
        node = self.makers.get(name)
        if node is not None and node.op_type == "ConstantOfShape":
            return not any(numpy_helper.to_array(attribute.t).any() for attribute in node.attribute)
        return node is not None and node.op_type in _KEEP_ZEROS and self.is_zero(node.input[0])

    def added_to(self, name: str) -> tuple[str, str]:
        """The sum that a tensor goes into, and what it is added to; two empty names when it goes elsewhere too."""
        readers = self.readers[name]
        if len(readers) != 1 or readers[0].op_type != "Add":
            return "", ""
        return readers[0].output[0], next((other for other in readers[0].input if other != name), "")

    def expression(self, name: str) -> Expression:
        """How a tensor is computed, down to inputs and numbers; casts are left out."""
        if name in self.weights:
            weight = self.weights[name]
            number: Expression = numpy_helper.to_array(weight).item() if np.prod(weight.dims) == 1 else name
            return number
        node = self.makers.get(name)
        if node is None:
            return name
        if node.op_type == "Cast":
            return self.expression(node.input[0])
        operands = [self.expression(operand) for operand in node.input]
        flags = [attribute.name for attribute in node.attribute if attribute.i]
        return _term(node.op_type, *operands, *flags)


def _padding_of(expression: Expression) -> int | None:
    """The id of the padding where an expression gives XLM-R's position ids; None where it is anything else."""
    if not isinstance(expression, tuple):
        return None
    pads = [part for part in expression if isinstance(part, int)]
    return next((pad for pad in pads if expression == _numbering(pad)), None)


def _numbering(pad: int) -> Expression:
    real = _term("Not", _term("Equal", _IDS, pad))
    return _term("Add", _term("Mul", _term("CumSum", real, 1), real), pad)


def _term(operator: str, *operands: Expression) -> Expression:
    return (operator, *(sorted(operands, key=repr) if operator in _ORDERLESS else operands))


def _sliced(graph: onnx.GraphProto, numbers: NDArray[np.int64]) -> list[onnx.NodeProto]:
    """Nodes that give the first of these numbers, as many as an input is long."""
    for name, values in {"numbers": numbers, "start": np.zeros(1), "axis": np.ones(1)}.items():
        graph.initializer.append(numpy_helper.from_array(values.astype(np.int64), f"{_POSITIONS}_{name}"))
    shape, length = f"{_POSITIONS}_shape", f"{_POSITIONS}_length"
    slice_inputs = [f"{_POSITIONS}_numbers", f"{_POSITIONS}_start", length]
    return [
        helper.make_node("Shape", [_IDS], [shape], name=shape),
        helper.make_node("Gather", [shape, f"{_POSITIONS}_axis"], [length], name=length),
        helper.make_node("Slice", slice_inputs, [_POSITIONS], name=_POSITIONS),
    ]
