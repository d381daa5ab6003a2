"""The language table: every row, the hints for other names, whole alphabets, and golden sentences fit to use."""

import re
import unicodedata
from pathlib import Path

import pytest

from edgeafri.data import languages
from edgeafri.data.languages import LANGUAGES, OTHER_NAMES, alphabet, golden, language
from edgeafri.data.text import split_words
from edgeafri.errors import UsageError

CODES = [row.code for row in LANGUAGES]
WITH_GOLDEN = [
    *("amh", "bam", "fon", "hau", "ibo", "kin", "lin", "lug", "luo", "orm"),
    *("pcm", "run", "sna", "som", "swa", "tir", "wol", "xho", "yor", "zul"),
]
HARD_LETTERS = {
    "amh": "ጤፍኃሥጽዐኳ።፣፡",
    "bam": "ɛɔɲŋƝŊ",
    "bbj": "əʉɔŋ",
    "ewe": "ɖƒɣʋŋ",
    "fon": "ɖɛɔǐƉ\u0300\u0301",
    "hau": "ɓɗƙƴƁƊƘƳ",
    "ibo": "ịọụṅỊỌỤṄ",
    "lin": "ɛɔáú\u0301",
    "lug": "ŋŊ",
    "mos": "ɩʋẽ",
    "tir": "ኣዕሓቐ፧።",
    "twi": "ɛɔƐƆ",
    "wol": "ñŋëóàÑ",
    "yor": "ẹọṣẸỌṢàé\u0300\u0301",
}


def refusal(code):
    """Message and hint of the UsageError that asking for `code` ends in."""
    with pytest.raises(UsageError) as caught:
        language(code)
    return caught.value.message, caught.value.hint


def test_a_code_gives_its_row():
    """
    The row says what the language is called, how it is written and what it is related to.
    """
    row = language("hau")

    assert (row.name, row.script, row.family) == ("Hausa", "Latn", "Afro-Asiatic / Chadic")


def test_codes_are_listed_once_and_in_order():
    """
    A reader finds a code by its place, and no two rows or names can disagree.
    """
    names = [name for row in LANGUAGES for name in {row.code, row.name.lower(), *OTHER_NAMES.get(row.code, ())}]

    assert sorted(set(CODES)) == CODES
    assert len(set(names)) == len(names)
    assert set(OTHER_NAMES) <= set(CODES)


@pytest.mark.parametrize("row", LANGUAGES, ids=CODES)
def test_a_row_is_well_formed(row):
    """
    Codes have the shape their standard gives them, and `letters` are single lower-case NFC characters beyond a-z.
    """
    assert re.fullmatch("[a-z]{3}", row.code)
    assert row.script in {"Latn", "Ethi", "Arab"}
    assert len(set(row.letters)) == len(row.letters)
    for letter in row.letters:
        assert unicodedata.is_normalized("NFC", letter), hex(ord(letter))
        assert letter == letter.lower(), letter
        assert not letter.isascii(), letter


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        *[("sw", "swa"), ("ha", "hau"), ("yo", "yor"), ("am", "amh"), ("ig", "ibo"), ("zu", "zul"), ("om", "orm")],
        *[("Swahili", "swa"), ("hausa", "hau"), ("Northern Sotho", "nso"), ("isiXhosa", "xho"), ("Akan", "twi")],
        *[("swh", "swa"), ("SWA", "swa"), (" yor ", "yor")],
    ],
)
def test_another_name_is_answered_with_the_code(typed, code):
    """
    ISO 639-1 codes, names and member codes of a macrolanguage are what people try first.
    """
    message, hint = refusal(typed)

    assert message == f"unknown language '{typed}'"
    assert hint == f"Use the ISO 639-3 code of {language(code).name}: {code}."


def test_a_typing_error_is_answered_with_the_nearest_code():
    """
    The hint guesses, and lists every code.
    """
    message, hint = refusal("yoru")

    assert message == "unknown language 'yoru'"
    assert hint == f"Did you mean 'yor'? Known: {', '.join(CODES)}."


