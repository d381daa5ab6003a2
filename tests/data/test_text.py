"""Text: normal form, the word splitter against MasakhaNER's tokens, windows that keep every word once."""

import unicodedata
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeafri.data.dataset import read_split
from edgeafri.data.text import Word, clean, nfc, split_words, windows, words_of

AFRICAN = st.text(alphabet="aeọẹṣŋɓɗƙɛ́̀̃ጤናሰላم12 '’-.,:።፡\u200b\u200c\t")


def words(text):
    return [word.text for word in split_words(text)]


def test_every_spelling_of_a_tone_mark_becomes_one():
    """
    Yoruba ẹ́ typed as one, two or three code points is the same text.
    """
    spellings = {"ẹ\u0301", "\u00e9\u0323", "e\u0323\u0301", "e\u0301\u0323"}

    assert {nfc(spelling) for spelling in spellings} == {"ẹ\u0301"}


@pytest.mark.parametrize(
    "unseen",
    ["\u200b", "\u2060", "\ufeff", "\u00ad", "\u200e", "\u202a", "\u2069", "\x00", "\t", "\n", "\x85", "\ud800"],
)
def test_clean_drops_what_nobody_sees(unseen):
    """
    Zero-width characters, direction marks, controls and lone surrogates leave no trace in a word.
    """
    assert clean(f"Nai{unseen}robi{unseen}") == "Nairobi"


@pytest.mark.parametrize("joiner", ["\u200c", "\u200d"])
def test_clean_keeps_the_joiners_of_ajami(joiner):
    """
    ZWNJ and ZWJ change how Arabic letters join, so they are part of the spelling.
    """
    assert clean(f"كَن{joiner}و") == nfc(f"كَن{joiner}و")


def test_clean_keeps_a_composed_word_as_it_is():
    """
    Hard letters of the target languages pass through.
    """
    hard = "ọjọ́ ɓera ŋoma ƙasa ጤና ʼyan"

    assert clean(nfc(hard)) == nfc(hard)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Amina ta je Kano.", ["Amina", "ta", "je", "Kano", "."]),
        ("ng'ombe n’ihi 'yan ng' ‘yar ʼyan", ["ng'ombe", "n’ihi", "'yan", "ng'", "‘yar", "ʼyan"]),
        ("na-eme COVID-19", ["na", "-", "eme", "COVID", "-", "19"]),
        ("1,000.5 kg, 10:30", ["1", ",", "000", ".", "5", "kg", ",", "10", ":", "30"]),
        ("$5 50% (2019/20)", ["$", "5", "50", "%", "(", "2019", "/", "20", ")"]),
        ('"Ee", "Aa" ""', ['"', "Ee", '"', ",", '"', "Aa", '"', '""']),
        ("“Bẹ́ẹ̀ni”…", ["“", nfc("Bẹ́ẹ̀ni"), "”", "…"]),
        ("@amina #Kano", ["@", "amina", "#", "Kano"]),
        ("Ona https://example.org/a?b=1. Sawa", ["Ona", "https://example.org/a?b=1", ".", "Sawa"]),
        ("ጤና፡ይስጥልኝ፡፡ሰላም።", ["ጤና", "ይስጥልኝ", "፡፡", "ሰላም", "።"]),
        ("ጤና ፡ ሰላም፣ አበበ፤", ["ጤና", "፡", "ሰላም", "፣", "አበበ", "፤"]),
        ("a\u200bb\ufeff \u200b c", ["ab", "c"]),
        ("a\u00a0b\u2028c\td\ne", ["a", "b", "c", "d", "e"]),
        ("≠ x", ["≠", "x"]),
        ("", []),
        (" \u200b\u200d\ufeff\x00 ", []),
    ],
)
def test_words_are_split_as_training_tokens_are(text, expected):
    """
    Letters, marks, numbers and apostrophes hold together, any other character stands alone, spaces vanish.
    """
    assert words(text) == expected


@pytest.mark.parametrize("emoji", ["😀", "❤️", "👍🏿", "👩🏾‍🌾", "👨‍👩‍👧‍👦", "🏃‍♂️", "🇰🇪", "1️⃣", "🏴󠁧󠁢󠁥󠁮󠁧󠁿"])
def test_an_emoji_sequence_is_one_word(emoji):
    """
    Skin tones, joiners, flags and keycaps are never torn apart, and never glued to a letter.
    """
    assert words(f"Asante{' ' if emoji[0] == '1' else ''}{emoji}😀") == ["Asante", emoji, "😀"]


def test_two_flags_are_two_words():
    """
    Regional indicators pair from the left.
    """
    assert words("🇰🇪🇳🇬") == ["🇰🇪", "🇳🇬"]


def test_offsets_point_into_the_text_as_it_was_typed():
    """
    The word is composed, its offsets count the code points of the decomposed original.
    """
    typed = unicodedata.normalize("NFD", "Ọjọ́ Adé.")

    found = split_words(typed)

    assert found == [Word(nfc("Ọjọ́"), 0, 6), Word("Adé", 7, 11), Word(".", 11, 12)]
    assert [nfc(typed[word.start : word.end]) for word in found] == [word.text for word in found]


@given(st.text())
def test_words_stand_in_order_and_miss_nothing_visible(text):
    """
    For any text: spans do not overlap, no word is empty, every letter, mark, number and punctuation is in a word.
    """
    found = split_words(text)

    covered = {place for word in found for place in range(word.start, word.end)}
    visible = {place for place, letter in enumerate(text) if unicodedata.category(letter)[0] in "LNP" and letter != "፡"}
    assert all(before.end <= after.start for before, after in pairwise(found))
    assert all(word.text == clean(text[word.start : word.end]) != "" for word in found)
    assert visible <= covered


