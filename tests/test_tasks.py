"""The task table: every row is complete, and heads are recognised by their architecture."""

import pytest

from edgeafri.errors import UsageError
from edgeafri.tasks import TASKS, task, tasks_of


@pytest.mark.parametrize("name", [row.name for row in TASKS])
def test_every_task_is_found_by_its_name_and_by_its_head(name: str):
    """
    A name on the command line and an architecture in a config.json lead to the same row.
    """
    row = task(name)

    assert row in tasks_of(f"XLMRoberta{row.head}")
    assert all((row.about, row.export, row.unit, row.metric))


def test_a_head_may_serve_several_tasks():
    """
    What a text classifier tells apart, its architecture does not say.
    """
    assert [row.name for row in tasks_of("BertForSequenceClassification")] == ["sentiment", "topic"]
    assert [row.name for row in tasks_of("XLMRobertaForTokenClassification")] == ["ner"]
    assert [row.name for row in tasks_of("XLMRobertaForMaskedLM")] == ["mask"]


@pytest.mark.parametrize("architecture", ["XLMRobertaModel", ""])
def test_a_bare_encoder_has_no_task(architecture: str):
    """
    No head, no task: such a teacher is fine-tuned first.
    """
    assert tasks_of(architecture) == ()


def test_an_unknown_task_is_refused_with_the_nearest_name():
    """
    A typo costs one line.
    """
    with pytest.raises(UsageError, match="unknown task 'nerr'") as error:
        task("nerr")

    assert error.value.hint.startswith("Did you mean 'ner'? Known: ")
