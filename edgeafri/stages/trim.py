"""trim: drop vocabulary that the target languages never use, the largest lever on size in multilingual encoders.

Kept pieces keep their order and their scores, so text whose pieces are all kept is cut into the same pieces, and its
logits are equal. Reads Unigram vocabularies (SentencePiece: XLM-R, AfriBERTa, AfroXLMR), fast and slow files in step.
"""

import json
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch
from sentencepiece import sentencepiece_model_pb2
from tokenizers import Tokenizer

from edgeafri.artifact import Artifact
from edgeafri.dataset import Unit, read_lines, read_split, text_files
from edgeafri.errors import DataError, ModelError
from edgeafri.languages import alphabet
from edgeafri.progress import Tick
from edgeafri.stages import model as door
from edgeafri.stages.menu import Trim
from edgeafri.tasks import unit_of
from edgeafri.text import words_of

_BATCH = 2000
_SLOW_FILE = "sentencepiece.bpe.model"
_SPACE = "▁"


def run(source: Artifact, settings: Trim, out: Path, tick: Tick) -> Mapping[str, Any]:
    """Count pieces on the corpora, cut the vocabulary in both tokenizer files and the embedding in the model."""
    if not settings.languages:
        raise DataError("trim: no language named", "Add --languages swa,hau: what they use is what is kept.")
    model, tokenizer = door.read_model(source.path), door.read_tokenizer(source.path)
    fast = json.loads(tokenizer.backend_tokenizer.to_str())
    _check_unigram(fast, source.path)
    unit = unit_of(source.manifest.task)
    words = {language: _words(settings, language, unit) for language in settings.languages}
    used = _pieces_used(tokenizer.backend_tokenizer, words, tick)
    kept = kept_ids(fast, used, settings)
    before = door.parameters(model)
    cut_embeddings(model, kept)
    _write(model, tokenizer, fast, kept, source.path, out)
    after = door.parameters(model)
    return {
        "vocabulary_before": len(fast["model"]["vocab"]),
        "vocabulary": len(kept),
        "parameters_before": before,
        "parameters": after,
        "words_counted": {language: sum(counts.values()) for language, counts in words.items()},
    }


def kept_ids(fast: Mapping[str, Any], used: Iterable[int], settings: Trim) -> list[int]:
    """The ids to keep, in order: used pieces, special tokens, single characters of the alphabets, the lowest score."""
    vocabulary = fast["model"]["vocab"]
    kept = set(used) | {int(token["id"]) for token in fast["added_tokens"]} | {int(fast["model"]["unk_id"])}
    safe = _safe_characters(settings.languages)
    kept |= {index for index, (piece, _) in enumerate(vocabulary) if piece.removeprefix(_SPACE) in safe}
    # What an unknown character costs hangs on the lowest score: without that piece, segmentation would shift.
    kept.add(min(range(len(vocabulary)), key=lambda index: float(vocabulary[index][1])))
    if _mode(settings) == "scripts":
        scripts = {_script(character) for language in settings.languages for character in alphabet(language)}
        kept |= {index for index, (piece, _) in enumerate(vocabulary) if _written_in(piece, scripts)}
    return sorted(kept)


def cut_embeddings(model: Any, kept: list[int]) -> None:
    """Keep those rows of the word embedding, in that order, and of a tied masked-LM head with its bias."""
    rows = torch.tensor(kept)
    table = model.get_input_embeddings()
    pad = kept.index(table.padding_idx) if table.padding_idx in kept else None
    smaller = torch.nn.Embedding.from_pretrained(table.weight.data[rows].clone(), freeze=False, padding_idx=pad)
    model.set_input_embeddings(smaller)
    model.config.vocab_size = len(kept)
    for name in ("pad_token_id", "bos_token_id", "eos_token_id"):
        if getattr(model.config, name, None) in kept:
            setattr(model.config, name, kept.index(getattr(model.config, name)))
    head = model.get_output_embeddings()
    if head is not None:
        head.weight, head.out_features = smaller.weight, len(kept)
        if head.bias is not None:
            head.bias = torch.nn.Parameter(head.bias.data[rows].clone())
            model.lm_head.bias = head.bias


def cut_fast(fast: Mapping[str, Any], kept: list[int]) -> dict[str, Any]:
    """tokenizer.json with only the kept pieces and every id moved to its new place."""
    new = {old: index for index, old in enumerate(kept)}
    # Tokens added later have ids behind the vocabulary: they keep a row of the embedding, but stand in no list.
    vocabulary = [fast["model"]["vocab"][old] for old in kept if old < len(fast["model"]["vocab"])]
    added = [{**token, "id": new[token["id"]]} for token in fast["added_tokens"]]
    model = {**fast["model"], "vocab": vocabulary, "unk_id": new[fast["model"]["unk_id"]]}
    changed = {**fast, "added_tokens": added, "model": model}
    return {**changed, "post_processor": _moved(fast["post_processor"], new)} if fast.get("post_processor") else changed


