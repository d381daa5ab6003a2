"""Weights in fewer bits: what each method loses and saves, beside the paper's, and why one was not run."""

import pytest

from edgeafri.documents.study import ModelTimes
from edgeafri.studies.methods import METHODS, MethodResult
from edgeafri.studies.quantization import cost_table, quality_table

WAYS = {method.name: method for method in METHODS}
GPU = "NVIDIA A100"


def times(p50: float, rss: float, where: str = "CPU", **more: float) -> dict[int, ModelTimes]:
    return {
        32: ModelTimes(p50_ms=p50 / 4, cpu_ms=p50 / 4, peak_rss_mb=rss, where=where, **more),
        128: ModelTimes(p50_ms=p50, cpu_ms=p50 + 0.5, peak_rss_mb=rss + 1, where=where, **more),
    }


@pytest.fixture
def found(quality) -> list[MethodResult]:
    """
    Torch's int8 loses three entities of a language and takes a quarter of the time; LLM.int8() was not run.
    """
    return [
        MethodResult(WAYS["fp32"], quality(swa=10, yor=10), 40.0, times(8.0, 300)),
        MethodResult(WAYS["torch-dynamic"], quality(swa=9, yor=7), 30.0, times(2.0, 250)),
        MethodResult(WAYS["ort-int8"], quality(swa=10, yor=10), 10.0, times(1.0, 90)),
        MethodResult(WAYS["llm-int8"], not_run="the package 'bitsandbytes' is not installed"),
    ]


def test_points_are_lost_against_torch_in_float32(found):
    """
    With the interval, the language that lost most, and the paper's average of these languages.
    """
    first, int8, ours, _ = quality_table(found, ("swa", "yor")).rows

    assert "lost" not in first
    assert int8["low"] < int8["lost"] < int8["high"]
    assert int8["lost"] == pytest.approx(20)
    assert (int8["worst"], int8["worst_lost"]) == ("yor", pytest.approx(30))
    assert first["paper"] == pytest.approx((87.89 + 80.76) / 2)
    assert ours["paper"] is None


def test_savings_are_in_percent(found):
    """
    Of the weights' size and of the time at both lengths, the paper's beside.
    """
    _, int8, ours, _ = cost_table(found).rows

    assert (int8["smaller"], int8["faster_32"], int8["faster_128"]) == (25, 75, 75)
    assert (int8["paper_smaller"], int8["paper_faster"]) == (42.44, 40.9)
    assert "paper_smaller" not in ours
    assert ours["rss_mb"] == 91


def test_what_is_not_run_says_why(found):
    """
    The paper's figures stand alone in the row.
    """
    quality, cost = quality_table(found, ("swa",)).rows[-1], cost_table(found).rows[-1]

    assert quality["about"] == cost["about"] == "not run: the package 'bitsandbytes' is not installed"
    assert quality["where"] is None
    assert quality["paper"] == 87.93
    assert (cost["paper_smaller"], "mb" in cost) == (64.08, False)


def test_a_time_on_a_gpu_is_held_against_float32_there(found, quality):
    """
    Against the CPU's it would say how fast the GPU is, not the method. Without float32 there, nothing is said.
    """
    on_gpu = [
        MethodResult(WAYS["fp32-gpu"], quality(swa=10, yor=10), 40.0, times(4.0, 300, GPU, peak_gpu_mb=60.0)),
        MethodResult(WAYS["llm-int8"], quality(swa=10, yor=10), 15.0, times(5.0, 300, GPU, peak_gpu_mb=20.0)),
    ]
    table = cost_table([*found[:2], *on_gpu])
    base, small = table.rows[2:]

    assert (small["where"], small["faster_128"], small["gpu_mb"]) == (GPU, pytest.approx(-25), 20.0)
    assert "faster_128" not in base
    assert "gpu_mb" in [column.key for column in table.columns]
    assert "gpu_mb" not in [column.key for column in cost_table(found).columns]
    assert "faster_128" not in cost_table([found[0], on_gpu[1]]).rows[1]


def test_languages_that_the_paper_does_not_have_leave_its_average_out(found, quality):
    """
    A mean over other languages says nothing beside ours; nor does entity F1 beside the F1 of another task.
    """
    other = [MethodResult(WAYS["fp32"], quality("xho", "swa"), 40.0, times(8.0, 300))]

    assert quality_table(other, ("xho", "swa")).rows[0]["paper"] is None
    assert quality_table(found, ("swa", "yor"), "sentiment").rows[0]["paper"] is None
    assert quality_table(found, ("swa", "yor"), "sentiment").notes[0].startswith("Macro F1 on test")
