"""ranking: all layers that a quantizer changes by the harm they do, from one pass over calibration text.

HAWQ (Dong et al. 2019) ranks layers for mixed precision by curvature, with gradients. Here each layer is computed both
ways beside each other in the float graph, and its error followed to the next residual sum. Errors of layers are nearly
independent, so their squares add up to that of the whole graph; this says what an error of a sum is to the logits.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from edgeafri.data.dataset import Split
from edgeafri.stages.comparison.graph_runner import GraphRunner
from edgeafri.stages.comparison.model_outputs import ModelOutputs
from edgeafri.stages.graphs.splice import Layer, changed_layers
from edgeafri.stages.graphs.twins import with_twins
from edgeafri.util.progress import Progress


@dataclass(frozen=True)
class RankedLayer:
    """A layer, |y' - y| / |y| of what comes out of it, and what this layer alone does to the logits, by the same.

    `local_error` is None when it is NaN or infinite. `harm` is an estimate, and infinite for what is NaN; its squares
    add up to that of the whole graph.
    """

    layer: Layer
    local_error: float | None
    harm: float


def rank_layers(
    before: onnx.ModelProto, after: onnx.ModelProto, runner: GraphRunner, splits: Sequence[Split], progress: Progress
) -> list[RankedLayer]:
    """The layers that `after` computes differently from `before`, the most harmful first.

    One pass over the sentences ranks them all. ModelError when the two graphs are not of one chain.
    """
    graph, probes = with_twins(before, after, changed_layers(before, after))
    if not probes:
        return []
    names = dict.fromkeys(name for probe in probes for name in (*probe.local, *probe.summed))
    sums = runner.sums(graph, list(names), splits, progress)
    whole = _apart(*(runner.outputs(item, splits) for item in (before, after)))

    local = {probe: _relative(*(sums[name] for name in probe.local)) for probe in probes}
    summed = {probe: _relative(*(sums[name] for name in probe.summed)) for probe in probes if probe.is_inside}
    passed_on = _passed_on(whole, list(summed.values()), [local[probe] for probe in probes if not probe.is_inside])
    found = [
        _ranked(probe.layer, local[probe], passed_on * summed[probe] if probe.is_inside else local[probe])
        for probe in probes
    ]
    return sorted(found, key=lambda item: item.harm, reverse=True)


def _ranked(layer: Layer, local: float, harm: float) -> RankedLayer:
    return RankedLayer(layer, local if math.isfinite(local) else None, harm)


def _passed_on(whole: float, inside: Sequence[float], at_end: Sequence[float]) -> float:
    """The part of an error of a residual sum that reaches the logits, so that all errors make what the graph is off.

    1 where that says nothing: infinite errors, or logits that are off less than by their own layers.
    """
    squares, rest = sum(error**2 for error in inside), whole**2 - sum(error**2 for error in at_end)
    share = rest / squares if squares > 0 else 1.0
    return math.sqrt(share) if math.isfinite(share) and share > 0 else 1.0


def _apart(ours: ModelOutputs, theirs: ModelOutputs) -> float:
    """|y' - y| / |y| of all logits."""
    pairs = [
        (one.logits.astype(np.float64), two.logits)
        for code, sentences in ours.sentences.items()
        for one, two in zip(sentences, theirs.sentences[code], strict=True)
    ]
    off = sum(float(np.square(two - one).sum()) for one, two in pairs)
    return _relative(off, sum(float(np.square(one).sum()) for one, _ in pairs))


def _relative(off: float, size: float) -> float:
    """The root of a quotient of two sums of squares; what is NaN, or relative to nothing, is infinitely off."""
    return math.sqrt(off / size) if math.isfinite(off) and size > 0 else math.inf
