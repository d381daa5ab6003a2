"""Scripts of letters, and raw text that is not in the script of the language it is given as."""

from collections import Counter

import pytest

from edgeafri.data.languages import LANGUAGES, golden
from edgeafri.data.scripts import check_script, script_of
from edgeafri.errors import DataError


def checked(path, code, text):
    """Check a file that holds this text."""
    path.write_text(text, "utf-8")
    check_script(path, code, Counter(text))


@pytest.mark.parametrize(
    ("character", "script"),
    [("a", "LATIN"), ("Ɓ", "LATIN"), ("ẹ", "LATIN"), ("ጤ", "ETHIOPIC"), ("ب", "ARABIC"), ("я", "CYRILLIC")],
)
def test_a_letter_tells_its_script(character, script):
    """
    By its Unicode name.
    """
    assert script_of(character) == script


@pytest.mark.parametrize("character", ["1", "፩", "\u0301", "።", "!", " ", "\n"])
def test_what_is_no_letter_has_no_script(character):
    """
    Digits, marks and punctuation stand in text of any script.
    """
    assert script_of(character) == ""


@pytest.mark.parametrize("code", [row.code for row in LANGUAGES if golden(row.code)])
def test_golden_sentences_are_in_their_script(code, tmp_path):
    """
    Every row's script, on text of the language itself.
    """
    checked(tmp_path / f"{code}.txt", code, "\n".join(golden(code)))


def test_a_few_foreign_words_are_normal(tmp_path):
    """
    The whole file is judged: one line in another script, a number or a link change nothing.
    """
    checked(tmp_path / "amh.txt", "amh", "ጤና ይስጥልኝ እንደምን ነህ\nMombasa\n2024 !\n")


@pytest.mark.parametrize(("code", "text"), [("hau", "ٻَرْكَا دَ زُوَا"), ("bam", "ߌ ߣߌ ߛߐ߲߬ߜߐ߮ߡߊ"), ("swa", "حَبَارِ يَ أَسُبُهِ")])
def test_ajami_and_nko_are_normal_text(code, text, tmp_path):
    """
    A language may have more than one script; each is right, and so is a file of both.
    """
    checked(tmp_path / f"{code}.txt", code, text)
    checked(tmp_path / f"{code}.txt", code, f"{text}\nBarka da zuwa\n")


def test_a_script_that_the_language_has_not_is_refused_beside_ajami(tmp_path):
    """
    All of the language's scripts are named.
    """
    with pytest.raises(DataError, match=r"Hausa \(hau\) is written in Latin or Arabic script, and this line is not"):
        checked(tmp_path / "hau.txt", "hau", "ጤና ይስጥልኝ")


def test_text_in_another_script_is_refused(tmp_path):
    """
    File, line and script are named; the first lines may be right, or hold no letter.
    """
    path = tmp_path / "amh.txt"
    with pytest.raises(DataError) as caught:
        checked(path, "amh", "ጤና\n12\nSelam new, endemin neh\nDehna\n")
    assert caught.value.message == (
        f"{path}:3: Amharic (amh) is written in Ethiopic script, and this line is not: 'Selam new, endemin neh'; "
        "in the whole file 8 % of the letters are Ethiopic"
    )
    assert caught.value.hint == "Give Amharic in Ethiopic script as amh.txt, or name the language that this text is in."


@pytest.mark.parametrize(("code", "text"), [("xyz", "привет"), ("swa", "12 !?"), ("swa", "")])
def test_what_cannot_be_judged_is_let_through(code, text, tmp_path):
    """
    A language that is not in the table, and text without letters; other checks speak of empty files.
    """
    checked(tmp_path / f"{code}.txt", code, text)