@pytest.mark.parametrize("typed", ["", "quechua"])
def test_a_name_like_no_other_is_answered_with_the_list(typed):
    """
    Nothing is guessed where nothing is near.
    """
    message, hint = refusal(typed)

    assert message == f"unknown language '{typed}'"
    assert hint == f"Known: {', '.join(CODES)}."


@pytest.mark.parametrize(("code", "letters"), HARD_LETTERS.items(), ids=HARD_LETTERS)
def test_an_alphabet_holds_the_hard_letters(code, letters):
    """
    These are the letters that a model loses first, in both cases; a mark without a composed letter is one of them.
    """
    missing = set(letters) - alphabet(code)

    assert missing == set()


@pytest.mark.parametrize("code", CODES)
def test_an_alphabet_is_single_characters_in_both_cases(code):
    """
    Every entry is one code point that exists, and stands there with its other case.
    """
    letters = alphabet(code)

    assert all(len(letter) == 1 and unicodedata.category(letter) != "Cn" for letter in letters)
    assert {letter.upper() for letter in letters} | {letter.lower() for letter in letters} == letters


def test_an_alphabet_of_another_script_has_no_latin_letters():
    """
    a-z belong to the Latin orthographies only.
    """
    assert set("azAZ") <= alphabet("swa")
    assert not alphabet("amh") & alphabet("eng")
    assert not alphabet("ara") & alphabet("eng")


def test_the_ethiopic_alphabet_is_the_three_blocks():
    """
    All assigned characters of Ethiopic, its Supplement and Extended, so that no syllable is forgotten.
    """
    inside = [range(0x1200, 0x137D), range(0x1380, 0x139A), range(0x2D80, 0x2DDF)]

    # 358, 26 and 79 characters, as the Unicode charts count them.
    assert len(alphabet("amh")) == 358 + 26 + 79
    assert all(any(ord(letter) in block for block in inside) for letter in alphabet("amh"))
    assert alphabet("tir") == alphabet("amh")


def test_an_alphabet_of_an_unknown_language_is_refused():
    """
    The same message as for the language itself.
    """
    with pytest.raises(UsageError, match="unknown language 'sw'"):
        alphabet("sw")


def test_golden_files_are_those_of_known_languages():
    """
    A file that no code reads would check nothing.
    """
    found = sorted(path.stem for path in (Path(languages.__file__).parent / "golden").iterdir())

    assert found == WITH_GOLDEN


def test_a_language_without_golden_sentences_gives_none():
    """
    Neither a row without a file nor an unknown code is an error here.
    """
    assert golden("mos") == ()
    assert golden("xyz") == ()


@pytest.mark.parametrize("code", WITH_GOLDEN)
def test_golden_sentences_are_clean(code):
    """
    At least eight different sentences, NFC, one a line, each with an end mark and without stray spaces.
    """
    sentences = golden(code)

    assert 8 <= len(set(sentences)) == len(sentences)
    for sentence in sentences:
        assert unicodedata.is_normalized("NFC", sentence), sentence
        assert " ".join(sentence.split()) == sentence
        assert sentence[-1] in ".?።፧", sentence
        assert 3 <= len(split_words(sentence)) <= 20, sentence


@pytest.mark.parametrize("code", WITH_GOLDEN)
def test_golden_sentences_are_written_in_the_alphabet(code):
    """
    A letter or mark from elsewhere is a typing error, in the sentence or in the table.
    """
    written = {letter for letter in "".join(golden(code)) if unicodedata.category(letter)[0] in "LM"}

    assert written <= alphabet(code)


@pytest.mark.parametrize("code", sorted(set(WITH_GOLDEN) & set(HARD_LETTERS)))
def test_golden_sentences_use_the_hard_letters(code):
    """
    Sentences in plain a-z would pass on a device that breaks every other letter.
    """
    hard = "".join(golden(code)).lower()

    assert len(set(HARD_LETTERS[code].lower()) & set(hard)) >= len(set(HARD_LETTERS[code].lower())) / 2
