"""splice: layers of a graph as another graph computes them, so that what they do can be told from the rest.

Passes keep the names of the tensors that go into a layer and come out of it. What stands between these names is the
layer, however many nodes a quantizer makes of it: a product of its own, a chain of scales, or one fused node.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import onnx
from onnx import numpy_helper

from edgeafri.documents.layer_names import together
from edgeafri.errors import ModelError
from edgeafri.stages.graphs.cleanup import drop_unused
from edgeafri.stages.graphs.graph_index import (
    GraphIndex,
    between,
    fresh_names,
    import_opsets,
    renamed_node,
    renamed_weight,
)

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

    A layer is a product or the look-up in a table that stands in one of them, and whose output both have; it is named
    after all that it is made of in the first: where neurons are split, two matrices are one layer.
    """
    ours, theirs = GraphIndex(before), GraphIndex(after)
    named = dict(sorted({**_layers(ours), **_layers(theirs)}.items(), key=lambda item: ours.place.get(item[0], 0)))
    found = [output for output in named if output in ours.maker and output in theirs.maker]
    different = [output for output in found if _content(ours, theirs, output) != _content(theirs, ours, output)]
    products = [_products(ours, theirs, output) for output in different]
    return tuple(Layer(name, output) for output, name in zip(different, _names(products, named), strict=True))


def splice(into: onnx.ModelProto, source: onnx.ModelProto, *layers: Layer) -> onnx.ModelProto:
    """A copy of `into` in which these layers are computed as `source` computes them; all else is as it was.

    ModelError when one of the graphs has no such layer, or when nothing that goes into it is in both graphs.
    """
    ours, theirs = GraphIndex(into), GraphIndex(source)
    result = onnx.ModelProto()
    result.CopyFrom(into)
    del result.graph.node[:]
    brought = {layer.output: _brought(layer, theirs, ours) for layer in layers}
    for node in ours.nodes:
        result.graph.node.extend(brought[node.output[0]][0] if node.output[0] in brought else [node])
    weights = {weight.name: weight for _, found in brought.values() for weight in found}  # layers may share one
    result.graph.initializer.extend(weights.values())
    import_opsets(result, source)
    drop_unused(result)
    return result


def _brought(layer: Layer, source: GraphIndex, into: GraphIndex) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """The nodes and weights that make a layer in another graph, under names that are new there."""
    for graph in (into, source):
        if layer.output not in graph.maker:
            message = f"the graph has no layer '{layer.name}': nothing in it is called {layer.output}"
            raise ModelError(message, "Compare two graphs of one chain; a build keeps them all in its work folder.")
    nodes, weights = between(source, into, layer.output)
    fresh = {**fresh_names(nodes, weights, into, layer.output, "spliced"), layer.output: layer.output}
    return [renamed_node(node, fresh) for node in nodes], [renamed_weight(weight, fresh) for weight in weights]


def _layers(graph: GraphIndex) -> dict[str, str]:
    """The output of every layer, and the node's name."""
    return {node.output[0]: node.name or node.output[0] for node in graph.nodes if _is_layer(node, graph)}


def _is_layer(node: onnx.NodeProto, graph: GraphIndex) -> bool:
    if node.op_type == "Gather":
        weight = graph.weights.get(node.input[0])
        return weight is not None and len(weight.dims) == 2
    return node.op_type in _PRODUCTS


def _content(graph: GraphIndex, other: GraphIndex, output: str) -> list[bytes]:
    """What a layer is made of, in bytes: its operators and weights. Attributes differ in how defaults are written."""
    nodes, weights = between(graph, other, output)
    return [*(f"{node.domain}.{node.op_type}".encode() for node in nodes), *(_values(weight) for weight in weights)]


def _values(weight: onnx.TensorProto) -> bytes:
    kind = str(onnx.TensorProto.DataType.Name(weight.data_type))
    return kind.encode() + bytes(numpy_helper.to_array(weight).tobytes())


def _products(graph: GraphIndex, other: GraphIndex, output: str) -> list[str]:
    """The outputs of the products and look-ups that a layer is made of, its own the last, even a fused node's."""
    nodes, _ = between(graph, other, output)
    found = [node.output[0] for node in nodes if _is_layer(node, graph)]
    return found if output in found else [output]


def _names(layers: Sequence[Sequence[str]], named: Mapping[str, str]) -> Iterator[str]:
    """A name for people for every layer, by the outputs of its products: 'layer 3 attention query', all different."""
    short = [together([readable(name) or readable(named[name]) or name for name in parts]) for parts in layers]
    count = Counter(short)
    pairs = zip(short, layers, strict=True)
    return (name if count[name] == 1 else f"{name} {_last(parts[-1])}" for name, parts in pairs)


def readable(output: str) -> str:
    """What a layer is called for people, by the tensor that comes out of it: 'layer 4 output'. May be empty."""
    parts = [part for part in output.split("/") if part][:-1]
    body = next((place for place, part in enumerate(parts) if part in _BODIES), 0)
    words = [_word(part) for part in parts[body:] if part not in _SILENT]
    return " ".join(dict.fromkeys(words))


def _last(output: str) -> str:
    return output.split("/")[-1].removesuffix("_output_0").replace("_", " ")


def _word(part: str) -> str:
    number = _NUMBERED.fullmatch(part)
    return f"layer {number[1]}" if number else part.replace("_", " ")
