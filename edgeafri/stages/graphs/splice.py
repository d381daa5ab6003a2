"""splice: one layer of a graph as another graph computes it, so that what it does can be told from the rest.

Passes keep the names of the tensors that go into a layer and come out of it. What stands between these names is the
layer, however many nodes a quantizer makes of it: a product of its own, a chain of scales, or one fused node.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import onnx
from onnx import helper, numpy_helper

from edgeafri.errors import ModelError
from edgeafri.stages.graphs.cleanup import drop_unused

_PRODUCTS = ("MatMul", "Gemm", "Attention")
_NUMBERED = re.compile(r"(?:layer|layers|h|block)\.(\d+)")
_BODIES = ("encoder", "transformer", "embeddings")  # what stands before them in a name is the model's own name
_SILENT = {*_BODIES, "layer", "layers", "self", "dense"}  # parts of names that say nothing to a reader


@dataclass(frozen=True)
class Layer:
    """A product or a look-up in a table: its name for people, and the tensor that comes out of it."""

    name: str
    output: str


def changed_layers(before: onnx.ModelProto, after: onnx.ModelProto) -> tuple[Layer, ...]:
    """The layers that two graphs of one model compute otherwise, in the order of the first.

    A layer is a product or the look-up in a table that stands in one of them, and whose output both have.
    """
    ours, theirs = _Graph(before), _Graph(after)
    named = dict(sorted({**_layers(ours), **_layers(theirs)}.items(), key=lambda item: ours.place.get(item[0], 0)))
    found = [output for output in named if output in ours.maker and output in theirs.maker]
    different = [output for output in found if _content(ours, theirs, output) != _content(theirs, ours, output)]
    return tuple(Layer(name, output) for output, name in zip(different, _names(different, named), strict=True))


def splice(into: onnx.ModelProto, source: onnx.ModelProto, layer: Layer) -> onnx.ModelProto:
    """A copy of `into` in which one layer is computed as `source` computes it; all else is as it was.

    ModelError when one of the graphs has no such layer, or when nothing that goes into it is in both graphs.
    """
    ours, theirs = _Graph(into), _Graph(source)
    for graph in (ours, theirs):
        if layer.output not in graph.maker:
            message = f"the graph has no layer '{layer.name}': nothing in it is called {layer.output}"
            raise ModelError(message, "Compare two graphs of one chain; a build keeps them all in its work folder.")
    nodes, weights = _between(theirs, ours, layer.output)
    result = onnx.ModelProto()
    result.CopyFrom(into)
    place = ours.place[layer.output]
    del result.graph.node[place]
    fresh = _renaming(nodes, weights, ours, layer.output)
    for step, node in enumerate(nodes):
        result.graph.node.insert(place + step, _renamed_node(node, fresh))
    result.graph.initializer.extend(_renamed_weight(weight, fresh) for weight in weights)
    _import_opsets(result, source)
    drop_unused(result)
    return result


class _Graph:
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


def _layers(graph: _Graph) -> dict[str, str]:
    """The output of every layer, and the node's name."""
    return {node.output[0]: node.name or node.output[0] for node in graph.nodes if _is_layer(node, graph)}


def _is_layer(node: onnx.NodeProto, graph: _Graph) -> bool:
    if node.op_type == "Gather":
        weight = graph.weights.get(node.input[0])
        return weight is not None and len(weight.dims) == 2
    return node.op_type in _PRODUCTS


def _between(source: _Graph, into: _Graph, output: str) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """The nodes of `source` that make `output` of what both graphs know, in order, and the weights that they read."""
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


def _content(graph: _Graph, other: _Graph, output: str) -> list[bytes]:
    """What a layer is made of, in bytes: its operators and weights. Attributes differ in how defaults are written."""
    nodes, weights = _between(graph, other, output)
    return [*(f"{node.domain}.{node.op_type}".encode() for node in nodes), *(_values(weight) for weight in weights)]


def _values(weight: onnx.TensorProto) -> bytes:
    kind = str(onnx.TensorProto.DataType.Name(weight.data_type))
    return kind.encode() + bytes(numpy_helper.to_array(weight).tobytes())


def _renaming(
    nodes: Sequence[onnx.NodeProto], weights: Sequence[onnx.TensorProto], into: _Graph, output: str
) -> dict[str, str]:
    """New names for all that a layer brings, but its output: two layers may bring tensors of one name."""
    brought = [weight.name for weight in weights] + [name for node in nodes for name in node.output if name != output]
    taken = {*into.maker, *into.weights}
    prefix = f"{output}/spliced/"
    while any(prefix + name in taken for name in brought):
        prefix += "again/"
    return {name: prefix + name for name in brought if name}


def _renamed_node(node: onnx.NodeProto, fresh: Mapping[str, str]) -> onnx.NodeProto:
    result = onnx.NodeProto()
    result.CopyFrom(node)
    for names in (result.input, result.output):
        names[:] = [fresh.get(name, name) for name in names]
    result.name = next((name for name in result.output if name), node.name)
    return result


def _renamed_weight(weight: onnx.TensorProto, fresh: Mapping[str, str]) -> onnx.TensorProto:
    result = onnx.TensorProto()
    result.CopyFrom(weight)
    result.name = fresh[weight.name]
    return result


def _import_opsets(into: onnx.ModelProto, source: onnx.ModelProto) -> None:
    """Name the newer of the two versions of every operator set."""
    versions = Counter({entry.domain: entry.version for entry in into.opset_import})
    versions |= Counter({entry.domain: entry.version for entry in source.opset_import})
    del into.opset_import[:]
    into.opset_import.extend(helper.make_opsetid(domain, version) for domain, version in sorted(versions.items()))
    into.ir_version = max(into.ir_version, source.ir_version)


def _names(outputs: Sequence[str], named: Mapping[str, str]) -> Iterator[str]:
    """A name for people for every output, all different: 'layer 3 attention query', 'word embeddings'."""
    short = {output: _readable(output) or _readable(named[output]) or output for output in outputs}
    count = Counter(short.values())
    return (short[output] if count[short[output]] == 1 else f"{short[output]} {_last(output)}" for output in outputs)


def _readable(output: str) -> str:
    parts = [part for part in output.split("/") if part][:-1]
    body = next((place for place, part in enumerate(parts) if part in _BODIES), 0)
    words = [_word(part) for part in parts[body:] if part not in _SILENT]
    return " ".join(dict.fromkeys(words))


def _last(output: str) -> str:
    return output.split("/")[-1].removesuffix("_output_0").replace("_", " ")


def _word(part: str) -> str:
    number = _NUMBERED.fullmatch(part)
    return f"layer {number[1]}" if number else part.replace("_", " ")
