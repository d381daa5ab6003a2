"""A worker's handlers: a request is read as the document that it has to be, before anything is done."""

from dataclasses import dataclass

import pytest

from edgeafri.documents.base import Document
from edgeafri.errors import DataError
from edgeafri.util.progress import silent
from edgeafri.util.worker import reading


@dataclass(frozen=True)
class Question(Document):
    """How long a word is."""

    word: str


@dataclass(frozen=True)
class Length(Document):
    """A number of code points."""

    letters: int


def test_a_handler_is_given_a_document():
    """
    What a later version adds to the request is passed over.
    """
    answer = reading(Question, lambda question, progress: Length(len(question.word)))

    assert answer({"do": "measure", "word": "ọjọ́", "later": 1}, silent) == Length(4)


def test_a_request_that_does_not_fit_is_refused():
    """
    The place in it is named.
    """
    with pytest.raises(DataError, match="Question: 'word' is missing"):
        reading(Question, lambda question, progress: Length(0))({"do": "measure"}, silent)
