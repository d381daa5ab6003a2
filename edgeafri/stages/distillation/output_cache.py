"""kept: a teacher's signals on disk, so that the epochs after the first do not pay for the teacher again.

One flat file a signal, mapped into memory: 16-bit floats, and of masked-LM answers only the largest.
"""

import errno
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from edgeafri.stages.distillation.teacher_outputs import Signals, Teacher, Wanted
from edgeafri.stages.training import losses
from edgeafri.stages.training.examples import Collator, Rows
from edgeafri.stages.training.loop import Batch
from edgeafri.util.files import free_bytes
from edgeafri.util.progress import Progress

Numbers = NDArray[Any]
_BATCH = 32
_DONE = "complete.json"


@dataclass(frozen=True)
class Top:
    """Of the answers only the `count` largest, and the log of what all would sum up to at this temperature."""

    count: int
    temperature: float


@dataclass(frozen=True)
class Kind:
    """How one signal lies on disk: `width` numbers for every place, every position or every pair of positions."""

    name: str
    per: Literal["place", "position", "pair"]
    width: int
    dtype: Literal["float16", "float32", "int32"]

    def counts(self, rows: Rows) -> NDArray[np.int64]:
        """How many numbers every row has."""
        own: NDArray[np.int64] = {"place": rows.places, "position": rows.lengths, "pair": rows.lengths**2}[self.per]
        return own * self.width


def kinds_of(wanted: Wanted, width: int, labels: int, top: Top | None) -> tuple[Kind, ...]:
    """The files that the wanted signals of a teacher of that width need."""
    found = [Kind(f"hidden{place}", "position", width, "float16") for place in range(len(wanted.hidden))]
    if wanted.answers and top is None:
        found.append(Kind("answers", "place", labels, "float16"))
    elif wanted.answers and top is not None:
        most = min(top.count, labels)
        found += [Kind("values", "place", most, "float16"), Kind("ids", "place", most, "int32")]
        found.append(Kind("total", "place", 1, "float32"))
    if wanted.attention:
        found.append(Kind("attention", "pair", 1, "float16"))
    if wanted.layer is not None:
        found += [Kind(name, "position", width, "float16") for name in ("query", "key", "value")]
    return tuple(found)


def bytes_of(kinds: Sequence[Kind], rows: Rows) -> int:
    """The size of the files on disk."""
    return sum(int(kind.counts(rows).sum()) * np.dtype(kind.dtype).itemsize for kind in kinds)


class Kept:
    """A teacher's signals in a folder; asked like a live teacher, for batches of the rows it was filled with."""

    def __init__(self, folder: Path, kinds: Sequence[Kind], rows: Rows, top: Top | None = None) -> None:
        self._folder, self._kinds, self._rows, self._top = folder, tuple(kinds), rows, top
        self._starts = {kind.name: np.concatenate([[0], np.cumsum(kind.counts(rows))]) for kind in kinds}
        self._files: dict[str, Numbers] = {}

    @property
    def complete(self) -> bool:
        """Whether the signals of all rows are there; a fill that was killed does not count."""
        try:
            return bool(json.loads((self._folder / _DONE).read_text("utf-8")) == self._description())
        except (OSError, ValueError):
            return False

    def fill(self, teacher: Teacher, pad: int, progress: Progress) -> None:
        """Ask the teacher about every row, once. OSError when the disk has no room for the files."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._map("w+")
        # A mapped file takes its room as it is written to, and a process that finds none is ended without a word.
        if free_bytes(self._folder) < bytes_of(self._kinds, self._rows):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._folder))
        numbers, collate = np.argsort(self._rows.lengths, kind="stable"), Collator(pad)
        for start in range(0, len(numbers), _BATCH):
            chosen = numbers[start : start + _BATCH]
            self._write(chosen, teacher(collate([self._rows[number] for number in chosen.tolist()])))
            progress(start + len(chosen), len(numbers))
        for file in self._files.values():
            file.flush()  # type: ignore[attr-defined]  # a memmap
        (self._folder / _DONE).write_text(json.dumps(self._description()), "utf-8")

    def __call__(self, batch: Batch) -> Signals:
        if not self._files:
            self._map("r")
        numbers, longest = batch["numbers"].cpu().numpy(), batch["input_ids"].shape[1]
        where = batch["input_ids"].device
        return {kind.name: self._read(kind, numbers, longest).to(where) for kind in self._kinds}

    def _write(self, numbers: NDArray[np.int64], found: Signals) -> None:
        if self._top is not None:
            # Rounded to 16 bits before they are summed up: what is left for the others must fit what is kept.
            best = losses.top_of(found["answers"].half().float(), self._top.count, self._top.temperature)
            found = {**found, **dict(zip(("values", "ids", "total"), best, strict=True))}
        for kind in self._kinds:
            values = found[kind.name].numpy()
            for number, part in zip(numbers, self._cut(kind, values, numbers), strict=True):
                self._part(kind, number)[:] = part.ravel()

    def _cut(self, kind: Kind, values: Numbers, numbers: NDArray[np.int64]) -> Iterator[Numbers]:
        """Every row's own part of a batch, without what was padded."""
        if kind.per == "place":
            yield from np.split(values, np.cumsum(self._rows.places[numbers])[:-1])
            return
        for index, length in enumerate(self._rows.lengths[numbers]):
            yield values[index, :length, :length] if kind.per == "pair" else values[index, :length]

    def _read(self, kind: Kind, numbers: NDArray[np.int64], longest: int) -> torch.Tensor:
        parts = [self._part(kind, number) for number in numbers]
        if kind.per == "place":
            joined = np.concatenate(parts).reshape(-1, kind.width)
            return _tensor(joined[:, 0] if kind.name == "total" else joined)
        last = longest if kind.per == "pair" else kind.width
        padded = np.zeros((len(parts), longest, last), dtype=kind.dtype)
        for index, (part, length) in enumerate(zip(parts, self._rows.lengths[numbers], strict=True)):
            padded[index, :length, : length if kind.per == "pair" else last] = part.reshape(length, -1)
        return _tensor(padded)

    def _part(self, kind: Kind, number: int) -> Numbers:
        starts = self._starts[kind.name]
        return self._files[kind.name][starts[number] : starts[number + 1]]

    def _map(self, mode: Literal["r", "w+"]) -> None:
        for kind in self._kinds:
            shape = (int(self._starts[kind.name][-1]),)
            self._files[kind.name] = np.memmap(self._folder / f"{kind.name}.bin", kind.dtype, mode, shape=shape)

    def _description(self) -> dict[str, Any]:
        top = asdict(self._top) if self._top else None
        return {"kinds": [asdict(kind) for kind in self._kinds], "bytes": bytes_of(self._kinds, self._rows), "top": top}


def _tensor(values: Numbers) -> torch.Tensor:
    return torch.from_numpy(values.astype(np.int64 if values.dtype == np.int32 else np.float32))
