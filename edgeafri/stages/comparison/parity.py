"""parity: what every pass of a build changed, measured on the same words, one artifact after another."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgeafri.artifact import Kind
from edgeafri.data.dataset import Split, Unit
from edgeafri.inference.session import int8_arithmetic
from edgeafri.stages.comparison.model_outputs import Answers, ask, figures, gap, opened, quality, questions, together
from edgeafri.stages.models import checkpoint
from edgeafri.tasks import tasks_of, unit_of
from edgeafri.util.progress import Progress


def measure_parity(request: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """A row for every artifact of a chain: how far it is from the one before it, and from the first.

    `folders` and `steps` stand for the artifacts in order; a step has its `kind`, `stage` and `id`. A model without a
    head for the task, which only a later step gets, has a row without numbers. DataError as in `questions`.
    """
    unit = unit_of(request["task"])
    splits = questions(request, unit, request["sentences"])
    steps = list(zip(request["folders"], request["steps"], strict=True))
    rows: list[dict[str, Any]] = []
    first: Answers | None = None
    last: Answers | None = None
    for place, (folder, step) in enumerate(steps):
        found = _answers(Path(folder), step["kind"], request["task"], splits, _part(progress, place, len(steps)))
        rows.append({**step, **_row(found, last, first, splits)})
        first, last = first or found, found or last
    sentences = {split.language: len(split.sentences) for split in splits}
    return {"on": splits[0].name, "sentences": sentences, "rows": rows, "int8_arithmetic": int8_arithmetic()}


def _answers(folder: Path, kind: Kind, task: str, splits: Sequence[Split], progress: Progress) -> Answers | None:
    if kind != "bundle" and task not in [row.name for row in tasks_of(checkpoint.own_architecture(folder))]:
        return None
    unit: Unit = unit_of(task)
    return ask(opened(folder, kind, unit), splits, progress)


def _row(found: Answers | None, last: Answers | None, first: Answers | None, splits: Sequence[Split]) -> dict[str, Any]:
    if found is None:
        return {"f1": {}, "step": None, "reference": None, "lost": None}
    scores = quality(found, splits)
    before = quality(last, splits) if last else {}
    lost = {code: before[code] - scores[code] for code in before if code in scores}
    return {
        "f1": {code: round(value, 2) for code, value in scores.items()},
        "step": _gaps(last, found, splits),
        "reference": _gaps(first, found, splits),
        "lost": {code: round(points, 2) for code, points in lost.items()} or None,
    }


def _gaps(before: Answers | None, after: Answers, splits: Sequence[Split]) -> dict[str, Any] | None:
    """How far two models are apart over all languages and in each; None when their labels are not the same."""
    if before is None or set(before.labels) != set(after.labels):
        return None
    found = {split.language: gap(before, after, split.language) for split in splits}
    return {**figures(together(list(found.values()))), "languages": {code: figures(own) for code, own in found.items()}}


def _part(progress: Progress, place: int, of: int) -> Progress:
    """A progress of one of several equal parts."""
    return lambda done, total: progress(place * total + done, of * total)
