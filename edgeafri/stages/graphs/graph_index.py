"""graph_index: a graph with its parts by name, and the nodes of it that stand between names another graph has too."""

from collections import Counter
from collections.abc import Mapping, Sequence

import onnx
from onnx import helper

from edgeafri.errors import ModelError


class GraphIndex:
    """A graph with its nodes and weights by name."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.nodes = list(model.graph.node)
        self.weights = {weight.name: weight for weight in model.graph.initializer}
        self.inputs = {item.name for item in model.graph.input}
        self.place = {name: place for place, node in enumerate(self.nodes) for name in node.output if name}
        self.maker = {name: self.nodes[place] for name, place in self.place.items()}

    def has(self, name: str) -> bool:
        """Whether a tensor is known when this graph runs: given to it, or computed from what is given."""
        return name in self.inputs or (name in self.maker and len(self.maker[name].input) > 0)


def between(source: GraphIndex, into: GraphIndex, output: str) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """The nodes of `source` that make `output` of what both graphs know, in order, and the weights that they read.

    ModelError when the two share nothing that goes into it.
    """
    nodes: dict[int, onnx.NodeProto] = {}
    weights: dict[str, onnx.TensorProto] = {}
    open_names, shared = [output], False
    while open_names:
        node = source.maker[open_names.pop()]
        nodes[source.place[node.output[0]]] = node
        for name in filter(None, node.input):
            if name in source.weights:
                weights[name] = source.weights[name]
            elif into.has(name):
                shared = True
            elif name in source.maker:
                open_names.append(name)
    if not shared:
        message = f"the two graphs share nothing that goes into {output}"
        raise ModelError(message, "Compare two graphs of one chain; a build keeps them all in its work folder.")
    return [nodes[place] for place in sorted(nodes)], list(weights.values())


def fresh_names(
    nodes: Sequence[onnx.NodeProto], weights: Sequence[onnx.TensorProto], into: GraphIndex, output: str, mark: str
) -> dict[str, str]:
    """New names for what nodes bring into a graph.

    They say for which `output`, as two layers may bring tensors of one name; a weight that layers share has one.
    """
    given = [name for node in nodes for name in node.output if name]
    read = [weight.name for weight in weights]
    return _prefixed(given, f"{output}/{mark}/", into) | _prefixed(read, f"{mark}/", into)


def _prefixed(names: Sequence[str], prefix: str, into: GraphIndex) -> dict[str, str]:
    while any(prefix + name in into.maker or prefix + name in into.weights for name in names):
        prefix += "again/"
    return {name: prefix + name for name in names}


def renamed_node(node: onnx.NodeProto, fresh: Mapping[str, str]) -> onnx.NodeProto:
    """A copy of a node that reads and gives tensors by their new names."""
    result = onnx.NodeProto()
    result.CopyFrom(node)
    for names in (result.input, result.output):
        names[:] = [fresh.get(name, name) for name in names]
    result.name = next((name for name in result.output if name), node.name)
    return result


def renamed_weight(weight: onnx.TensorProto, fresh: Mapping[str, str]) -> onnx.TensorProto:
    """A copy of a weight by its new name."""
    result = onnx.TensorProto()
    result.CopyFrom(weight)
    result.name = fresh[weight.name]
    return result


def import_opsets(into: onnx.ModelProto, source: onnx.ModelProto) -> None:
    """Name the newer of the two versions of every operator set. Changes `into`."""
    versions = Counter({entry.domain: entry.version for entry in into.opset_import})
    versions |= Counter({entry.domain: entry.version for entry in source.opset_import})
    del into.opset_import[:]
    into.opset_import.extend(helper.make_opsetid(domain, version) for domain, version in sorted(versions.items()))
    into.ir_version = max(into.ir_version, source.ir_version)
