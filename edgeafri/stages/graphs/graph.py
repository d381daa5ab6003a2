"""graph: an ONNX graph as a file of ours: how it is read and checked, how it is written, what travels with it."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnxruntime.capi import onnxruntime_pybind11_state as state

from edgeafri.errors import ModelError
from edgeafri.inference.session import IR_VERSION, OPSET

GRAPH = "model.onnx"
INPUTS = ("input_ids", "attention_mask")
LARGEST_BYTES = 2**31 - 2**20  # a graph in one file is one protobuf message, which ends at 2 GiB
_LOGITS = "logits"
_OLDEST_OPSET = 13
_CARRIED = (
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "sentencepiece.bpe.model",
)
_AGAIN = "Export the model again: edgeafri export-onnx MODEL --out DIR."


def read_graph(path: Path) -> onnx.ModelProto:
    """The graph in a file, its weights in memory.

    ModelError for a file that is cut off or no graph, for weights beside it that are missing, and for inputs, operators
    or versions that the runtime does not have: what comes from elsewhere is told here, before anything is written.
    """
    graph = _load(path)
    _check_versions(graph, path)
    _check_ends(graph, path)
    _check_operators(graph, path)
    return graph


def write_graph(graph: onnx.ModelProto, path: Path) -> None:
    """Save a graph as one file, its versions pinned to what every supported onnxruntime reads. Changes `graph`."""
    graph.ir_version = min(graph.ir_version, IR_VERSION)
    onnx.save_model(graph, str(path), save_as_external_data=False)


def carry(source: Path, out: Path) -> None:
    """Copy what travels with a graph: configuration and tokenizer."""
    for name in _CARRIED:
        if (source / name).is_file():
            shutil.copyfile(source / name, out / name)


def nodes_of(node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
    """A node, and those in its branches or in the body of its loop."""
    yield node
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            for inner in graph.node:
                yield from nodes_of(inner)


def _load(path: Path) -> onnx.ModelProto:
    try:
        graph = onnx.load(path, load_external_data=False)
    except (OSError, DecodeError) as error:
        raise ModelError(f"{path}: not readable as an ONNX graph ({' '.join(str(error).split())})", _AGAIN) from None
    if not graph.graph.node:
        raise ModelError(f"{path}: not an ONNX graph, or cut off", _AGAIN)
    _load_weights(graph, path)
    return graph


def _load_weights(graph: onnx.ModelProto, path: Path) -> None:
    """Take in the weights that stand in files beside the graph."""
    try:
        onnx.load_external_data_for_model(graph, str(path.parent))
    except (OSError, ValueError, onnx.checker.ValidationError):
        beside = sorted({name for weight in graph.graph.initializer for name in _files_of(weight)})
        hint = "Copy the whole folder: such a graph and the files beside it belong together."
        raise ModelError(
            f"{path}: weights beside the graph are missing or cut off: {', '.join(beside)}", hint
        ) from None


def _files_of(weight: onnx.TensorProto) -> list[str]:
    return [entry.value for entry in weight.external_data if entry.key == "location"]


def _check_versions(graph: onnx.ModelProto, path: Path) -> None:
    opset = _opset(graph)
    if not _OLDEST_OPSET <= opset <= OPSET:
        hint = "Export it again: edgeafri export-onnx MODEL --out DIR, with --opset 18 or none."
        raise ModelError(f"{path}: opset {opset}; this version reads {_OLDEST_OPSET} to {OPSET}", hint)
    if graph.ir_version > IR_VERSION:
        message = f"{path}: file version (IR) {graph.ir_version}; the oldest supported onnxruntime reads {IR_VERSION}"
        raise ModelError(message, _AGAIN)


def _check_ends(graph: onnx.ModelProto, path: Path) -> None:
    weights = {weight.name for weight in graph.graph.initializer}  # older files count them among the inputs
    takes = [item.name for item in graph.graph.input if item.name not in weights]
    gives = [item.name for item in graph.graph.output]
    if INPUTS[0] not in takes or not set(takes) <= set(INPUTS) or _LOGITS not in gives:
        message = f"{path}: takes {', '.join(takes)} and gives {', '.join(gives)}, not ids and logits"
        raise ModelError(message, "Export it from its torch folder: edgeafri export-onnx MODEL --out DIR.")


def _check_operators(graph: onnx.ModelProto, path: Path) -> None:
    versions = {_domain(entry): int(entry.version) for entry in graph.opset_import}
    first: dict[tuple[str, str], int] = {}  # the operator set that an operator of onnxruntime's came with
    for schema in state.get_all_operator_schema():
        key = (schema.domain, schema.name)
        first[key] = min(schema.since_version, first.get(key, schema.since_version))
    for node in (part for outer in graph.graph.node for part in nodes_of(outer)):
        domain = _domain(node)
        if first.get((domain, node.op_type), OPSET + 1) > versions.get(domain, 0):
            name = f"{domain}.{node.op_type}".lstrip(".")
            raise ModelError(f"{path}: onnxruntime has no operator {name} of opset {versions.get(domain, 0)}", _AGAIN)


def _opset(graph: onnx.ModelProto) -> int:
    return next((int(entry.version) for entry in graph.opset_import if not _domain(entry)), 0)


def _domain(part: onnx.NodeProto | onnx.OperatorSetIdProto) -> str:
    """The standard's own operators go by two names."""
    return "" if part.domain == "ai.onnx" else str(part.domain)
