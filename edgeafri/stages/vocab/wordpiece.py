"""wordpiece: BERT's vocabularies, words cut from the left into the longest pieces that are there.

The longest piece at a place stays the longest when others go, so a word whose pieces all stay is cut as before. A word
that was unknown may become known: it failed behind a long piece, and with that piece gone a shorter one may lead on.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class WordPiece:
    """The "model" part of such a tokenizer.json."""

    model: Mapping[str, Any]

    @property
    def pieces(self) -> list[str | None]:
        """What stands at every id; None where nothing does."""
        return by_id(self.model["vocab"])

    @property
    def unknown(self) -> int | None:
        """The id of a word that no pieces make up."""
        unknown: int | None = self.model["vocab"].get(self.model["unk_token"])
        return unknown

    def bare(self, piece: str) -> str | None:
        """The text of a piece without the mark that it goes on a word."""
        return piece.removeprefix(self.model["continuing_subword_prefix"])

    def with_needed(self, ids: Set[int]) -> Set[int]:
        """Those ids: no piece needs another."""
        return ids

    def cut(self, new: Mapping[int, int]) -> dict[str, Any]:
        """The model with the pieces of these ids alone: old id to new id, in order."""
        return {**self.model, "vocab": moved(self.model["vocab"], new)}


def by_id(vocabulary: Mapping[str, int]) -> list[str | None]:
    """The pieces in the order of their ids; None for an id that no piece has."""
    pieces: list[str | None] = [None] * (1 + max(vocabulary.values(), default=-1))
    for piece, index in vocabulary.items():
        pieces[index] = piece
    return pieces


def moved(vocabulary: Mapping[str, int], new: Mapping[int, int]) -> dict[str, int]:
    """The pieces that stay, at their new ids."""
    return {piece: new[old] for piece, old in vocabulary.items() if old in new}
