"""The task table: every row is complete, and heads are recognised by their architecture."""

import pytest

from edgeafri.errors import UsageError
from edgeafri.tasks import TASKS, task, task_of


@pytest.mark.parametrize("name", [row.name for row in TASKS])
def test_every_task_is_found_by_its_name_and_by_its_head(name: str):
    """
    A name on the command line and an architecture in a config.json lead to the same row.
    """
    row = task(name)

    assert task_of(f"XLMRoberta{row.head}") == row
    assert all((row.about, row.export, row.unit, row.metric))


def test_heads_tell_tasks_apart():
    """
    Two tasks with one head could not be told apart in a teacher.
    """
    assert len({row.head for row in TASKS}) == len({row.name for row in TASKS}) == len(TASKS)


@pytest.mark.parametrize("architecture", ["XLMRobertaModel", "XLMRobertaForMaskedLM", ""])
def test_a_bare_encoder_has_no_task(architecture: str):
    """
    No head, no task: such a teacher is fine-tuned first.
    """
    assert task_of(architecture) is None


def test_an_unknown_task_is_refused_with_the_nearest_name():
    """
    A typo costs one line.
    """
    with pytest.raises(UsageError, match="unknown task 'nerr'") as error:
        task("nerr")

    assert error.value.hint.startswith("Did you mean 'ner'? Known: ")
