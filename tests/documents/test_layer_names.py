"""What layers are called for people: several as one name, and the number apart from the rest."""

import pytest

from edgeafri.documents.layer_names import number_and_rest, together


@pytest.mark.parametrize(
    ("names", "one"),
    [
        (["layer 3 attention key", "layer 3 attention query"], "layer 3 attention key, query"),
        (["layer 0 intermediate", "layer 0 output"], "layer 0 intermediate, output"),
        (["classifier", "classifier out proj"], "classifier, classifier out proj"),
        (["layer 0 attention query", "layer 1 attention query"], "layer 0 attention query, 1 attention query"),
        (["word embeddings"], "word embeddings"),
    ],
)
def test_what_names_begin_with_is_said_once(names: list[str], one: str):
    """
    And no name becomes empty by that.
    """
    assert together(names) == one


def test_the_number_stands_apart():
    """
    What is outside the layers has none.
    """
    assert number_and_rest("layer 11 attention key, query") == ("11", "attention key, query")
    assert number_and_rest("classifier") == ("", "classifier")
