"""Quality of a bundle beside its teacher's, language by language, with intervals that admit how little was measured."""

from collections.abc import Iterable, Mapping

import numpy as np

from edgeafri import tasks
from edgeafri.documents.quality import AVERAGE, FEW, Drop, Quality, QualityComparison, Worst
from edgeafri.inference.metrics import MatchCounts, average_drop, drop


def compare(teacher: Quality, bundle: Quality, task: str, split: str) -> QualityComparison:
    """Both models' F1 per language, what the bundle lost, and which language lost most.

    Both were evaluated on the same sentences of the same languages. The interval of a language with fewer than FEW
    entities or texts is widened to all that is possible, and that of the average by its part in it.
    """
    before, after = counts_of(teacher, teacher), counts_of(bundle, teacher)
    units = {code: int(counts[:, 2::3].sum()) for code, counts in before.items()}
    few = [code for code in teacher if units[code] < FEW]
    drops = {code: _widened(drop(before[code], after[code]), 100.0 * (code in few)) for code in teacher}
    worst = max(drops, key=lambda code: drops[code].value)
    return QualityComparison(
        metric=tasks.task(task).metric,
        split=split,
        teacher=_f1_with_average(teacher, teacher),
        bundle=_f1_with_average(bundle, teacher),
        drop={**drops, AVERAGE: _widened(average_drop(before, after), 100.0 * len(few) / len(teacher))},
        counted="entities" if tasks.unit_of(task) == "word" else "texts",
        units=units,
        worst=Worst(worst, drops[worst].value),
    )


def counts_of(quality: Quality, languages: Iterable[str]) -> dict[str, MatchCounts]:
    """The counts of an evaluation, as metrics.py reads them."""
    return {code: np.array(quality[code].counts) for code in languages}


def _widened(found: Drop, points: float) -> Drop:
    """A drop whose interval admits that little was measured: a language nobody could judge may have lost anything."""
    return Drop(found.value, max(found.low - points, -100.0), min(found.high + points, 100.0))


def _f1_with_average(quality: Quality, languages: Iterable[str]) -> Mapping[str, float]:
    values = {code: quality[code].f1 for code in languages}
    rounded = {code: round(value, 2) for code, value in values.items()}
    return {**rounded, AVERAGE: round(sum(values.values()) / len(values), 2)}
