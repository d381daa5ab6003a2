"""Texts with one label: what is read, how quotes are taken, and every message for what is refused."""

from collections import Counter

import pytest

from edgeafri.data.text import words_of
from edgeafri.data.tsv import texts
from edgeafri.errors import DataError


@pytest.fixture
def path(tmp_path):
    return tmp_path / "train.tsv"


def read(path, content):
    """The texts, their words joined, and labels of a file with this text, and the notes."""
    path.write_text(content, "utf-8", newline="")
    notes = Counter()
    return [(" ".join(words), *tags) for words, tags in texts(path, notes)], +notes


def refusal(path, content):
    """Message and hint of the DataError that reading this text ends in."""
    with pytest.raises(DataError) as caught:
        read(path, content)
    return caught.value.message, caught.value.hint


def test_a_file_is_read_row_by_row(path):
    """
    Words are what stands between spaces, with their punctuation, and the label is a tuple of one.
    """
    path.write_text("tweet\tlabel\nIna son  wannan!\tpositive\nBa kyau, fa\tnegative\n", "utf-8")

    assert list(texts(path, Counter())) == [
        (("Ina", "son", "wannan!"), ("positive",)),
        (("Ba", "kyau,", "fa"), ("negative",)),
    ]


def test_text_columns_are_joined_in_the_order_of_the_file(path):
    """
    Other columns are not read, wherever they stand, and neither are spaces around a column's name or a label.
    """
    found = read(path, "url\tcategory\ttext\tid\t headline \nhttp://x\t sports \tbody\t7\thead\n")

    assert found == ([("body head", "sports")], {})


@pytest.mark.parametrize("column", ["headline", "title", "tweet", "text", "sentence", "review"])
def test_every_usual_name_of_a_text_column_is_known(path, column):
    """
    Data sets call the text what they like.
    """
    assert read(path, f"label\t{column}\nneutral\tMbuyu ni mti\n") == ([("Mbuyu ni mti", "neutral")], {})


def test_quoted_fields_may_hold_line_breaks_tabs_and_quotes(path):
    """
    As spreadsheets and pandas write them; a line break separates words.
    """
    found = read(
        path, 'category\ttext\turl\nhealth\t"Line one\nand\ttwo\n\n""quoted"""\thttp://x\nsports\tb\thttp://y\n'
    )

    assert found == ([('Line one and two "quoted"', "health"), ("b", "sports")], {})


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ('5" dari', '5" dari'),
        ('Ati "bi" re', 'Ati "bi" re'),
        ('""Ubu ndi single""', 'Ubu ndi single""'),  # as 26 tweets of AfriSenti's Kinyarwanda
        ('"Iti ""bi"', 'Iti "bi'),
        ("''Ati''", "''Ati''"),
    ],
)
def test_bare_quotes_inside_a_row_are_text(path, field, text):
    """
    A quote quotes only at the start of a field and up to the next one; what stands behind that is text again.
    """
    assert read(path, f"tweet\tlabel\n{field}\tneutral\nsawa\tpositive\n")[0] == [
        (text, "neutral"),
        ("sawa", "positive"),
    ]


def test_words_are_cleaned_and_counted(path):
    """
    NFC without zero-width characters, as everywhere; a word of nothing else is gone, for its text has no tag a word.
    """
    found = read(path, "text\tlabel\no\u0323jo\u0323\u0301 \u200bkan \u200b ni\tneutral\n")

    assert found == ([("ọjọ\u0301 kan ni", "neutral")], {"not_nfc": 1, "zero_width": 2})


@pytest.mark.parametrize("text", ["kan,\u00a0eji", "o\u0323\x85na\u2028\u200b", " \u200bng'ombe\x1fpia "])
def test_words_are_those_of_a_text_at_run_time(path, text):
    """
    What a model learns from is what it will be given.
    """
    path.write_text(f"text\tlabel\n{text}\tneutral\n", "utf-8")

    assert [list(words) for words, _ in texts(path, Counter())] == [words_of(text, "text")]


def test_empty_texts_are_left_out_and_counted(path):
    """
    Also a text of spaces or of zero-width characters alone; blank lines are no rows.
    """
    found = read(path, "tweet\tlabel\n\tneutral\n\n \u200b\tneutral\nsawa\tpositive\n\n")

    assert found == ([("sawa", "positive")], {"empty": 2, "zero_width": 1})


