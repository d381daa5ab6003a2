"""optimize: a leaner graph. Constants are folded and dead nodes removed; fused attention is a choice.

Measured on x86, fused attention does not pay once the weights are int8, so it is off unless asked for.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
from onnxruntime.transformers.optimizer import optimize_model

from edgeafri.artifact import Artifact
from edgeafri.progress import Tick
from edgeafri.stages.export_onnx import GRAPH, carry, write_graph
from edgeafri.stages.menu import Optimize
from edgeafri.stages.model import read_config
from edgeafri.stages.uneven import KEY


def run(source: Artifact, settings: Optimize, out: Path, tick: Tick) -> Mapping[str, Any]:
    """Fold, clean and, if asked, fuse; the weights stay in float32."""
    tick(0, 2)
    before = onnx.load(source.path / GRAPH)
    graph = _fused(source.path) if settings.fuse == "attention" else _folded(source.path / GRAPH, out / GRAPH)
    tick(1, 2)
    drop_unused(graph)
    write_graph(graph, out / GRAPH)
    carry(source.path, out)
    return {"nodes_before": len(before.graph.node), "nodes": len(graph.graph.node)}


def drop_unused(graph: onnx.ModelProto) -> None:
    """Remove weights that no node reads, and name just the operator sets that nodes use. Changes `graph`."""
    read = {name for node in graph.graph.node for name in node.input}
    kept = [weight for weight in graph.graph.initializer if weight.name in read]
    del graph.graph.initializer[:]
    graph.graph.initializer.extend(kept)
    domains = {node.domain for node in graph.graph.node} | {""}
    opsets = {entry.domain: entry.version for entry in graph.opset_import}
    del graph.opset_import[:]
    graph.opset_import.extend(onnx.helper.make_opsetid(name, opsets.get(name, 1)) for name in sorted(domains))


def _folded(source: Path, scratch: Path) -> onnx.ModelProto:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(scratch)
    options.log_severity_level = 3
    onnxruntime.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])
    return onnx.load(scratch)


def _fused(source: Path) -> onnx.ModelProto:
    config = read_config(source)
    # Layers of unlike size each have their own numbers; with 0, onnxruntime finds them in the graph.
    heads, width = (0, 0) if KEY in config else (config["num_attention_heads"], config["hidden_size"])
    fused = optimize_model(str(source / GRAPH), model_type="bert", num_heads=heads, hidden_size=width, opt_level=0)
    return fused.model
