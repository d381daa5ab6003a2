"""Figures: places on bars and axes, the front that no other beats, memory with its limit."""

from typing import Any

import pytest

from edgeafri.documents.build import BuildResult
from edgeafri.documents.profile import Profile
from edgeafri.report import from_documents
from edgeafri.report.entry import Entry, MemoryCurve
from edgeafri.report.figures import FRAME, front, memory_figure, pareto_figures, segments, timing_bars

Document = dict[str, Any]


def of_build(document: dict[str, Any]) -> Entry:
    return from_documents.of_build(BuildResult.from_json(document))


def of_profile(document: dict[str, Any]) -> Entry:
    return from_documents.of_profile(Profile.from_json(document))


def pairs(points: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in (point.split(",") for point in points.split())]


@pytest.mark.parametrize(
    ("points", "best"),
    [
        ([(1, 3), (2, 2), (3, 1)], {0, 1, 2}),
        ([(1, 1), (2, 2), (1, 2)], {0}),
        ([(1, 1), (1, 1)], {0, 1}),
        ([(2, 0), (1, 0)], {1}),
    ],
)
def test_the_front_holds_what_no_other_beats(points: list[tuple[float, float]], best: set[int]):
    """
    As good in both and better in one; equals both stay.
    """
    assert front(points) == best


def test_segments_fill_the_bar():
    """
    One after the other, together all of it.
    """
    parts = segments({"embeddings": 50, "attention": 25, "ffn": 20, "other": 3, "tokenizer": 2})

    assert [part.start for part in parts] == [0, 50, 75, 95, 98]
    assert sum(part.width for part in parts) == pytest.approx(100)


def test_memory_is_drawn_from_zero_with_phases_and_limit():
    """
    Time goes right and memory up; the limit is above a line that keeps it, and in the picture.
    """
    phases = {"load": [[0.0, 40.0], [0.5, 210.0]], "run": [[0.6, 212.0], [2.0, 221.4]]}
    figure = memory_figure(MemoryCurve("here", phases, limit=400.0))
    points = pairs(figure.points)

    assert [progress.text for progress in figure.phases] == ["load", "run"]
    assert [x for x, _ in points] == sorted(x for x, _ in points)
    assert [y for _, y in points] == sorted((y for _, y in points), reverse=True)
    assert figure.limit is not None
    assert 0 < figure.limit < min(y for _, y in points)
    assert all(0 <= x <= FRAME.width and 0 <= y <= FRAME.height for x, y in points)
    assert (figure.y[0].text, figure.limit_text, figure.peak_text) == ("0", "limit 400 MB", "221.4 MB")


@pytest.mark.parametrize("samples", [[[0.0, 0.0]], [[0.0, 5.0]], [[0.0, 1e9], [1e-6, 1e9]]])
def test_odd_samples_are_drawn(samples: list[list[float]]):
    """
    One sample, nothing held, or a very large number: no division by zero, and everything in the picture.
    """
    figure = memory_figure(MemoryCurve("here", {"load": samples}, limit=None))

    assert figure.limit is None
    assert all(0 <= x <= FRAME.width and 0 <= y <= FRAME.height for x, y in pairs(figure.points))


def test_tiers_stand_on_one_scale(profile: Document):
    """
    From zero to the longest, with the limit where it is in sight.
    """
    bars = timing_bars(of_profile(profile).timings, 1000.0)
    far = timing_bars(of_profile(profile).timings, 1e6)

    assert bars[0].interval[0] < bars[0].mark < bars[0].interval[1] < 100
    assert bars[1].value < bars[0].interval[0]
    assert far[0].mark is None
    assert timing_bars((), None) == []


def test_bundles_are_placed_by_size_and_by_latency(several: list[Document]):
    """
    Cheap is left and little loss is low; the front goes by stairs.
    """
    size, latency = pareto_figures([of_build(build) for build in several])

    assert (size.x_name, latency.x_name) == ("bundle, MB", "p50 on the host, ms")
    assert [mark.best for mark in size.marks] == [True, True, False]
    assert size.marks[0].x < size.marks[1].x < size.marks[2].x
    assert size.marks[0].worst < size.marks[2].worst < size.marks[1].worst  # up is small in SVG
    assert len(pairs(size.front)) == 3
    assert pairs(size.front)[1] == (size.marks[1].x, size.marks[0].worst)


def test_times_of_different_machines_are_not_drawn_together(several: list[Document]):
    """
    The estimate is of one device for all: it takes their place.
    """
    several[0]["host"]["device"] = "another machine"
    figures = pareto_figures([of_build(build) for build in several])

    assert [figure.x_name for figure in figures] == ["bundle, MB", "high end of the estimate, ms"]


def test_one_bundle_or_no_loss_gives_no_plot(several: list[Document]):
    """
    A plot of one point shows nothing.
    """
    judged, *others = [of_build(build) for build in several]
    unjudged = [of_build({**build, "quality": None}) for build in several]

    assert pareto_figures([judged]) == pareto_figures(unjudged) == pareto_figures([judged, unjudged[1]]) == []
    assert len(pareto_figures([judged, *others, unjudged[0]])[0].marks) == 3


def test_a_bundle_that_lost_nothing_is_drawn(several: list[Document]):
    """
    All drops at zero or below: the axis still has a height.
    """
    for build in several:
        build["quality"]["worst"]["drop"] = 0.0
        build["quality"]["drop"] = {code: {"value": 0.0, "low": 0.0, "high": 0.0} for code in ("hau", "avg")}
    (size, _) = pareto_figures([of_build(build) for build in several])

    assert {mark.worst for mark in size.marks} == {size.y[0].place}
