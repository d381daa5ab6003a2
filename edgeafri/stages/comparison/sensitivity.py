"""What every layer that a quantizer changes costs, one at a time, and mixed precision made of that.

A layer is put alone into the float graph, so that all that differs is its doing. HAWQ (Dong et al. 2019) ranks layers
for mixed precision by curvature; here what counts is what the model itself then answers in the worst language.
"""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from numpy.typing import NDArray

from edgeafri.artifact import Artifact
from edgeafri.bundle import GRAPH
from edgeafri.data.dataset import Split, Unit
from edgeafri.documents.parity import Gap, LayerCost, LayerCosts
from edgeafri.documents.torch_requests import LayersRequest
from edgeafri.errors import DataError, ModelError
from edgeafri.inference.predict import Encoder, Predictor, padded
from edgeafri.inference.session import forward, open_session
from edgeafri.menu.facts.conversion import MixedPrecision
from edgeafri.menu.settings import QuantizeSettings
from edgeafri.stages.comparison.model_outputs import (
    ModelOutputs,
    f1_by_language,
    gaps_between,
    has_labels,
    over_all,
    read_outputs,
    sentences_to_compare,
)
from edgeafri.stages.graphs.splice import Layer, changed_layers, splice
from edgeafri.stages.models import checkpoint
from edgeafri.tasks import unit_of
from edgeafri.util.progress import Progress

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

_LOCAL = 2  # sentences of each language on which a layer's own error is measured
Tensor = NDArray[Any]  # Any: a layer's output may be float32 or float16
LostByLanguage = dict[str, float]
"""Points of F1, or where nothing is labelled the per cent of labels that changed."""


@dataclass(frozen=True)
class MeasuredLayer:
    """What one layer costs by itself, by language: how far the outputs are off, and the F1 lost where it is known.

    `local_error` is |y' - y| / |y| of what comes out of the layer; None when that is NaN or infinite.
    """

    layer: Layer
    local_error: float | None
    gaps: Mapping[str, Gap]
    lost: Mapping[str, float]


@dataclass(frozen=True)
class GraphRunner:
    """Runs graphs that stand in no folder yet with the tokenizer, limits and labels of one that does."""

    encoder: Encoder
    labels: tuple[str, ...]

    def outputs(self, session: "InferenceSession", splits: Sequence[Split]) -> ModelOutputs:
        """What a graph computes for all sentences, one at a time as on a device."""
        return read_outputs(Predictor(self.encoder, self.labels, forward(session)), splits)

    def tensors(self, session: "InferenceSession", names: Sequence[str], splits: Sequence[Split]) -> list[list[Tensor]]:
        """The tensors of these names for a few sentences of every language, by sentence."""
        words = [sentence.words for split in splits for sentence in split.sentences[:_LOCAL]]
        wanted = {item.name for item in session.get_inputs()}
        found = []
        for row in self.encoder.encode(words):
            ids, mask = padded([row.ids], self.encoder.frame.pad)
            feed = {"input_ids": ids, "attention_mask": mask}
            found.append(session.run(list(names), {name: feed[name] for name in wanted}))
        return found


def measure_layers(request: LayersRequest, progress: Progress) -> LayerCosts:
    """What each layer costs that the graph `after` computes differently from `before`, the most costly first."""
    unit = unit_of(request.task)
    splits = sentences_to_compare(request.languages, request.data, request.text, unit, request.sentences)
    before, after = (onnx.load(folder / GRAPH) for folder in (request.before, request.after))
    found = measured_layers(before, after, graph_runner(request.before, unit), splits, progress)
    ranked = sorted(found, key=lambda item: _harm(over_all(item.gaps)), reverse=True)
    return LayerCosts(tuple(_document(item) for item in ranked))


def mixed_precision(
    source: Artifact, quantized: onnx.ModelProto, settings: QuantizeSettings, progress: Progress
) -> tuple[onnx.ModelProto, MixedPrecision]:
    """The quantized graph with as few layers back in float32 as bring the worst language's loss within the gate.

    `settings.mixed` is the gate: points of F1 on dev, or where nothing is labelled the per cent of labels that change.
    Returns the graph and the facts. DataError for no text; ModelError when not even all layers in float32 are enough.
    """
    allowed, whole, sample = _gate(source, settings)
    before, runner = onnx.load(source.path / GRAPH), graph_runner(source.path, unit_of(source.manifest.task))
    reference = runner.outputs(open_graph(before), whole)

    def lost_by(graph: onnx.ModelProto) -> LostByLanguage:
        return _lost(reference, runner.outputs(open_graph(graph), whole), whole)

    first = lost_by(quantized)
    worst = max(first, key=lambda code: first[code])
    in_float: list[Layer] = []
    graph, last = quantized, first
    if first[worst] > allowed:
        found = measured_layers(before, quantized, runner, sample, progress)
        ranked = [item.layer for item in sorted(found, key=lambda item: _harm(item.gaps[worst]), reverse=True)]
        in_float, graph, last = _fewest(ranked, allowed, before, quantized, lost_by)
    return graph, MixedPrecision(
        allowed=allowed,
        measure="F1 on dev" if has_labels(whole) else "labels changed on text",
        float_layers=tuple(layer.name for layer in in_float),
        loss_before=_rounded(first),
        loss=_rounded(last),
    )


