"""token_counts: how often the languages use each token of a vocabulary, and sentences to judge a selection by."""

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
from edgeafri.menu.settings import TrimSettings
from edgeafri.util.progress import Progress

Frequencies = NDArray[np.int64]
Sentence = tuple[str, ...]
_BATCH = 2000
_EVERY, _MOST = 50, 2000  # one sentence in so many is held out, so many per language at most


@dataclass(frozen=True)
class WordCounts:
    """How often each word stands in a language's text, and the sentences to hold out, whose words are counted too."""

    words: Mapping[str, int]
    held_out: tuple[Sentence, ...]


@dataclass(frozen=True)
class TokenCounts:
    """How often each token stands in a language's text: in all of it, and without the sentences held out.

    `total` and `without_held_out` are int64 of shape (vocabulary,); `words` is how many words there are.
    """

    total: Frequencies
    without_held_out: Frequencies
    words: int
    held_out: tuple[Sentence, ...]


def count_tokens(
    tokenizer: Tokenizer, size: int, settings: TrimSettings, units: Sequence[Unit], progress: Progress
) -> dict[str, TokenCounts]:
    """What every language uses of a vocabulary of that size, read by each of these units. DataError without text."""
    used = {}
    for done, language in enumerate(settings.languages):
        progress(done, len(settings.languages))
        found = count_words(settings, language, units)
        whole = counts_in(tokenizer, size, found.words)
        aside = counts_in(tokenizer, size, Counter(word for sentence in found.held_out for word in sentence))
        used[language] = TokenCounts(whole, whole - aside, sum(found.words.values()), found.held_out)
    progress(len(settings.languages), len(settings.languages))
    return used


def count_words(settings: TrimSettings, language: str, units: Sequence[Unit]) -> WordCounts:
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
        hint = "Add --data DIR (labelled) or --text DIR (raw), so that trim can see which subwords the language uses."
        raise DataError(f"trim: no text for '{language}'", hint)
    return WordCounts(Counter(raw.words) + Counter(labelled.words), (*raw.held_out, *labelled.held_out))


def counts_in(tokenizer: Tokenizer, size: int, words: Mapping[str, int]) -> Frequencies:
    """How often each token stands in these words: int64 of shape (size,).

    Words are cut alone, exactly as they are in a sentence: the pre-tokenizer never joins two.
    """
    total = np.zeros(size, dtype=np.int64)
    distinct = list(words)
    for start in range(0, len(distinct), _BATCH):
        batch = distinct[start : start + _BATCH]
        cut = tokenizer.encode_batch([[word] for word in batch], is_pretokenized=True, add_special_tokens=False)
        times = np.repeat([words[word] for word in batch], [len(encoding.ids) for encoding in cut])
        ids = np.fromiter((token for encoding in cut for token in encoding.ids), dtype=np.int64, count=len(times))
        np.add.at(total, ids, times)
    return total


def _gathered(sentences: Iterable[Sequence[str]]) -> WordCounts:
    counts: Counter[str] = Counter()
    aside: list[Sentence] = []
    for number, words in enumerate(sentences):
        counts.update(words)
        if number % _EVERY == 0 and len(aside) < _MOST:
            aside.append(tuple(words))
    return WordCounts(counts, tuple(aside))


def _raw(settings: TrimSettings, language: str, units: Sequence[Unit]) -> Iterator[Sequence[str]]:
    if settings.text is not None:
        path = text_files(settings.text, (language,))[language]
        yield from (words_of(line, unit) for unit in units for line in read_lines(path))


def _labelled(settings: TrimSettings, language: str, unit: Unit) -> Iterator[Sequence[str]]:
    if settings.data is not None:
        for name in ("train", "dev"):
            yield from (sentence.words for sentence in read_split(settings.data, language, name, unit).sentences)


def _characters(words: Mapping[str, int]) -> Counter[str]:
    found: Counter[str] = Counter()
    for word, count in words.items():
        for character in word:
            found[character] += count
    return found
