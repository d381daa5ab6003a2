"""From words to labels through any encoder: the one path that teacher, bundle, workstation and board share.

A forward function maps ids and mask, both int64 of shape (batch, length), to float32 logits: of shape (batch, length,
labels) where words are labelled, (batch, labels) where whole texts are. Sub-words, windows and the choice of the first
sub-word are the same whoever computes the logits, so a difference in labels is a difference of the model.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from edgeafri.bundle import Frame
from edgeafri.data.text import Window, windows
from edgeafri.util.progress import Progress, silent

Ids = NDArray[np.int64]
Logits = NDArray[np.float32]
Forward = Callable[[Ids, Ids], Logits]
OVERLAP = 32  # sub-words that neighbouring windows share, so that no word is read without context on both sides


class Tokenizer(Protocol):
    """What is needed of `tokenizers.Tokenizer`."""

    def encode_batch(self, inputs: list[Any], is_pretokenized: bool, add_special_tokens: bool) -> list[Any]: ...

    def get_vocab_size(self) -> int: ...

    def decode(self, ids: list[int]) -> str: ...


@dataclass(frozen=True)
class Labelled:
    """One sentence: a label a word or one for the text, its probability, and the distance of the two best logits."""

    labels: tuple[str, ...]
    scores: tuple[float, ...]
    margins: tuple[float, ...]


@dataclass(frozen=True)
class Reading:
    """What a model answered for one sentence: logits of shape (places, labels), and which places it read.

    A place is a word, or the whole text. A word without sub-words, or beyond every window, is not read.
    """

    logits: Logits
    read: NDArray[np.bool_]


@dataclass(frozen=True)
class Row:
    """One input of the model: a window of one sentence, its ids, and where each kept word's first sub-word stands.

    Where whole texts are labelled, the text is place 0 and its answer stands at 0.
    """

    sentence: int
    ids: tuple[int, ...]
    words: tuple[int, ...]
    firsts: tuple[int, ...]


@dataclass(frozen=True)
class Encoder:
    """Words to model inputs. `limit` is the longest input in sub-words, start and end included."""

    tokenizer: Tokenizer
    frame: Frame
    limit: int
    unit: Literal["word", "text"] = "word"

    def rows(self, sentences: Sequence[Sequence[str]]) -> list[Row]:
        """The inputs of sentences that are already split into words.

        Where words are labelled, a long sentence becomes several windows. Of a text, the beginning is read.
        """
        words = [list(sentence) for sentence in sentences]
        encoded = self.tokenizer.encode_batch(words, is_pretokenized=True, add_special_tokens=False)
        if self.unit == "text":
            return [self._text(index, item.ids) for index, item in enumerate(encoded)]
        return [row for index, item in enumerate(encoded) for row in self._windows(index, item, len(words[index]))]

    def places(self, words: int) -> int:
        """How many answers a sentence of so many words gets."""
        return 1 if self.unit == "text" else words

    def _text(self, sentence: int, ids: Sequence[int]) -> Row:
        return Row(sentence, (self.frame.start, *ids[: self.limit - 2], self.frame.end), (0,), (0,))

    def _windows(self, sentence: int, encoding: Any, words: int) -> list[Row]:
        firsts, counts = _first_pieces(encoding.word_ids, words)
        room = self.limit - 2
        cuts = windows(counts, room, min(OVERLAP, room // 4))
        return [self._row(sentence, encoding.ids, firsts, counts, window) for window in cuts]

    def _row(self, sentence: int, ids: Sequence[int], firsts: list[int], counts: list[int], window: Window) -> Row:
        read = [word for word in range(window.start, window.end) if counts[word]]
        begin = firsts[read[0]] if read else 0
        end = firsts[read[-1]] + counts[read[-1]] if read else 0
        pieces = tuple(ids[begin:end])[: self.limit - 2]
        kept = tuple(word for word in range(window.keep_start, window.keep_end) if counts[word])
        places = tuple(firsts[word] - begin + 1 for word in kept)
        return Row(sentence, (self.frame.start, *pieces, self.frame.end), kept, places)


@dataclass(frozen=True)
class Predictor:
    """Labels sentences with `forward`, at most `batch` rows and `tokens` sub-words at once, padding included."""

    encoder: Encoder
    labels: tuple[str, ...]
    forward: Forward
    batch: int = 1
    tokens: int | None = None

    def label(self, sentences: Sequence[Sequence[str]], progress: Progress = silent) -> list[Labelled]:
        """A label for every word of every sentence, or for every text. A word that is not read is no entity."""
        return [labelled(reading, self.labels) for reading in self.read(sentences, progress)]

    def read(self, sentences: Sequence[Sequence[str]], progress: Progress = silent) -> list[Reading]:
        """The logits of every sentence, zeros where a word is not read."""
        return self.readings(sentences, self.encoder.rows(sentences), progress)

    def readings(
        self, sentences: Sequence[Sequence[str]], rows: Sequence[Row], progress: Progress = silent
    ) -> list[Reading]:
        """The same from `rows`, the inputs that the encoder makes of the sentences."""
        places = [self.encoder.places(len(words)) for words in sentences]
        logits = [np.zeros((count, len(self.labels)), dtype=np.float32) for count in places]
        read = [np.zeros(count, dtype=bool) for count in places]
        done = 0
        for chosen in self._batches(sorted(rows, key=lambda row: len(row.ids))):
            for row, values in zip(chosen, self.logits(chosen), strict=True):
                logits[row.sentence][list(row.words)] = values[list(row.firsts)]
                read[row.sentence][list(row.words)] = True
            done += len(chosen)
            progress(done, len(rows))
        return [Reading(values, seen) for values, seen in zip(logits, read, strict=True)]

    def logits(self, rows: Sequence[Row]) -> Logits:
        """Logits of shape (rows, longest row, labels), padded positions included; (rows, 1, labels) for texts."""
        values = self.forward(*padded([row.ids for row in rows], self.encoder.frame.pad))
        return values[:, None] if self.encoder.unit == "text" else values

    def _batches(self, rows: Sequence[Row]) -> Iterator[list[Row]]:
        """Rows from short to long, cut where one more would be too many; one row may be longer than all is to be."""
        chosen: list[Row] = []
        for row in rows:
            full = len(chosen) == self.batch
            if chosen and (full or (self.tokens is not None and (len(chosen) + 1) * len(row.ids) > self.tokens)):
                yield chosen
                chosen = []
            chosen.append(row)
        if chosen:
            yield chosen


def padded(rows: Sequence[Sequence[int]], pad: int) -> tuple[Ids, Ids]:
    """Ids and mask, int64 of shape (rows, longest row)."""
    longest = max(len(row) for row in rows)
    ids = np.full((len(rows), longest), pad, dtype=np.int64)
    mask = np.zeros((len(rows), longest), dtype=np.int64)
    for index, row in enumerate(rows):
        ids[index, : len(row)] = row
        mask[index, : len(row)] = 1
    return ids, mask


def _first_pieces(word_ids: Sequence[int | None], words: int) -> tuple[list[int], list[int]]:
    """For every word, where its first sub-word stands and how many it has."""
    firsts, counts = [0] * words, [0] * words
    for place, word in enumerate(word_ids):
        if word is None:
            continue
        if counts[word] == 0:
            firsts[word] = place
        counts[word] += 1
    return firsts, counts


def labelled(reading: Reading, labels: tuple[str, ...]) -> Labelled:
    """The best label of every place; O where nothing was read."""
    logits = reading.logits
    if not len(logits):
        return Labelled((), (), ())
    best = logits.argmax(axis=1)
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    scores = shifted.max(axis=1) / shifted.sum(axis=1)
    top = np.sort(logits, axis=1)
    margins = top[:, -1] - top[:, -2] if logits.shape[1] > 1 else np.full(len(logits), np.inf)
    return Labelled(
        tuple(labels[index] if seen else "O" for index, seen in zip(best, reading.read, strict=True)),
        tuple(float(score) for score in scores),
        tuple(float(margin) for margin in margins),
    )
