"""Documents: what is written is read back equal, and what does not fit is told with its place."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import pytest

from edgeafri.documents.base import Document, Json, omitted_when_none
from edgeafri.errors import DataError


@dataclass(frozen=True)
class Part(Document):
    """A part of a document."""

    name: str
    value: float | None = None
    accuracy: float | None = omitted_when_none()


@dataclass(frozen=True)
class Whole(Document):
    """A document with every kind of field."""

    parts: tuple[Part, ...]
    by_language: Mapping[str, Part]
    tier: Literal["host", "device"]
    pair: tuple[float, float]
    passed: bool | None
    runs: int = 1
    facts: Json = None


WHOLE = Whole(
    (Part("a", 1), Part("b", None, 9.5)), {"yor": Part("ẹ́", 0.25)}, "host", (0.5, 2), None, 3, {"n": [1, "x", None]}
)


def test_a_document_is_read_back_equal():
    """
    Through real JSON, with None, nested documents, and letters beyond ASCII.
    """
    assert Whole.from_json(json.loads(json.dumps(WHOLE.to_json()))) == WHOLE


def test_keys_are_the_fields_in_their_order():
    """
    A key that says nothing of a document is left out where its field asks for that, and None stays elsewhere.
    """
    assert list(WHOLE.to_json()) == ["parts", "by_language", "tier", "pair", "passed", "runs", "facts"]
    assert WHOLE.to_json()["parts"] == [{"name": "a", "value": 1}, {"name": "b", "value": None, "accuracy": 9.5}]


def test_other_versions_documents_are_read():
    """
    A key that is not known is passed over, one that is missing or null takes its default.
    """
    values = {**WHOLE.to_json(), "new": 1}
    del values["runs"]

    assert Whole.from_json(values).runs == 1
    assert Whole.from_json({**values, "runs": None}).runs == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tier": "moon"}, "Whole.tier: 'moon' is not host or device"),
        ({"runs": True}, "Whole.runs: True is not a whole number"),
        ({"runs": 1.5}, "Whole.runs: 1.5 is not a whole number"),
        ({"pair": [1]}, "Whole.pair: [1] is not a list of 2"),
        ({"pair": [1, "x"]}, "Whole.pair[1]: 'x' is not a number"),
        ({"parts": {}}, "Whole.parts: {} is not a list"),
        ({"parts": [{}]}, "Whole.parts[0]: 'name' is missing"),
        ({"by_language": [1]}, "Whole.by_language: [1] is not names with values"),
        ({"by_language": {"yor": {"name": 3}}}, "Whole.by_language.yor.name: 3 is not text"),
        ({"passed": "yes"}, "Whole.passed: 'yes' is not true or false"),
    ],
)
def test_what_does_not_fit_is_told_with_its_place(change: dict[str, Json], message: str):
    """
    The reader of a report made by hand finds the line.
    """
    with pytest.raises(DataError) as caught:
        Whole.from_json({**WHOLE.to_json(), **change})

    assert caught.value.message == message
