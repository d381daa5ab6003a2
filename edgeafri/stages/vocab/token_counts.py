"""usage: which pieces of a vocabulary the languages use, how often, and sentences set aside to judge a choice by."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from edgeafri.data.dataset import Unit, read_lines, read_split, text_files
from edgeafri.data.scripts import check_script
from edgeafri.data.text import words_of
from edgeafri.errors import DataError
from edgeafri.menu.settings import Trim
from edgeafri.util.progress import Progress

Counts = NDArray[np.int64]
Sentence = tuple[str, ...]
_BATCH = 2000
_EVERY, _MOST = 50, 2000  # one sentence in so many is set aside, so many a language at most


@dataclass(frozen=True)
class Corpus:
    """How often each word of a language stands in its text, and some of the sentences, which are counted too."""

    words: Mapping[str, int]
    aside: tuple[Sentence, ...]


@dataclass(frozen=True)
class Usage:
    """How often each piece stands in a language's text: all of it, and without the sentences set aside.

    `pieces` and `learnt` are int64 of shape (vocabulary,).
    """

    pieces: Counts
    learnt: Counts
    words: int
    aside: tuple[Sentence, ...]


def usage(
    tokenizer: Tokenizer, size: int, settings: Trim, units: Sequence[Unit], progress: Progress
) -> dict[str, Usage]:
    """What every language uses of a vocabulary of that size, read by each of these units. DataError without text."""
    used = {}
    for done, language in enumerate(settings.languages):
        progress(done, len(settings.languages))
        found = corpus(settings, language, units)
        pieces = counted(tokenizer, size, found.words)
        aside = counted(tokenizer, size, Counter(word for sentence in found.aside for word in sentence))
        used[language] = Usage(pieces, pieces - aside, sum(found.words.values()), found.aside)
    progress(len(settings.languages), len(settings.languages))
    return used


def corpus(settings: Trim, language: str, units: Sequence[Unit]) -> Corpus:
    """What a language writes in its raw text, train and dev. Test is never read.

    DataError for no text at all, and for raw text without a letter or in another script than the language's.
    """
    raw, labelled = _gathered(_raw(settings, language, units)), _gathered(_labelled(settings, language, units[0]))
    if settings.text is not None:
        path, characters = settings.text / f"{language}.txt", _characters(raw.words)
        if not any(map(str.isalpha, characters)):
            raise DataError(f"{path}: no line of text in it", "Write one sentence a line.")
        check_script(path, language, characters)
    if not raw.words and not labelled.words:
        hint = "Add --data DIR (labelled) or --text DIR (raw), so that trim can see which pieces the language uses."
        raise DataError(f"trim: no text for '{language}'", hint)
    return Corpus(Counter(raw.words) + Counter(labelled.words), (*raw.aside, *labelled.aside))


def counted(tokenizer: Tokenizer, size: int, words: Mapping[str, int]) -> Counts:
    """How often each piece stands in these words: int64 of shape (size,).

    Words are cut alone, exactly as they are in a sentence: the pre-tokenizer never joins two.
    """
    total = np.zeros(size, dtype=np.int64)
    distinct = list(words)
    for start in range(0, len(distinct), _BATCH):
        batch = distinct[start : start + _BATCH]
        cut = tokenizer.encode_batch([[word] for word in batch], is_pretokenized=True, add_special_tokens=False)
        times = np.repeat([words[word] for word in batch], [len(encoding.ids) for encoding in cut])
        ids = np.fromiter((piece for encoding in cut for piece in encoding.ids), dtype=np.int64, count=len(times))
        np.add.at(total, ids, times)
    return total


def _gathered(sentences: Iterable[Sequence[str]]) -> Corpus:
    counts: Counter[str] = Counter()
    aside: list[Sentence] = []
    for number, words in enumerate(sentences):
        counts.update(words)
        if number % _EVERY == 0 and len(aside) < _MOST:
            aside.append(tuple(words))
    return Corpus(counts, tuple(aside))


def _raw(settings: Trim, language: str, units: Sequence[Unit]) -> Iterator[Sequence[str]]:
    if settings.text is not None:
        path = text_files(settings.text, (language,))[language]
        yield from (words_of(line, unit) for unit in units for line in read_lines(path))


def _labelled(settings: Trim, language: str, unit: Unit) -> Iterator[Sequence[str]]:
    if settings.data is not None:
        for name in ("train", "dev"):
            yield from (sentence.words for sentence in read_split(settings.data, language, name, unit).sentences)


def _characters(words: Mapping[str, int]) -> Counter[str]:
    found: Counter[str] = Counter()
    for word, count in words.items():
        for character in word:
            found[character] += count
    return found
