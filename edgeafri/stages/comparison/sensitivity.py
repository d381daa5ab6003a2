"""What every layer that a quantizer changes costs, one at a time: put alone into the float graph, all that differs is
its doing.

This is the truth that `ranking.py` estimates in one pass; it takes a pass for every layer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import onnx

from edgeafri.bundle import GRAPH
from edgeafri.data.dataset import Split
from edgeafri.documents.parity import Gap, LayerCost, LayerCosts
from edgeafri.documents.torch_requests import LayersRequest
from edgeafri.stages.comparison.graph_runner import GraphRunner, graph_runner
from edgeafri.stages.comparison.model_outputs import (
    f1_lost,
    gaps_between,
    over_all,
    sentences_to_compare,
)
from edgeafri.stages.comparison.ranking import rank_layers
from edgeafri.stages.graphs.splice import Layer, changed_layers, splice
from edgeafri.tasks import unit_of
from edgeafri.util.progress import Progress, silent


@dataclass(frozen=True)
class MeasuredLayer:
    """What one layer costs by itself, by language: how far the outputs are off, and the F1 lost where it is known.

    `local_error` is |y' - y| / |y| of what comes out of the layer; None when that is NaN or infinite.
    """

    layer: Layer
    local_error: float | None
    gaps: Mapping[str, Gap]
    lost: Mapping[str, float]


def measure_layers(request: LayersRequest, progress: Progress) -> LayerCosts:
    """What each layer costs that the graph `after` computes differently from `before`, the most costly first."""
    unit = unit_of(request.task)
    splits = sentences_to_compare(request.languages, request.data, request.text, unit, request.sentences)
    before, after = (onnx.load(folder / GRAPH) for folder in (request.before, request.after))
    found = measured_layers(before, after, graph_runner(request.before, unit), splits, progress)
    ranked = sorted(found, key=lambda item: _harm(over_all(item.gaps)), reverse=True)
    return LayerCosts(tuple(_document(item) for item in ranked))


def measured_layers(
    before: onnx.ModelProto, after: onnx.ModelProto, runner: GraphRunner, splits: Sequence[Split], progress: Progress
) -> list[MeasuredLayer]:
    """What each layer costs that `after` computes differently from `before`, in the order of the graph."""
    layers = changed_layers(before, after)
    local = {item.layer: item.local_error for item in rank_layers(before, after, runner, splits, silent)}
    reference = runner.outputs(before, splits)
    found = []
    for done, layer in enumerate(layers, 1):
        outputs = runner.outputs(splice(before, after, layer), splits)
        gaps, lost = gaps_between(reference, outputs, splits), f1_lost(reference, outputs, splits)
        found.append(MeasuredLayer(layer, local[layer], gaps, lost))
        progress(done, len(layers))
    return found


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
        lost={code: round(value, 2) for code, value in found.lost.items()},
        worst=max(found.lost, key=lambda code: found.lost[code], default=None),
    )
