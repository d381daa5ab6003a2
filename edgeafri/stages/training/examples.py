"""rows: what a model is trained on, made from labelled data or raw text by the same encoder that the device has."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from edgeafri.data.dataset import Split, read_lines, text_files
from edgeafri.data.scripts import check_script
from edgeafri.data.text import words_of as words_in
from edgeafri.errors import DataError
from edgeafri.inference.predict import EncodedInput, Encoder, padded

T = TypeVar("T")
Values = Sequence[int] | NDArray[Any]
IGNORED = -100  # what torch's cross entropy skips
FEWEST = 6  # sub-words of a line of raw text that is worth learning from
_HELD_OUT = 50  # one input of raw text in so many judges the training and is not learnt from
_MASKED, _TO_MASK, _TO_RANDOM = 0.15, 0.8, 0.9  # BERT: 15 % are hidden; of these 80 % masked, 10 % random, 10 % kept


@dataclass(frozen=True)
class Row:
    """One input: its ids, a target a place or IGNORED, the places that are compared, and its language.

    `places` are positions in `ids`; where whole texts are labelled there is one, at 0. `targets` are as many. Of raw
    text `firsts` says of every place whether a word begins there.
    """

    ids: Values
    places: Values
    targets: Values
    language: str
    firsts: Sequence[bool] | NDArray[np.bool_] = ()


def labelled_rows(encoder: Encoder, split: Split, labels: Sequence[str]) -> list[Row]:
    """The inputs of labelled sentences, a target at every kept word's first sub-word, or one a text."""
    index = {label: number for number, label in enumerate(labels)}
    inputs = encoder.encode([sentence.words for sentence in split.sentences])
    tags = [split.sentences[item.sentence].tags for item in inputs]
    targets = [tuple(index[own[word]] for word in item.words) for item, own in zip(inputs, tags, strict=True)]
    return [_row(item, found, split.language) for item, found in zip(inputs, targets, strict=True)]


def unlabelled_rows(encoder: Encoder, sentences: Sequence[Sequence[str]], language: str) -> list[Row]:
    """The inputs of sentences of which nothing is known at any place."""
    return [_row(item, (IGNORED,) * len(item.words), language) for item in encoder.encode(sentences)]


def raw_words(encoder: Encoder, lines: Sequence[str]) -> list[list[str]]:
    """Raw text split into words as the device does: for labels of words by the splitter, for texts by spaces."""
    return [words_in(line, encoder.unit) for line in lines]


def raw_lines(root: Path, languages: Sequence[str], most: int | None) -> dict[str, list[str]]:
    """The lines of every language that are worth learning from, at most `most` of each, spread over the file.

    DataError for no language, and as in `lines_of`.
    """
    return {code: list(lines_of(file, code, most, Counter())) for code, file in raw_files(root, languages).items()}


def raw_files(root: Path, languages: Sequence[str]) -> dict[str, Path]:
    """The raw text of every language. DataError for a file that is not there, and for no language."""
    if not languages:
        hint = "Add --languages swa,hau: the files of --text to learn from."
        raise DataError(f"{root}: no language named to read raw text of", hint)
    return text_files(root, languages)


def lines_of(path: Path, code: str, most: int | None, notes: Counter[str]) -> Iterator[str]:
    """The lines of a raw text file with a letter in them, at most `most`, spread over it; the file is never held whole.

    Lines of digits and punctuation are left out (MAFT, Alabi et al. 2022) and counted in notes["no_letter"], the others
    in notes["lines"]. DataError for a file without any and for one in a script that is not its language's: at the end,
    or, where `most` is given, before the first line, as the file is read twice then.
    """
    if most is None:
        yield from _checked(path, code, notes)
        return
    count = sum(1 for _ in _checked(path, code, notes))
    chosen, most = 0, min(most, count)
    for number, line in enumerate(_checked(path, code, Counter())):
        if number == chosen * count // most:
            chosen += 1
            yield line
        if chosen == most:
            return


def _checked(path: Path, code: str, notes: Counter[str]) -> Iterator[str]:
    characters: Counter[str] = Counter()
    for line in read_lines(path):
        if any(map(str.isalpha, line)):
            characters.update(line)
            notes["lines"] += 1
            yield line
        else:
            notes["no_letter"] += 1
    if not notes["lines"]:
        raise DataError(f"{path}: no line of text in it", "Write one sentence a line.")
    check_script(path, code, characters)


def cut_lines(encoder: Encoder, lines: Sequence[str]) -> Iterator[tuple[NDArray[np.int32], NDArray[np.bool_]]]:
    """The sub-words of lines as they stand, and which of them begin a word: what stands between spaces.

    A line that is longer than an input becomes several; none begins inside a word unless the word is longer itself.
    """
    words = [line.split() for line in lines]
    for item in encoder.tokenizer.encode_batch(words, is_pretokenized=True, add_special_tokens=False):
        ids, numbers = np.array(item.ids, dtype=np.int32), np.array(item.word_ids, dtype=np.int64)
        firsts = np.diff(numbers, prepend=-1) != 0
        start = 0
        while len(ids) - start > encoder.limit - 2:
            last = start + encoder.limit - 2
            begins = np.flatnonzero(firsts[start + 1 : last + 1])
            end = start + 1 + int(begins[-1]) if len(begins) else last
            yield ids[start:end], firsts[start:end]
            start = end
        yield ids[start:], firsts[start:]


def masked_rows(encoder: Encoder, lines: Sequence[str], language: str) -> list[Row]:
    """The inputs of raw text for masked-LM training, as it stands: every sub-word but start and end is a place."""
    return [
        masked_row((encoder.frame.start, *ids.tolist(), encoder.frame.end), firsts, language)
        for ids, firsts in cut_lines(encoder, lines)
        if len(ids) >= FEWEST
    ]