def cut_slow(model: bytes, pieces: set[str]) -> bytes:
    """A SentencePiece model with only those pieces; control and unknown pieces stay, order and scores too."""
    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString(model)
    normal = sentencepiece_model_pb2.ModelProto.SentencePiece.NORMAL
    kept = [piece for piece in proto.pieces if piece.type != normal or piece.piece in pieces]
    del proto.pieces[:]
    proto.pieces.extend(kept)
    proto.trainer_spec.vocab_size = len(kept)
    return bytes(proto.SerializeToString())


def _check_unigram(fast: Mapping[str, Any], path: Path) -> None:
    kind = fast["model"]["type"]
    if kind != "Unigram":
        hint = "Use a recipe without the trim step: write the other steps into a .yaml file and give it with --recipe."
        raise ModelError(f"{path}: trim reads Unigram (SentencePiece) vocabularies, this one is {kind}", hint)


def _mode(settings: Trim) -> str:
    if settings.keep != "auto":
        return settings.keep
    return "corpus" if settings.text else "scripts"


def _words(settings: Trim, language: str, unit: Unit) -> Counter[str]:
    """How often each word stands in the language's raw text, train and dev. Test is never read."""
    counts: Counter[str] = Counter()
    if settings.text is not None:
        for line in read_lines(text_files(settings.text, (language,))[language]):
            counts.update(words_of(line, unit))
    if settings.data is not None:
        for name in ("train", "dev"):
            for sentence in read_split(settings.data, language, name, unit).sentences:
                counts.update(sentence.words)
    if not counts:
        hint = "Add --data DIR (labelled) or --text DIR (raw), so that trim can see which pieces the language uses."
        raise DataError(f"trim: no text for '{language}'", hint)
    return counts


def _pieces_used(tokenizer: Tokenizer, words: Mapping[str, Counter[str]], tick: Tick) -> set[int]:
    # Words are cut alone, exactly as they are in a sentence: the pre-tokenizer never joins two.
    distinct = sorted({word for counts in words.values() for word in counts})
    used: set[int] = set()
    for start, batch in _batches(distinct):
        for encoding in tokenizer.encode_batch(
            [[word] for word in batch], is_pretokenized=True, add_special_tokens=False
        ):
            used.update(encoding.ids)
        tick(min(start + _BATCH, len(distinct)), len(distinct))
    return used


def _batches(items: list[str]) -> Iterator[tuple[int, list[str]]]:
    for start in range(0, len(items), _BATCH):
        yield start, items[start : start + _BATCH]


def _safe_characters(languages: Iterable[str]) -> set[str]:
    letters = {character for language in languages for character in alphabet(language)}
    basic = {chr(code) for code in range(0x21, 0x7F)} | set("“”‘’«»–—…₦፡።፣፤፥፦፧፨")
    return letters | basic | {""}


def _written_in(piece: str, scripts: set[str]) -> bool:
    return all(_script(character) in scripts or _script(character) == "" for character in piece)


@cache
def _script(character: str) -> str:
    """The first word of a letter's Unicode name, which names its script; empty for digits, marks and signs."""
    if not unicodedata.category(character).startswith("L"):
        return ""
    return unicodedata.name(character, "?").split()[0]


def _moved(value: Any, new: Mapping[int, int]) -> Any:
    """A post-processor with its token ids moved; both of its forms name ids next to their tokens."""
    if isinstance(value, list):
        if len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], int):
            return [value[0], new[value[1]]]
        return [_moved(item, new) for item in value]
    if isinstance(value, dict):
        return {key: [new[i] for i in item] if key == "ids" else _moved(item, new) for key, item in value.items()}
    return value


def _write(model: Any, tokenizer: Any, fast: Mapping[str, Any], kept: list[int], source: Path, out: Path) -> None:
    door.write_model(model, tokenizer, out)
    cut = cut_fast(fast, kept)
    (out / "tokenizer.json").write_text(json.dumps(cut, ensure_ascii=False), "utf-8")
    if (source / _SLOW_FILE).is_file():
        pieces = {piece for piece, _ in cut["model"]["vocab"]}
        (out / _SLOW_FILE).write_bytes(cut_slow((source / _SLOW_FILE).read_bytes(), pieces))
    elif (out / _SLOW_FILE).is_file():
        (out / _SLOW_FILE).unlink()
    config = json.loads((out / "tokenizer_config.json").read_text("utf-8"))
    places = {token["content"]: str(token["id"]) for token in cut["added_tokens"]}
    decoder = config.get("added_tokens_decoder", {})
    config["added_tokens_decoder"] = {places[token["content"]]: token for token in decoder.values()}
    (out / "tokenizer_config.json").write_text(json.dumps(config, ensure_ascii=False, indent=1), "utf-8")
