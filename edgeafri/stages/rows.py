"""rows: what a model is trained on, made from labelled data or raw text by the same encoder that the device has."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from edgeafri.dataset import Split, read_lines, text_files
from edgeafri.errors import DataError
from edgeafri.predict import Encoder, padded
from edgeafri.predict import Row as Input
from edgeafri.text import words_of as words_in

T = TypeVar("T")
IGNORED = -100  # what torch's cross entropy skips
HELD_OUT = 50  # one line of raw text in so many judges the training and is not learnt from
_MASKED, _TO_MASK, _TO_RANDOM = 0.15, 0.8, 0.9  # BERT: 15 % are hidden; of these 80 % masked, 10 % random, 10 % kept
_FEWEST = 6  # sub-words of a line of raw text that is worth learning from


@dataclass(frozen=True)
class Row:
    """One input: its ids, a target a place or IGNORED, the places that are compared, and its language.

    `places` are positions in `ids`; where whole texts are labelled there is one, at 0. `targets` are as many.
    """

    ids: tuple[int, ...]
    places: tuple[int, ...]
    targets: tuple[int, ...]
    language: str


def labelled_rows(encoder: Encoder, split: Split, labels: Sequence[str]) -> list[Row]:
    """The inputs of labelled sentences, a target at every kept word's first sub-word, or one a text."""
    index = {label: number for number, label in enumerate(labels)}
    inputs = encoder.rows([sentence.words for sentence in split.sentences])
    tags = [split.sentences[item.sentence].tags for item in inputs]
    targets = [tuple(index[own[word]] for word in item.words) for item, own in zip(inputs, tags, strict=True)]
    return [_row(item, found, split.language) for item, found in zip(inputs, targets, strict=True)]


def unlabelled_rows(encoder: Encoder, sentences: Sequence[Sequence[str]], language: str) -> list[Row]:
    """The inputs of sentences of which nothing is known at any place."""
    return [_row(item, (IGNORED,) * len(item.words), language) for item in encoder.rows(sentences)]


def raw_words(encoder: Encoder, lines: Sequence[str]) -> list[list[str]]:
    """Raw text split into words as the device does: for labels of words by the splitter, for texts by spaces."""
    return [words_in(line, encoder.unit) for line in lines]


def raw_lines(root: Path, languages: Sequence[str], most: int | None) -> dict[str, list[str]]:
    """The lines of every language that are worth learning from, at most `most` of each, spread over the file.

    Lines of digits and punctuation are left out (MAFT, Alabi et al. 2022). DataError for a language
    without any, and for no language.
    """
    if not languages:
        hint = "Add --languages swa,hau: the files of --text to learn from."
        raise DataError(f"{root}: no language named to read raw text of", hint)
    found = {
        code: list(spread([line for line in read_lines(file) if any(map(str.isalpha, line))], most))
        for code, file in text_files(root, languages).items()
    }
    for code, lines in found.items():
        if not lines:
            raise DataError(f"{root / code}.txt: no line of text in it", "Write one sentence a line.")
    return found


def masked_rows(encoder: Encoder, lines: Sequence[str], language: str) -> list[Row]:
    """The inputs of raw text for masked-LM training, as it stands: every sub-word but start and end is a place."""
    inputs = encoder.rows([line.split() for line in lines])
    long_enough = [item for item in inputs if len(item.ids) >= _FEWEST + 2]
    return [Row(item.ids, tuple(range(1, len(item.ids) - 1)), item.ids[1:-1], language) for item in long_enough]


def held_out(rows: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """The rows to learn from, and of every language one in HELD_OUT to judge by, at least one where it has two."""
    learnt: list[Row] = []
    judged: list[Row] = []
    for language in dict.fromkeys(row.language for row in rows):
        own = [row for row in rows if row.language == language]
        every = min(HELD_OUT, len(own)) if len(own) > 1 else 0
        for number, row in enumerate(own):
            (judged if every and number % every == every // 2 else learnt).append(row)
    if not judged:
        raise DataError("too little raw text: one line to learn from and one to judge by are needed", "Add text.")
    return learnt, judged


@dataclass(frozen=True)
class Masks:
    """How sub-words are hidden: BERT's rule, drawn anew for every epoch, or once and for all."""

    mask: int
    vocabulary: int
    seed: int
    everywhere: bool  # all sub-words are compared, not the hidden ones only
    fixed: bool

    def hide(self, row: Row, number: int, epoch: int) -> tuple[NDArray[np.int64], list[int], list[int]]:
        """Ids with some hidden, the places that are compared, and their targets: IGNORED where nothing is hidden."""
        random = np.random.default_rng((self.seed, number, 0 if self.fixed else epoch))
        ids = np.array(row.ids, dtype=np.int64)
        places = np.array(row.places, dtype=np.int64)
        draws = random.random(len(places))
        hidden = draws < _MASKED
        if not hidden.any():
            hidden[random.integers(len(places))] = True
        chosen = places[hidden]
        kinds = random.random(len(chosen))
        ids[chosen[kinds < _TO_MASK]] = self.mask
        swapped = chosen[(kinds >= _TO_MASK) & (kinds < _TO_RANDOM)]
        ids[swapped] = random.integers(self.vocabulary, size=len(swapped))
        targets = np.where(hidden, np.array(row.targets), IGNORED)
        kept = np.ones(len(places), dtype=bool) if self.everywhere else hidden
        return ids, places[kept].tolist(), targets[kept].tolist()


class Rows(Dataset[dict[str, Any]]):
    """Rows as a torch data set. An item knows its number, by which a teacher's answers are found again."""

    def __init__(self, rows: Sequence[Row], masks: Masks | None = None) -> None:
        self.rows, self.masks, self.epoch = rows, masks, 0
        self.lengths = np.array([len(row.ids) for row in rows])
        self.languages = [row.language for row in rows]

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


def _row(item: Input, targets: tuple[int, ...], language: str) -> Row:
    return Row(item.ids, item.firsts, targets, language)


def spread(items: Sequence[T], most: int | None) -> Sequence[T]:
    """At most so many of the items, evenly from all of them."""
    if most is None or len(items) <= most:
        return items
    return [items[number * len(items) // most] for number in range(most)]
