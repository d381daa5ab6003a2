"""From words to labels through any encoder: the one path that teacher, bundle, workstation and board share.

A forward function maps ids and mask, both int64 of shape (batch, length), to float32 logits: of shape (batch, length,
labels) where words are labelled, (batch, labels) where whole texts are. Tokens, windows and the choice of a word's
first token are the same whoever computes the logits, so a difference in labels is a difference of the model.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from edgeafri.bundle import Frame
from edgeafri.data.text import Window, windows
from edgeafri.util.progress import Progress, silent

Ids = NDArray[np.int64]
Logits = NDArray[np.float32]
Forward = Callable[[Ids, Ids], Logits]
OVERLAP = 32  # tokens that neighbouring windows share, so that no word is read without context on both sides


class Encoding(Protocol):
    """What is needed of `tokenizers.Encoding`: ids, and for each the number of the word that it belongs to."""

    ids: list[int]
    word_ids: list[int | None]


class Tokenizer(Protocol):
    """What is needed of `tokenizers.Tokenizer`."""

    def encode_batch(
        self, inputs: list[list[str]], is_pretokenized: bool, add_special_tokens: bool
    ) -> Sequence[Encoding]: ...

    def get_vocab_size(self) -> int: ...

    def decode(self, ids: list[int]) -> str: ...


@dataclass(frozen=True)
class SentenceLabels:
    """One sentence: a label per word or one for the text, its probability, and the distance of the two best logits."""

    labels: tuple[str, ...]
    scores: tuple[float, ...]
    margins: tuple[float, ...]


@dataclass(frozen=True)
class SentenceLogits:
    """What a model computes for one sentence: float32 logits, one row per word or one for the whole text.

    `logits` has the shape (rows, labels), and `read` says of each row whether the model read its word: a word without
    tokens, or beyond every window, is not read.
    """

    logits: Logits
    read: NDArray[np.bool_]


@dataclass(frozen=True)
class EncodedInput:
    """One input of the model: a window of one sentence, its ids, and where each kept word's first token stands.

    Where whole texts are labelled, the text is word 0 and its logits stand at 0.
    """

    sentence: int
    ids: tuple[int, ...]
    words: tuple[int, ...]
    firsts: tuple[int, ...]


@dataclass(frozen=True)
class Encoder:
    """Words to model inputs. `limit` is the longest input in tokens, start and end included."""

    tokenizer: Tokenizer
    frame: Frame
    limit: int
    unit: Literal["word", "text"] = "word"

    def encode(self, sentences: Sequence[Sequence[str]]) -> list[EncodedInput]:
        """The inputs of sentences that are already split into words.

        Where words are labelled, a long sentence becomes several windows. Of a text, the beginning is read.
        """
        words = [list(sentence) for sentence in sentences]
        encoded = self.tokenizer.encode_batch(words, is_pretokenized=True, add_special_tokens=False)
        if self.unit == "text":
            return [self._text(index, item.ids) for index, item in enumerate(encoded)]
        return [part for index, item in enumerate(encoded) for part in self._windows(index, item, len(words[index]))]

    def label_count(self, words: int) -> int:
        """How many labels a sentence of this many words gets."""
        return 1 if self.unit == "text" else words

    def _text(self, sentence: int, ids: Sequence[int]) -> EncodedInput:
        return EncodedInput(sentence, (self.frame.start, *ids[: self.limit - 2], self.frame.end), (0,), (0,))

    def _windows(self, sentence: int, encoding: Encoding, words: int) -> list[EncodedInput]:
        firsts, counts = _first_tokens(encoding.word_ids, words)
        room = self.limit - 2
        cuts = windows(counts, room, min(OVERLAP, room // 4))
        return [self._window(sentence, encoding.ids, firsts, counts, window) for window in cuts]

    def _window(
        self, sentence: int, ids: Sequence[int], firsts: list[int], counts: list[int], window: Window
    ) -> EncodedInput:
        read = [word for word in range(window.start, window.end) if counts[word]]
        begin = firsts[read[0]] if read else 0
        end = firsts[read[-1]] + counts[read[-1]] if read else 0
        tokens = tuple(ids[begin:end])[: self.limit - 2]
        kept = tuple(word for word in range(window.keep_start, window.keep_end) if counts[word])
        places = tuple(firsts[word] - begin + 1 for word in kept)
        return EncodedInput(sentence, (self.frame.start, *tokens, self.frame.end), kept, places)


class Apply(Protocol):
    """What is needed of `map`: a function's values for batches of inputs, in their order."""

    def __call__(
        self, function: Callable[[list[EncodedInput]], Logits], batches: list[list[EncodedInput]], /
    ) -> Iterator[Logits]: ...


