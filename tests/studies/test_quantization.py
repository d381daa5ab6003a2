"""The teacher in int8: what each method loses and saves, beside the paper's, and the one that needs another machine."""

import pytest

from edgeafri.studies.quantization import Method, cost_table, quality_table


@pytest.fixture
def methods(quality) -> list[Method]:
    """
    Torch's int8 loses three entities of a language and takes a quarter of the time.
    """
    return [
        Method("torch float32", quality(swa=10, yor=10), 40.0, {"p50_ms": 8.0, "cpu_ms": 8.5}),
        Method("torch dynamic int8", quality(swa=9, yor=7), 30.0, {"p50_ms": 2.0, "cpu_ms": 2.5}),
        Method("EdgeAfri int8 bundle", quality(swa=10, yor=10), 10.0, {"p50_ms": 1.0, "cpu_ms": 1.5}),
    ]


def test_points_are_lost_against_torch_in_float32(methods):
    """
    With the interval, the language that lost most, and the paper's average of these languages.
    """
    first, int8, ours, _ = quality_table(methods, ("swa", "yor")).rows

    assert "lost" not in first
    assert int8["low"] < int8["lost"] < int8["high"]
    assert int8["lost"] == pytest.approx(20)
    assert (int8["worst"], int8["worst_lost"]) == ("yor", pytest.approx(30))
    assert first["paper"] == pytest.approx((87.89 + 80.76) / 2)
    assert ours["paper"] is None


def test_savings_are_in_percent(methods):
    """
    Of the weights' size and of the time, the paper's beside.
    """
    _, int8, ours, _ = cost_table(methods, 128).rows

    assert (int8["smaller"], int8["faster"]) == (pytest.approx(25), pytest.approx(75))
    assert (int8["paper_smaller"], int8["paper_faster"]) == (42.44, 40.9)
    assert "paper_smaller" not in ours


def test_what_is_not_run_says_why(methods):
    """
    The paper's figures stand alone in the row.
    """
    quality, cost = quality_table(methods, ("swa",)).rows[-1], cost_table(methods, 128).rows[-1]

    assert quality["method"] == cost["method"] == "LLM.int8(): not run: it needs a GPU and bitsandbytes"
    assert quality["paper"] == 87.93
    assert cost["paper_smaller"] == 64.08


def test_languages_that_the_paper_does_not_have_leave_its_average_out(methods, quality):
    """
    A mean over other languages says nothing beside ours.
    """
    other = [Method(item.name, quality("xho", "swa"), item.mb, item.times) for item in methods]

    assert quality_table(other, ("xho", "swa")).rows[0]["paper"] is None
