"""Diagnosis: the step that cost most, by what a user loses first."""

import pytest

from edgeafri.builder.diagnosis import costliest
from edgeafri.documents.parity import GapByLanguage, ParityRow


def row(stage: str, flips: int, mean: float | None = 0.01, **lost: float) -> ParityRow:
    step = GapByLanguage(largest=mean, mean=mean, flips=flips, flips_percent=flips / 10)
    return ParityRow(stage=stage, f1={}, step=step, lost=lost)


FIRST = ParityRow(stage="teacher", f1={})
SAME = row("optimize", 0, 0.0, kin=0.0, yor=0.0)


@pytest.mark.parametrize(
    ("rows", "worst"),
    [
        ([FIRST, row("trim", 1, kin=0.1), row("quantize", 9, kin=0.0, yor=0.5)], 2),
        ([FIRST, row("trim", 9, kin=0.0), row("quantize", 1, kin=0.0)], 1),
        ([FIRST, row("trim", 0, 0.1), row("quantize", 0, None)], 2),
        ([FIRST, SAME], None),
        ([FIRST], None),
    ],
)
def test_lost_f1_comes_first_then_labels_then_logits(rows: list[ParityRow], worst: int | None):
    """
    In the worst language; NaN is the worst. A step that changed nothing is not named.
    """
    assert costliest(rows, ("trim", "optimize", "quantize")) == worst


def test_a_step_that_gains_is_found_beside_one_that_changes_nothing():
    """
    Labels that changed to the better on a few sentences are changed all the same.
    """
    rows = [FIRST, SAME, row("quantize", 5, kin=-0.82, yor=-0.77)]

    assert costliest(rows, ("optimize", "quantize")) == 2
    assert costliest(rows, ("optimize",)) is None
