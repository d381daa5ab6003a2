"""The workbench of studies: sizes read from a grid, parameters counted without torch, models made only once."""

import pytest

from edgeafri.artifact import adopt
from edgeafri.errors import UsageError
from edgeafri.stages.menu import stage
from edgeafri.studies.study import FOLDER, parameters, read_grid

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
