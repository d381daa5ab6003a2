"""The mini-model study: proportions, quality beside cost, and a whole run on tiny models."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from edgeafri.builder.events import Finished, Noted
from edgeafri.documents.table import spread
from edgeafri.errors import DataError, UsageError
from edgeafri.studies import mini_model
from edgeafri.studies.mini_model import (
    JOINT,
    POST,
    STANDARD,
    Adapted,
    EncoderDepth,
    MiniModelGrid,
    TargetVocabulary,
    checked,
    mini_depth,
    plots,
    quality_table,
)
from edgeafri.studies.parts import PartSettings, StudyPart
from edgeafri.studies.workbench import StudyRequest, read_grid
from edgeafri.util.files import Digests

FEW = StudyPart("few-shot", Path("unseen"), PartSettings(k=100), ("bam",), (1, 3))


def study_request(**changed) -> StudyRequest:
    base = StudyRequest(
        "my-ner", Path("data"), Path("text"), ("swa",), "smoke", (1,), Path("w"), Path("o"), "edgeafri study"
    )
    return replace(base, **changed)


def adapted(method: str, epochs: int, flops: int, zero_shot: float) -> Adapted:
    vocabulary = TargetVocabulary(8000, 1.4, 0.001)
    return Adapted("bam", method, epochs, vocabulary, zero_shot, spread([40.0, 42.0]), flops, 90.5)


FOUND = (
    Adapted("bam", "not adapted", 0, TargetVocabulary(24002, 2.7, 0.16), 30.0, spread([35.0])),
    adapted(STANDARD, 2, 10 * 10**12, 40.0),
    adapted(STANDARD, 6, 30 * 10**12, 50.0),
    adapted(JOINT, 2, 4 * 10**12, 38.0),
    adapted(JOINT, 6, 12 * 10**12, 45.0),
)


@pytest.mark.parametrize(("layers", "second_head", "new_layers"), [(12, 4, 2), (6, 2, 1), (24, 8, 4), (2, 1, 1)])
def test_the_mini_models_have_the_papers_proportions(layers, second_head, new_layers):
    """
    4 of 12 layers, and 4 with 2 new ones.
    """
    assert mini_depth(EncoderDepth(num_hidden_layers=layers)) == {"second_head": second_head, "new_layers": new_layers}


def test_a_row_is_compared_with_the_standard_of_its_budget():
    """
    Its share of the operations, and of the zero-shot F1.
    """
    rows = {(row["method"], row["epochs"]): row for row in quality_table(study_request(), FEW, FOUND).rows}

    assert rows[STANDARD, 6]["share"] == rows[STANDARD, 6]["kept"] == 100
    assert (rows[JOINT, 2]["share"], rows[JOINT, 2]["kept"]) == (40, 95)
    assert (rows[JOINT, 6]["share"], rows[JOINT, 6]["kept"]) == (40, 90)
    assert (rows[JOINT, 6]["cost"], rows[JOINT, 6]["unknown"], rows[JOINT, 6]["few_shot"].mean) == (12, 0.1, 41)


def test_the_model_as_it_was_stands_first():
    """
    It costs nothing and has no perplexity of the target.
    """
    row = quality_table(study_request(), FEW, FOUND).rows[0]

    assert (row["method"], row["cost"], row["perplexity"]) == ("not adapted", None, None)
    assert (row["fertility"], row["unknown"], row["zero_shot"]) == (2.7, 16, 30)


def test_nothing_kept_of_nothing():
    """
    Where the standard finds no entity there is no share.
    """
    found = [adapted(STANDARD, 2, 10, 0.0), adapted(JOINT, 2, 4, 1.0)]

    assert [row["kept"] for row in quality_table(study_request(), FEW, found).rows] == [None, None]


def test_what_the_encoder_never_saw_is_said():
    """
    As far as the study can know it.
    """
    said = " ".join(quality_table(study_request(), FEW, FOUND).notes)

    assert "Nothing of bam is learnt from in this study before the adaptation" in said
    assert "The encoder's tokenizer and weights come from my-ner; what it saw before is for its owner to say." in said


def test_a_line_is_a_target_and_a_method():
    """
    Its points go from the smallest budget to the largest; what was not adapted has no cost to stand at.
    """
    zero_shot, few_shot = plots(FOUND)

    assert zero_shot.series == {"bam: standard": [(10, 40), (30, 50)], "bam: mini-joint": [(4, 38), (12, 45)]}
    assert few_shot.series["bam: standard"] == [(10, 41), (30, 41)]


def test_the_papers_figures_stand_beside():
    """
    98.7 % of the quality at 37.2 % of the cost, 99.3 % at about half.
    """
    rows = {row["method"]: row for row in mini_model.paper_table().rows}

    assert (rows[JOINT]["kept"], rows[JOINT]["cost"]) == (98.7, 37.2)
    assert (rows[POST]["kept"], rows[POST]["cost"]) == (99.3, None)


@pytest.mark.parametrize("size", ["smoke", "lab", "paper"])
def test_every_grid_is_complete(size):
    """
    Settings of all steps, several budgets but in smoke, and k.
    """
    grid = read_grid(MiniModelGrid, "mini-model", size)

    assert all((grid.pretraining, grid.new_layers, grid.learning, grid.adaptation, grid.few_shot.learning))
    assert grid.budgets
    assert list(grid.budgets) == sorted(grid.budgets)
    assert grid.few_shot.k > 0


@pytest.fixture
def asked(data, teacher_folder, tmp_path) -> StudyRequest:
    """A request for one source and one target language of `data`."""
    unseen, text = tmp_path / "unseen", tmp_path / "text"
    shutil.copytree(data / "hau", unseen / "hau")
    text.mkdir()
    lines = {"swa": "Rais Amina Juma alizuru Mombasa Jumatatu", "hau": "Gwamna Bala ya je Kano ranar Litinin"}
    for code, line in lines.items():
        (text / f"{code}.txt").write_text("".join(f"{line} {number} .\n" for number in range(60)), "utf-8")
    places = {"work": tmp_path / "work", "out": tmp_path / "out"}
    return study_request(teacher=str(teacher_folder), data=data, text=text, few_shot_data=unseen, **places)


def test_languages_to_adapt_to_are_asked_for(asked):
    """
    Without any there is nothing to do.
    """
    with pytest.raises(UsageError, match="study mini-model: no language to adapt to"):
        checked(replace(asked, few_shot_data=None), read_grid(MiniModelGrid, "mini-model", "smoke"))


def test_a_target_is_no_source(asked):
    """
    The encoder would have read it.
    """
    with pytest.raises(UsageError, match="study mini-model: hau is a source and a target language"):
        checked(replace(asked, languages=("swa", "hau")), read_grid(MiniModelGrid, "mini-model", "smoke"))


def test_a_target_without_raw_text_is_told_before_any_work(asked):
    """
    Hours later its adaptation would fail.
    """
    (asked.text / "hau.txt").unlink()

    with pytest.raises(DataError, match=r"text/hau\.txt: no such file"):
        checked(asked, read_grid(MiniModelGrid, "mini-model", "smoke"))


def test_seeds_are_those_of_the_grid_or_of_the_request(asked):
    """
    Those of the few-shot learning, the one thing that is done again with another seed.
    """
    grid = read_grid(MiniModelGrid, "mini-model", "smoke")
    without = replace(grid, few_shot=PartSettings(k=2))

    assert checked(asked, grid).seeds == (1,)
    assert checked(replace(asked, seeds=(3, 5)), without).seeds == (3, 5)


@pytest.mark.slow
def test_a_study_is_made_once(asked, tmp_path):
    """
    From the teacher to the tables; the second time everything is reused and the tables are the same.
    """
    again: list = []
    with Digests(tmp_path / "digests.json") as digests:
        first = mini_model.run(asked, digests, lambda event: None)
        second = mini_model.run(asked, digests, again.append)
    ended = [event for event in again if isinstance(event, Finished | Noted)]
    quality, cost, _ = first.tables

    assert ended
    assert all(event.reused for event in ended)
    assert first == second
    assert [row["method"] for row in quality.rows] == ["not adapted", STANDARD, JOINT, POST]
    assert quality.rows[1]["cost"] >= quality.rows[3]["cost"] > quality.rows[2]["cost"]
    assert [row["for"] for row in cost.rows] == [STANDARD, JOINT, POST]
    assert cost.rows[1]["cost"] > cost.rows[0]["cost"] > cost.rows[2]["cost"]