@given(AFRICAN)
def test_composed_and_decomposed_text_have_the_same_words(text):
    """
    How a keyboard writes its tone marks does not change the words.
    """
    assert words(unicodedata.normalize("NFD", text)) == words(unicodedata.normalize("NFC", text))


@given(AFRICAN)
def test_words_split_again_stay_the_same(text):
    """
    Splitting is stable: the words joined by spaces have the same words.
    """
    once = words(text)

    assert words(" ".join(once)) == once


def test_a_long_text_is_split_in_linear_time():
    """
    Input without a single space or full of colons costs no more per character than prose.
    """
    assert len(split_words("a" * 200_000)) == 1
    assert len(split_words("a" + "\u200b" * 200_000 + "b")) == 1
    assert len(split_words(":/" * 100_000)) == 200_000


def test_a_sentence_that_fits_has_one_window():
    """
    Nothing is cut that need not be cut.
    """
    (window,) = windows([2, 3, 1], limit=6, overlap=2)

    assert (window.start, window.end, window.keep_start, window.keep_end) == (0, 3, 0, 3)


def test_no_words_have_no_window():
    """
    An empty sentence gives the model nothing to read.
    """
    assert windows([], limit=6, overlap=2) == []


def test_windows_overlap_and_share_the_words_between():
    """
    In an overlap of four words the first two are kept by the window before, the last two by the window after.
    """
    found = windows([1] * 16, limit=10, overlap=4)

    spans = [(window.start, window.end, window.keep_start, window.keep_end) for window in found]
    assert spans == [(0, 10, 0, 8), (6, 16, 8, 16)]


def test_a_word_longer_than_the_limit_stands_alone():
    """
    Its pieces are cut by the caller; its neighbours keep their windows.
    """
    found = windows([2, 9, 2], limit=5, overlap=1)

    assert [(window.start, window.end) for window in found] == [(0, 1), (1, 2), (2, 3)]


@given(st.lists(st.integers(0, 12), max_size=60), st.integers(1, 20), st.integers(0, 30))
def test_windows_keep_every_word_once_within_the_limit(pieces, limit, overlap):
    """
    Windows advance and hold at most `limit` pieces, unless one word alone is longer; what they keep is a partition.
    """
    found = windows(pieces, limit, overlap)

    kept = [word for window in found for word in range(window.keep_start, window.keep_end)]
    assert kept == list(range(len(pieces)))
    for window in found:
        assert window.start <= window.keep_start <= window.keep_end <= window.end
        assert sum(pieces[window.start : window.end]) <= limit or window.end - window.start == 1
    for before, after in pairwise(found):
        assert before.start < after.start <= before.end < after.end
        assert sum(pieces[after.start : before.end]) <= overlap


@given(st.lists(st.integers(1, 4), max_size=60))
def test_a_word_is_kept_where_it_is_farther_from_an_edge(pieces):
    """
    No other window that holds the word reads it with more context on its narrow side.
    """
    found = windows(pieces, limit=20, overlap=8)

    ends = {0, len(pieces)}
    for window in found:
        for word in range(window.keep_start, window.keep_end):
            best = max(_context(pieces, other, word, ends) for other in found if other.start <= word < other.end)
            assert _context(pieces, window, word, ends) == best


def _context(pieces, window, word, ends):
    """Sub-words between a word and the nearer cut edge of its window; the sentence's own ends are no cuts."""
    left = sum(pieces[window.start : word]) if window.start not in ends else 10**6
    right = sum(pieces[word + 1 : window.end]) if window.end not in ends else 10**6
    return min(left, right)


@pytest.mark.slow
@pytest.mark.parametrize("language", ["amh", "hau", "ibo", "kin", "lug", "luo", "pcm", "swa", "wol", "yor"])
def test_the_splitter_agrees_with_masakhaner(lab: Path, language):
    """
    Dev sentences joined by spaces split into their own tokens, all but one sentence in a hundred.
    """
    sentences = read_split(lab / "data" / "masakhaner", language, "dev").sentences

    same = sum(words(" ".join(sentence.words)) == list(sentence.words) for sentence in sentences)
    assert same >= 0.99 * len(sentences)


def test_words_of_a_whole_text_are_those_between_spaces():
    """
    Punctuation stays where it stands and what nobody sees goes; where words are labelled, the splitter has its say.
    """
    text = "  Cha\u200bkula kizuri, sana!\u00a0\u200b \n😀"

    assert words_of(text, "text") == ["Chakula", "kizuri,", "sana!", "😀"]
    assert words_of(text, "word") == words(text) == ["Chakula", "kizuri", ",", "sana", "!", "😀"]


def test_a_text_typed_or_read_from_a_file_has_the_same_words(tmp_path: Path):
    """
    Else a bundle would be judged on other input than it gets.
    """
    text = "Na-eme  ọ\u0323ma,\u200b \u200b nke\u00a0ọma!"
    (tmp_path / "ibo").mkdir()
    (tmp_path / "ibo" / "test.tsv").write_text(f"tweet\tlabel\n{text}\tpositive\n", "utf-8")
    (sentence,) = read_split(tmp_path, "ibo", "test", "text").sentences

    assert list(sentence.words) == words_of(text, "text")
