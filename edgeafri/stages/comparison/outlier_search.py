"""outlier_search: outlier channels of a model, looked for on calibration text and kept in float32 as far as it pays."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

import onnx

from edgeafri.artifact import Artifact
from edgeafri.documents.outliers import Outliers, OutlierTrial
from edgeafri.menu.settings import QuantizeSettings
from edgeafri.stages.comparison.graph_runner import graph_runner, open_graph
from edgeafri.stages.comparison.model_outputs import gaps_between, sentences_to_compare
from edgeafri.stages.graphs.graph import GRAPH, read_graph
from edgeafri.stages.quantization.activation_ranges import measure_ranges
from edgeafri.stages.quantization.calibration_text import calibration_inputs
from edgeafri.stages.quantization.outliers import FURTHER, STEPS, Ladder, Plan, choose, facts_of
from edgeafri.stages.quantization.rounded_alone import measure_harm
from edgeafri.tasks import task, unit_of
from edgeafri.util.progress import Progress, part_of

MakeTrial = Callable[[Plan], onnx.ModelProto]
"""The graph in dynamic int8 with these channels in float32."""
_COMPARED = 32  # sentences per language that every trial is compared on


def why_not(source: Artifact, settings: QuantizeSettings) -> str | None:
    """Why outlier channels cannot be looked for here, in words; None where they can."""
    if settings.text is None and settings.data is None:
        return "there is no text to find them on; add --text DIR with LANG.txt, or --data DIR: its dev files are read"
    if not (settings.languages or source.manifest.languages):
        return "no language is named; add --languages swa,hau"
    if not task(source.manifest.task).for_device:
        return f"the model is for '{source.manifest.task}', which is not for a device"
    return None


@dataclass(frozen=True)
class FoundOutliers:
    """What a search found: the channels that are worth a product in float32, and what is known of all others."""

    ladder: Ladder
    plan: Plan
    trials: tuple[OutlierTrial, ...]
    reason: str
    calibrated_on: Mapping[str, int]
    compared_on: Mapping[str, int]

    def more(self) -> tuple[Plan, ...]:
        """Plans with more channels than pay, for a language that loses too much all the same."""
        cost = self.ladder.float_share(self.plan)
        return tuple(plan for plan in self.ladder.plans(STEPS + FURTHER) if self.ladder.float_share(plan) > cost)

    def document(self, plan: Plan) -> Outliers:
        """What was found and tried, and the channels that are in float32 in the end."""
        reason = (
            self.reason if plan == self.plan else "more than pay, so that the worst language loses no more than it may"
        )
        return facts_of(self.ladder, plan, self.trials, reason, self.calibrated_on, self.compared_on)


def find_outliers(
    source: Artifact, settings: QuantizeSettings, make_trial: MakeTrial, progress: Progress
) -> FoundOutliers:
    """Look for channels that are worth a product in float32.

    Ranges come from calibration text; trials are compared with the float32 model on dev, or where nothing is labelled
    on raw text. DataError for text that cannot be read; ModelError for activations that are NaN or infinite.
    """
    languages = settings.languages or source.manifest.languages
    unit = unit_of(source.manifest.task)
    before, runner = read_graph(source.path / GRAPH), graph_runner(source.path, unit)
    text = calibration_inputs(source.path, languages, settings.text, settings.data, settings.sentences, fewest=1)
    activations = measure_ranges(before, text, open_graph, part_of(progress, 0, 3))
    ladder = Ladder(activations, measure_harm(before, activations, text, open_graph, part_of(progress, 1, 3)))
    splits = sentences_to_compare(languages, settings.data, settings.text, unit, min(_COMPARED, settings.sentences))
    reference = cache(lambda: runner.outputs(before, splits))

    def measure(plan: Plan) -> tuple[dict[str, float], dict[str, float | None]]:
        gaps = gaps_between(reference(), runner.outputs(make_trial(plan), splits), splits)
        return {code: gap.flips_percent for code, gap in gaps.items()}, {code: gap.mean for code, gap in gaps.items()}

    plan, trials, reason = choose(ladder, measure, part_of(progress, 2, 3))
    calibrated_on = {code: len(rows) for code, rows in text.rows.items()}
    compared_on = {split.language: len(split.sentences) for split in splits} if trials else {}
    return FoundOutliers(ladder, plan, trials, reason, calibrated_on, compared_on)
