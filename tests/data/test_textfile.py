"""Lines of text files: what is removed and counted, and every message for what is refused."""

from collections import Counter

import pytest

from edgeafri.data.textfile import cleaned, decoded, short
from edgeafri.errors import DataError


@pytest.fixture
def path(tmp_path):
    return tmp_path / "yor.txt"


def refusal(path, content):
    """Message and hint of the DataError that reading these bytes ends in."""
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        list(decoded(path))
    return caught.value.message, caught.value.hint


def test_lines_have_numbers_and_no_ends(path):
    """
    From 1, empty lines too; only a line feed ends a line, the last one needs none.
    """
    path.write_bytes("kan\n\nẹ́ \u2028 \x0b\x85jì".encode())

    assert list(decoded(path)) == [(1, "kan"), (2, ""), (3, "ẹ́ \u2028 \x0b\x85jì")]


def test_windows_files_are_read_and_noted(path):
    """
    A byte order mark and Windows line ends do not reach the lines; a mark elsewhere is not the file's.
    """
    notes = Counter()
    path.write_bytes(b"\xef\xbb\xbfkan\r\n\xef\xbb\xbfeji\r\n")

    assert list(decoded(path, notes)) == [(1, "kan"), (2, "\ufeffeji")]
    assert +notes == {"bom": 1, "crlf": 2}


def test_words_are_cleaned_and_counted():
    """
    NFC without zero-width characters; a word may need both, and counts once for each.
    """
    notes = Counter()

    assert [cleaned(word, notes) for word in ("ọ\u0301", "o\u0323", "\u200bkan", "o\u0323\u200b", "\u200b")] == [
        "ọ\u0301", "ọ", "kan", "ọ", ""
    ]  # fmt: skip
    assert notes == {"not_nfc": 2, "zero_width": 3}


@pytest.mark.parametrize(
    ("content", "where", "encoding"),
    [
        ("kan\nAdé\n".encode("cp1252"), ":2: not UTF-8: byte 0xE9 at offset 6", "WINDOWS-1252"),
        ("kan\n".encode("utf-16"), ":1: not UTF-8: byte 0xFF at offset 0", "UTF-16"),
    ],
)
def test_another_encoding_is_refused_with_its_place_and_a_command(path, content, where, encoding):
    """
    Line, byte and offset in the file, and the iconv command for the likely encoding.
    """
    message, hint = refusal(path, content)

    assert message == f"{path}{where} of the file"
    assert f"iconv -f {encoding} -t UTF-8 {path} > yor-utf8.txt" in hint


def test_a_carriage_return_inside_a_line_is_refused(path):
    """
    Old Macintosh files would be one long line; the hint is a command that converts them.
    """
    message, hint = refusal(path, b"kan\neji\reta\n")

    assert message == f"{path}:2: a carriage return inside the line"
    assert f"tr '\\r' '\\n' < {path} > yor-lines.txt" in hint


def test_a_missing_file_is_named(path):
    """
    Reading a path that is not there is an expected failure.
    """
    with pytest.raises(DataError) as caught:
        list(decoded(path))

    assert caught.value.message == f"{path}: no such file"
    assert caught.value.hint == "Check the path."


def test_what_a_message_shows_is_short():
    """
    Quoted, so that tabs and spaces are seen, and cut after 40 characters.
    """
    assert (short("a\tb"), short("x" * 5000)) == (r"'a\tb'", f"'{'x' * 40}...'")
