"""Output cache: a teacher's outputs on disk, so that the epochs after the first do not compute the teacher again.

One flat file per output, mapped into memory: 16-bit floats, and of the logits of a masked LM only the largest.
"""

import errno
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from edgeafri.documents.base import Json
from edgeafri.stages.distillation.teacher_outputs import Outputs, Teacher, WantedOutputs
from edgeafri.stages.training import losses
from edgeafri.stages.training.examples import Batch, Collator, Examples
from edgeafri.util.files import free_bytes
from edgeafri.util.progress import Progress

Values = NDArray[np.number]
_BATCH = 32
_DONE = "complete.json"


@dataclass(frozen=True)
class TopLogits:
    """Only the `count` largest logits are cached, and the log of what all would sum up to at this temperature."""

    count: int
    temperature: float


@dataclass(frozen=True)
class CacheFile:
    """How one output lies on disk: `width` numbers per compared position, per token or per pair of tokens."""

    name: str
    per: Literal["position", "token", "pair"]
    width: int
    dtype: Literal["float16", "float32", "int32"]

    def counts(self, examples: Examples) -> NDArray[np.int64]:
        """How many numbers every example has in it."""
        lengths = examples.lengths.astype(np.int64)
        own = {"position": examples.position_counts, "token": lengths, "pair": lengths**2}[self.per]
        return own * self.width


def cache_files(wanted: WantedOutputs, width: int, labels: int, top: TopLogits | None) -> tuple[CacheFile, ...]:
    """The files that the wanted outputs need, for a teacher with that width and so many labels."""
    found = [CacheFile(f"hidden{index}", "token", width, "float16") for index in range(len(wanted.hidden))]
    if wanted.logits and top is None:
        found.append(CacheFile("logits", "position", labels, "float16"))
    elif wanted.logits and top is not None:
        most = min(top.count, labels)
        found += [CacheFile("values", "position", most, "float16"), CacheFile("ids", "position", most, "int32")]
        found.append(CacheFile("total", "position", 1, "float32"))
    if wanted.attention:
        found.append(CacheFile("attention", "pair", 1, "float16"))
    if wanted.layer is not None:
        found += [CacheFile(name, "token", width, "float16") for name in ("query", "key", "value")]
    return tuple(found)


def bytes_of(files: Sequence[CacheFile], examples: Examples) -> int:
    """The size of the files on disk."""
    return sum(int(file.counts(examples).sum()) * np.dtype(file.dtype).itemsize for file in files)


class CachedOutputs:
    """A teacher's outputs in a folder; called like a live teacher, for batches of the examples it was filled with."""

    def __init__(
        self, folder: Path, files: Sequence[CacheFile], examples: Examples, top: TopLogits | None = None
    ) -> None:
        self._folder, self._files, self._examples, self._top = folder, tuple(files), examples, top
        self._starts = {file.name: np.concatenate([[0], np.cumsum(file.counts(examples))]) for file in files}
        self._mapped: dict[str, Values] = {}

    @property
    def complete(self) -> bool:
        """Whether the outputs for all examples are there; a fill that was killed does not count."""
        try:
            return bool(json.loads((self._folder / _DONE).read_text("utf-8")) == self._description())
        except (OSError, ValueError):
            return False

    def fill(self, teacher: Teacher, pad_id: int, progress: Progress) -> None:
        """Compute the teacher once on every example. OSError when the disk has no room for the files."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._map("w+")
        # A mapped file takes its room as it is written to, and a process that finds none is ended by a bus error.
        if free_bytes(self._folder) < bytes_of(self._files, self._examples):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._folder))
        numbers, collate = np.argsort(self._examples.lengths, kind="stable"), Collator(pad_id)
        for start in range(0, len(numbers), _BATCH):
            chosen = numbers[start : start + _BATCH]
            self._write(chosen, teacher(collate([self._examples[number] for number in chosen.tolist()])))
            progress(start + len(chosen), len(numbers))
        for mapped in self._mapped.values():
            mapped.flush()  # type: ignore[attr-defined]  # a memmap
        (self._folder / _DONE).write_text(json.dumps(self._description()), "utf-8")

    def __call__(self, batch: Batch) -> Outputs:
        if not self._mapped:
            self._map("r")
        numbers, longest = batch["numbers"].cpu().numpy(), batch["input_ids"].shape[1]
        where = batch["input_ids"].device
        return {file.name: self._read(file, numbers, longest).to(where) for file in self._files}

    def _write(self, numbers: NDArray[np.int64], found: Outputs) -> None:
        if self._top is not None:
            # Rounded to 16 bits before they are summed up: what is left for the others must fit what is cached.
            best = losses.top_of(found["logits"].half().float(), self._top.count, self._top.temperature)
            found = {**found, **dict(zip(("values", "ids", "total"), best, strict=True))}
        for file in self._files:
            values = found[file.name].numpy()
            for number, part in zip(numbers, self._cut(file, values, numbers), strict=True):
                self._part(file, number)[:] = part.ravel()

    def _cut(self, file: CacheFile, values: Values, numbers: NDArray[np.int64]) -> Iterator[Values]:
        """Every example's own part of a batch, without padding."""
        if file.per == "position":
            yield from np.split(values, np.cumsum(self._examples.position_counts[numbers])[:-1])
            return
        for index, length in enumerate(self._examples.lengths[numbers]):
            yield values[index, :length, :length] if file.per == "pair" else values[index, :length]

    def _read(self, file: CacheFile, numbers: NDArray[np.int64], longest: int) -> torch.Tensor:
        parts = [self._part(file, number) for number in numbers]
        if file.per == "position":
            joined = np.concatenate(parts).reshape(-1, file.width)
            return _tensor(joined[:, 0] if file.name == "total" else joined)
        last = longest if file.per == "pair" else file.width
        padded = np.zeros((len(parts), longest, last), dtype=file.dtype)
        for index, (part, length) in enumerate(zip(parts, self._examples.lengths[numbers], strict=True)):
            padded[index, :length, : length if file.per == "pair" else last] = part.reshape(length, -1)
        return _tensor(padded)

    def _part(self, file: CacheFile, number: int) -> Values:
        starts = self._starts[file.name]
        return self._mapped[file.name][starts[number] : starts[number + 1]]

    def _map(self, mode: Literal["r", "w+"]) -> None:
        for file in self._files:
            shape = (int(self._starts[file.name][-1]),)
            self._mapped[file.name] = np.memmap(self._folder / f"{file.name}.bin", file.dtype, mode, shape=shape)

    def _description(self) -> dict[str, Json]:
        top = asdict(self._top) if self._top else None
        files = [asdict(file) for file in self._files]
        return {"files": files, "bytes": bytes_of(self._files, self._examples), "top": top}


def _tensor(values: Values) -> torch.Tensor:
    return torch.from_numpy(values.astype(np.int64 if values.dtype == np.int32 else np.float32))
