"""The parts of the compression study, planned before any work; what is not run is said with its reason."""

from pathlib import Path

import pytest

from edgeafri.errors import DataError
from edgeafri.studies.parts import NAMES, CompressionGrid, PartSettings, overview, plan
from edgeafri.studies.workbench import StudyRequest, read_grid


def study_request(**changed) -> StudyRequest:
    values = {
        "teacher": "teacher",
        "data": Path("data"),
        "text": Path("text"),
        "languages": ("swa", "amh"),
        "grid": "lab",
        "seeds": (1, 3),
        "work": Path(),
        "out": Path(),
        "command": "",
    }
    return StudyRequest(**{**values, **changed})


@pytest.mark.parametrize(
    ("part", "changed", "reason"),
    [
        ("before", {"text": None}, "raw text absent (--text)"),
        ("zero-shot", {"text": None}, "raw text absent (--text)"),
        ("few-shot", {}, "data absent (--few-shot-data)"),
        ("high-resource", {}, "data absent (--ood-data)"),
        ("before", {"languages": ("amh",)}, "it is for swa, hau, yor, and none of these was asked for"),
    ],
)
def test_a_part_that_cannot_be_run_says_why(part, changed, reason):
    """
    In the page, not by being absent from it.
    """
    planned = plan(study_request(**changed), read_grid(CompressionGrid, "compression", "lab"))
    row = overview(planned, "lab", {}).rows[NAMES.index(part) + (part in ("few-shot", "zero-shot", "high-resource"))]

    assert planned[part].not_run == reason
    assert row["state"] == f"not run: {reason}"


def test_a_part_that_the_grid_leaves_out_is_said():
    """
    Whoever reads the page knows that there is more to run.
    """
    planned = plan(study_request(), CompressionGrid(masked_teacher={}, after=PartSettings(sparsity=(0.5,))))

    assert planned["after"].not_run == ""
    assert planned["during"].not_run == "the grid 'lab' leaves it out"


def test_a_part_has_languages_and_seeds_of_its_own():
    """
    Of those named in the grid the ones that were asked for; else all that were asked for.
    """
    own = PartSettings(sparsity=(0.5,), languages=("hau", "swa"), seeds=(7,))
    grid = CompressionGrid(masked_teacher={}, after=PartSettings(sparsity=(0.5,)), before=own)
    planned = plan(study_request(), grid)

    assert (planned["after"].languages, planned["after"].seeds) == (("swa", "amh"), (1, 3))
    assert (planned["before"].languages, planned["before"].seeds) == (("swa",), (7,))


def test_unseen_languages_are_those_of_their_own_data(data):
    """
    Not of the request.
    """
    part = plan(study_request(few_shot_data=data), read_grid(CompressionGrid, "compression", "smoke"))["few-shot"]

    assert (part.languages, part.data, part.not_run) == (("hau", "swa"), data, "")


def test_unseen_data_that_is_not_there_is_an_error(tmp_path):
    """
    A misspelt path is not the same as none.
    """
    with pytest.raises(DataError, match="no such data folder"):
        plan(study_request(ood_data=tmp_path / "none"), read_grid(CompressionGrid, "compression", "smoke"))


def test_the_overview_states_the_grid():
    """
    Levels, seeds and settings of what is run.
    """
    table = overview(plan(study_request(), read_grid(CompressionGrid, "compression", "lab")), "lab", {"epochs": 1})
    rows = {row["part"]: row for row in table.rows}

    assert rows["pruning before fine-tuning (Table 8)"] == {
        "part": "pruning before fine-tuning (Table 8)",
        "state": "run",
        "languages": "swa",
        "levels": "30, 50, 70, 80, 90",
        "seeds": "1, 3",
        "settings": "epochs 1, learning_rate 5e-4, batch 32, dropout 0.0, precision bfloat16",
    }
    assert table.notes == ("The encoder of before, during, zero-shot is trained on raw text first: epochs 1.",)
    assert (
        overview(plan(study_request(text=None), read_grid(CompressionGrid, "compression", "lab")), "lab", {}).notes
        == ()
    )


@pytest.mark.parametrize(
    ("version", "state"),
    [("0.50.2", "run"), (None, "not run: bitsandbytes is not installed (pip install 'edgeafri[gpu]')")],
)
def test_the_method_with_a_package_of_its_own_says_when_that_is_missing(version, state, monkeypatch):
    """
    It is run with the quantization where the package is there.
    """
    monkeypatch.setattr("edgeafri.studies.parts.version_of", lambda package: version)
    table = overview(plan(study_request(), read_grid(CompressionGrid, "compression", "lab")), "lab", {})

    assert {row["part"]: row["state"] for row in table.rows}["LLM.int8() (Tables 3 and 4)"] == state
