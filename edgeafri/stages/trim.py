"""trim: drop vocabulary that the target languages never use, the largest lever on size in multilingual encoders.

Kept pieces keep their order and their scores, so text whose pieces are all kept is cut into the same pieces, and its
logits are equal. Reads Unigram, WordPiece and byte-level BPE vocabularies, fast and slow files in step.
"""

import copy
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer

from edgeafri.artifact import Artifact
from edgeafri.dataset import Unit
from edgeafri.errors import DataError, ModelError
from edgeafri.predict import Encoder, Ids, Logits, padded
from edgeafri.progress import Tick
from edgeafri.stages import model as door
from edgeafri.stages import second_head
from edgeafri.stages.factorised import factorise
from edgeafri.stages.keeping import kept_ids, mode_of
from edgeafri.stages.menu import Trim
from edgeafri.stages.tokenizer_files import read_vocabulary, write_tokenizer
from edgeafri.stages.usage import Sentence, Usage, usage
from edgeafri.stages.vocabulary import Vocabulary
from edgeafri.tasks import task, unit_of

_SAMPLE, _BATCH = 32, 8  # sentences a language that --prove compares, and of them at once
# That of masked-LM logits is relative: these are sums over the width.
TOLERANCE = {"logits": 1e-6, "masked-LM logits": 1e-5, "hidden states": 1e-6}


def run(source: Artifact, settings: Trim, out: Path, tick: Tick) -> Mapping[str, Any]:
    """Count pieces on the corpora, cut the vocabulary in all tokenizer files and the embedding in the model."""
    if not settings.languages:
        raise DataError("trim: no language named", "Add --languages swa,hau: what they use is what is kept.")
    tokenizer = door.read_tokenizer(source.path)
    door.frame(tokenizer)  # a tokenizer without start, end or padding is told before anything is counted
    vocabulary = read_vocabulary(tokenizer, source.path)
    tokenizer.backend_tokenizer.no_truncation()  # what is written keeps its own; here whole sentences are read
    used = usage(tokenizer.backend_tokenizer, vocabulary.size, settings, units_of(source.manifest.task), tick)
    kept = kept_ids(vocabulary, {code: found.pieces for code, found in used.items()}, settings)
    model = door.read_model(source.path)
    if second_head.described(source.path) is not None:
        second_head.read_into(model, source.path)
    before, rows, whole = door.parameters(model), model.get_input_embeddings().num_embeddings, sharing(model)
    if vocabulary.size > rows:
        message = f"{source.path}: the tokenizer has {vocabulary.size:,} ids, the word embedding {rows:,} rows"
        raise ModelError(message, "Call model.resize_token_embeddings(len(tokenizer)), and save both again.")
    cut_embeddings(model, kept)
    more: dict[str, Any] = {}
    if settings.prove:
        encoder = door.encoder(tokenizer, door.max_tokens(model.config.to_dict()), unit_of(source.manifest.task))
        more["proof"] = proof(encoder, whole, model, kept, {code: found.aside for code, found in used.items()})
    del whole
    if settings.factorise is not None:
        more["factorised"] = {"rank": settings.factorise, "squares_kept": factorise(model, settings.factorise)}
    door.write_model(model, tokenizer, out)
    write_tokenizer(tokenizer, vocabulary, kept, source.path, out)
    facts = {"keep": mode_of(settings), "vocabulary_before": rows, "vocabulary": len(kept)}
    facts |= {"parameters_before": before, "parameters": door.parameters(model)}
    return {**facts, "languages": cover(tokenizer.backend_tokenizer, vocabulary, used, kept, settings), **more}


def units_of(name: str) -> tuple[Unit, ...]:
    """How text is cut into words before sub-words: a masked LM learns lines as they stand, its later task words."""
    return ("word", "text") if task(name).unit == "sub-word" else (unit_of(name),)


def cut_embeddings(model: Any, kept: list[int]) -> None:
    """Keep those rows of the word embedding, in that order, and of tied masked-LM heads with their bias.

    ModelError where positions begin behind the padding's id, as in RoBERTa, and that id would change.
    """
    longest = door.max_tokens(model.config.to_dict())
    rows, table = torch.tensor(kept), model.get_input_embeddings()
    smaller = copy.copy(table)  # its own kind and its other parts; the rows are new
    smaller._parameters = {"weight": torch.nn.Parameter(table.weight.data[rows])}
    smaller.num_embeddings = len(kept)
    smaller.padding_idx = kept.index(table.padding_idx) if table.padding_idx in kept else None
    model.set_input_embeddings(smaller)
    model.config.vocab_size = len(kept)
    for name in ("pad_token_id", "bos_token_id", "eos_token_id"):
        if getattr(model.config, name, None) in kept:
            setattr(model.config, name, kept.index(getattr(model.config, name)))
    if door.max_tokens(model.config.to_dict()) != longest:
        hint = "Use a recipe without the trim step: write the other steps into a .yaml file, give it with --recipe."
        raise ModelError("trim: positions begin behind the padding's id here, and that would change", hint)
    head = model.get_output_embeddings()
    if head is not None:
        head.weight, head.out_features = smaller.weight, len(kept)
        _cut_bias(model, head, rows)
    if hasattr(model, "second_head"):
        model.second_head.bias = torch.nn.Parameter(model.second_head.bias.data[rows])


