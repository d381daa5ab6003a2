"""unigram: SentencePiece's Unigram vocabularies (XLM-R, AfriBERTa, DeBERTa-v3), pieces with a score each.

Text is cut along the path with the highest sum of scores. A piece that goes was on no winning path of text whose pieces
all stay, and its going only takes rivals away: among paths of one sum the same one comes first as before. What an
unknown character costs is the lowest score less 10, so the lowest-scored piece stays. A character whose own piece goes
may now be unknown, at a cost that is below any piece's, so that this path wins nothing either.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass
from functools import cached_property
from typing import Any

_SPACE = "▁"


@dataclass(frozen=True)
class Unigram:
    """The "model" part of such a tokenizer.json."""

    model: Mapping[str, Any]

    @property
    def pieces(self) -> list[str | None]:
        """What stands at every id."""
        return [piece for piece, _ in self.model["vocab"]]

    @property
    def unknown(self) -> int | None:
        """The id of what no piece covers."""
        unknown: int | None = self.model["unk_id"]
        return unknown

    def bare(self, piece: str) -> str | None:
        """The text of a piece without its space."""
        return piece.replace(_SPACE, " ").strip(" ")

    def with_needed(self, ids: Set[int]) -> Set[int]:
        """Those ids and the lowest-scored piece."""
        return ids | {self.lowest}

    @cached_property
    def lowest(self) -> int:
        """The id of the lowest-scored piece, the first of them."""
        vocabulary = self.model["vocab"]
        return min(range(len(vocabulary)), key=lambda index: float(vocabulary[index][1]))

    def cut(self, new: Mapping[int, int]) -> dict[str, Any]:
        """The model with the pieces of these ids alone: old id to new id, in order."""
        vocabulary = self.model["vocab"]
        kept = [vocabulary[old] for old in new if old < len(vocabulary)]
        return {**self.model, "vocab": kept, "unk_id": None if self.unknown is None else new[self.unknown]}
