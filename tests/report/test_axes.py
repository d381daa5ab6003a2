"""Axes: a log scale that holds what it is given, and columns side by side."""

import pytest

from edgeafri.report.axes import PlotArea

AREA = PlotArea(320, 200)


def test_on_a_log_scale_ten_times_as_much_is_as_far_everywhere():
    """
    Up is more; from 0.7 to 7 it is as far as from 7 to 70.
    """
    place, _ = AREA.y_log_axis(0.5, 100)

    assert place(0.7) - place(7) == pytest.approx(place(7) - place(70), abs=0.2)
    assert place(0.5) == AREA.height - AREA.bottom
    assert place(100) == AREA.top


def test_what_is_not_above_zero_stands_at_the_lower_edge():
    """
    A channel that is zero everywhere has no logarithm.
    """
    place, _ = AREA.y_log_axis(0.5, 100)

    assert place(0.0) == place(0.1) == AREA.height - AREA.bottom


@pytest.mark.parametrize(
    ("ends", "texts"),
    [
        ((1, 20), ["1", "2", "5", "10", "20"]),
        ((0.03, 140), ["0.03", "0.1", "0.3", "1", "3", "10", "30", "100"]),
        ((0.001, 1e4), ["0.001", "0.01", "0.1", "1", "10", "100", "1000", "10000"]),
        ((5, 5), ["5"]),
    ],
)
def test_a_log_scale_has_round_numbers_and_not_too_many(ends: tuple[float, float], texts: list[str]):
    """
    The larger the range, the fewer of them for every power of ten.
    """
    assert [tick.text for tick in AREA.y_log_axis(*ends)[1]] == texts


def test_columns_fill_the_width_evenly():
    """
    Each number is the middle of its column.
    """
    left, middle, right = AREA.columns(3)

    assert left - AREA.left == pytest.approx((AREA.width - AREA.right) - right, abs=0.2)
    assert middle - left == pytest.approx(right - middle, abs=0.2)
