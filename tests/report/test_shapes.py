"""Shapes: a document that is not as it should be is told with its place."""

from typing import Any

import pytest

from edgeafri.errors import DataError
from edgeafri.report.shapes import BUILD, MEASUREMENT, PROFILE, check_shape

Document = dict[str, Any]


def test_documents_of_today_have_their_shape(document: Document, profile: Document, measurement: Document):
    """
    What the commands print is read; keys that nobody knows are no harm.
    """
    check_shape({**document, "new": 1}, BUILD, "file")
    check_shape({**profile, "new": 1}, PROFILE, "file")
    check_shape({**measurement, "new": 1}, MEASUREMENT, "file")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"task": None}, "file: 'task' is missing"),
        ({"task": 3}, "file.task: 3 is not text"),
        ({"steps": {}}, "file.steps: {} is not a list"),
        ({"steps": [{"id": "x"}]}, "file.steps[0]: 'stage' is missing"),
        ({"quality": []}, "file.quality: [] is not names with values"),
        ({"quality": {"teacher": {"swa": "good"}}}, "file.quality.teacher.swa: 'good' is not a number"),
        ({"sample": "no"}, "file.sample: 'no' is not true or false"),
        ({"checks": [{"name": "a", "unit": "MB", "limit": True}]}, "file.checks[0].limit: True is not a number"),
        ({"host": {"memory": {"run": [[1]]}}}, "file.host.memory.run[0]: [1] is not a list of 2"),
        ({"size": {"bundle_bytes": "x" * 99}}, f"file.size.bundle_bytes: '{'x' * 39}... is not a number"),
        ({"parity": {"on": "dev"}}, "file.parity: 'sentences' is missing"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(document: Document, change: Document, said: str):
    """
    The path in the document, what stands there, and what should.
    """
    with pytest.raises(DataError) as caught:
        check_shape({**document, **change}, BUILD, "file")

    assert caught.value.message == said
    assert caught.value.hint == "Make the document again with this version of edgeafri."
