"""mixed_precision: as little in float32 as keeps what the worst language loses within a limit.

Outlier channels come first, then whole layers. One pass ranks the layers. How many of them it takes is found by
halving, on the sentences that are decided most narrowly, as others hardly change; what is found is checked on all.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import onnx

from edgeafri.artifact import Artifact
from edgeafri.bundle import GRAPH
from edgeafri.data.dataset import Split
from edgeafri.errors import DataError
from edgeafri.inference.predict import SentenceLogits, best_labels
from edgeafri.menu.facts.conversion import MixedPrecision
from edgeafri.menu.settings import QuantizeSettings
from edgeafri.stages.comparison.graph_runner import GraphRunner, graph_runner
from edgeafri.stages.comparison.model_outputs import (
    ModelOutputs,
    f1_lost,
    gaps_between,
    has_labels,
    sentences_to_compare,
)
from edgeafri.stages.comparison.ranking import rank_layers
from edgeafri.stages.graphs.splice import Layer, splice
from edgeafri.stages.quantization.outliers import Plan
from edgeafri.tasks import unit_of
from edgeafri.util.progress import Progress, part_of, silent

LostByLanguage = dict[str, float]
"""Points of F1, or where nothing is labelled the per cent of labels that changed."""
Places = Mapping[str, frozenset[int]]
"""Some of the sentences: by language, the places where they stand."""
_PARTS = 4  # that take about as long: the float graph, the quantized one, the ranking, and the search


@dataclass(frozen=True)
class Held:
    """A graph whose worst language was brought within a limit, and what that took; `plan` is None for the first one."""

    graph: onnx.ModelProto
    plan: Plan | None
    facts: MixedPrecision


def mixed_precision(
    source: Artifact,
    quantized: onnx.ModelProto,
    allowed: float,
    settings: QuantizeSettings,
    progress: Progress,
    more: Iterable[tuple[Plan, onnx.ModelProto]] = (),
) -> Held:
    """The quantized graph with as much in float32 as brings the worst language's loss within the limit.

    `allowed` are points of F1 on dev, or where nothing is labelled the per cent of labels that change. `more` gives the
    graphs with ever more outlier channels in float32; where they are not enough, as few layers as are enough follow.
    Where all layers are not, the graph stays as it was and the facts say so. DataError for no text.
    """
    whole, sample = _texts(source, settings)
    before, runner = onnx.load(source.path / GRAPH), graph_runner(source.path, unit_of(source.manifest.task))
    reference = runner.outputs(before, whole, part_of(progress, 0, _PARTS))

    def lost_by(graph: onnx.ModelProto, progress: Progress = silent) -> LostByLanguage:
        return _lost(reference, runner.outputs(graph, whole, progress), whole)

    first = lost = lost_by(quantized, part_of(progress, 1, _PARTS))
    graph, plan, steps = quantized, None, iter(more)
    while max(lost.values()) > allowed and (step := next(steps, None)):
        plan, graph = step
        lost = lost_by(graph)
    in_float, unreachable = tuple[Layer, ...](), None
    if max(lost.values()) > allowed:
        worst = max(lost, key=lambda code: lost[code])
        in_worst = [split for split in sample if split.language == worst]
        ranked = rank_layers(before, graph, runner, in_worst, part_of(progress, 2, _PARTS))
        search = _Search(before, graph, tuple(item.layer for item in ranked), runner, whole, reference, allowed)
        count, graph, lost = search.run(settings.sentences, part_of(progress, 3, _PARTS))
        in_float = search.ranked[:count]
    if max(lost.values()) > allowed:
        graph, plan, in_float, lost, unreachable = quantized, None, (), first, max(lost.values())
    facts = MixedPrecision(
        allowed=allowed,
        measure="F1 on dev" if has_labels(whole) else "labels changed on text",
        float_layers=tuple(layer.name for layer in in_float),
        loss_before=_rounded(first),
        loss=_rounded(lost),
        unreachable=None if unreachable is None else round(unreachable, 2),
        added_bytes=graph.ByteSize() - quantized.ByteSize(),
    )
    return Held(graph, plan, facts)


def _texts(source: Artifact, settings: QuantizeSettings) -> tuple[tuple[Split, ...], tuple[Split, ...]]:
    """The sentences that a loss is measured on, and fewer to rank layers by."""
    languages = settings.languages or source.manifest.languages
    if not languages:
        hint = "Add --languages swa,hau: the languages to measure in."
        raise DataError("quantize: mixed precision is for the worst of the languages, and none is named", hint)
    texts = (languages, settings.data, settings.text, unit_of(source.manifest.task))
    sample = sentences_to_compare(*texts, settings.sentences)
    return sentences_to_compare(*texts, None) if has_labels(sample) else sample, sample


@dataclass(frozen=True)
class _Search:
    """The search for the shortest beginning of the ranking that is enough in float32."""

    before: onnx.ModelProto
    quantized: onnx.ModelProto
    ranked: tuple[Layer, ...]
    runner: GraphRunner
    whole: Sequence[Split]
    reference: ModelOutputs
    allowed: float

    def run(self, narrow: int, progress: Progress) -> tuple[int, onnx.ModelProto, LostByLanguage]:
        """How many layers it takes, the graph and its loss; all of them where none are enough.

        Searched for on `narrow` sentences of each language, and checked on all. Where the check fails, the sentences
        that it changed are looked at too, and more layers are tried.
        """
        places, too_few, failed = _narrowest(self.reference, narrow), 0, 0
        while True:
            now, progress = part_of(progress, 0, 2), part_of(progress, 1, 2)
            count = self._fewest(too_few, places, part_of(now, 0, 2))
            graph = self._with_float(count)
            found = self.runner.outputs(graph, self.whole, part_of(now, 1, 2))
            lost = _lost(self.reference, found, self.whole)
            if max(lost.values()) <= self.allowed or count == len(self.ranked):
                return count, graph, lost
            places, failed = _joined(places, _changed(self.reference, found)), failed + 1
            too_few = min(count * failed, len(self.ranked) - 1)  # in longer and longer steps, as each check takes long

    def _fewest(self, too_few: int, places: Places, progress: Progress) -> int:
        """The fewest layers, more than `too_few`, that are enough by the sentences at these places.

        By halving the logarithm: few are enough more often than many, and are tried in less time.
        """
        enough, steps, done = len(self.ranked), 2 * len(self.ranked).bit_length(), 0
        while enough - too_few > 1:
            middle = max(math.isqrt(too_few * enough), too_few + 1)
            lost = self._lost_at(middle, places, part_of(progress, done, steps))
            too_few, enough = (too_few, middle) if max(lost.values()) <= self.allowed else (middle, enough)
            done += 1
        return enough

    def _lost_at(self, count: int, places: Places, progress: Progress) -> LostByLanguage:
        """What is lost where other sentences than those at these places stay as in float32."""
        splits = [
            replace(split, sentences=tuple(split.sentences[place] for place in sorted(places[split.language])))
            for split in self.whole
        ]
        found = self.runner.outputs(self._with_float(count), splits, progress)
        return _lost(self.reference, _put_in(found, self.reference, places), self.whole)

    def _with_float(self, count: int) -> onnx.ModelProto:
        return splice(self.quantized, self.before, *self.ranked[:count])


def _narrowest(outputs: ModelOutputs, most: int) -> Places:
    """The sentences of each language in which a label has the smallest distance to the next best."""
    found = {}
    for code, sentences in outputs.sentences.items():
        margins = [_margin(sentence, outputs.labels) for sentence in sentences]
        found[code] = frozenset(sorted(range(len(margins)), key=lambda place: margins[place])[:most])
    return found


def _margin(sentence: SentenceLogits, labels: tuple[str, ...]) -> float:
    margins = best_labels(sentence, labels).margins
    return min((margin for margin, read in zip(margins, sentence.read, strict=True) if read), default=float("inf"))


def _changed(ours: ModelOutputs, theirs: ModelOutputs) -> Places:
    """The sentences in which a label is another."""
    return {
        code: frozenset(
            place
            for place, (one, two) in enumerate(zip(sentences, theirs.sentences[code], strict=True))
            if (one.logits.argmax(axis=1) != two.logits.argmax(axis=1)).any()
        )
        for code, sentences in ours.sentences.items()
    }


def _joined(ours: Places, theirs: Places) -> Places:
    return {code: places | theirs[code] for code, places in ours.items()}


def _put_in(found: ModelOutputs, reference: ModelOutputs, places: Places) -> ModelOutputs:
    """The reference, with what was found for the sentences at these places."""
    sentences = {}
    for code, whole in reference.sentences.items():
        own = dict(zip(sorted(places[code]), found.sentences[code], strict=True))
        sentences[code] = tuple(own.get(place, sentence) for place, sentence in enumerate(whole))
    return ModelOutputs(reference.labels, sentences)


def _lost(reference: ModelOutputs, found: ModelOutputs, splits: Sequence[Split]) -> LostByLanguage:
    if has_labels(splits):
        return f1_lost(reference, found, splits)
    gaps = gaps_between(reference, found, splits)
    return {code: 100 * gap.flips / max(gap.words, 1) for code, gap in gaps.items()}


def _rounded(values: Mapping[str, float]) -> dict[str, float]:
    return {code: round(value, 2) for code, value in values.items()}
