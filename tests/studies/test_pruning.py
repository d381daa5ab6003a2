"""Pruning at three times: one plot on the languages that all have."""

import pytest

from edgeafri.studies.levels import Level, Sweep, paper_line
from edgeafri.studies.pruning import comparison_plots


@pytest.fixture
def after(quality) -> Sweep:
    """
    Three languages.
    """
    return Sweep((Level(0.0, 0, (), (quality(swa=10, hau=8, amh=0),)),), ("swa", "hau", "amh"), "after")


def test_the_three_times_are_compared_on_common_languages(after, quality):
    """
    The mean of another set of languages lies elsewhere for no reason of pruning; the paper's lines are over the same.
    """
    before = Sweep((Level(0.0, 0, (), (quality(swa=6, hau=6),)),), ("hau", "swa"), "before")
    during = Sweep(before.levels, ("hau", "swa"))
    (plot,) = comparison_plots({"after": after, "before": before, "during": during})

    assert plot.title == "Pruned after, before, during fine-tuning: mean of swa, hau"
    assert plot.series["after"] == [(0.0, 90.0)]
    assert plot.series["paper: before"] == paper_line("before", ("swa", "hau"))
    assert list(plot.series) == ["after", "before", "during", "paper: after", "paper: before"]


def test_without_a_common_language_there_is_no_plot(after, quality):
    """
    Nor without any run.
    """
    before = Sweep((Level(0.0, 0, (), (quality(yor=6),)),), ("yor",), "before")

    assert comparison_plots({"after": after, "before": before}) == []
    assert comparison_plots({}) == []