def masked_row(ids: Values, firsts: NDArray[np.bool_], language: str) -> Row:
    """An input of raw text, its start and end in `ids`; `firsts` are those of the places between."""
    return Row(ids, range(1, len(ids) - 1), ids[1:-1], language, firsts)


def is_held_out(number: int) -> bool:
    """Whether the input of that number, of its language's, judges the training: the second of every fifty.

    So that it can be told before the last one has been read, and a language with two has one to learn from and one to
    judge by.
    """
    return number % _HELD_OUT == 1


def held_out(rows: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """The rows to learn from, and those that judge. DataError where there are none of the second."""
    parts: tuple[list[Row], list[Row]] = [], []
    seen: Counter[str] = Counter()
    for row in rows:
        parts[is_held_out(seen[row.language])].append(row)
        seen[row.language] += 1
    if not parts[1]:
        raise DataError("too little raw text: one line to learn from and one to judge by are needed", "Add text.")
    return parts


@dataclass(frozen=True)
class Masks:
    """How sub-words are hidden: BERT's rule, drawn anew for every epoch, or once and for all.

    With `whole_words` a word is hidden with all its sub-words or not at all (BERT's whole-word masking). Words are
    drawn at the same rate, so 15 % of the sub-words are hidden on average.
    """

    mask: int
    vocabulary: int
    seed: int
    everywhere: bool  # all sub-words are compared, not the hidden ones only
    fixed: bool
    whole_words: bool = False

    def hide(self, row: Row, number: int, epoch: int) -> tuple[NDArray[np.int64], list[int], list[int]]:
        """Ids with some hidden, the places that are compared, and their targets: IGNORED where nothing is hidden."""
        random = np.random.default_rng((self.seed, number, 0 if self.fixed else epoch))
        ids = np.array(row.ids, dtype=np.int64)
        places = np.array(row.places, dtype=np.int64)
        words = np.cumsum(row.firsts) - row.firsts[0] if self.whole_words else np.arange(len(places))
        drawn = random.random(words[-1] + 1) < _MASKED
        if not drawn.any():
            drawn[random.integers(len(drawn))] = True
        hidden = drawn[words]
        chosen = places[hidden]
        kinds = random.random(len(chosen))
        ids[chosen[kinds < _TO_MASK]] = self.mask
        swapped = chosen[(kinds >= _TO_MASK) & (kinds < _TO_RANDOM)]
        ids[swapped] = random.integers(self.vocabulary, size=len(swapped))
        targets = np.where(hidden, np.array(row.targets, dtype=np.int64), IGNORED)
        kept = np.ones(len(places), dtype=bool) if self.everywhere else hidden
        return ids, places[kept].tolist(), targets[kept].tolist()


@dataclass(frozen=True)
class Outline:
    """What is known of all rows without reading one: the languages, each row's as a number, and its length."""

    names: tuple[str, ...]
    languages: NDArray[Any]
    lengths: NDArray[Any]


def outline_of(rows: Sequence[Row]) -> Outline:
    """The outline of rows in memory; languages in the order in which they appear."""
    names = {name: number for number, name in enumerate(dict.fromkeys(row.language for row in rows))}
    languages = np.array([names[row.language] for row in rows], dtype=np.uint16)
    return Outline(tuple(names), languages, np.array([len(row.ids) for row in rows], dtype=np.int64))


class Rows(Dataset[dict[str, Any]]):
    """Rows as a torch data set. An item knows its number, by which a teacher's answers are found again.

    Rows that come with their `outline` are read one by one, when they are asked for.
    """

    def __init__(self, rows: Sequence[Row], masks: Masks | None = None, outline: Outline | None = None) -> None:
        self.rows, self.masks, self.epoch = rows, masks, 0
        self.outline = outline or outline_of(rows)

    @property
    def lengths(self) -> NDArray[Any]:
        """Every row's sub-words, start and end included."""
        return self.outline.lengths

    @cached_property
    def places(self) -> NDArray[np.int64]:
        """How many places every row has; with masks, in this epoch."""
        return np.array([len(self[number]["places"]) for number in range(len(self))])

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, number: int) -> dict[str, Any]:
        row = self.rows[number]
        if self.masks is None:
            return {"number": number, "ids": row.ids, "places": row.places, "targets": row.targets}
        ids, places, targets = self.masks.hide(row, number, self.epoch)
        return {"number": number, "ids": ids, "places": places, "targets": targets}


@dataclass(frozen=True)
class Collator:
    """Items to a batch: input_ids and attention_mask of shape (batch, length); places and targets, flat.

    `places` index the flattened (batch * length) positions, row by row; `numbers` are those of the rows.
    """

    pad: int

    def __call__(self, items: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        ids, mask = padded([item["ids"] for item in items], self.pad)
        length = ids.shape[1]
        places = [index * length + place for index, item in enumerate(items) for place in item["places"]]
        targets = [target for item in items for target in item["targets"]]
        named = {"input_ids": ids, "attention_mask": mask, "places": places, "targets": targets}
        named["numbers"] = [item["number"] for item in items]
        return {name: torch.from_numpy(np.asarray(values, dtype=np.int64)) for name, values in named.items()}


def _row(item: EncodedInput, targets: tuple[int, ...], language: str) -> Row:
    return Row(item.ids, item.firsts, targets, language)


def spread(items: Sequence[T], most: int | None) -> Sequence[T]:
    """At most so many of the items, evenly from all of them."""
    if most is None or len(items) <= most:
        return items
    return [items[number * len(items) // most] for number in range(most)]
