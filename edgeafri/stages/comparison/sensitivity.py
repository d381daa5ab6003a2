"""sensitivity: what every layer that a quantizer changes costs, one at a time, and mixed precision made of that.

A layer is put alone into the float graph, so that all that differs is its doing. HAWQ (Dong et al. 2019) ranks layers
for mixed precision by curvature; here what counts is what the model itself then answers in the worst language.
"""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from edgeafri.artifact import Artifact
from edgeafri.bundle import GRAPH
from edgeafri.data.dataset import Split, Unit
from edgeafri.errors import DataError, ModelError
from edgeafri.inference.predict import Encoder, Predictor, padded
from edgeafri.inference.session import forward, open_session
from edgeafri.menu.settings import Quantize
from edgeafri.stages.comparison.model_outputs import (
    Answers,
    Gap,
    ask,
    figures,
    gap,
    labelled,
    quality,
    questions,
    together,
)
from edgeafri.stages.graphs.splice import Layer, changed_layers, splice
from edgeafri.stages.models import checkpoint
from edgeafri.tasks import unit_of
from edgeafri.util.progress import Progress

_LOCAL = 2  # sentences a language on which a layer's own error is measured
Loss = dict[str, float]


@dataclass(frozen=True)
class Cost:
    """What one layer costs by itself, by language: how far the answers are off, and points of F1 where it is labelled.

    `local_error` is |y' - y| / |y| of what comes out of the layer; None when that is no number.
    """

    layer: Layer
    local_error: float | None
    gaps: Mapping[str, Gap]
    lost: Mapping[str, float]


@dataclass(frozen=True)
class Bench:
    """What graphs that stand in no folder yet are run with: the tokenizer, limits and labels of one that does."""

    encoder: Encoder
    labels: tuple[str, ...]

    def answers(self, session: Any, splits: Sequence[Split]) -> Answers:
        """What a graph says of all sentences, one at a time as on a device."""
        return ask(Predictor(self.encoder, self.labels, forward(session)), splits)

    def values(self, session: Any, names: Sequence[str], splits: Sequence[Split]) -> list[list[NDArray[Any]]]:
        """The tensors of these names for a few sentences of every language, by sentence."""
        words = [sentence.words for split in splits for sentence in split.sentences[:_LOCAL]]
        asked = {item.name for item in session.get_inputs()}
        found = []
        for row in self.encoder.rows(words):
            ids, mask = padded([row.ids], self.encoder.frame.pad)
            feed = {"input_ids": ids, "attention_mask": mask}
            found.append(session.run(list(names), {name: feed[name] for name in asked}))
        return found


