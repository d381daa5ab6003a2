"""tokens: raw text as sub-words in flat files, mapped into memory, so that a corpus may be larger than the memory.

Text is read once, line by line, and written as it is cut. What training reads of it is what a batch asks for.
"""

import json
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from edgeafri.errors import DataError
from edgeafri.inference.predict import Encoder
from edgeafri.stages.training.examples import (
    FEWEST,
    Outline,
    Row,
    cut_lines,
    is_held_out,
    lines_of,
    masked_row,
    raw_files,
)
from edgeafri.util.files import partial_folder
from edgeafri.util.progress import Progress

# All rows one behind the other: ids with their start and end, and whether a word begins there; of every row where it
# begins, its length, and its language's number.
_FILES: dict[str, Any] = {
    "ids": np.int32,
    "firsts": np.bool_,
    "starts": np.int64,
    "lengths": np.int32,
    "languages": np.uint16,
}
_LINES = 1000  # cut at once
_COUNTS = "counts.json"


@dataclass(frozen=True)
class Corpus:
    """Which raw text to store, cut into sub-words by whom, and how many lines of a language at most."""

    text: Path
    languages: tuple[str, ...]
    lines: int | None
    encoder: Encoder


class Tokens(Sequence[Row]):
    """Rows in flat files. `outline` is mapped like the rest."""

    def __init__(self, folder: Path, names: tuple[str, ...]) -> None:
        # As plain arrays on the mapped files: a memmap's own slices are slow.
        files = {name: np.asarray(np.memmap(folder / f"{name}.bin", dtype, "r")) for name, dtype in _FILES.items()}
        self._ids, self._firsts, self._starts = files["ids"], files["firsts"], files["starts"]
        self.outline = Outline(names, files["languages"], files["lengths"])

    def __len__(self) -> int:
        return len(self._starts)

    @overload
    def __getitem__(self, number: int) -> Row: ...
    @overload
    def __getitem__(self, number: slice) -> list[Row]: ...
    def __getitem__(self, number: int | slice) -> Row | list[Row]:
        if isinstance(number, slice):
            return [self[index] for index in range(*number.indices(len(self)))]
        start, length = int(self._starts[number]), int(self.outline.lengths[number])
        ids, firsts = self._ids[start : start + length], self._firsts[start + 1 : start + length - 1]
        return masked_row(ids, firsts, self.outline.names[self.outline.languages[number]])


@dataclass(frozen=True)
class Store:
    """What is learnt from, what judges, and the counts of every language.

    The counts are: lines with a letter and without, inputs made of them, sub-words of these, and what was left out as
    too short.
    """

    learnt: Tokens
    judged: Tokens
    counts: Mapping[str, Mapping[str, int]]


def stored(folder: Path, corpus: Corpus, progress: Progress) -> Store:
    """The store in a folder, written if it is not there. One that a kill left unfinished is not there.

    DataError for text that cannot be learnt from: nothing is left in the folder then.
    """
    if not folder.is_dir():
        partial = partial_folder(folder)
        shutil.rmtree(partial, ignore_errors=True)
        with ExitStack() as undone:
            undone.callback(shutil.rmtree, partial, ignore_errors=True)
            _write(partial, corpus, progress)
            partial.rename(folder)
            undone.pop_all()
    counts = json.loads((folder / _COUNTS).read_text("utf-8"))
    learnt, judged = (Tokens(folder / name, tuple(counts)) for name in ("learnt", "judged"))
    return Store(learnt, judged, counts)


def _write(folder: Path, corpus: Corpus, progress: Progress) -> None:
    counts = {}
    files = raw_files(corpus.text, corpus.languages)
    with _Writer(folder / "learnt") as learnt, _Writer(folder / "judged") as judged:
        for number, (code, path) in enumerate(files.items()):
            counts[code] = _write_language(path, code, number, corpus, (learnt, judged))
            progress(number + 1, len(files))
    (folder / _COUNTS).write_text(json.dumps(counts), "utf-8")


def _write_language(
    path: Path, code: str, number: int, corpus: Corpus, parts: tuple["_Writer", "_Writer"]
) -> dict[str, int]:
    notes = Counter(lines=0, no_letter=0)
    lines, frame = lines_of(path, code, corpus.lines, notes), corpus.encoder.frame
    found = Counter(inputs=0, sub_words=0, too_short=0)
    while batch := list(islice(lines, _LINES)):
        for ids, firsts in cut_lines(corpus.encoder, batch):
            if len(ids) < FEWEST:
                found["too_short"] += 1
                continue
            parts[is_held_out(found["inputs"])].add(np.concatenate([[frame.start], ids, [frame.end]]), firsts, number)
            found["inputs"] += 1
            found["sub_words"] += len(ids) + 2
    if found["inputs"] < 2:
        message = f"{path}: too little raw text: one line to learn from and one to judge by are needed"
        raise DataError(message, f"Add lines of {FEWEST} sub-words or more.")
    return {**notes, **found}


class _Writer:
    """Appends rows to the flat files of a new folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._files = {name: (folder / f"{name}.bin").open("wb") for name in _FILES}
        self._end = 0

    def __enter__(self) -> "_Writer":
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files.values():
            file.close()

    def add(self, ids: NDArray[Any], firsts: NDArray[np.bool_], language: int) -> None:
        """One input; start and end begin no word."""
        begins = np.concatenate([[False], firsts, [False]])
        row = {"ids": ids, "firsts": begins, "starts": self._end, "lengths": len(ids), "languages": language}
        for name, file in self._files.items():
            file.write(np.asarray(row[name], dtype=_FILES[name]).tobytes())
        self._end += len(ids)
