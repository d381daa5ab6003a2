"""Words: numbers as people read them, any part of a document in a line, long parts by their length."""

from typing import Any

import pytest

from edgeafri.report.words import fact_lines, megabytes, number, points, span, text_of


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0.0, "0"), (0.54, "0.54"), (61.24, "61.2"), (128, "128"), (1363.7, "1,364"), (-0.08, "-0.08")],
)
def test_numbers_are_written_as_people_read_them(value: float | None, text: str):
    """
    Three digits or so; unknown is a dash and never zero.
    """
    assert number(value) == text


def test_a_small_number_never_reads_as_zero():
    """
    A parity of 1.5e-6 is the point of the line it stands in.
    """
    assert number(1.5e-06) == "1.5e-06"


@pytest.mark.parametrize(
    ("ends", "unit", "text"),
    [((1.0, 2.5), "points", "1.00 to 2.50"), ((1.0, None), "ms", "1 to –"), ((None, None), "ms", "–")],
)
def test_an_interval_is_written_with_both_ends(ends: tuple[float | None, float | None], unit: str, text: str):
    """
    An end that is not known is a dash; points have two digits, so that columns compare.
    """
    assert span(*ends, unit) == text


def test_bytes_are_written_as_megabytes():
    """
    A megabyte is 10^6 bytes, everywhere.
    """
    assert (megabytes(86_300_000), megabytes(None), points(None)) == ("86.3 MB", "–", "–")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"cores": 2, "vnni": True, "note": None}, "cores 2, vnni true, note null"),
        (["a", 1.25, ["b"]], "a; 1.25; b"),
        ({"differences": [], "own": {}}, "differences none, own none"),
        ({"each": {str(place): place for place in range(25)}}, "each (25 values, in the JSON)"),
        ({"each": list(range(25))}, "each (25 values, in the JSON)"),
        ({"trials": [{"channels": 0, "flips": {"swa": 1.0}}]}, "trials (1 values, in the JSON)"),
    ],
)
def test_any_part_of_a_document_is_a_line(value: Any, text: str):
    """
    What is longer than a list of languages is left to the JSON.
    """
    assert text_of(value) == text


def test_facts_of_each_language_are_lines_of_their_own():
    """
    In one line with all others, nobody would find a language's own.
    """
    assert fact_lines({"kept": 500, "each": {"swa": {"covered": 1.0}}}) == ["kept 500", "swa: covered 1"]
