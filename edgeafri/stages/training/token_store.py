"""Token store: raw text as the ids of its subwords in flat files, which may be larger than the memory.

Text is read once, line by line, and written as it is tokenized. Training maps the files and reads what it needs.
"""

import json
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import DTypeLike, NDArray

from edgeafri.errors import DataError
from edgeafri.inference.predict import Encoder
from edgeafri.stages.training.examples import (
    FEWEST,
    Example,
    Outline,
    cut_lines,
    is_held_out,
    lines_of,
    masked_example,
    raw_files,
)
from edgeafri.util.files import partial_folder
from edgeafri.util.progress import Progress

# All examples one behind the other: ids with start and end, and whether a word begins there; for every example its
# offset in these, its length, and the number of its language.
_FILES: dict[str, DTypeLike] = {
    "ids": np.int32,
    "word_starts": np.bool_,
    "offsets": np.int64,
    "lengths": np.int32,
    "languages": np.uint16,
}
_LINES = 1000  # tokenized at once
_COUNTS = "counts.json"
_PARTS = ("training", "validation")


@dataclass(frozen=True)
class RawText:
    """The raw text to store: a folder with LANG.txt, at most so many lines per language, and what tokenizes them."""

    folder: Path
    languages: tuple[str, ...]
    lines: int | None
    encoder: Encoder


class StoredExamples(Sequence[Example]):
    """Examples in flat files. `outline` is mapped like the rest."""

    def __init__(self, folder: Path, names: tuple[str, ...]) -> None:
        # As plain arrays on the mapped files: a memmap's own slices are slow.
        files = {name: np.asarray(np.memmap(folder / f"{name}.bin", dtype, "r")) for name, dtype in _FILES.items()}
        self._ids, self._word_starts, self._offsets = files["ids"], files["word_starts"], files["offsets"]
        self.outline = Outline(names, files["languages"], files["lengths"])

    def __len__(self) -> int:
        return len(self._offsets)

    @overload
    def __getitem__(self, number: int) -> Example: ...
    @overload
    def __getitem__(self, number: slice) -> list[Example]: ...
    def __getitem__(self, number: int | slice) -> Example | list[Example]:
        if isinstance(number, slice):
            return [self[index] for index in range(*number.indices(len(self)))]
        start, length = int(self._offsets[number]), int(self.outline.lengths[number])
        ids, word_starts = self._ids[start : start + length], self._word_starts[start + 1 : start + length - 1]
        return masked_example(ids, word_starts, self.outline.names[self.outline.languages[number]])


@dataclass(frozen=True)
class TokenStore:
    """The examples to learn from, those for validation, and the counts of every language.

    The counts are: lines with a letter and without, inputs made of them, subwords of these, and inputs left out because
    they are too short.
    """

    training: StoredExamples
    validation: StoredExamples
    counts: Mapping[str, Mapping[str, int]]


def open_store(folder: Path, text: RawText, progress: Progress) -> TokenStore:
    """The store in a folder, written first if it is not there or was left unfinished.

    DataError for text that cannot be learnt from: nothing is left in the folder then.
    """
    if not folder.is_dir():
        partial = partial_folder(folder)
        shutil.rmtree(partial, ignore_errors=True)
        with ExitStack() as undone:
            undone.callback(shutil.rmtree, partial, ignore_errors=True)
            _write(partial, text, progress)
            partial.rename(folder)
            undone.pop_all()
    counts = json.loads((folder / _COUNTS).read_text("utf-8"))
    training, validation = (StoredExamples(folder / name, tuple(counts)) for name in _PARTS)
    return TokenStore(training, validation, counts)


def _write(folder: Path, text: RawText, progress: Progress) -> None:
    counts = {}
    files = raw_files(text.folder, text.languages)
    with ExitStack() as opened:
        training, validation = (opened.enter_context(_Writer(folder / name)) for name in _PARTS)
        for number, (code, path) in enumerate(files.items()):
            counts[code] = _write_language(path, code, number, text, (training, validation))
            progress(number + 1, len(files))
    (folder / _COUNTS).write_text(json.dumps(counts), "utf-8")


def _write_language(
    path: Path, code: str, number: int, text: RawText, parts: tuple["_Writer", "_Writer"]
) -> dict[str, int]:
    notes = Counter(lines=0, no_letter=0)
    lines, frame = lines_of(path, code, text.lines, notes), text.encoder.frame
    found = Counter(inputs=0, sub_words=0, too_short=0)
    while batch := list(islice(lines, _LINES)):
        for ids, word_starts in cut_lines(text.encoder, batch):
            if len(ids) < FEWEST:
                found["too_short"] += 1
                continue
            ids = np.concatenate([[frame.start], ids, [frame.end]])
            parts[is_held_out(found["inputs"])].add(ids, word_starts, number)
            found["inputs"] += 1
            found["sub_words"] += len(ids)
    if found["inputs"] < 2:
        message = f"{path}: too little raw text: at least one line for training and one for validation are needed"
        raise DataError(message, f"Add lines of {FEWEST} subwords or more.")
    return {**notes, **found}


class _Writer:
    """Appends examples to the flat files of a new folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._files = {name: (folder / f"{name}.bin").open("wb") for name in _FILES}
        self._end = 0

    def __enter__(self) -> "_Writer":
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files.values():
            file.close()

    def add(self, ids: NDArray[np.integer], word_starts: NDArray[np.bool_], language: int) -> None:
        """One example; no word begins at its start and at its end."""
        begins = np.concatenate([[False], word_starts, [False]])
        values = {"ids": ids, "word_starts": begins, "offsets": self._end, "lengths": len(ids), "languages": language}
        for name, file in self._files.items():
            file.write(np.asarray(values[name], dtype=_FILES[name]).tobytes())
        self._end += len(ids)
