"""Documents: what is written is read back equal, and what does not fit is told with its place."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import pytest

from edgeafri.documents.base import Document, Json, inlined, omitted_when_none
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


@dataclass(frozen=True)
class Score(Document):
    """A document whose keys stand in another."""

    score: float


@dataclass(frozen=True)
class Steps(Document):
    """Another one."""

    steps: int


@dataclass(frozen=True)
class Around(Document):
    """A document that holds the keys of two others among its own."""

    name: str
    part: Score = inlined()
    more: Steps | None = inlined(optional=True)
    last: int = 0


@pytest.mark.parametrize("more", [Steps(3), None])
def test_keys_of_an_inlined_document_stand_among_those_around_it(more: Steps | None):
    """
    At its place, and read back from there; of one that may be left out, no key is there then.
    """
    around = Around("a", Score(0.5), more, 7)

    assert list(around.to_json()) == ["name", "score", *(["steps"] if more else []), "last"]
    assert Around.from_json(json.loads(json.dumps(around.to_json()))) == around


def test_a_missing_key_of_an_inlined_document_is_told():
    """
    As one of the document around it.
    """
    with pytest.raises(DataError, match="Around: 'score' is missing"):
        Around.from_json({"name": "a"})
