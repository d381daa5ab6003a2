"""rewriting: a float graph that is rewritten: its products, what makes and reads a tensor, new nodes and constants."""

from collections.abc import Callable, Collection, Iterator, Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from edgeafri.stages.graphs.linear_layers import float_products

Floats = NDArray[np.float32]
_MOVES = ("Reshape", "Transpose")


class Rewriting:
    """A graph and the nodes that stay in float32. Changes the graph."""

    def __init__(self, model: onnx.ModelProto, in_float: Collection[str] = ()) -> None:
        self.model, self.graph, self.in_float = model, model.graph, set(in_float)
        self.weights = {weight.name: weight for weight in self.graph.initializer}

    def activations(self) -> list[str]:
        """What products with int8 matrices to be read, in the order of the graph."""
        return list(dict.fromkeys(node.input[0] for node in self.products()))

    def products(self) -> Iterator[onnx.NodeProto]:
        """The products that are to become int8."""
        matrices = float_products(self.model)
        for node in self.graph.node:
            if node.op_type == "MatMul" and node.name in matrices and node.name not in self.in_float:
                yield node

    def readers(self, name: str) -> list[onnx.NodeProto]:
        """The products of this activation that are to become int8."""
        return [node for node in self.products() if node.input[0] == name]

    def maker(self, name: str) -> onnx.NodeProto | None:
        return next((node for node in self.graph.node if name in node.output), None)

    def value(self, name: str) -> Floats:
        return numpy_helper.to_array(self.weights[name])

    def matrix(self, node: onnx.NodeProto) -> Floats:
        """The matrix of a product."""
        return self.value(node.input[1])

    def constant(self, name: str, values: NDArray[np.generic]) -> str:
        """A new constant, and its name."""
        while name in self.weights:
            name += "+"
        self.weights[name] = numpy_helper.from_array(np.ascontiguousarray(values), name)
        self.graph.initializer.append(self.weights[name])
        return name

    def set_input(self, node: onnx.NodeProto, place: int, values: NDArray[np.generic]) -> None:
        """Give a node another constant; other nodes keep the one they share with it."""
        node.input[place] = self.constant(f"{node.name}/{place}", values.astype(np.float32))

    def after(self, name: str, nodes: Sequence[onnx.NodeProto]) -> None:
        """Put nodes behind the one that makes this tensor."""
        place = next(place for place, node in enumerate(self.graph.node) if name in node.output)
        for offset, node in enumerate(nodes, 1):
            self.graph.node.insert(place + offset, node)

    def behind_product(self, node: onnx.NodeProto, kind: str, other: str) -> None:
        """Compute `kind` of what a product gives and `other`, under the product's own name."""
        output = node.output[0]
        node.output[0] = f"{output}/before"
        self.after(node.output[0], [helper.make_node(kind, [node.output[0], other], [output], f"{output}/{kind}")])

    def values_product(self, name: str) -> tuple[onnx.NodeProto, onnx.NodeProto | None] | None:
        """The product of the values, and the sum with its bias, that an attention's output is a weighted mean of.

        None for an activation of another kind. What stands between moves numbers or weighs tokens, and keeps channels.
        """
        bias, weighed = None, False
        node = self.maker(name)
        while node is not None and not (node.op_type == "MatMul" and node.input[1] in self.weights):
            if node.op_type == "MatMul":
                weighed, name = True, node.input[1]
            elif node.op_type == "Add" and weighed:
                bias, name = node, next(given for given in node.input if given not in self.weights)
            elif node.op_type in _MOVES:
                name = node.input[0]
            else:
                return None
            node = self.maker(name)
        return (node, bias) if node is not None and weighed else None

    def bias_of(self, node: onnx.NodeProto) -> onnx.NodeProto | None:
        """The sum with a constant that is all that reads a product."""
        found = [reader for reader in self.graph.node if node.output[0] in reader.input]
        return found[0] if len(found) == 1 and self._constant_place(found[0]) is not None else None

    def change_bias(self, add: onnx.NodeProto, change: Callable[[Floats], Floats]) -> None:
        """Give a sum with a constant another constant."""
        place = self._constant_place(add)
        if place is not None:
            self.set_input(add, place, change(self.value(add.input[place])))

    def add_behind(self, node: onnx.NodeProto, values: Floats) -> None:
        """Add a number per channel to what a product gives, in its bias where it has one."""
        bias = self.bias_of(node)
        if bias is None:
            self.behind_product(node, "Add", self.constant(f"{node.name}/added", values))
        else:
            self.change_bias(bias, lambda before: before + values)

    def _constant_place(self, node: onnx.NodeProto) -> int | None:
        if node.op_type != "Add":
            return None
        return next((place for place, name in enumerate(node.input) if name in self.weights), None)
