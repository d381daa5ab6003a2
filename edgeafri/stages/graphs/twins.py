"""twins: every changed layer computed both ways in one graph, and what the difference does to the sum it goes into.

The float result flows on; beside it, the layer's twin reads the same input as the other graph would compute it. So one
pass of one graph gives the error of all layers, each as if it alone were changed.

An error of a layer by itself says little: behind a softmax most of it is gone, and a few large channels of a residual
stream hide it until a norm takes them out. So the twin's error is carried on through the float nodes that follow, to
the residual sum, and through the norm behind it (HAWQ weighs a layer's error by curvature for the same reason: Dong et
al. 2019).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import onnx
from onnx import TensorProto, helper

from edgeafri.stages.graphs.graph_index import (
    GraphIndex,
    between,
    fresh_names,
    import_opsets,
    renamed_node,
    renamed_weight,
)
from edgeafri.stages.graphs.splice import Layer

_SUMS = ("Add", "SkipLayerNormalization")
_NORM = "LayerNormalization"
_END = 2**31  # of a graph's outputs: read after every node


@dataclass(frozen=True)
class Probe:
    """A layer, and the outputs that say how far its twin is off: by itself (`local`), and where it is summed up.

    Each is a pair of names: the sum of squares of y' - y, and that of y; float32, without dimensions.
    """

    layer: Layer
    local: tuple[str, str]
    summed: tuple[str, str]

    @property
    def is_inside(self) -> bool:
        """Whether a residual sum follows; what stands behind the last one gives the logits."""
        return self.local != self.summed


def with_twins(
    before: onnx.ModelProto, after: onnx.ModelProto, layers: Sequence[Layer]
) -> tuple[onnx.ModelProto, tuple[Probe, ...]]:
    """A copy of `before` in which the twins of these layers are computed too, as `after` has them.

    Its outputs are those of `before` and of the probes. ModelError as in `splice`.
    """
    ours, theirs = _Flow(before), GraphIndex(after)
    graph = onnx.ModelProto()
    graph.CopyFrom(before)
    import_opsets(graph, after)
    probes = tuple(_add_twin(graph.graph, ours, theirs, layer) for layer in layers)
    names = (name for probe in probes for name in dict.fromkeys((*probe.local, *probe.summed)))
    graph.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    return graph, probes


class _Flow(GraphIndex):
    """A graph with the place where each tensor is read last, and with the tensors that carry activations."""

    def __init__(self, model: onnx.ModelProto) -> None:
        super().__init__(model)
        self.last = {name: place for place, node in enumerate(self.nodes) for name in _read(node)}
        self.last |= {item.name: _END for item in model.graph.output}
        self.activations: set[str] = set()  # what comes of a matrix or a table; masks and shapes do not
        for node in self.nodes:
            if any(len(self.weights[name].dims) == 2 for name in node.input if name in self.weights) or (
                not self.activations.isdisjoint(_read(node))
            ):
                self.activations.update(node.output)

    def waists(self, start: str) -> Iterator[tuple[onnx.NodeProto, set[str]]]:
        """The nodes through whose output alone goes on what a change of a tensor does, and all that is changed before.

        They are its post-dominators, from near to far.
        """
        changed, until = {start}, self.last.get(start, _END)
        for place, node in enumerate(self.nodes[self.place[start] + 1 :], self.place[start] + 1):
            if changed.isdisjoint(_read(node)):
                continue
            if until <= place:
                yield node, set(changed)
            changed.update(node.output)
            until = max(until, *(self.last.get(name, place) for name in node.output))


def _read(node: onnx.NodeProto) -> Sequence[str]:
    """What a node computes with: how large a tensor is does not depend on what stands in it."""
    return () if node.op_type == "Shape" else node.input


def _add_twin(graph: onnx.GraphProto, ours: _Flow, theirs: GraphIndex, layer: Layer) -> Probe:
    nodes, weights = between(theirs, ours, layer.output)
    fresh = fresh_names(nodes, weights, ours, layer.output, "twin")
    there = {weight.name for weight in graph.initializer}  # layers may share one
    graph.initializer.extend(renamed_weight(weight, fresh) for weight in weights if fresh[weight.name] not in there)
    end, path = _path(ours, layer.output)
    fresh |= fresh_names(path, [], ours, layer.output, "twin/then")
    graph.node.extend(renamed_node(node, fresh) for node in (*nodes, *path))
    local = _compared(graph, layer.output, fresh[layer.output])
    summed = _compared(graph, end, fresh[end]) if path else local
    return Probe(layer, local, summed)


def _path(graph: _Flow, output: str) -> tuple[str, list[onnx.NodeProto]]:
    """The tensor of the first residual sum that a layer goes into, after its norm, and the nodes on the way there.

    A layer that goes into no such sum, as that of the logits, ends where it is.
    """
    waists = graph.waists(output)
    for node, changed in waists:
        if node.op_type in _SUMS and not changed.issuperset(graph.activations.intersection(node.input)):
            after, _ = next(waists, (node, changed))
            end = after if after.op_type == _NORM and node.output[0] in after.input else node
            return end.output[0], _way(graph, output, end.output[0])
    return output, []


def _way(graph: _Flow, start: str, end: str) -> list[onnx.NodeProto]:
    """The nodes that carry a change of one tensor to another, in order."""
    changed, nodes = {start}, []
    for node in graph.nodes[graph.place[start] + 1 : graph.place[end] + 1]:
        if not changed.isdisjoint(_read(node)):
            changed.update(node.output)
            nodes.append(node)
    return nodes


def _compared(graph: onnx.GraphProto, plain: str, twin: str) -> tuple[str, str]:
    """The names of the sums of squares of a difference and of what it is relative to. In float32: half overflows."""
    off, size = f"{twin}/off", f"{twin}/size"
    graph.node.extend(
        (
            helper.make_node("Cast", [plain], [f"{twin}/plain"], to=TensorProto.FLOAT),
            helper.make_node("Cast", [twin], [f"{twin}/changed"], to=TensorProto.FLOAT),
            helper.make_node("Sub", [f"{twin}/changed", f"{twin}/plain"], [f"{twin}/difference"]),
            helper.make_node("ReduceSumSquare", [f"{twin}/difference"], [off], keepdims=0),
            helper.make_node("ReduceSumSquare", [f"{twin}/plain"], [size], keepdims=0),
        )
    )
    return off, size
