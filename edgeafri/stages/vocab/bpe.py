"""bpe: byte-pair vocabularies (RoBERTa's over bytes, and plain ones over characters), tokens made by ordered merges.

A token needs all that it is merged from, by every merge that makes it. With these kept, each merge that makes text of
kept tokens is still there; merges that went stood in no such text, so the first one that applies is the same as before.
"""

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import TypedDict

from edgeafri.stages.vocab.wordpiece import by_id, moved

_SPACE = "▁"
# Bytes that print stand for themselves; the others take the characters from U+0100 on, in order (GPT-2).
_PRINTED = (*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100))
_OTHERS = [byte for byte in range(256) if byte not in _PRINTED]
BYTE_OF = {chr(byte): byte for byte in _PRINTED} | {chr(256 + place): byte for place, byte in enumerate(_OTHERS)}


Merge = str | Sequence[str]  # as it is written: "a b", or since tokenizers 0.20 a pair


class BpeModel(TypedDict, total=False):
    """The "model" part of a tokenizer.json of this kind, as far as it is read; all else is carried along."""

    vocab: Mapping[str, int]
    merges: Sequence[Merge]
    unk_token: str | None
    continuing_subword_prefix: str | None
    end_of_word_suffix: str | None


@dataclass(frozen=True)
class Bpe:
    """The "model" part of such a tokenizer.json, and whether its characters stand for bytes."""

    model: BpeModel
    over_bytes: bool

    @property
    def tokens(self) -> list[str | None]:
        """What stands at every id; None where nothing does."""
        return by_id(self.model["vocab"])

    @property
    def unknown(self) -> int | None:
        """The id of a character that is no token; none where every byte is one."""
        unknown = self.model.get("unk_token")
        return None if unknown is None else self.model["vocab"].get(unknown)

    def bare(self, token: str) -> str | None:
        """The text of a token without its space or word mark; None for bytes that are no whole characters."""
        if self.over_bytes:
            return _decoded(token)
        bare = token.removeprefix(self._prefix).removesuffix(self.model.get("end_of_word_suffix") or "")
        return bare.replace(_SPACE, " ").strip(" ")

    def with_needed(self, ids: Set[int]) -> Set[int]:
        """Those ids, the bytes, and all that the tokens are merged from."""
        vocabulary = self.model["vocab"]
        kept = {token for token, index in vocabulary.items() if index in ids}
        if self.over_bytes:
            kept |= BYTE_OF.keys() & vocabulary.keys()
        before = -1
        while len(kept) > before:  # parts are mostly merged before the whole, so that the second round finds nothing
            before = len(kept)
            for _, left, right in self._merges(backwards=True):
                if self._joined(left, right) in kept:
                    kept |= {left, right}
        return ids | {vocabulary[token] for token in kept}

    def cut(self, new: Mapping[int, int]) -> BpeModel:
        """The model with the tokens of these ids alone and the merges among them: old id to new id, in order."""
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

    def _merges(self, backwards: bool = False) -> Iterator[tuple[Merge, str, str]]:
        """Every merge as it is written, and its two parts."""
        merges = self.model["merges"]
        for merge in reversed(merges) if backwards else merges:
            left, right = merge.split(" ") if isinstance(merge, str) else merge
            yield merge, left, right


def _decoded(token: str) -> str | None:
    if not BYTE_OF.keys() >= set(token):
        return None
    try:
        return bytes(BYTE_OF[character] for character in token).decode("utf-8").strip(" ")
    except UnicodeDecodeError:
        return None
