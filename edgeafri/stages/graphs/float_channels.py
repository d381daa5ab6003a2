"""float_channels: a few channels of an activation leave its int8 product and are multiplied in float32 beside it.

    x @ W  =  x[rest] @ W[rest]  (to become int8)  +  x[channels] @ W[channels]  (stays float32)

Exact in real numbers, and in standard operators only. It is the decomposition of LLM.int8() (Dettmers et al. 2022,
arXiv 2208.07339, section 3.2) with channels that are known before the model runs.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from edgeafri.stages.graphs.cleanup import drop_unused
from edgeafri.stages.graphs.linear_layers import float_products

Channels = NDArray[np.int64]
Values = NDArray[np.float32] | Channels
_REST, _CHANNELS = "/rest", "/channels"  # what the two parts of a tensor, a constant or a node are called after it
_SUM = "/sum"  # and the node that adds both
# What computes every number of a tensor from the numbers in its place alone.
_ARITHMETIC = ("Add", "Sub", "Mul", "Div", "Neg", "Sqrt", "Pow", "Exp", "Min", "Max", "Clip")
_FUNCTIONS = ("Erf", "Tanh", "Sigmoid", "Softplus", "Relu", "LeakyRelu", "Gelu", "BiasGelu", "FastGelu", "QuickGelu")
_ELEMENTWISE = frozenset(_ARITHMETIC + _FUNCTIONS)


def split_channels(graph: onnx.ModelProto, channels: Mapping[str, Sequence[int]]) -> tuple[str, ...]:
    """Split the products that read these activations; returns the names of the nodes to leave in float32.

    `channels` are indices in the last axis, by the activation's name. Changes `graph`; what comes out of a product
    keeps its name. Layers that share a matrix must be given the same channels.

    Where nothing but elementwise operators stands between an activation and the products that make it, as inside a
    feed-forward layer, its neurons become a narrow float32 layer beside the int8 layer, and nothing is copied.
    Elsewhere the channels are picked for the float32 product and set to zero for the other one.
    """
    in_float: set[str] = set()
    chosen = {name: np.unique(np.asarray(found, np.int64)) for name, found in channels.items()}
    # Neurons first: the product that makes them is then split in turn by the channels of what it reads.
    neurons = [name for name in chosen if _Activation(graph, name, in_float).neurons]
    for name in (*neurons, *(name for name in chosen if name not in neurons)):
        in_float |= _Activation(graph, name, in_float).split(chosen[name])
    drop_unused(graph)
    return tuple(sorted(in_float))


def outputs_added(graph: onnx.ModelProto) -> int:
    """How many numbers the narrow products of a split graph write for every token, each to be added to another one."""
    widths = {weight.name: int(weight.dims[-1]) for weight in graph.graph.initializer if weight.dims}
    products = {node.output[0]: node for node in graph.graph.node if node.op_type == "MatMul"}
    summed = [name for node in graph.graph.node if node.name.endswith(_SUM) for name in node.input]
    return sum(widths[products[name].input[1]] for name in summed if name in products and name.endswith(_CHANNELS))


class _Activation:
    """An activation of a graph, what makes it, and the products that read it and are not in float32 already."""

    def __init__(self, model: onnx.ModelProto, name: str, in_float: set[str]) -> None:
        self.name, self.graph = name, model.graph
        self.weights = {weight.name: weight for weight in self.graph.initializer}
        self.matrices = float_products(model)
        self.readers = [node for node in self.graph.node if self.multiplies(node) and node.input[0] == name]
        self.readers = [node for node in self.readers if node.name not in in_float]
        self.width = int(self.weights[self.readers[0].input[1]].dims[0])

    def multiplies(self, node: onnx.NodeProto) -> bool:
        """Whether a node is a product with a float32 matrix of the graph's own."""
        return node.op_type == "MatMul" and node.name in self.matrices

    def split(self, channels: Channels) -> set[str]:
        """Put two products and their sum in the place of every product; returns the nodes to leave in float32."""
        rest = np.setdiff1d(np.arange(self.width), channels)
        new: dict[str, list[onnx.NodeProto]] = {}  # what comes in the place of a node, by the node's output
        in_float = set()
        if self.neurons:
            new = {
                node.output[0]: [self.narrow(node, rest, _REST), self.narrow(node, channels, _CHANNELS)]
                for node in self.neurons
            }
            in_float = {node.name + _CHANNELS for node in self.neurons if self.multiplies(node)}
        else:
            maker = self.maker[self.name]
            new[maker.output[0]] = [maker, *self.picked(channels)]
        for node in self.readers:
            matrix = numpy_helper.to_array(self.weights[node.input[1]])
            kept = matrix[rest] if self.neurons else _zeroed(matrix, channels)
            new[node.output[0]] = self.two_products(node, kept, matrix[channels])
            in_float.add(node.name + _CHANNELS)
        nodes = [part for node in self.graph.node for part in new.get(node.output[0], [node])]
        del self.graph.node[:]
        self.graph.node.extend(nodes)
        return in_float

    @cached_property
    def maker(self) -> dict[str, onnx.NodeProto]:
        return {name: node for node in self.graph.node for name in node.output}

    @cached_property
    def neurons(self) -> tuple[onnx.NodeProto, ...]:
        """The nodes that make this activation channel by channel out of products, in order.

        Empty when it is made in another way, or when anything but these and its products reads them or it.
        """
        found: dict[str, onnx.NodeProto] = {}
        open_names = [self.name]
        while open_names:
            node = self.maker.get(open_names.pop())
            if node is None or not (self.multiplies(node) or self.is_elementwise(node)):
                return ()
            found[node.output[0]] = node
            if not self.multiplies(node):
                open_names += [name for name in node.input if name and name not in (*self.weights, *found)]
        inside = {*found, *(node.output[0] for node in self.readers)}
        readers = [node for node in self.graph.node if found.keys() & set(node.input)]
        if any(node.output[0] not in inside for node in readers):
            return ()
        return tuple(node for node in self.graph.node if node.output[0] in found)

    def is_elementwise(self, node: onnx.NodeProto) -> bool:
        """Whether a node computes every channel alone: with tensors, numbers, or one constant per channel."""
        constants = [self.weights[name] for name in node.input if name in self.weights]
        return node.op_type in _ELEMENTWISE and all(_size(item) == 1 or self.is_per_channel(item) for item in constants)

    def is_per_channel(self, constant: onnx.TensorProto) -> bool:
        return _size(constant) == self.width and list(constant.dims)[-1:] == [self.width]

    def narrow(self, node: onnx.NodeProto, channels: Channels, part: str) -> onnx.NodeProto:
        """A node that makes some of the neurons only."""
        new = onnx.NodeProto()
        new.CopyFrom(node)
        new.name = node.name + part
        between = {name for other in self.neurons for name in other.output}
        new.input[:] = [
            name + part if name in between else self.narrow_constant(name, node, channels, part) for name in node.input
        ]
        new.output[:] = [name + part for name in node.output]
        return new

    def narrow_constant(self, name: str, node: onnx.NodeProto, channels: Channels, part: str) -> str:
        constant = self.weights.get(name)
        if constant is None or not (self.multiplies(node) or self.is_per_channel(constant)):
            return name
        return self.add(name + part, numpy_helper.to_array(constant)[..., channels])

    def picked(self, channels: Channels) -> list[onnx.NodeProto]:
        """Nodes that give the activation with zeros in these channels, and the channels alone."""
        kept = _zeroed(np.ones(self.width, np.float32), channels)
        mask, places = self.add(f"{self.name}/kept", kept), self.add(f"{self.name}/places", channels)
        rest, chosen = self.name + _REST, self.name + _CHANNELS
        return [
            helper.make_node("Mul", [self.name, mask], [rest], name=rest),
            helper.make_node("Gather", [self.name, places], [chosen], name=chosen, axis=-1),
        ]

    def two_products(self, node: onnx.NodeProto, rest: Values, chosen: Values) -> list[onnx.NodeProto]:
        read, matrix, output = node.input[0], node.input[1], node.output[0]
        products = [
            helper.make_node(
                "MatMul", [read + part, self.add(matrix + part, values)], [output + part], node.name + part
            )
            for part, values in ((_REST, rest), (_CHANNELS, chosen))
        ]
        return [*products, helper.make_node("Add", [output + _REST, output + _CHANNELS], [output], node.name + _SUM)]

    def add(self, name: str, values: Values) -> str:
        """The name of a constant with these values; layers that share a matrix share its parts."""
        new = numpy_helper.from_array(np.ascontiguousarray(values), name)
        while name in self.weights:
            if self.weights[name].raw_data == new.raw_data and self.weights[name].dims == new.dims:
                return name
            name += "+"  # equal constants of two layers may be one, and their parts differ
        new.name = name
        self.weights[name] = new
        self.graph.initializer.append(new)
        return name


def _zeroed(values: NDArray[np.float32], channels: Channels) -> NDArray[np.float32]:
    """A copy with zeros in these rows."""
    copy = values.copy()
    copy[channels] = 0
    return copy


def _size(constant: onnx.TensorProto) -> int:
    return int(np.prod(constant.dims))
