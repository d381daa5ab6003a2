"""The table of forms: what each does with outlier channels, and the function that makes it of a float graph."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from benchmarks.outliers_forms.rewriting import Rewriting
from benchmarks.outliers_forms.rotation import rotate
from benchmarks.outliers_forms.scaling import gamma_scales, scale_channels, scale_tokens, smooth_scales
from edgeafri.artifact import Artifact
from edgeafri.menu.facts.conversion import QuantizeFacts
from edgeafri.menu.settings import QuantizeSettings
from edgeafri.stages import quantize
from edgeafri.stages.comparison.graph_runner import open_graph
from edgeafri.stages.graphs.cleanup import drop_unused
from edgeafri.stages.graphs.float_channels import split_channels
from edgeafri.stages.graphs.graph import GRAPH, read_graph
from edgeafri.stages.models import checkpoint
from edgeafri.stages.quantization.activation_ranges import Activation, measure_ranges
from edgeafri.stages.quantization.calibration_text import CalibrationInputs, calibration_inputs
from edgeafri.stages.quantization.dynamic import quantize_as_it_comes
from edgeafri.stages.quantization.embedding_tables import quantize_tables
from edgeafri.stages.quantization.static import quantize_by_text
from edgeafri.util.progress import silent

Plan = Mapping[str, tuple[int, ...]]
FLOAT_WEIGHTS, BASE, OURS = "float", "tensor", "channels-auto"


@dataclass(frozen=True)
class Given:
    """The float model, what quantize is told, a folder to write in, and what several forms need of it."""

    source: Artifact
    settings: QuantizeSettings
    scratch: Path

    def graph(self) -> onnx.ModelProto:
        """The float graph, its embedding tables in int8 as the stage makes them."""
        graph = read_graph(self.source.path / GRAPH)
        quantize_tables(graph)
        return graph

    def by_stage(self, **changes: Any) -> tuple[onnx.ModelProto, QuantizeFacts]:
        """What `edgeafri quantize` makes with these settings, and its facts."""
        out = self.scratch / "stage"
        out.mkdir(exist_ok=True)
        facts = quantize.run(self.source, replace(self.settings, **changes), out, silent)
        return onnx.load(out / GRAPH), facts

    @cached_property
    def plan(self) -> Plan:
        """The channels, by activation, that the stage chooses to multiply in float32."""
        kept = self.scratch / "channels.json"
        if not kept.is_file():
            _, facts = self.by_stage(outliers="auto")
            kept.write_text(json.dumps(_by_activation(facts)), "utf-8")
        return {name: tuple(channels) for name, channels in json.loads(kept.read_text("utf-8")).items()}

    def ours(self) -> onnx.ModelProto:
        """The graph with these channels in float32."""
        graph = self.graph()
        return self.dynamic(Rewriting(graph, split_channels(graph, self.plan)))

    @cached_property
    def text(self) -> CalibrationInputs:
        settings = self.settings
        return calibration_inputs(
            self.source.path, settings.languages, settings.text, settings.data, settings.sentences
        )

    @cached_property
    def ranges(self) -> tuple[Activation, ...]:
        return measure_ranges(read_graph(self.source.path / GRAPH), self.text, open_graph, silent)

    @cached_property
    def head(self) -> int:
        """The width of an attention head."""
        config: Mapping[str, Any] = checkpoint.read_config(self.source.path)
        return int(config["hidden_size"]) // int(config["num_attention_heads"])

    def dynamic(self, graph: Rewriting) -> onnx.ModelProto:
        """A rewritten graph in int8, scales of activations found as they come."""
        drop_unused(graph.model)
        return quantize_as_it_comes(graph.model, self.scratch / "dynamic.onnx", graph.in_float)

    def static(self, plan: Plan) -> onnx.ModelProto:
        """The graph with these channels in float32 and scales of activations fixed on calibration text."""
        graph = self.graph()
        nodes = split_channels(graph, plan)
        return quantize_by_text(graph, self.scratch / "static.onnx", self.text, "minmax", nodes)


@dataclass(frozen=True)
class Form:
    """A way to int8: its name, what it does in words, and how it is made."""

    name: str
    what: str
    make: Callable[[Given], onnx.ModelProto]


def _by_activation(facts: QuantizeFacts) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for item in facts.outliers.channels if facts.outliers else ():
        found.setdefault(item.activation, []).append(item.channel)
    return found


def farthest(given: Given, count: int) -> onnx.ModelProto:
    """So many channels of every activation in float32, those that reach farthest."""
    graph = given.graph()
    plan = {item.name: tuple(np.argsort(-item.reach)[:count].tolist()) for item in given.ranges}
    return given.dynamic(Rewriting(graph, split_channels(graph, plan)))


def per_token(given: Given, plan: Plan) -> onnx.ModelProto:
    """One scale per token, and these channels in float32."""
    graph = given.graph()
    rewriting = Rewriting(graph, split_channels(graph, plan))
    scale_tokens(rewriting)
    return given.dynamic(rewriting)


def saturating(given: Given) -> onnx.ModelProto:
    """Fixed scales that the channels in float32 do not count in: they saturate, and their rows of the matrix are zero.

    The activation is rounded as it is; only what the stage does to keep the channels out, a product with a mask, goes.
    """
    graph = given.static(given.plan)
    makers = {node.output[0]: node for node in graph.graph.node}
    for node in graph.graph.node:
        maker = makers.get(node.input[0]) if node.op_type == "QuantizeLinear" else None
        if maker is not None and maker.op_type == "Mul" and maker.input[1] == f"{maker.input[0]}/kept":
            node.input[0] = maker.input[0]
    drop_unused(graph)
    return graph


def gamma(given: Given) -> onnx.ModelProto:
    """The weights of layer norms in the matrices behind them and in the residual branch."""
    graph = Rewriting(given.graph())
    scale_channels(graph, gamma_scales(graph))
    return given.dynamic(graph)


def smooth(given: Given, alpha: float) -> onnx.ModelProto:
    """Channels divided by SmoothQuant's scales."""
    graph = Rewriting(given.graph())
    scale_channels(graph, smooth_scales(graph, given.ranges, alpha))
    return given.dynamic(graph)


