"""optimize: a leaner graph. Constants are folded, place numbers sliced from a constant, dead nodes removed.

Fused nodes are a choice: onnxruntime fuses what it can when it opens a graph, and what is written fused runs nowhere
else. Measured on x86, fused layer norms are slower than their parts, and fused attention pays in float32 alone.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper
from onnxruntime.capi import onnxruntime_pybind11_state as state
from onnxruntime.transformers.fusion_options import FusionOptions
from onnxruntime.transformers.optimizer import optimize_model

from edgeafri.artifact import Artifact
from edgeafri.errors import ModelError
from edgeafri.progress import Tick
from edgeafri.stages.graph import GRAPH, carry, nodes_of, read_graph, write_graph
from edgeafri.stages.menu import Optimize
from edgeafri.stages.model import read_config
from edgeafri.stages.position_ids import fold_segments, simplify_positions
from edgeafri.stages.uneven import KEY

_REFUSED = (state.Fail, state.InvalidGraph, state.InvalidArgument, state.NotImplemented, state.RuntimeException)


def run(source: Artifact, settings: Optimize, out: Path, tick: Tick) -> Mapping[str, Any]:
    """Fold, clean and, if asked, fuse; the weights stay in float32."""
    tick(0, 2)
    before = len(read_graph(source.path / GRAPH).graph.node)
    graph = _folded(source.path / GRAPH, out / GRAPH)
    sliced, folded = simplify_positions(graph), fold_segments(graph)
    drop_unused(graph)
    tick(1, 2)
    if settings.fuse:
        graph = _fused(graph, read_config(source.path), settings.fuse)
    tie_tables(graph)
    drop_unused(graph)
    write_graph(graph, out / GRAPH)
    carry(source.path, out)
    return {
        "nodes_before": before,
        "nodes": len(graph.graph.node),
        "positions_sliced": sliced,
        "segments_folded": folded,
        "fused": list(settings.fuse),
    }


def drop_unused(graph: onnx.ModelProto) -> None:
    """Remove nodes and weights that nothing reads, and name just the operator sets that nodes use. Changes `graph`."""
    read, alive = {item.name for item in graph.graph.output}, []
    for node in reversed(graph.graph.node):
        if read.intersection(node.output):
            read.update(name for part in nodes_of(node) for name in part.input)
            alive.append(node)
    kept = [weight for weight in graph.graph.initializer if weight.name in read]
    del graph.graph.node[:], graph.graph.initializer[:]
    graph.graph.node.extend(reversed(alive))
    graph.graph.initializer.extend(kept)
    domains = {node.domain for node in graph.graph.node} | {""}
    opsets = {entry.domain: entry.version for entry in graph.opset_import}
    del graph.opset_import[:]
    graph.opset_import.extend(onnx.helper.make_opsetid(name, opsets.get(name, 1)) for name in sorted(domains))


def tie_tables(graph: onnx.ModelProto) -> None:
    """Where a weight is a table that stands there too, turned over, keep the table alone. Changes `graph`.

    A masked-LM head shares the word embedding; folding constants would write it down once more.
    """
    weights = {weight.name: weight for weight in graph.graph.initializer}
    tables = {node.input[0] for node in graph.graph.node if node.op_type == "Gather" and node.input[0] in weights}
    for table, weight in [(weights[name], weight) for name in sorted(tables) for weight in weights.values()]:
        if weight.name not in tables and len(weight.dims) == 2 and _is_turned(weight, table):
            graph.graph.initializer.remove(weight)
            turn = helper.make_node("Transpose", [table.name], [weight.name], name=f"{weight.name}_turn", perm=[1, 0])
            graph.graph.node.insert(0, turn)


def _is_turned(weight: onnx.TensorProto, table: onnx.TensorProto) -> bool:
    if list(weight.dims) != list(table.dims)[::-1] or weight.data_type != table.data_type:
        return False
    return np.array_equal(numpy_helper.to_array(weight).T, numpy_helper.to_array(table))


def _folded(source: Path, scratch: Path) -> onnx.ModelProto:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(scratch)
    options.log_severity_level = 3
    try:
        onnxruntime.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])
    except _REFUSED as error:
        hint = "Export the model again: edgeafri export-onnx MODEL --out DIR."
        raise ModelError(f"{source}: onnxruntime cannot run it ({str(error).splitlines()[0]})", hint) from None
    return onnx.load(scratch)


def _fused(graph: onnx.ModelProto, config: Mapping[str, Any], parts: Sequence[str]) -> onnx.ModelProto:
    # Layers of unlike size each have their own numbers; with 0, onnxruntime finds them in the graph.
    heads, width = (0, 0) if KEY in config else (config["num_attention_heads"], config["hidden_size"])
    options = FusionOptions("bert")
    options.enable_attention = "attention" in parts
    options.enable_skip_layer_norm = options.enable_bias_skip_layer_norm = "layernorm" in parts
    options.enable_gelu = options.enable_bias_gelu = "gelu" in parts
    options.enable_embed_layer_norm = False
    return optimize_model(
        graph, model_type="bert", num_heads=heads, hidden_size=width, optimization_options=options, opt_level=0
    ).model
