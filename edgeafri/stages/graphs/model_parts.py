"""model_parts: which part of the model every weight of a graph belongs to, and how many bytes each part takes."""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import onnx

_LAYERS = {"layer", "layers", "albert_layers"}
_ATTENTION = ("attention", "self_attn", "sa_layer_norm")
_PASSED_ON = ("DequantizeLinear", "Transpose", "Cast")  # what a weight may go through on its way to its layer
Readers = Mapping[str, Sequence[onnx.NodeProto]]


def group_bytes(graph: onnx.ModelProto) -> dict[str, int]:
    """Bytes of the embeddings, of the attention and of the feed-forward layers, as they stand in the file.

    A weight belongs to the module that reads it, and so do its codes, scales and zero points; one that several read
    counts for the first. What belongs to none of the three, such as the head, is left out.
    """
    readers = _readers(graph)
    found = Counter[str]()
    for weight in graph.graph.initializer:
        found[_group(weight.name, readers)] += weight.ByteSize()
    return {name: found[name] for name in ("embeddings", "attention", "ffn")}


def _readers(graph: onnx.ModelProto) -> Readers:
    readers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
    for node in graph.graph.node:
        for name in filter(None, node.input):
            readers[name].append(node)
    return readers


def _group(weight: str, readers: Readers) -> str:
    nodes = readers.get(weight, ())
    passed_on = (output for node in nodes if node.op_type in _PASSED_ON for output in node.output)
    further = (node for output in passed_on for node in readers.get(output, ()))
    groups = (_group_of_node(node) for node in (*nodes, *further))
    return next(filter(None, groups), "") or _group_of_name(weight)


def _group_of_node(node: onnx.NodeProto) -> str:
    # Fused attention has lost the names of the modules that it is made of.
    return "attention" if node.op_type in ("Attention", "QAttention") else _group_of_name(node.name)


def _group_of_name(name: str) -> str:
    """The group by the modules in a name: of a node with slashes, of a weight with dots. Empty outside the layers."""
    modules = re.split(r"[/.]", name)
    if any("embedding" in module for module in modules):
        return "embeddings"
    if _LAYERS.isdisjoint(modules):
        return ""
    return "attention" if any(module.startswith(_ATTENTION) for module in modules) else "ffn"