def test_windows_files_are_read_and_noted(path):
    """
    A byte order mark does not become part of the first column's name, a Windows line end not part of the label.
    """
    found = read(path, '\ufefftweet\tlabel\r\n"a\r\nb"\tpositive\r\n')

    assert found == ([("a b", "positive")], {"bom": 1, "crlf": 3})


@pytest.mark.parametrize("content", ["", "\n\n", "tweet\tlabel\n"])
def test_a_file_may_hold_no_text(path, content):
    """
    Nothing is made up; who asked for the file says that it is empty.
    """
    assert read(path, content) == ([], {})


@pytest.mark.parametrize(
    ("header", "found"),
    [("tweet\tsentiment", "'tweet, sentiment'"), ("label\ttext\tcategory", "'label, text, category'")],
)
def test_one_label_column_is_needed(path, header, found):
    """
    None and two are refused: which one was meant is not guessed.
    """
    message, hint = refusal(path, f"\n{header}\n")

    assert message == f"{path}:2: expected one column label or category, found {found}"
    assert "tweet<TAB>label" in hint


def test_a_text_column_is_needed(path):
    """
    The message lists the names that are known.
    """
    message, hint = refusal(path, "label\tbody\npositive\tsawa\n")

    known = "headline, title, tweet, text, sentence, review"
    assert message == f"{path}:1: expected a column of {known}, found 'label, body'"
    assert "tweet<TAB>label" in hint


@pytest.mark.parametrize(("row", "columns"), [("sawa", 1), ("sawa\tpositive\tx", 3), (" ", 1)])
def test_a_row_of_another_width_is_refused(path, row, columns):
    """
    Commas instead of tabs, or a tab inside a text, would shift every field. The line is the file's, not the row's.
    """
    message, hint = refusal(path, f'tweet\tlabel\n"a\nb"\tneutral\n{row}\n')

    assert message == f"{path}:4: expected 2 columns, found {columns}"
    assert "double quotes" in hint


def test_a_text_without_a_label_is_refused(path):
    """
    Unlabelled texts are not neutral ones.
    """
    message, hint = refusal(path, "tweet\tlabel\nsawa\tpositive\nsawa\t \n")

    assert message == f"{path}:3: no label"
    assert "remove the row" in hint


def test_a_quote_that_is_never_closed_is_refused_where_it_opens(path):
    """
    It would swallow the rest of the file.
    """
    message, hint = refusal(path, 'tweet\tlabel\nsawa\tpositive\n"Ati\tneutral\nndiyo\tnegative\n')

    assert message == f"{path}:3: a quote opens in this row and is never closed"
    assert "doubled" in hint


@pytest.mark.parametrize("closing", ['"Ati\tneutral', 'alisema "ndiyo"\tneutral', 'ndiyo"\tneutral'])
def test_a_quote_that_is_closed_in_another_row_is_refused_where_it_opens(path, closing):
    """
    It would swallow the rows between, in silence.
    """
    message, hint = refusal(path, f'tweet\tlabel\n"Ati\tneutral\nsawa\tpositive\n{closing}\nsawa\tpositive\n')

    assert message == f"{path}:2: a quote opens in this row and closes in another, at line 4"
    assert "doubled" in hint


def test_a_quote_that_is_not_closed_for_long_is_refused_where_it_opens(path):
    """
    A large file is not read to its end to find out.
    """
    message, hint = refusal(path, 'tweet\tlabel\n"Ati\tneutral\n' + "sawa sawa\tpositive\n" * 10_000)

    assert message == f"{path}:2: a quote opens in this row and is not closed within 131072 characters"
    assert "doubled" in hint


def test_a_text_of_the_size_of_a_book_is_refused(path):
    """
    The limit of Python's csv module; far above what a model reads of a text.
    """
    message, hint = refusal(path, "tweet\tlabel\nsawa\tpositive\n" + "sawa " * 30_000 + "\tneutral\n")

    assert message == f"{path}:3: a field of more than 131072 characters"
    assert "Cut it" in hint
