"""wordpiece: BERT's vocabularies, words cut from the left into the longest tokens that are there.

The longest token at a place stays the longest when others go, so a word whose tokens all stay is cut as before. A word
that was unknown may become known: it failed behind a long token, and with that token gone a shorter one may lead on.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import TypedDict


class WordPieceModel(TypedDict):
    """The "model" part of a tokenizer.json of this kind, as far as it is read; all else is carried along."""

    vocab: Mapping[str, int]
    unk_token: str
    continuing_subword_prefix: str


@dataclass(frozen=True)
class WordPiece:
    """The "model" part of such a tokenizer.json."""

    model: WordPieceModel

    @property
    def tokens(self) -> list[str | None]:
        """What stands at every id; None where nothing does."""
        return by_id(self.model["vocab"])

    @property
    def unknown(self) -> int | None:
        """The id of a word that no tokens make up."""
        return self.model["vocab"].get(self.model["unk_token"])

    def bare(self, token: str) -> str | None:
        """The text of a token without the mark that it goes on a word."""
        return token.removeprefix(self.model["continuing_subword_prefix"])

    def with_needed(self, ids: Set[int]) -> Set[int]:
        """Those ids: no token needs another."""
        return ids

    def cut(self, new: Mapping[int, int]) -> WordPieceModel:
        """The model with the tokens of these ids alone: old id to new id, in order."""
        return {**self.model, "vocab": moved(self.model["vocab"], new)}


def by_id(vocabulary: Mapping[str, int]) -> list[str | None]:
    """The tokens in the order of their ids; None for an id that no token has."""
    tokens: list[str | None] = [None] * (1 + max(vocabulary.values(), default=-1))
    for token, index in vocabulary.items():
        tokens[index] = token
    return tokens


def moved(vocabulary: Mapping[str, int], new: Mapping[int, int]) -> dict[str, int]:
    """The tokens that stay, at their new ids."""
    return {token: new[old] for token, old in vocabulary.items() if old in new}
