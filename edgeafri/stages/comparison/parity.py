"""What every step of a build changed, measured on the same sentences, one artifact after another."""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

from edgeafri.artifact import ArtifactKind
from edgeafri.data.dataset import Split
from edgeafri.documents.parity import GapByLanguage, Parity, ParityRow
from edgeafri.documents.torch_requests import ComparedStep, ParityRequest
from edgeafri.inference.session import int8_arithmetic
from edgeafri.stages.comparison.model_outputs import (
    ModelOutputs,
    f1_by_language,
    gaps_between,
    open_model,
    over_all,
    read_outputs,
    sentences_to_compare,
)
from edgeafri.stages.models import checkpoint
from edgeafri.tasks import tasks_of, unit_of
from edgeafri.util.progress import Progress, part_of


def measure_parity(request: ParityRequest, progress: Progress) -> Parity:
    """A row for every artifact of a chain: how far it is from the one before it, and from the first.

    A model without a head for the task, which only a later step gets, has a row without numbers. DataError as in
    `sentences_to_compare`.
    """
    unit = unit_of(request.task)
    splits = sentences_to_compare(request.languages, request.data, request.text, unit, request.sentences)
    rows: list[ParityRow] = []
    first: ModelOutputs | None = None
    last: ModelOutputs | None = None
    for place, (folder, step) in enumerate(zip(request.folders, request.steps, strict=True)):
        found = _outputs(folder, step.kind, request.task, splits, part_of(progress, place, len(request.steps)))
        rows.append(_row(step, found, last, first, splits))
        first, last = first or found, found or last
    sentences = {split.language: len(split.sentences) for split in splits}
    return Parity(on=splits[0].name, sentences=sentences, rows=tuple(rows), int8_arithmetic=int8_arithmetic())


def _outputs(folder: Path, kind: str, task: str, splits: Sequence[Split], progress: Progress) -> ModelOutputs | None:
    if kind != "bundle" and task not in [row.name for row in tasks_of(checkpoint.own_architecture(folder))]:
        return None
    return read_outputs(open_model(folder, cast("ArtifactKind", kind), unit_of(task)), splits, progress)


def _row(
    step: ComparedStep,
    found: ModelOutputs | None,
    last: ModelOutputs | None,
    first: ModelOutputs | None,
    splits: Sequence[Split],
) -> ParityRow:
    f1 = f1_by_language(found, splits) if found else {}
    before = f1_by_language(last, splits) if last else {}
    lost = {code: round(before[code] - f1[code], 2) for code in before if code in f1}
    return ParityRow(
        stage=step.stage,
        id=step.id,
        kind=step.kind,
        another_model=step.another_model,
        f1={code: round(value, 2) for code, value in f1.items()},
        step=_gaps(last, found, splits),
        reference=_gaps(first, found, splits),
        lost=lost or None,
    )


def _gaps(before: ModelOutputs | None, after: ModelOutputs | None, splits: Sequence[Split]) -> GapByLanguage | None:
    """How far two models are apart over all languages and in each; None when their labels are not the same."""
    if before is None or after is None or set(before.labels) != set(after.labels):
        return None
    gaps = gaps_between(before, after, splits)
    return GapByLanguage(**vars(over_all(gaps)), languages=gaps)
