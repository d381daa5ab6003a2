"""`edgeafri compare`: what is asked wrongly is said before any work; what a machine cannot run is a row."""

import json

import pytest

from edgeafri.cli import execute
from edgeafri.studies import turns


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [
        (["--methods", "fp32,llm_int"], 2, "--methods: there is no method 'llm_int'"),
        (["--methods", ","], 2, "--methods: nothing is named"),
        (["--lang", ","], 2, "--lang: nothing is named"),
        (["--lang", "swa,xho"], 4, "xho: no such language folder"),
        (["--data", "nowhere"], 4, "nowhere: no such data folder"),
        (["--text", "nowhere"], 4, "nowhere: no such data folder"),
    ],
)
def test_a_wrong_order_ends_before_work(more, code, message, teacher_folder, data, capsys, tmp_path, monkeypatch):
    """
    The message names what is wrong, and the next step follows.
    """
    monkeypatch.chdir(tmp_path)
    found = execute(["compare", str(teacher_folder), "--data", str(data), *more])
    said = capsys.readouterr().err

    assert found == code
    assert message in said
    assert "next: " in said
    assert not list(tmp_path.glob("edgeafri-work/*-*"))


def test_the_method_that_was_meant_is_named(teacher_folder, data, capsys):
    """
    Beside all that there are.
    """
    execute(["compare", str(teacher_folder), "--data", str(data), "--methods", "ort_int8"])

    assert "Did you mean 'ort-int8'?" in capsys.readouterr().err


@pytest.mark.parametrize(("model", "message"), [("encoder_folder", "has no head for a task"), (None, "no such model")])
def test_a_model_without_a_head_is_refused(model, message, data, capsys, tmp_path, request):
    """
    It labels nothing. So is a folder that is not there.
    """
    folder = request.getfixturevalue(model) if model else tmp_path / "nowhere"
    work = str(tmp_path / "work")

    assert execute(["compare", str(folder), "--data", str(data), "--work", work]) == 4
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_methods_are_measured_side_by_side(teacher_folder, data, capsys, tmp_path, monkeypatch):
    """
    One JSON document, the same tables in files, and a method that needs a GPU as a row where there is none.
    """
    monkeypatch.setattr(turns, "ROUNDS", 1)
    monkeypatch.setattr(turns, "RUNS", 2)
    folders = ["--data", str(data), "--work", str(tmp_path / "work"), "--out", str(tmp_path / "out")]
    methods = "fp16-gpu,torch-dynamic,llm-int8,ort-int8-per-tensor,ort-int8"
    code = execute(["compare", str(teacher_folder), "--methods", methods, "--lang", "swa", *folders, "--json"])
    quality, cost = json.loads(capsys.readouterr().out)
    names = [row["method"] for row in quality["rows"]]
    run_here = {row["method"]: row for row in cost["rows"] if not row["about"].startswith("not run: ")}

    assert code == 0
    assert names == ["fp32", *methods.split(",")]
    assert {"fp32", "torch-dynamic", "ort-int8-per-tensor", "ort-int8"} <= run_here.keys()
    assert all(row["mb"] > 0 and row["p50_ms_32"] > 0 and row["rss_mb"] > 0 for row in run_here.values())
    assert {file.name for file in (tmp_path / "out").iterdir()} == {
        "out.md",
        *(f"{name}.{kind}" for name in ("quantization", "quantization-cost") for kind in ("csv", "json")),
    }
