"""Examples: what a model is trained on, made from labelled data or raw text by the same encoder as on the device."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

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
Batch = Mapping[str, torch.Tensor]
Values = Sequence[int] | NDArray[np.integer]
IGNORED = -100  # what torch's cross entropy skips
FEWEST = 6  # subwords of a line of raw text that is worth learning from
_HELD_OUT = 50  # one input of raw text in so many validates the training and is not learnt from
_MASKED, _TO_MASK, _TO_RANDOM = 0.15, 0.8, 0.9  # BERT: 15 % are hidden; of these 80 % masked, 10 % random, 10 % kept


@dataclass(frozen=True)
class Example:
    """One input: its ids, the positions in `ids` that have a target, these targets, and its language.

    Where whole texts are labelled there is one position, 0. There are as many targets as positions; IGNORED is one that
    is not known. For raw text `word_starts` says of every position whether a word begins there.
    """

    ids: Values
    positions: Values
    targets: Values
    language: str
    word_starts: Sequence[bool] | NDArray[np.bool_] = ()


def labelled_examples(encoder: Encoder, split: Split, labels: Sequence[str]) -> list[Example]:
    """The inputs of labelled sentences: a target at the first subword of every kept word, or one per text."""
    index = {label: number for number, label in enumerate(labels)}
    inputs = encoder.encode([sentence.words for sentence in split.sentences])
    tags = [split.sentences[item.sentence].tags for item in inputs]
    targets = [tuple(index[own[word]] for word in item.words) for item, own in zip(inputs, tags, strict=True)]
    return [_example(item, found, split.language) for item, found in zip(inputs, targets, strict=True)]


def unlabelled_examples(encoder: Encoder, sentences: Sequence[Sequence[str]], language: str) -> list[Example]:
    """The inputs of sentences without labels: every target is IGNORED."""
    return [_example(item, (IGNORED,) * len(item.words), language) for item in encoder.encode(sentences)]


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
        raise DataError(f"{path}: no line of text in it", "Write one sentence per line.")
    check_script(path, code, characters)


def cut_lines(encoder: Encoder, lines: Sequence[str]) -> Iterator[tuple[NDArray[np.int32], NDArray[np.bool_]]]:
    """The ids of the subwords of every line, and which of them begin a word: what stands between spaces.

    A line that is longer than an input becomes several; none begins inside a word unless the word is longer itself.
    """
    words = [line.split() for line in lines]
    for item in encoder.tokenizer.encode_batch(words, is_pretokenized=True, add_special_tokens=False):
        ids, numbers = np.array(item.ids, dtype=np.int32), np.array(item.word_ids, dtype=np.int64)
        word_starts = np.diff(numbers, prepend=-1) != 0
        start = 0
        while len(ids) - start > encoder.limit - 2:
            last = start + encoder.limit - 2
            begins = np.flatnonzero(word_starts[start + 1 : last + 1])
            end = start + 1 + int(begins[-1]) if len(begins) else last
            yield ids[start:end], word_starts[start:end]
            start = end
        yield ids[start:], word_starts[start:]


def masked_examples(encoder: Encoder, lines: Sequence[str], language: str) -> list[Example]:
    """The inputs of raw text for masked-LM training: every subword but start and end has a target."""
    return [
        masked_example((encoder.frame.start, *ids.tolist(), encoder.frame.end), word_starts, language)
        for ids, word_starts in cut_lines(encoder, lines)
        if len(ids) >= FEWEST
    ]


def masked_example(ids: Values, word_starts: NDArray[np.bool_], language: str) -> Example:
    """An input of raw text, with its start and end in `ids`; `word_starts` is for the positions between them."""
    return Example(ids, range(1, len(ids) - 1), ids[1:-1], language, word_starts)


def is_held_out(number: int) -> bool:
    """Whether the input with that number in its language is for validation: the second of every fifty.

    So it is known before the last one has been read, and a language with two inputs has one for each purpose.
    """
    return number % _HELD_OUT == 1


def split_held_out(examples: Sequence[Example]) -> tuple[list[Example], list[Example]]:
    """The examples to learn from, and those for validation. DataError where there are none of the second."""
    parts: tuple[list[Example], list[Example]] = [], []
    seen: Counter[str] = Counter()
    for example in examples:
        parts[is_held_out(seen[example.language])].append(example)
        seen[example.language] += 1
    if not parts[1]:
        message = "too little raw text: at least one line for training and one for validation are needed"
        raise DataError(message, "Add text.")
    return parts


@dataclass(frozen=True)
class Masking:
    """How subwords are masked for a masked LM: BERT's rule, drawn anew for every epoch, or only once if `fixed`.

    With `whole_words` a word is masked with all its subwords or not at all (BERT's whole-word masking). Words are
    drawn at the same rate, so 15 % of the subwords are masked on average.
    """

    mask_id: int
    vocabulary: int
    seed: int
    everywhere: bool  # all subwords are compared, not only the masked ones
    fixed: bool
    whole_words: bool = False

    def apply(self, example: Example, number: int, epoch: int) -> tuple[NDArray[np.int64], list[int], list[int]]:
        """Ids with some masked, the positions that are compared, and their targets: IGNORED where nothing is masked."""
        random = np.random.default_rng((self.seed, number, 0 if self.fixed else epoch))
        ids = np.array(example.ids, dtype=np.int64)
        positions = np.array(example.positions, dtype=np.int64)
        starts = example.word_starts
        words = np.cumsum(starts) - starts[0] if self.whole_words else np.arange(len(positions))
        drawn = random.random(words[-1] + 1) < _MASKED
        if not drawn.any():
            drawn[random.integers(len(drawn))] = True
        hidden = drawn[words]
        chosen = positions[hidden]
        kinds = random.random(len(chosen))
        ids[chosen[kinds < _TO_MASK]] = self.mask_id
        swapped = chosen[(kinds >= _TO_MASK) & (kinds < _TO_RANDOM)]
        ids[swapped] = random.integers(self.vocabulary, size=len(swapped))
        targets = np.where(hidden, np.array(example.targets, dtype=np.int64), IGNORED)
        compared = np.ones(len(positions), dtype=bool) if self.everywhere else hidden
        return ids, positions[compared].tolist(), targets[compared].tolist()


@dataclass(frozen=True)
class Outline:
    """What is known of all examples without reading them: names of languages, and each example's language and length.

    `languages` are indices into `names`; `lengths` are in subwords, start and end included.
    """

    names: tuple[str, ...]
    languages: NDArray[np.integer]
    lengths: NDArray[np.integer]


def outline_of(examples: Sequence[Example]) -> Outline:
    """The outline of examples in memory; languages in the order in which they appear."""
    names = {name: number for number, name in enumerate(dict.fromkeys(example.language for example in examples))}
    languages = np.array([names[example.language] for example in examples], dtype=np.uint16)
    return Outline(tuple(names), languages, np.array([len(example.ids) for example in examples], dtype=np.int64))


@dataclass(frozen=True)
class Item:
    """An example as one epoch reads it. `number` is its place in the data set, by which cached outputs are found."""

    number: int
    ids: Values
    positions: Values
    targets: Values


class Examples(Dataset[Item]):
    """Examples as a torch data set, masked if they are raw text for a masked LM.

    With an `outline` given, examples are read one by one, only when they are asked for.
    """

    def __init__(
        self, examples: Sequence[Example], masking: Masking | None = None, outline: Outline | None = None
    ) -> None:
        self.examples, self.masking, self.epoch = examples, masking, 0
        self.outline = outline or outline_of(examples)

    @property
    def lengths(self) -> NDArray[np.integer]:
        """The subwords of every example, start and end included."""
        return self.outline.lengths

    @cached_property
    def position_counts(self) -> NDArray[np.int64]:
        """How many positions of every example are compared; with masking, in this epoch."""
        return np.array([len(self[number].positions) for number in range(len(self))])

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, number: int) -> Item:
        example = self.examples[number]
        if self.masking is None:
            return Item(number, example.ids, example.positions, example.targets)
        return Item(number, *self.masking.apply(example, number, self.epoch))


@dataclass(frozen=True)
class Collator:
    """Items to a batch of int64: input_ids and attention_mask (batch, length); positions and targets (compared,).

    `positions` index the flattened (batch * length) input, example by example; `numbers` (batch,) are the items'.
    """

    pad_id: int

    def __call__(self, items: Sequence[Item]) -> dict[str, torch.Tensor]:
        ids, mask = padded([item.ids for item in items], self.pad_id)
        length = ids.shape[1]
        positions = [index * length + position for index, item in enumerate(items) for position in item.positions]
        targets = [target for item in items for target in item.targets]
        named = {"input_ids": ids, "attention_mask": mask, "positions": positions, "targets": targets}
        named["numbers"] = [item.number for item in items]
        return {name: torch.from_numpy(np.asarray(values, dtype=np.int64)) for name, values in named.items()}


def _example(item: EncodedInput, targets: tuple[int, ...], language: str) -> Example:
    return Example(item.ids, item.firsts, targets, language)


def spread(items: Sequence[T], most: int | None) -> Sequence[T]:
    """At most `most` of the items, evenly from all of them."""
    if most is None or len(items) <= most:
        return items
    return [items[number * len(items) // most] for number in range(most)]
