"""The workbench of studies: sizes read from a grid, parameters counted without torch, models made only once."""

from dataclasses import replace

import pytest

from edgeafri.artifact import adopt
from edgeafri.errors import DataError, ModelError, StorageError, UsageError
from edgeafri.stages.menu import stage
from edgeafri.studies import distillation
from edgeafri.studies.study import FOLDER, Bench, Order, parameters, read_grid

STUDIES = ("comet", "distillation")
# Entries of a grid that are no stage's settings, and which stage the others are for.
_STAGES = {"masked teacher": "adapt-maft", "distill": "distill", "agnostic": "distill", "specific": "distill"}


@pytest.mark.parametrize("name", STUDIES)
@pytest.mark.parametrize("grid", ["smoke", "lab", "paper"])
def test_every_grid_is_made_of_settings_that_exist(name, grid):
    """
    A misspelt key would only be found hours into a study.
    """
    from edgeafri.settings import read

    for entry, settings in read_grid(name, grid).items():
        if entry != "shapes":
            read(stage(_STAGES.get(entry, "finetune")).settings, settings, entry)


def test_every_study_has_its_grids():
    """
    One file a study.
    """
    assert sorted(file.stem for file in FOLDER.glob("*.yaml")) == sorted(STUDIES)


def test_an_unknown_grid_is_named_with_those_there_are():
    """
    The nearest one is suggested.
    """
    with pytest.raises(UsageError) as caught:
        read_grid("comet", "smoky")
    assert caught.value.message == "study comet: there is no grid 'smoky'"
    assert "Did you mean 'smoke'?" in caught.value.hint


def test_parameters_are_counted_from_the_file(teacher_folder, digests):
    """
    As many as torch counts.
    """
    from edgeafri.stages.model import read_model

    expected = sum(weight.numel() for weight in read_model(teacher_folder).parameters())

    assert parameters(adopt(teacher_folder, "torch", "ner", ("swa",), digests)) == expected


@pytest.fixture
def asked(teacher_folder, data, tmp_path):
    """An order of a study on the small data."""
    text = tmp_path / "raw"
    text.mkdir()
    (text / "swa.txt").write_text("Rais alizuru Mombasa.\n", "utf-8")
    folders = {"data": data, "text": text, "work": tmp_path / "work", "out": tmp_path / "out"}
    return Order(teacher=str(teacher_folder), languages=("swa",), grid="smoke", seeds=(1,), command="", **folders)


def test_a_place_for_tables_that_cannot_be_one_is_told_before_any_work(asked, digests, tmp_path):
    """
    Not after the hours that a study takes.
    """
    (tmp_path / "file").write_text("")

    with pytest.raises(StorageError, match="file"):
        Bench(replace(asked, out=tmp_path / "file"), "ner", digests, lambda event: None)


def test_labels_that_the_teacher_does_not_know_are_told_before_any_work(asked, digests):
    """
    All splits are read, test too.
    """
    with pytest.raises(DataError, match=r"swa/test\.txt: the model does not know the tag"):
        Bench(asked, "ner", digests, lambda event: None).check_data(("O",))


def test_the_grid_needs_a_fine_tuned_teacher(asked, digests, encoder_folder):
    """
    An encoder went as far as the export, and ended there in a traceback.
    """
    with pytest.raises(ModelError, match="has no head for ner"):
        distillation.run(replace(asked, teacher=str(encoder_folder)), digests, lambda event: None)
