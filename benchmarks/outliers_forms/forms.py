"""The table of forms: what each does with outlier channels, and the function that makes it of a float graph."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from benchmarks.outliers_forms.fitting import Moments, as_moves, fit, measure_moments
from benchmarks.outliers_forms.fixed import fix_scales
from benchmarks.outliers_forms.rewriting import Rewriting
from benchmarks.outliers_forms.rotation import rotate
from benchmarks.outliers_forms.scaling import gamma_scales, is_movable, scale_channels, scale_tokens, smooth_scales
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


_WRITTEN = "written.tmp"  # by onnxruntime's tools


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

    def split(self, plan: Plan) -> Rewriting:
        """The same with these channels of activations in products of their own."""
        graph = self.graph()
        return Rewriting(graph, split_channels(graph, plan))

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
    def moments(self) -> dict[str, Moments]:
        graph = read_graph(self.source.path / GRAPH)
        return measure_moments(graph, [item.name for item in self.ranges], self.text)

    @cached_property
    def head(self) -> int:
        """The width of an attention head."""
        config: Mapping[str, Any] = checkpoint.read_config(self.source.path)
        return int(config["hidden_size"]) // int(config["num_attention_heads"])

    def dynamic(self, graph: Rewriting) -> onnx.ModelProto:
        """A rewritten graph in int8, scales of activations found as they come."""
        drop_unused(graph.model)
        return quantize_as_it_comes(graph.model, self.scratch / _WRITTEN, graph.in_float)

    def static(self, graph: Rewriting) -> onnx.ModelProto:
        """A rewritten graph in int8, scales of activations fixed on calibration text."""
        drop_unused(graph.model)
        return quantize_by_text(graph.model, self.scratch / _WRITTEN, self.text, "minmax", graph.in_float)


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
    plan = {item.name: tuple(np.argsort(-item.reach)[:count].tolist()) for item in given.ranges}
    return given.dynamic(given.split(plan))


def per_token(given: Given, plan: Plan) -> Rewriting:
    """One scale per token, and these channels in float32."""
    graph = given.split(plan)
    scale_tokens(graph)
    return graph


def fixed(given: Given, kinds: tuple[str, ...] = ()) -> onnx.ModelProto:
    """Quantize's channels in float32, and fixed scales in which they saturate; those of other makers as they come.

    `kinds` are the operators whose outputs get a fixed scale, all where none is named.
    """
    graph = given.split(given.plan)
    makers = {item.name: graph.maker(item.name) for item in given.ranges}
    chosen = [name for name, node in makers.items() if not kinds or (node is not None and node.op_type in kinds)]
    fix_scales(graph, given.ranges, given.plan, chosen)
    return given.dynamic(graph)


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


def fitted(given: Given, shifted: bool) -> onnx.ModelProto:
    """Channels behind layer norms and of attentions moved to what int8 costs least with, quantize's neurons in float32.

    What moves them stands in weights, but for a product with a number per channel in each residual branch.
    """
    graph = Rewriting(given.graph())
    matrices = {name: [graph.matrix(node) for node in graph.readers(name)] for name in graph.activations()}
    moved = [item for item in given.ranges if is_movable(graph, item.name)]
    found = {item.name: fit(item, matrices[item.name], given.moments[item.name], shifted) for item in moved}
    scale_channels(graph, *as_moves(found))
    drop_unused(graph.model)
    neurons = {name: channels for name, channels in given.plan.items() if name not in found}
    return given.dynamic(Rewriting(graph.model, split_channels(graph.model, neurons)))


def rotated(given: Given, most: int) -> onnx.ModelProto:
    """Activations rotated by Hadamard matrices in blocks of at most `most` channels."""
    graph = Rewriting(given.graph())
    rotate(graph, most, given.head)
    return given.dynamic(graph)


def mixed(given: Given, outliers: str) -> onnx.ModelProto:
    """Matrices, and with `outliers` auto channels first, in float32 until no language loses half a point on dev."""
    return given.by_stage(outliers=outliers, mixed=0.5)[0]


FORMS = (
    Form(FLOAT_WEIGHTS, "float32, embeddings in int8", Given.graph),
    Form(BASE, "one scale per tensor (outliers: none)", lambda given: given.by_stage(outliers="none")[0]),
    Form(
        OURS,
        "the channels that quantize chooses in float32 (outliers: auto)",
        lambda given: given.dynamic(given.split(given.plan)),
    ),
    Form("channels-1", "1 channel of every matrix in float32", lambda given: farthest(given, 1)),
    Form("channels-2", "2 channels of every matrix in float32", lambda given: farthest(given, 2)),
    Form("channels-4", "4 channels of every matrix in float32", lambda given: farthest(given, 4)),
    Form("channels-8", "8 channels of every matrix in float32", lambda given: farthest(given, 8)),
    Form("token", "one scale per token", lambda given: given.dynamic(per_token(given, {}))),
    Form(
        "token-channels",
        "one scale per token, and quantize's channels",
        lambda given: given.dynamic(per_token(given, given.plan)),
    ),
    Form(
        "token-static",
        "tokens scaled to 1, then one scale fixed on text",
        lambda given: given.static(per_token(given, {})),
    ),
    Form("static", "scales fixed on text", lambda given: given.static(given.split({}))),
    Form(
        "static-channels",
        "scales fixed on text, and quantize's channels",
        lambda given: given.static(given.split(given.plan)),
    ),
    Form("static-saturating", "scales fixed on text, in which quantize's channels saturate", fixed),
    Form(
        "norms-saturating",
        "the same behind layer norms; other scales as they come",
        lambda given: fixed(given, ("LayerNormalization",)),
    ),
    Form("gamma", "gamma migration", gamma),
    Form("smooth-0.5", "smoothing, alpha 0.5", lambda given: smooth(given, 0.5)),
    Form("smooth-0.7", "smoothing, alpha 0.7", lambda given: smooth(given, 0.7)),
    Form("fitted-scales", "scales fitted, quantize's neurons in float32", lambda given: fitted(given, shifted=False)),
    Form(
        "fitted", "scales and shifts fitted, quantize's neurons in float32", lambda given: fitted(given, shifted=True)
    ),
    Form("rotate-32", "rotation in blocks of at most 32", lambda given: rotated(given, 32)),
    Form("rotate-128", "rotation in blocks of at most 128", lambda given: rotated(given, 128)),
    Form("mixed", "matrices in float32 (outliers: none, mixed: 0.5)", lambda given: mixed(given, "none")),
    Form("channels-mixed", "channels, then matrices in float32 (mixed: 0.5)", lambda given: mixed(given, "auto")),
)
