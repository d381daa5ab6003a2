"""calibration: so many sentences of every language, spread over its text; text that says nothing is refused."""

import pytest

from edgeafri.errors import DataError
from edgeafri.stages.quantization.calibration_text import calibration_inputs

SENTENCE = "Rais Amina Juma alizuru Mombasa Jumatatu ya"


def written(folder, lines, code="swa"):
    """A folder of raw text with one file."""
    folder.mkdir()
    (folder / f"{code}.txt").write_text("\n".join(lines), "utf-8")
    return folder


def test_raw_text_is_read_from_end_to_end(optimized, tmp_path):
    """
    Ten of forty lines: every fourth.
    """
    lines = [f"{SENTENCE} {number}" for number in range(40)]
    text = written(tmp_path / "text", lines)
    found = calibration_inputs(optimized.path, ("swa",), text, None, 10)
    every = calibration_inputs(optimized.path, ("swa",), text, None, 100)

    assert (len(found.rows["swa"]), len(every.rows["swa"])) == (10, 40)
    assert [row.ids for row in found.rows["swa"]] == [row.ids for row in every.rows["swa"][::4]]


def test_rows_are_what_the_device_reads(optimized, tmp_path):
    """
    Framed by start and end, and with the places of the words' first sub-words.
    """
    text = written(tmp_path / "text", [SENTENCE] * 8)
    found = calibration_inputs(optimized.path, ("swa",), text, None, 8)
    row = found.rows["swa"][0]

    assert (row.ids[0], row.ids[-1]) == (found.frame.start, found.frame.end)
    assert len(row.firsts) == len(SENTENCE.split())


def test_without_raw_text_dev_is_read(optimized, data, tmp_path):
    """
    Of labelled words, never train or test. Four sentences are too few, which proves which file it was.
    """
    with pytest.raises(DataError, match="calibration: 4 sentences of 'swa', at least 8 are needed") as error:
        calibration_inputs(optimized.path, ("swa", "hau"), None, data, 64)

    assert error.value.hint.startswith("Give more text")


def test_texts_are_whole_for_a_classifier(classifier_graphs, text):
    """
    One row a text, its answer at the first place.
    """
    found = calibration_inputs(classifier_graphs["optimize"].path, ("swa", "hau"), text, None, 10)

    assert {code: len(rows) for code, rows in found.rows.items()} == {"swa": 10, "hau": 10}
    assert all(row.firsts == (0,) for rows in found.rows.values() for row in rows)


@pytest.mark.parametrize(
    ("lines", "code", "said"),
    [
        ([], "swa", "no line of text in it"),
        (["12 34 ."] * 20, "swa", "no line of text in it"),
        ([SENTENCE] * 7, "swa", "7 sentences of 'swa', at least 8 are needed"),
        (["ሰላም ለዓለም"] * 20, "swa", r"Swahili \(swa\) is written in Latin or Arabic script, and this line is not"),
    ],
)
def test_text_that_says_nothing_is_refused(optimized, tmp_path, lines, code, said):
    """
    Empty, without a letter, too short, or another language's.
    """
    with pytest.raises(DataError, match=said):
        calibration_inputs(optimized.path, (code,), written(tmp_path / "text", lines, code), None, 64)


@pytest.mark.parametrize(
    ("languages", "named", "said", "hint"),
    [
        (("swa",), None, "calibration: no text to calibrate on", "Add --text DIR"),
        ((), "data", "calibration: no language named", "Add --languages"),
        ((), "text", "no language named to read raw text of", "Add --languages"),
        (("yor",), "text", "yor.txt: no such file", "Raw text is one file per language"),
    ],
)
def test_nothing_to_calibrate_on(optimized, data, text, languages, named, said, hint):
    """
    No folder, no language, or a language without a file.
    """
    folders = {"text": text if named == "text" else None, "data": data if named == "data" else None}
    with pytest.raises(DataError, match=said) as error:
        calibration_inputs(optimized.path, languages, **folders, sentences=64)

    assert hint in error.value.hint
