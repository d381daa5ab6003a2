"""vocabulary: what a tokenizer's ids stand for, which must stay together, and tokenizer.json with fewer of them.

Tokens that stay keep their order, their scores and their merges, so text whose tokens all stay is cut into the same
tokens, and its ids map one to one. Why, is said where each algorithm is: unigram.py, wordpiece.py, bpe.py.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypedDict, cast

from edgeafri.errors import ModelError
from edgeafri.stages.vocab.bpe import Bpe, BpeModel
from edgeafri.stages.vocab.unigram import Unigram, UnigramModel
from edgeafri.stages.vocab.wordpiece import WordPiece, WordPieceModel

_BYTES = {f"<0x{byte:02X}>": byte for byte in range(256)}
_ROLES: tuple[Literal["sep", "cls"], ...] = ("sep", "cls")
_SAVE_AGAIN = "Name them with tokenizer.add_special_tokens(), and save the tokenizer again."


class AddedToken(TypedDict):
    """A token that stands beside the vocabulary, or behind it."""

    id: int
    content: str
    special: bool


class NamedIds(TypedDict):
    """A special token of a template, and its ids."""

    ids: Sequence[int]


class TokenizerPart(TypedDict, total=False):
    """The padding of a tokenizer.json, a pre-tokenizer, a decoder or a post-processor, or several in one."""

    type: str
    pad_id: int
    processors: "Sequence[TokenizerPart]"
    pretokenizers: "Sequence[TokenizerPart]"
    decoders: "Sequence[TokenizerPart]"
    sep: tuple[str, int]
    cls: tuple[str, int]
    special_tokens: Mapping[str, NamedIds]


class TokenizerJson(TypedDict, total=False):
    """A tokenizer.json as far as it is read; all else in it is carried along."""

    added_tokens: Sequence[AddedToken]
    padding: TokenizerPart | None
    pre_tokenizer: TokenizerPart | None
    post_processor: TokenizerPart | None
    decoder: TokenizerPart | None
    model: Mapping[str, object]


class Algorithm(Protocol):
    """How one algorithm (Unigram, WordPiece, BPE) cuts text; its ids are those of the list of tokens."""

    @property
    def tokens(self) -> list[str | None]:
        """What stands at every id; None where nothing does."""

    @property
    def unknown(self) -> int | None:
        """The id of what no token covers."""

    def bare(self, token: str) -> str | None:
        """The text of a token without word marks; None for bytes that are no whole characters."""

    def with_needed(self, ids: Set[int]) -> Set[int]:
        """Those ids and what they need to be found as before."""

    def cut(self, new: Mapping[int, int]) -> Mapping[str, object]:
        """The "model" part with the tokens of these ids alone: old id to new id, in order."""


@dataclass(frozen=True)
class Vocabulary:
    """The ids of one tokenizer.json, those of tokens that a user added behind the vocabulary included.

    `special` ids stand for no text; `fixed` ids stay whatever else is kept.
    """

    fast: TokenizerJson
    where: str
    algorithm: Algorithm
    tokens: Sequence[str | None]
    special: frozenset[int]
    fixed: frozenset[int]

    @property
    def size(self) -> int:
        """How many ids there are."""
        return len(self.tokens)

    @property
    def unknown(self) -> int | None:
        """The id of what no token covers."""
        return self.algorithm.unknown

    def token(self, index: int) -> str:
        """What stands at an id; nothing where a vocabulary left a gap."""
        return self.tokens[index] or ""

    def surface(self, index: int) -> str | None:
        """The text that an id stands for, without word marks; empty for special tokens and a mark alone.

        None for bytes that are no whole UTF-8 character, and for an id that nothing stands at.
        """
        token = self.tokens[index]
        if token is None:
            return None
        if index in self.special:
            return ""
        if token in _BYTES:
            return chr(_BYTES[token]) if _BYTES[token] < 0x80 else None
        return self.algorithm.bare(token)

    def closed(self, ids: Iterable[int]) -> list[int]:
        """Those ids and all that must stay with them, in order.

        Special and added tokens, the unknown, byte tokens, what a SentencePiece file cannot lose, and what the
        algorithm needs so that text made of these tokens is cut as before.
        """
        kept = self.algorithm.with_needed(self.fixed.union(ids))
        return sorted(index for index in kept if self.tokens[index] is not None)

    def cut(self, kept: Sequence[int]) -> TokenizerJson:
        """tokenizer.json with only the kept ids, each moved to its place in `kept`, which is in order.

        ModelError when a special or added token, or one that inputs start or end with, would be lost.
        """
        new = {old: place for place, old in enumerate(kept)}
        lost = [self.token(index) for index in sorted(self.fixed - new.keys())]
        if lost:
            raise ModelError(f"{self.where}: '{lost[0]}' would be lost, a token that must stay", "Keep closed(ids).")
        return {
            **self.fast,
            "added_tokens": [{**token, "id": new[token["id"]]} for token in self.fast["added_tokens"]],
            "padding": moved(self.fast.get("padding"), new),
            "post_processor": moved(self.fast.get("post_processor"), new),
            "model": self.algorithm.cut(new),
        }


def vocabulary_of(fast: TokenizerJson, where: Path | str, bound: Iterable[str] = ()) -> Vocabulary:
    """The vocabulary in a parsed tokenizer.json; `bound` names tokens that must stay for another file's sake.

    ModelError for another algorithm than Unigram, WordPiece and BPE, and for a tokenizer without special tokens.
    """
    algorithm = _algorithm(fast, where)
    tokens = algorithm.tokens
    added = fast["added_tokens"]
    for token in added:
        tokens.extend([None] * (1 + token["id"] - len(tokens)))
        tokens[token["id"]] = token["content"]
    special = {token["id"] for token in added if token.get("special")}
    if not special:
        raise ModelError(f"{where}: the tokenizer has no special tokens, none for start, end or padding", _SAVE_AGAIN)
    unknown = set() if algorithm.unknown is None else {algorithm.unknown}
    stay = _BYTES.keys() | set(bound)
    fixed = {index for index, text in enumerate(tokens) if text in stay} | {token["id"] for token in added} | unknown
    fixed |= set(_named(fast.get("padding"))) | set(_named(fast.get("post_processor")))
    return Vocabulary(fast, str(where), algorithm, tokens, frozenset(special | unknown), frozenset(fixed))


def _algorithm(fast: TokenizerJson, where: Path | str) -> Algorithm:
    model = fast["model"]
    match model["type"]:
        case "Unigram":
            return Unigram(cast("UnigramModel", model))
        case "WordPiece":
            return WordPiece(cast("WordPieceModel", model))
        case "BPE":
            over_bytes = _over_bytes(fast.get("pre_tokenizer")) or _over_bytes(fast.get("decoder"))
            return Bpe(cast("BpeModel", model), over_bytes)
        case other:
            hint = "Use a recipe without the trim step: write the other steps into a .yaml file, give it with --recipe."
            raise ModelError(f"{where}: trim reads Unigram, WordPiece and BPE vocabularies, this one is {other}", hint)


def _over_bytes(part: TokenizerPart | None) -> bool:
    """Whether a pre-tokenizer or decoder, or one in a sequence of them, turns text into bytes or back."""
    if part is None:
        return False
    parts = part.get("pretokenizers") or part.get("decoders") or []
    return part["type"] == "ByteLevel" or any(_over_bytes(inner) for inner in parts)


def _named(part: TokenizerPart | None) -> Iterator[int]:
    """The ids that the padding pads with or that a post-processor puts around text."""
    if part is None:
        return
    if "pad_id" in part:
        yield part["pad_id"]
    for inner in part.get("processors", []):
        yield from _named(inner)
    yield from (part[role][1] for role in _ROLES if role in part)
    for token in part.get("special_tokens", {}).values():
        yield from token["ids"]


def moved(part: TokenizerPart | None, new: Mapping[int, int]) -> TokenizerPart | None:
    """The padding, or a post-processor in any of its forms, with the ids moved that _named() finds."""
    if part is None:
        return None
    changed = part.copy()
    if "pad_id" in part:
        changed["pad_id"] = new[part["pad_id"]]
    if "processors" in part:
        changed["processors"] = [inner for item in part["processors"] if (inner := moved(item, new)) is not None]
    for role in _ROLES:
        if role in part:
            changed[role] = (part[role][0], new[part[role][1]])
    if "special_tokens" in part:
        named = part["special_tokens"].items()
        changed["special_tokens"] = {name: {**token, "ids": [new[i] for i in token["ids"]]} for name, token in named}
    return changed