def measured_layers(
    before: onnx.ModelProto, after: onnx.ModelProto, runner: GraphRunner, splits: Sequence[Split], progress: Progress
) -> list[MeasuredLayer]:
    """What each layer costs that `after` computes differently from `before`, in the order of the graph."""
    layers = changed_layers(before, after)
    names = [layer.output for layer in layers]
    plain = open_graph(before, names)
    expected = runner.tensors(plain, names, splits)
    reference = runner.outputs(plain, splits)
    del plain  # a large model stands in memory often enough
    found = []
    for place, layer in enumerate(layers):
        session = open_graph(splice(before, after, layer), [layer.output])
        values = [tensors[0] for tensors in runner.tensors(session, [layer.output], splits)]
        local_error = _relative([tensors[place] for tensors in expected], values)
        found.append(_measured(layer, local_error, reference, runner.outputs(session, splits), splits))
        progress(place + 1, len(layers))
    return found


def graph_runner(folder: Path, unit: Unit) -> GraphRunner:
    """What runs graphs of the model in a folder."""
    return GraphRunner(checkpoint.read_encoder(folder, unit), checkpoint.labels_of(checkpoint.read_config(folder)))


def open_graph(graph: onnx.ModelProto, outputs: Sequence[str] = ()) -> "InferenceSession":
    """A session over a graph in memory that gives these tensors too."""
    own = len(graph.graph.output)
    there = {item.name for item in graph.graph.output}
    graph.graph.output.extend(onnx.ValueInfoProto(name=name) for name in outputs if name not in there)
    with tempfile.TemporaryDirectory() as folder:
        onnx.save_model(graph, f"{folder}/{GRAPH}")
        del graph.graph.output[own:]
        return open_session(Path(folder) / GRAPH, threads=1)


def _gate(source: Artifact, settings: QuantizeSettings) -> tuple[float, tuple[Split, ...], tuple[Split, ...]]:
    """The loss that is allowed, the sentences that it is measured on, and fewer to rank layers by."""
    languages = settings.languages or source.manifest.languages
    if not languages:
        hint = "Add --languages swa,hau: the languages to measure in."
        raise DataError("quantize: mixed precision is for the worst of the languages, and none is named", hint)
    texts = (languages, settings.data, settings.text, unit_of(source.manifest.task))
    sample = sentences_to_compare(*texts, settings.sentences)
    whole = sentences_to_compare(*texts, None) if has_labels(sample) else sample
    return float(settings.mixed or 0), whole, sample


def _fewest(
    ranked: Sequence[Layer],
    allowed: float,
    before: onnx.ModelProto,
    quantized: onnx.ModelProto,
    lost_by: Callable[[onnx.ModelProto], LostByLanguage],
) -> tuple[list[Layer], onnx.ModelProto, LostByLanguage]:
    """The shortest beginning of the ranking that is enough in float32, by halving; its graph and its loss."""

    def with_float(count: int) -> tuple[onnx.ModelProto, LostByLanguage]:
        graph = quantized
        for layer in ranked[:count]:
            graph = splice(graph, before, layer)
        return graph, lost_by(graph)

    too_few, enough = 0, len(ranked)
    best = with_float(enough)
    if max(best[1].values()) > allowed:
        message = f"quantize: {max(best[1].values()):.2f} is lost with every layer in float32, allowed is {allowed:g}"
        raise ModelError(message, "Give a larger --mixed; what is lost does not come from the layers.")
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        graph, lost = with_float(middle)
        if max(lost.values()) <= allowed:
            enough, best = middle, (graph, lost)
        else:
            too_few = middle
    return list(ranked[:enough]), *best


def _lost(reference: ModelOutputs, found: ModelOutputs, splits: Sequence[Split]) -> LostByLanguage:
    if has_labels(splits):
        return _lost_f1(reference, found, splits)
    gaps = gaps_between(reference, found, splits)
    return {code: 100 * gap.flips / max(gap.words, 1) for code, gap in gaps.items()}


def _lost_f1(reference: ModelOutputs, found: ModelOutputs, splits: Sequence[Split]) -> LostByLanguage:
    before, after = f1_by_language(reference, splits), f1_by_language(found, splits)
    return {code: before[code] - after[code] for code in before}


def _measured(
    layer: Layer, local_error: float | None, reference: ModelOutputs, found: ModelOutputs, splits: Sequence[Split]
) -> MeasuredLayer:
    gaps = gaps_between(reference, found, splits)
    return MeasuredLayer(layer, local_error, gaps, _lost_f1(reference, found, splits))


def _relative(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> float | None:
    off = sum(float(np.square(two.astype(np.float64) - one).sum()) for one, two in zip(ours, theirs, strict=True))
    size = sum(float(np.square(one.astype(np.float64)).sum()) for one in ours)
    return float(np.sqrt(off / size)) if np.isfinite(off) and size > 0 else None


def _harm(gap: Gap) -> tuple[float, float]:
    """What layers are ranked by: changed labels first, then how far the logits are off. NaN is the worst.

    F1 would be noise here: by itself a layer turns so few labels that one of them decides.
    """
    return float("inf") if gap.mean is None else gap.flips / max(gap.words, 1), gap.mean or 0.0


def _document(found: MeasuredLayer) -> LayerCost:
    return LayerCost(
        layer=found.layer.name,
        tensor=found.layer.output,
        local_error=found.local_error,
        **vars(over_all(found.gaps)),
        lost=_rounded(found.lost),
        worst=max(found.lost, key=lambda code: found.lost[code], default=None),
    )


def _rounded(values: Mapping[str, float]) -> dict[str, float]:
    return {code: round(value, 2) for code, value in values.items()}