@dataclass(frozen=True)
class Predictor:
    """Labels sentences with `forward`, at most `batch` inputs and `tokens` tokens at once, padding included.

    `apply` computes one batch after another; an executor's `map` computes several at a time.
    """

    encoder: Encoder
    labels: tuple[str, ...]
    forward: Forward
    batch: int = 1
    tokens: int | None = None
    apply: Apply = map

    def label(self, sentences: Sequence[Sequence[str]], progress: Progress = silent) -> list[SentenceLabels]:
        """A label for every word of every sentence, or for every text. A word that is not read is no entity."""
        return [best_labels(found, self.labels) for found in self.logits(sentences, progress)]

    def logits(self, sentences: Sequence[Sequence[str]], progress: Progress = silent) -> list[SentenceLogits]:
        """The logits of every sentence, zeros where a word is not read."""
        return self.logits_from(self.encoder.encode(sentences), sentences, progress)

    def logits_from(
        self, inputs: Sequence[EncodedInput], sentences: Sequence[Sequence[str]], progress: Progress = silent
    ) -> list[SentenceLogits]:
        """The same from `inputs`, which the encoder made of the sentences."""
        counts = [self.encoder.label_count(len(words)) for words in sentences]
        logits = [np.zeros((count, len(self.labels)), dtype=np.float32) for count in counts]
        read = [np.zeros(count, dtype=bool) for count in counts]
        done = 0
        batches = list(self._batches(sorted(inputs, key=lambda item: len(item.ids))))
        for batch, found in zip(batches, self.apply(self.batch_logits, batches), strict=True):
            for item, values in zip(batch, found, strict=True):
                logits[item.sentence][list(item.words)] = values[list(item.firsts)]
                read[item.sentence][list(item.words)] = True
            done += len(batch)
            progress(done, len(inputs))
        return [SentenceLogits(values, seen) for values, seen in zip(logits, read, strict=True)]

    def batch_logits(self, inputs: Sequence[EncodedInput]) -> Logits:
        """Logits of shape (inputs, longest input, labels), padded positions included; (inputs, 1, labels) for texts."""
        values = self.forward(*padded([item.ids for item in inputs], self.encoder.frame.pad))
        return values[:, None] if self.encoder.unit == "text" else values

    def _batches(self, inputs: Sequence[EncodedInput]) -> Iterator[list[EncodedInput]]:
        """Inputs from short to long, cut where one more would be too many; one alone may be longer than allowed."""
        batch: list[EncodedInput] = []
        for item in inputs:
            full = len(batch) == self.batch
            if batch and (full or (self.tokens is not None and (len(batch) + 1) * len(item.ids) > self.tokens)):
                yield batch
                batch = []
            batch.append(item)
        if batch:
            yield batch


def padded(rows: Sequence[Sequence[int] | NDArray[np.integer]], pad: int) -> tuple[Ids, Ids]:
    """Ids and mask, int64 of shape (rows, longest row)."""
    longest = max(len(row) for row in rows)
    ids = np.full((len(rows), longest), pad, dtype=np.int64)
    mask = np.zeros((len(rows), longest), dtype=np.int64)
    for index, row in enumerate(rows):
        ids[index, : len(row)] = row
        mask[index, : len(row)] = 1
    return ids, mask


def _first_tokens(word_ids: Sequence[int | None], words: int) -> tuple[list[int], list[int]]:
    """For every word, where its first token stands and how many it has."""
    firsts, counts = [0] * words, [0] * words
    for place, word in enumerate(word_ids):
        if word is None:
            continue
        if counts[word] == 0:
            firsts[word] = place
        counts[word] += 1
    return firsts, counts


def best_labels(found: SentenceLogits, labels: tuple[str, ...]) -> SentenceLabels:
    """The best label of every word, or of the text; O where nothing was read."""
    logits = found.logits
    if not len(logits):
        return SentenceLabels((), (), ())
    best = logits.argmax(axis=1)
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    scores = shifted.max(axis=1) / shifted.sum(axis=1)
    top = np.sort(logits, axis=1)
    margins = top[:, -1] - top[:, -2] if logits.shape[1] > 1 else np.full(len(logits), np.inf)
    return SentenceLabels(
        tuple(labels[index] if seen else "O" for index, seen in zip(best, found.read, strict=True)),
        tuple(float(score) for score in scores),
        tuple(float(margin) for margin in margins),
    )
