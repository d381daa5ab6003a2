"""tokenizer_files: a tokenizer read from its folder and, with fewer ids, written back, fast and slow files in step."""

import json
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError
from sentencepiece import sentencepiece_model_pb2
from tokenizers import Tokenizer

from edgeafri.errors import ModelError
from edgeafri.stages.vocab.vocabulary import Vocabulary, vocabulary_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

_FAST = "tokenizer.json"
_SENTENCEPIECE = ".model"
_LISTS = {"vocab.txt", "vocab.json", "merges.txt"}  # what the tokenizers library writes of a WordPiece or BPE model
_Piece = sentencepiece_model_pb2.ModelProto.SentencePiece  # "piece" is this format's own word for a token
_STAY = {_Piece.UNKNOWN, _Piece.CONTROL, _Piece.USER_DEFINED, _Piece.BYTE}
_PLACES = ("unk_id", "bos_id", "eos_id", "pad_id")


def read_vocabulary(tokenizer: "PreTrainedTokenizerFast", folder: Path) -> Vocabulary:
    """The vocabulary of a fast tokenizer of transformers that was read from `folder`.

    ModelError for a kind that cannot be cut, for a tokenizer without special tokens, and for a broken slow file.
    """
    slow = [folder / name for name in _slow_names(tokenizer) if name.endswith(_SENTENCEPIECE)]
    bound = set().union(*(bound_tokens(_sentencepiece(path)) for path in slow if path.is_file()))
    return vocabulary_of(json.loads(tokenizer.backend_tokenizer.to_str()), folder, bound)


def write_tokenizer(
    tokenizer: "PreTrainedTokenizerFast", vocabulary: Vocabulary, kept: Sequence[int], source: Path, out: Path
) -> None:
    """Write the kept ids over the whole tokenizer that stands in `out`; slow files that `source` lacks go.

    ModelError when a token that must stay is not kept, and when the files in `source` name unlike tokens.
    """
    text = json.dumps(vocabulary.cut(kept), ensure_ascii=False)
    (out / _FAST).write_text(text, "utf-8", newline="\n")
    names = _slow_names(tokenizer)
    if _LISTS & set(names):
        Tokenizer.from_str(text).model.save(str(out))
    for name in names:
        if not (source / name).is_file():
            (out / name).unlink(missing_ok=True)
        elif name.endswith(_SENTENCEPIECE):
            (out / name).write_bytes(_in_step(source / name, vocabulary, kept))
    _move_ids(out, {old: place for place, old in enumerate(kept)})


def bound_tokens(proto: sentencepiece_model_pb2.ModelProto) -> set[str]:
    """What a SentencePiece model cannot lose: the lowest-scored of its normal tokens, and all other kinds of tokens."""
    normal = [piece for piece in proto.pieces if piece.type == _Piece.NORMAL]
    lowest = {min(normal, key=lambda piece: piece.score).piece} if normal else set()
    return lowest | {piece.piece for piece in proto.pieces if piece.type in _STAY}


def cut_sentencepiece(proto: sentencepiece_model_pb2.ModelProto, kept: Set[str]) -> None:
    """Leave only those tokens in a SentencePiece model, and all that are no normal ones. Changes `proto`."""
    places = [place for place, piece in enumerate(proto.pieces) if piece.type in _STAY or piece.piece in kept]
    pieces = [proto.pieces[place] for place in places]
    del proto.pieces[:]
    proto.pieces.extend(pieces)
    proto.trainer_spec.vocab_size = len(pieces)
    for name in _PLACES:
        place = getattr(proto.trainer_spec, name)
        if place in places:
            setattr(proto.trainer_spec, name, places.index(place))


def _slow_names(tokenizer: "PreTrainedTokenizerFast") -> list[str]:
    return [name for name in tokenizer.vocab_files_names.values() if name != _FAST]


def _sentencepiece(path: Path) -> sentencepiece_model_pb2.ModelProto:
    proto = sentencepiece_model_pb2.ModelProto()
    try:
        proto.ParseFromString(path.read_bytes())
    except DecodeError:
        proto.Clear()
    if not proto.pieces:
        hint = "Copy or download it again, or delete it where there is a tokenizer.json."
        raise ModelError(f"{path}: not a SentencePiece model", hint)
    return proto


def _in_step(path: Path, vocabulary: Vocabulary, kept: Sequence[int]) -> bytes:
    """The SentencePiece model in a file, cut; special tokens aside, it must name the kept tokens in the same order."""
    fast = [vocabulary.token(index) for index in kept]
    proto = _sentencepiece(path)
    cut_sentencepiece(proto, set(fast))
    slow = [piece.piece for piece in proto.pieces]
    aside = {vocabulary.token(index) for index in vocabulary.special}
    both = set(slow) - aside
    if [token for token in fast if token in both] != [token for token in slow if token not in aside]:
        hint = "Delete the one that is not the model's; the other is enough."
        raise ModelError(f"{path}: names other subwords than {_FAST}, or in another order", hint)
    return bytes(proto.SerializeToString())


def _move_ids(folder: Path, new: Mapping[int, int]) -> None:
    """Move the ids of added tokens in the other files that hold them."""
    config = json.loads((folder / "tokenizer_config.json").read_text("utf-8"))
    decoder = config.get("added_tokens_decoder", {})
    config["added_tokens_decoder"] = {str(new[int(old)]): token for old, token in decoder.items()}
    _write(folder / "tokenizer_config.json", config)
    if (folder / "added_tokens.json").is_file():
        added = json.loads((folder / "added_tokens.json").read_text("utf-8"))
        _write(folder / "added_tokens.json", {token: new[old] for token, old in added.items()})


def _write(path: Path, values: Mapping[str, object]) -> None:
    path.write_text(json.dumps(values, ensure_ascii=False, indent=2), "utf-8", newline="\n")
