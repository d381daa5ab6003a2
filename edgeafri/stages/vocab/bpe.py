"""bpe: byte-pair vocabularies (RoBERTa's over bytes, and plain ones over characters), pieces made by ordered merges.

A piece needs all that it is merged from, by every merge that makes it. With these kept, each merge that makes text of
kept pieces is still there; merges that went stood in no such text, so the first one that applies is the same as before.
"""

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Any

from edgeafri.stages.vocab.wordpiece import by_id, moved

_SPACE = "▁"
# Bytes that print stand for themselves; the others take the characters from U+0100 on, in order (GPT-2).
_PRINTED = (*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100))
_OTHERS = [byte for byte in range(256) if byte not in _PRINTED]
BYTE_OF = {chr(byte): byte for byte in _PRINTED} | {chr(256 + place): byte for place, byte in enumerate(_OTHERS)}


@dataclass(frozen=True)
class Bpe:
    """The "model" part of such a tokenizer.json, and whether its characters stand for bytes."""

    model: Mapping[str, Any]
    over_bytes: bool

    @property
    def pieces(self) -> list[str | None]:
        """What stands at every id; None where nothing does."""
        return by_id(self.model["vocab"])

    @property
    def unknown(self) -> int | None:
        """The id of a character that is no piece; none where every byte is one."""
        unknown: int | None = self.model["vocab"].get(self.model.get("unk_token"))
        return unknown

    def bare(self, piece: str) -> str | None:
        """The text of a piece without its space or word mark; None for bytes that are no whole characters."""
        if self.over_bytes:
            return _decoded(piece)
        bare = piece.removeprefix(self._prefix).removesuffix(self.model.get("end_of_word_suffix") or "")
        return bare.replace(_SPACE, " ").strip(" ")

    def with_needed(self, ids: Set[int]) -> Set[int]:
        """Those ids, the bytes, and all that the pieces are merged from."""
        vocabulary = self.model["vocab"]
        kept = {piece for piece, index in vocabulary.items() if index in ids}
        if self.over_bytes:
            kept |= BYTE_OF.keys() & vocabulary.keys()
        before = -1
        while len(kept) > before:  # parts are mostly merged before the whole, so that the second round finds nothing
            before = len(kept)
            for _, left, right in self._merges(backwards=True):
                if self._joined(left, right) in kept:
                    kept |= {left, right}
        return ids | {vocabulary[piece] for piece in kept}

    def cut(self, new: Mapping[int, int]) -> dict[str, Any]:
        """The model with the pieces of these ids alone and the merges among them: old id to new id, in order."""
        kept = moved(self.model["vocab"], new)
        merges = [
            merge
            for merge, left, right in self._merges()
            if left in kept and right in kept and self._joined(left, right) in kept
        ]
        return {**self.model, "vocab": kept, "merges": merges}

    @property
    def _prefix(self) -> str:
        return self.model.get("continuing_subword_prefix") or ""

    def _joined(self, left: str, right: str) -> str:
        return left + right.removeprefix(self._prefix)

    def _merges(self, backwards: bool = False) -> Iterator[tuple[Any, str, str]]:
        """Every merge as it is written, "a b" or a pair, and its two parts."""
        merges = self.model["merges"]
        for merge in reversed(merges) if backwards else merges:
            left, right = merge.split(" ") if isinstance(merge, str) else merge
            yield merge, left, right


def _decoded(piece: str) -> str | None:
    if not BYTE_OF.keys() >= set(piece):
        return None
    try:
        return bytes(BYTE_OF[character] for character in piece).decode("utf-8").strip(" ")
    except UnicodeDecodeError:
        return None
