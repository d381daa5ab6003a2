"""optimize: a leaner graph. Constants are folded, position ids sliced from a constant, dead nodes removed.

Fused nodes are a choice: onnxruntime fuses what it can when it opens a graph, and what is written fused runs nowhere
else. Measured on x86, fused layer norms are slower than their parts, and fused attention pays in float32 alone.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as state
from onnxruntime.transformers.fusion_options import FusionOptions
from onnxruntime.transformers.optimizer import optimize_model

from edgeafri.artifact import Artifact
from edgeafri.documents.base import Json
from edgeafri.errors import ModelError
from edgeafri.menu.facts.conversion import OptimizeFacts
from edgeafri.menu.settings import OptimizeSettings
from edgeafri.stages.graphs.cleanup import drop_unused, tie_tables
from edgeafri.stages.graphs.graph import GRAPH, carry, read_graph, write_graph
from edgeafri.stages.graphs.position_ids import fold_segments, simplify_positions
from edgeafri.stages.models.checkpoint import read_config
from edgeafri.stages.models.uneven_layers import KEY
from edgeafri.util.progress import Progress

_REFUSED = (state.Fail, state.InvalidGraph, state.InvalidArgument, state.NotImplemented, state.RuntimeException)


def run(source: Artifact, settings: OptimizeSettings, out: Path, progress: Progress) -> OptimizeFacts:
    """Fold, clean and, if asked, fuse; the weights stay in float32."""
    progress(0, 2)
    before = len(read_graph(source.path / GRAPH).graph.node)
    graph = _folded(source.path / GRAPH, out / GRAPH)
    sliced, folded = simplify_positions(graph), fold_segments(graph)
    drop_unused(graph)
    progress(1, 2)
    if settings.fuse:
        graph = _fused(graph, read_config(source.path), settings.fuse)
    tie_tables(graph)
    drop_unused(graph)
    write_graph(graph, out / GRAPH)
    carry(source.path, out)
    return OptimizeFacts(
        nodes_before=before,
        nodes=len(graph.graph.node),
        positions_sliced=sliced,
        segments_folded=folded,
        fused=settings.fuse,
    )


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


def _fused(graph: onnx.ModelProto, config: Mapping[str, Json], parts: Sequence[str]) -> onnx.ModelProto:
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
