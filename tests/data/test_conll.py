"""CoNLL sentences: what is read, what is repaired and counted, and every message for what is refused."""

from collections import Counter

import pytest

from edgeafri.data.conll import sentences
from edgeafri.errors import DataError


@pytest.fixture
def path(tmp_path):
    return tmp_path / "train.txt"


def read(path, content):
    """The sentences of a file with this text, and the notes."""
    path.write_text(content, "utf-8")
    notes = Counter()
    return list(sentences(path, notes)), +notes


def refusal(path, content):
    """Message and hint of the DataError that reading this text ends in."""
    with pytest.raises(DataError) as caught:
        read(path, content)
    return caught.value.message, caught.value.hint


def test_a_file_is_read_sentence_by_sentence(path):
    """
    Blank lines, also several or with spaces in them, end a sentence; the last one needs none.
    """
    found = read(path, "Amina B-PER\nOdhiambo I-PER\n\n \n\nanaishi O\nKisumu B-LOC")

    assert found == ([(("Amina", "Odhiambo"), ("B-PER", "I-PER")), (("anaishi", "Kisumu"), ("O", "B-LOC"))], {})


def test_tabs_and_more_columns_are_read(path):
    """
    First and last column count, -DOCSTART- is skipped, and a token may hold a space where tabs divide.
    """
    found = read(path, "-DOCSTART- -X- O O\n\nAmina NNP x B-PER\nHoma Bay\tNNP\tB-LOC\n")

    assert found == ([(("Amina", "Homa Bay"), ("B-PER", "B-LOC"))], {})


def test_words_are_cleaned_and_counted(path):
    """
    Words come out NFC without zero-width characters; one that was nothing else stays as "", aligned with its tag.
    """
    found, notes = read(path, "o\u0323jo\u0323\u0301 O\n\u200bKisumu B-LOC\n\u200b O\n")

    assert found == [(("ọjọ\u0301", "Kisumu", ""), ("O", "B-LOC", "O"))]
    assert notes == {"not_nfc": 1, "zero_width": 2}


def test_orphan_tags_are_repaired_and_counted(path):
    """
    I- at the start, after O or after another type begins an entity, as IOB2 says; what follows it continues.
    """
    found, notes = read(path, "a I-PER\nb I-PER\nc I-LOC\nd O\ne I-LOC\n\nf I-LOC\n")

    assert [tags for _, tags in found] == [("B-PER", "I-PER", "B-LOC", "O", "B-LOC"), ("B-LOC",)]
    assert notes == {"repaired_tags": 4}


@pytest.mark.parametrize("line", ["Kisumu", " B-LOC", "\tB-LOC"])
def test_a_line_without_two_columns_is_refused(path, line):
    """
    The message names file and line, what was expected and what stands there.
    """
    message, hint = refusal(path, f"Amina B-PER\n\n{line}\n")

    assert message == f"{path}:3: expected 'token TAG', found {line!r}"
    assert '"Nairobi B-LOC"' in hint


@pytest.mark.parametrize("tag", ["S-PER", "B-", "LOC", "b-per", "0"])
def test_a_tag_of_another_scheme_is_refused(path, tag):
    """
    Only O, B-TYPE and I-TYPE are tags.
    """
    message, hint = refusal(path, f"Amina {tag}\n")

    assert message == f"{path}:1: expected a tag O, B-TYPE or I-TYPE, found {tag!r}"
    assert "IOB2" in hint


def test_a_long_line_is_shortened_in_its_message(path):
    """
    A file that is no CoNLL at all does not flood the terminal.
    """
    message, _ = refusal(path, "x" * 5000)

    assert message.endswith(f"found '{'x' * 40}...'")


@pytest.mark.parametrize("content", ["", "\n\n", "-DOCSTART- O\n\n"])
def test_a_file_may_hold_no_sentence(path, content):
    """
    Nothing is made up; who asked for the file says that it is empty.
    """
    assert read(path, content) == ([], {})