def measure_layers(request: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """What each layer costs that the graph in folder `after` computes otherwise than that in `before`, worst first."""
    folder, unit = Path(request["before"]), unit_of(request["task"])
    splits = questions(request, unit, request["sentences"])
    before, after = (onnx.load(Path(request[name]) / GRAPH) for name in ("before", "after"))
    found = layer_costs(before, after, bench(folder, unit), splits, progress)
    return {"layers": [_document(cost) for cost in sorted(found, key=_everywhere, reverse=True)]}


def mixed_precision(
    source: Artifact, quantized: onnx.ModelProto, settings: Quantize, progress: Progress
) -> tuple[onnx.ModelProto, dict[str, Any]]:
    """The quantized graph with as few layers back in float32 as bring the worst language's loss within the gate.

    `settings.mixed` is the gate: points of F1 on dev, or where nothing is labelled the per cent of labels that change.
    Returns the graph and the facts. DataError for no text; ModelError when not even all layers in float32 are enough.
    """
    allowed, whole, sample = _gate(source, settings)
    before, tools = onnx.load(source.path / GRAPH), bench(source.path, unit_of(source.manifest.task))
    reference = tools.answers(opened(before), whole)

    def loss(graph: onnx.ModelProto) -> Loss:
        return _loss(reference, tools.answers(opened(graph), whole), whole)

    first = loss(quantized)
    worst = max(first, key=lambda code: first[code])
    kept: list[Layer] = []
    graph, last = quantized, first
    if first[worst] > allowed:
        found = layer_costs(before, quantized, tools, sample, progress)
        ranked = [cost.layer for cost in sorted(found, key=lambda cost: _hurt(cost.gaps[worst]), reverse=True)]
        kept, graph, last = _fewest(ranked, allowed, before, quantized, loss)
    return graph, {
        "allowed": allowed,
        "measure": "F1 on dev" if labelled(whole) else "labels changed on text",
        "float_layers": [layer.name for layer in kept],
        "loss_before": _rounded(first),
        "loss": _rounded(last),
    }


def layer_costs(
    before: onnx.ModelProto, after: onnx.ModelProto, tools: Bench, splits: Sequence[Split], progress: Progress
) -> list[Cost]:
    """What each layer costs that `after` computes otherwise than `before`, in the order of the graph."""
    layers = changed_layers(before, after)
    names = [layer.output for layer in layers]
    plain = opened(before, names)
    expected = tools.values(plain, names, splits)
    reference = tools.answers(plain, splits)
    del plain  # a large model stands in memory often enough
    found = []
    for place, layer in enumerate(layers):
        session = opened(splice(before, after, layer), [layer.output])
        values = [row[0] for row in tools.values(session, [layer.output], splits)]
        local_error = _relative([row[place] for row in expected], values)
        found.append(_cost(layer, local_error, reference, tools.answers(session, splits), splits))
        progress(place + 1, len(layers))
    return found


def bench(folder: Path, unit: Unit) -> Bench:
    """What graphs of the model in a folder are run with."""
    config = checkpoint.read_config(folder)
    encoder = checkpoint.encoder(checkpoint.read_tokenizer(folder), checkpoint.max_tokens(config), unit)
    return Bench(encoder, checkpoint.labels_of(config))


def opened(graph: onnx.ModelProto, outputs: Sequence[str] = ()) -> Any:
    """A session over a graph in memory that gives these tensors too."""
    own = len(graph.graph.output)
    there = {item.name for item in graph.graph.output}
    graph.graph.output.extend(onnx.ValueInfoProto(name=name) for name in outputs if name not in there)
    with tempfile.TemporaryDirectory() as folder:
        onnx.save_model(graph, f"{folder}/{GRAPH}")
        del graph.graph.output[own:]
        return open_session(Path(folder) / GRAPH, threads=1)


def _gate(source: Artifact, settings: Quantize) -> tuple[float, tuple[Split, ...], tuple[Split, ...]]:
    """The loss that is allowed, the sentences that it is measured on, and fewer to rank layers by."""
    languages = settings.languages or source.manifest.languages
    if not languages:
        hint = "Add --languages swa,hau: the languages to measure in."
        raise DataError("quantize: mixed precision is for the worst of the languages, and none is named", hint)
    request = {"languages": languages, "data": settings.data, "text": settings.text}
    unit = unit_of(source.manifest.task)
    sample = questions(request, unit, settings.sentences)
    whole = questions(request, unit, None) if labelled(sample) else sample
    return float(settings.mixed or 0), whole, sample


def _fewest(
    ranked: Sequence[Layer],
    allowed: float,
    before: onnx.ModelProto,
    quantized: onnx.ModelProto,
    loss: Callable[[onnx.ModelProto], Loss],
) -> tuple[list[Layer], onnx.ModelProto, Loss]:
    """The shortest beginning of the ranking that is enough in float32, by halving; its graph and its loss."""

    def with_float(count: int) -> tuple[onnx.ModelProto, Loss]:
        graph = quantized
        for layer in ranked[:count]:
            graph = splice(graph, before, layer)
        return graph, loss(graph)

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


def _loss(reference: Answers, found: Answers, splits: Sequence[Split]) -> Loss:
    """By language the points of F1 that are lost, or without labels the per cent of answers that changed."""
    if labelled(splits):
        before, after = quality(reference, splits), quality(found, splits)
        return {code: before[code] - after[code] for code in before}
    gaps = {split.language: gap(reference, found, split.language) for split in splits}
    return {code: 100 * own.flips / max(own.words, 1) for code, own in gaps.items()}


def _cost(layer: Layer, local_error: float | None, reference: Answers, found: Answers, splits: Sequence[Split]) -> Cost:
    before, after = quality(reference, splits), quality(found, splits)
    gaps = {split.language: gap(reference, found, split.language) for split in splits}
    return Cost(layer, local_error, gaps, {code: before[code] - after[code] for code in before})


def _relative(ours: Sequence[NDArray[Any]], theirs: Sequence[NDArray[Any]]) -> float | None:
    off = sum(float(np.square(two.astype(np.float64) - one).sum()) for one, two in zip(ours, theirs, strict=True))
    size = sum(float(np.square(one.astype(np.float64)).sum()) for one in ours)
    return float(np.sqrt(off / size)) if np.isfinite(off) and size > 0 else None


def _hurt(found: Gap) -> tuple[float, float]:
    """What layers are ranked by: changed labels first, then how far the logits are off. No number is the worst.

    F1 would be noise here: by itself a layer turns so few labels that one of them decides.
    """
    return float("inf") if found.mean is None else found.flips / max(found.words, 1), found.mean or 0.0


def _everywhere(cost: Cost) -> tuple[float, float]:
    return _hurt(together(list(cost.gaps.values())))


def _document(cost: Cost) -> dict[str, Any]:
    worst = max(cost.lost, key=lambda code: cost.lost[code], default=None)
    return {
        "layer": cost.layer.name,
        "tensor": cost.layer.output,
        "local_error": cost.local_error,
        **figures(together(list(cost.gaps.values()))),
        "lost": _rounded(cost.lost),
        "worst": worst,
    }


def _rounded(values: Mapping[str, float]) -> dict[str, float]:
    return {code: round(value, 2) for code, value in values.items()}
