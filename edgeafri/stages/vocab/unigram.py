"""unigram: SentencePiece's Unigram vocabularies (XLM-R, AfriBERTa, DeBERTa-v3), each token with a score.

Text is cut along the path with the highest sum of scores. A token that goes was on no winning path of text whose tokens
all stay, and its going only takes rivals away: among paths of one sum the same one comes first as before. What an
unknown character costs is the lowest score less 10, so the lowest-scored token stays. A character whose own token goes
may now be unknown, at a cost that is below any token's, so that this path wins nothing either.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from typing import TypedDict

_SPACE = "▁"


class UnigramModel(TypedDict):
    """The "model" part of a tokenizer.json of this kind, as far as it is read; all else is carried along."""

    vocab: Sequence[tuple[str, float]]
    unk_id: int | None


@dataclass(frozen=True)
class Unigram:
    """The "model" part of such a tokenizer.json."""

    model: UnigramModel

    @property
    def tokens(self) -> list[str | None]:
        """What stands at every id."""
        return [token for token, _ in self.model["vocab"]]

    @property
    def unknown(self) -> int | None:
        """The id of what no token covers."""
        return self.model["unk_id"]

    def bare(self, token: str) -> str | None:
        """The text of a token without its space."""
        return token.replace(_SPACE, " ").strip(" ")

    def with_needed(self, ids: Set[int]) -> Set[int]:
        """Those ids and the lowest-scored token."""
        return ids | {self.lowest}

    @cached_property
    def lowest(self) -> int:
        """The id of the lowest-scored token, the first of them."""
        vocabulary = self.model["vocab"]
        return min(range(len(vocabulary)), key=lambda index: float(vocabulary[index][1]))

    def cut(self, new: Mapping[int, int]) -> UnigramModel:
        """The model with the tokens of these ids alone: old id to new id, in order."""
        vocabulary = self.model["vocab"]
        kept = [vocabulary[old] for old in new if old < len(vocabulary)]
        return {**self.model, "vocab": kept, "unk_id": None if self.unknown is None else new[self.unknown]}
