"""vocabulary: what a tokenizer's ids stand for, which must stay together, and tokenizer.json with fewer of them.

Pieces that stay keep their order, their scores and their merges, so text whose pieces all stay is cut into the same
pieces, and its ids map one to one. Why, is said where each kind is: unigram.py, wordpiece.py, bpe.py.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from edgeafri.errors import ModelError
from edgeafri.stages.vocab.bpe import Bpe
from edgeafri.stages.vocab.unigram import Unigram
from edgeafri.stages.vocab.wordpiece import WordPiece

_BYTES = {f"<0x{byte:02X}>": byte for byte in range(256)}
_SAVE_AGAIN = "Name them with tokenizer.add_special_tokens(), and save the tokenizer again."


class Kind(Protocol):
    """How one kind of vocabulary cuts text; its ids are those of the list of pieces."""

    @property
    def pieces(self) -> list[str | None]:
        """What stands at every id; None where nothing does."""

    @property
    def unknown(self) -> int | None:
        """The id of what no piece covers."""

    def bare(self, piece: str) -> str | None:
        """The text of a piece without word marks; None for bytes that are no whole characters."""

    def with_needed(self, ids: Set[int]) -> Set[int]:
        """Those ids and what they need to be found as before."""

    def cut(self, new: Mapping[int, int]) -> dict[str, Any]:
        """The "model" part with the pieces of these ids alone: old id to new id, in order."""


@dataclass(frozen=True)
class Vocabulary:
    """The ids of one tokenizer.json, those of tokens that a user added behind the vocabulary included.

    `special` ids stand for no text; `fixed` ids stay whatever else is kept.
    """

    fast: Mapping[str, Any]
    where: str
    kind: Kind
    pieces: Sequence[str | None]
    special: frozenset[int]
    fixed: frozenset[int]

    @property
    def size(self) -> int:
        """How many ids there are."""
        return len(self.pieces)

    @property
    def unknown(self) -> int | None:
        """The id of what no piece covers."""
        return self.kind.unknown

    def piece(self, index: int) -> str:
        """What stands at an id; nothing where a vocabulary left a gap."""
        return self.pieces[index] or ""

    def surface(self, index: int) -> str | None:
        """The text that an id stands for, without word marks; empty for special tokens and a mark alone.

        None for bytes that are no whole UTF-8 character, and for an id that nothing stands at.
        """
        piece = self.pieces[index]
        if piece is None:
            return None
        if index in self.special:
            return ""
        if piece in _BYTES:
            return chr(_BYTES[piece]) if _BYTES[piece] < 0x80 else None
        return self.kind.bare(piece)

    def closed(self, ids: Iterable[int]) -> list[int]:
        """Those ids and all that must stay with them, in order.

        Special and added tokens, the unknown, byte pieces, what a SentencePiece file cannot lose, and what the kind of
        vocabulary needs so that text made of these pieces is cut as before.
        """
        kept = self.kind.with_needed(self.fixed.union(ids))
        return sorted(index for index in kept if self.pieces[index] is not None)

    def cut(self, kept: Sequence[int]) -> dict[str, Any]:
        """tokenizer.json with only the kept ids, each moved to its place in `kept`, which is in order.

        ModelError when a special or added token, or one that inputs start or end with, would be lost.
        """
        new = {old: place for place, old in enumerate(kept)}
        lost = [self.piece(index) for index in sorted(self.fixed - new.keys())]
        if lost:
            raise ModelError(f"{self.where}: '{lost[0]}' would be lost, a token that must stay", "Keep closed(ids).")
        return {
            **self.fast,
            "added_tokens": [{**token, "id": new[token["id"]]} for token in self.fast["added_tokens"]],
            "padding": moved(self.fast.get("padding"), new),
            "post_processor": moved(self.fast.get("post_processor"), new),
            "model": self.kind.cut(new),
        }


def vocabulary_of(fast: Mapping[str, Any], where: Path | str, bound: Iterable[str] = ()) -> Vocabulary:
    """The vocabulary in a parsed tokenizer.json; `bound` names pieces that must stay for another file's sake.

    ModelError for another kind than Unigram, WordPiece and BPE, and for a tokenizer without special tokens.
    """
    kind = _kind(fast, where)
    pieces = kind.pieces
    added = fast["added_tokens"]
    for token in added:
        pieces.extend([None] * (1 + token["id"] - len(pieces)))
        pieces[token["id"]] = token["content"]
    special = {token["id"] for token in added if token.get("special")}
    if not special:
        raise ModelError(f"{where}: the tokenizer has no special tokens, none for start, end or padding", _SAVE_AGAIN)
    unknown = set() if kind.unknown is None else {kind.unknown}
    stay = _BYTES.keys() | set(bound)
    fixed = {index for index, piece in enumerate(pieces) if piece in stay} | {token["id"] for token in added} | unknown
    fixed |= set(_named(fast.get("padding"))) | set(_named(fast.get("post_processor")))
    return Vocabulary(fast, str(where), kind, pieces, frozenset(special | unknown), frozenset(fixed))


def _kind(fast: Mapping[str, Any], where: Path | str) -> Kind:
    model = fast["model"]
    match model["type"]:
        case "Unigram":
            return Unigram(model)
        case "WordPiece":
            return WordPiece(model)
        case "BPE":
            return Bpe(model, _over_bytes(fast.get("pre_tokenizer")) or _over_bytes(fast.get("decoder")))
        case other:
            hint = "Use a recipe without the trim step: write the other steps into a .yaml file, give it with --recipe."
            raise ModelError(f"{where}: trim reads Unigram, WordPiece and BPE vocabularies, this one is {other}", hint)


def _over_bytes(part: Mapping[str, Any] | None) -> bool:
    """Whether a pre-tokenizer or decoder, or one in a sequence of them, turns text into bytes or back."""
    if part is None:
        return False
    parts = part.get("pretokenizers") or part.get("decoders") or []
    return part["type"] == "ByteLevel" or any(_over_bytes(inner) for inner in parts)


def _named(part: Mapping[str, Any] | None) -> Iterator[int]:
    """The ids that the padding pads with or that a post-processor puts around text."""
    if part is None:
        return
    if "pad_id" in part:
        yield part["pad_id"]
    for inner in part.get("processors", []):
        yield from _named(inner)
    yield from (part[role][1] for role in ("sep", "cls") if role in part)
    for token in part.get("special_tokens", {}).values():
        yield from token["ids"]


def moved(part: Mapping[str, Any] | None, new: Mapping[int, int]) -> dict[str, Any] | None:
    """The padding, or a post-processor in any of its forms, with the ids moved that _named() finds."""
    if part is None:
        return None
    changed = dict(part)
    if "pad_id" in part:
        changed["pad_id"] = new[part["pad_id"]]
    if "processors" in part:
        changed["processors"] = [moved(inner, new) for inner in part["processors"]]
    for role in {"sep", "cls"} & part.keys():
        changed[role] = [part[role][0], new[part[role][1]]]
    if "special_tokens" in part:
        named = part["special_tokens"].items()
        changed["special_tokens"] = {name: {**token, "ids": [new[i] for i in token["ids"]]} for name, token in named}
    return changed