def sharing(model: Any) -> Any:
    """A copy of a model whose weights are those of the model itself: what is replaced in one stays in the other."""
    weights = [*model.parameters(), *model.buffers()]
    return copy.deepcopy(model, {id(weight): weight for weight in weights})


def proof(
    encoder: Encoder, whole: Any, cut: Any, kept: Sequence[int], aside: Mapping[str, Sequence[Sentence]]
) -> dict[str, Any]:
    """By language, the largest difference of the logits before and after, on sentences whose pieces are all kept.

    Of a masked LM the kept pieces' logits are compared, relative to the largest; of a bare encoder its hidden states.
    ModelError when they differ.
    """
    masked = whole.get_output_embeddings() is not None
    kind = "masked-LM logits" if masked else "hidden states" if whole.base_model is whole else "logits"
    place = {old: new for new, old in enumerate(kept)}
    found = {}
    for code, sentences in aside.items():
        rows = [row.ids for row in encoder.rows(sentences) if set(row.ids) <= place.keys()][:_SAMPLE]
        parts = [rows[start : start + _BATCH] for start in range(0, len(rows), _BATCH)]
        differences = [_difference(whole, cut, part, encoder.frame.pad, place, masked) for part in parts]
        found[code] = {"inputs": len(rows), "largest_difference": max(differences, default=None)}
        if differences and max(differences) > TOLERANCE[kind]:
            message = f"trim: {kind} in {code} are off by {max(differences):.1g} where all pieces are kept"
            raise ModelError(message, "Tell us, with the model's name: its outputs hang on more than its pieces.")
    return {"of": kind, "tolerance": TOLERANCE[kind], "languages": found}


def cover(
    tokenizer: Tokenizer, vocabulary: Vocabulary, used: Mapping[str, Usage], kept: list[int], settings: Trim
) -> dict[str, Any]:
    """By language: words read, the share of running pieces that is kept, and what becomes of text not seen before.

    Sentences are held out for that: they are judged by the vocabulary that the rest of the text alone would have kept.
    """
    blind = kept_ids(vocabulary, {code: found.learnt for code, found in used.items()}, settings)
    after = Tokenizer.from_str(json.dumps(vocabulary.cut(blind)))
    after.no_truncation()
    return {
        code: {
            "words": found.words,
            "coverage": round(float(found.pieces[kept].sum() / max(found.pieces.sum(), 1)), 6),
            "held_out": held_out(tokenizer, after, blind, found.aside, vocabulary.unknown),
        }
        for code, found in used.items()
    }


def held_out(
    before: Tokenizer, after: Tokenizer, kept: Sequence[int], sentences: Sequence[Sentence], unknown: int | None
) -> dict[str, Any]:
    """Pieces a word and the share of unknown pieces with both tokenizers, and how much is cut as before.

    `coverage` is the share of running pieces that are kept, `one_to_one` that of the sentences whose ids are the same
    pieces, one to one.
    """
    if not sentences:
        return {"sentences": 0}
    old, new = (
        [
            item.ids
            for item in one.encode_batch(
                [list(words) for words in sentences], is_pretokenized=True, add_special_tokens=False
            )
        ]
        for one in (before, after)
    )
    place = {piece: number for number, piece in enumerate(kept)}
    same = [[place.get(piece) for piece in ids] == found for ids, found in zip(old, new, strict=True)]
    words = sum(map(len, sentences))
    running = [piece for ids in old for piece in ids]
    renewed = [piece for ids in new for piece in ids]
    lost = None if unknown is None else place.get(unknown)
    return {
        "sentences": len(sentences),
        "coverage": round(sum(piece in place for piece in running) / max(len(running), 1), 6),
        "one_to_one": round(sum(same) / len(same), 4),
        "fertility_before": round(len(running) / max(words, 1), 4),
        "fertility": round(len(renewed) / max(words, 1), 4),
        "unknown_before": round(running.count(unknown) / max(len(running), 1), 6),
        "unknown": round(renewed.count(lost) / max(len(renewed), 1), 6),
    }


def _cut_bias(model: Any, head: Any, rows: torch.Tensor) -> None:
    """The bias of a masked-LM head, which stands under two names."""
    if head.bias is None:
        return
    head.bias = torch.nn.Parameter(head.bias.data[rows])
    owners: list[Any] = [part for part in model.modules() if getattr(part, "decoder", None) is head]
    for owner in owners:
        if getattr(owner, "bias", None) is not None:
            owner.bias = head.bias


def _difference(
    whole: Any, cut: Any, rows: Sequence[Sequence[int]], pad: int, place: Mapping[int, int], masked: bool
) -> float:
    """The largest difference of the two models' logits on a padded batch, relative to the largest for a masked LM."""
    moved = [[place[piece] for piece in row] for row in rows]
    ids, mask = padded(rows, pad)
    before, after = _answer(whole, ids, mask), _answer(cut, *padded(moved, place[pad]))
    if masked:
        before = before[..., list(place)]
    seen = mask.astype(bool) if before.ndim == 3 else slice(None)
    off = float(np.abs(before[seen] - after[seen]).max())
    return off / float(np.abs(before[seen]).max()) if masked else off


def _answer(model: Any, ids: Ids, mask: Ids) -> Logits:
    """The logits, or where there is no head the hidden states that one would read."""
    with torch.inference_mode():
        answer: Logits = model(input_ids=torch.from_numpy(ids), attention_mask=torch.from_numpy(mask))[0].numpy()
    return answer
