"""Text as every part sees it: NFC, the one word splitter, with offsets into the original, and windows."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Literal

# Look-alikes and accents typed for an apostrophe too. They belong to words at either end: Hausa 'yan, Luo ng'.
_APOSTROPHES = "'`´‘’‛′"
_JOINERS = "\u200c\u200d"  # ajami spelling and emoji sequences need them
_INVISIBLE = "\u00ad\u061c\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff"
_SKIN_TONES = "🏻🏼🏽🏾🏿"
_WORDSPACE = "፡"


@dataclass(frozen=True)
class Word:
    """A word as models read it, and its place: `original[start:end]`, in code points, is what the user typed."""

    text: str
    start: int
    end: int


@dataclass(frozen=True)
class Window:
    """Words [start, end) are read together; the labels of [keep_start, keep_end) are taken from this reading."""

    start: int
    end: int
    keep_start: int
    keep_end: int


def nfc(text: str) -> str:
    """The composed form. Yoruba ẹ́ arrives as one, two or three code points; models are trained on this one."""
    return unicodedata.normalize("NFC", text)


def clean(word: str) -> str:
    """NFC without what nobody sees: zero-width characters, direction marks, control characters, lone surrogates."""
    shape = word.translate(_KINDS)
    if "i" in shape or "c" in shape:
        word = "".join(letter for letter, kind in zip(word, shape, strict=True) if kind not in "ic")
    return nfc(word)


def split_words(text: str) -> list[Word]:
    """The words of raw text, in order, split as the tokens of MasakhaNER are.

    Letters, marks, numbers and apostrophes form words; any other visible character is a word of its own, so "na-eme",
    "1,000" and "10:30" are three words each. Kept whole: links, emoji sequences, flags, a run of straight double
    quotes, and the Ethiopic full stop typed as two wordspaces. A single wordspace separates words as a space does,
    unless it stands alone between spaces, where it was typed for a comma.
    """
    spans = (match.span() for match in _WORD.finditer(text.translate(_KINDS)))
    return [Word(clean(text[start:end]), start, end) for start, end in spans]


def words_of(text: str, unit: Literal["word", "text"]) -> list[str]:
    """The words of raw text as a model reads them: where words are labelled, those of split_words.

    Of a text that is labelled as a whole, what stands between spaces: published classifiers read raw text, where
    "yake." is one word.
    """
    if unit == "word":
        return [word.text for word in split_words(text)]
    return [word for part in text.split() if (word := clean(part))]


def windows(token_counts: Sequence[int], limit: int, overlap: int) -> list[Window]:
    """Cut a sentence whose words have `token_counts` tokens into windows of at most `limit` tokens.

    Neighbours share at most `overlap` tokens. Every word is kept once, by the window where it is farther from an edge.
    A word longer than `limit` has a window of its own; its tokens are for the caller to cut.
    """
    before = [0, *accumulate(token_counts)]
    spans = _spans(before, limit, overlap)
    borders = [_border(before, end, start) for (_, end), (start, _) in pairwise(spans)]
    keeps = zip([0, *borders], [*borders, len(token_counts)], strict=True)
    return [Window(*span, *keep) for span, keep in zip(spans, keeps, strict=False)]


def _spans(before: list[int], limit: int, overlap: int) -> list[tuple[int, int]]:
    """Start and end of every window; `before[word]` counts the tokens that stand before a word."""
    words = len(before) - 1
    spans: list[tuple[int, int]] = []
    start = end = 0
    while end < words:
        while start < end and (before[end] - before[start] > overlap or before[end + 1] - before[start] > limit):
            start += 1
        end += 1
        while end < words and before[end + 1] - before[start] <= limit:
            end += 1
        spans.append((start, end))
    return spans


def _border(before: list[int], end: int, start: int) -> int:
    """The first word of the overlap [start, end) with more context in the later window than in the earlier one."""
    later = (word for word in range(start, end) if before[word] - before[start] > before[end] - before[word + 1])
    return next(later, end)


class _Kinds(dict[int, str]):
    """One letter for the kind of each character, found when first met: a text's shape is as long as the text.

    w letter or number, m mark, ' apostrophe, j joiner, i invisible, c control that separates, e skin tone, r half a
    flag, x other; a space and : / " ፡ stand for themselves.
    """

    def __missing__(self, code: int) -> str:
        self[code] = kind = _kind(chr(code))
        return kind


def _kind(letter: str) -> str:
    category = unicodedata.category(letter)
    if category == "Cc":
        return "c" if letter.isspace() else "i"
    if 0xE0020 <= ord(letter) <= 0xE007F:  # the tags that spell the flag of a region
        return "m"
    if 0x1F1E6 <= ord(letter) <= 0x1F1FF:
        return "r"
    special = {_APOSTROPHES: "'", _JOINERS: "j", _INVISIBLE: "i", _SKIN_TONES: "e", ':/"' + _WORDSPACE: letter}
    listed = [kind for letters, kind in special.items() if letter in letters]
    return listed[0] if listed else _CATEGORIES.get(category, _CATEGORIES.get(category[0], "x"))


_CATEGORIES = {"L": "w", "N": "w", "M": "m", "Z": " ", "Cs": "i"}
_KINDS = _Kinds()
_WORD = re.compile(
    "w+://[^ c]*[w/]"  # a link, up to its last letter, number or slash
    "|[wm'](?:[ij]*[wm'])*"
    '|"+'
    "|rr?m*"
    "|፡፡+|(?<![^ c])፡(?![^ c])"
    "|[x:/e]m*e?(?:jxm*e?)*"
)