def rotated(given: Given, most: int) -> onnx.ModelProto:
    """Activations rotated by Hadamard matrices in blocks of at most `most` channels."""
    graph = Rewriting(given.graph())
    rotate(graph, most, given.head)
    return given.dynamic(graph)


def mixed(given: Given) -> onnx.ModelProto:
    """One scale per tensor, and as many matrices in float32 as keep the loss on dev within half a point."""
    return given.by_stage(outliers="none", mixed=0.5)[0]


FORMS = (
    Form(FLOAT_WEIGHTS, "float32, embeddings in int8", Given.graph),
    Form(BASE, "one scale per tensor (outliers: none)", lambda given: given.by_stage(outliers="none")[0]),
    Form(OURS, "the channels that quantize chooses in float32 (outliers: auto)", Given.ours),
    Form("channels-1", "1 channel of every matrix in float32", lambda given: farthest(given, 1)),
    Form("channels-2", "2 channels of every matrix in float32", lambda given: farthest(given, 2)),
    Form("channels-4", "4 channels of every matrix in float32", lambda given: farthest(given, 4)),
    Form("channels-8", "8 channels of every matrix in float32", lambda given: farthest(given, 8)),
    Form("token", "one scale per token", lambda given: per_token(given, {})),
    Form("token-channels", "one scale per token, and quantize's channels", lambda given: per_token(given, given.plan)),
    Form("static", "scales fixed on text", lambda given: given.static({})),
    Form("static-channels", "scales fixed on text, and quantize's channels", lambda given: given.static(given.plan)),
    Form("static-saturating", "the same, the channels saturate in place of a mask", saturating),
    Form("gamma", "gamma migration", gamma),
    Form("smooth-0.5", "smoothing, alpha 0.5", lambda given: smooth(given, 0.5)),
    Form("smooth-0.7", "smoothing, alpha 0.7", lambda given: smooth(given, 0.7)),
    Form("rotate-32", "rotation in blocks of at most 32", lambda given: rotated(given, 32)),
    Form("rotate-128", "rotation in blocks of at most 128", lambda given: rotated(given, 128)),
    Form("mixed", "one scale per tensor, matrices in float32 (mixed: 0.5)", mixed),
)
