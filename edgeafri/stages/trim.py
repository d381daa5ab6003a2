"""trim: drop vocabulary that the target languages never use, the largest lever on size in multilingual encoders.

Kept pieces keep their order and their scores, so text whose pieces are all kept is cut into the same pieces, and its
logits are equal. Reads Unigram, WordPiece and byte-level BPE vocabularies, fast and slow files in step.
"""

import copy
import ctypes
import gc
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer

from edgeafri.artifact import Artifact
from edgeafri.data.dataset import Unit
from edgeafri.errors import DataError, ModelError
from edgeafri.menu.settings import Trim
from edgeafri.stages.models import checkpoint
from edgeafri.stages.models.factorised_embedding import factorise
from edgeafri.stages.training import second_head
from edgeafri.stages.vocab.equivalence import proof, sharing
from edgeafri.stages.vocab.selection import kept_ids, mode_of
from edgeafri.stages.vocab.token_counts import Sentence, Usage, usage
from edgeafri.stages.vocab.tokenizer_files import read_vocabulary, write_tokenizer
from edgeafri.stages.vocab.vocabulary import Vocabulary
from edgeafri.tasks import task, unit_of
from edgeafri.util.progress import Progress

_SAMPLE = 32  # inputs a language that --prove compares


@dataclass(frozen=True)
class Choice:
    """What the tokenizer alone decides: the ids that stay, in order, and what the text says of them.

    `inputs` are, by language, whole inputs as ids before the cut, all of whose pieces stay.
    """

    kept: list[int]
    pieces: int
    cover: Mapping[str, Any]
    inputs: Mapping[str, Sequence[Sequence[int]]]


def run(source: Artifact, settings: Trim, out: Path, progress: Progress) -> Mapping[str, Any]:
    """Count pieces on the corpora, cut the vocabulary in all tokenizer files and the embedding in the model."""
    if not settings.languages:
        raise DataError("trim: no language named", "Add --languages swa,hau: what they use is what is kept.")
    choice = choose(source, settings, out, progress)
    _give_back_memory()  # a tokenizer of 250,000 pieces takes more than half a gigabyte: it and the model take turns
    model = checkpoint.read_model(source.path)
    if second_head.read_place(source.path) is not None:
        second_head.read_into(model, source.path)
    before, rows = checkpoint.parameters(model), model.get_input_embeddings().num_embeddings
    if choice.pieces > rows:
        message = f"{source.path}: the tokenizer has {choice.pieces:,} ids, the word embedding {rows:,} rows"
        raise ModelError(message, "Call model.resize_token_embeddings(len(tokenizer)), and save both again.")
    more: dict[str, Any] = {}
    whole = sharing(model) if settings.prove else None
    cut_embeddings(model, choice.kept)
    if whole is not None:
        more["proof"] = proof(whole, model, choice.kept, choice.inputs)
        del whole
    if settings.factorise is not None:
        more["factorised"] = {"rank": settings.factorise, "squares_kept": factorise(model, settings.factorise)}
    model.save_pretrained(out, safe_serialization=True)
    facts = {"keep": mode_of(settings), "vocabulary_before": rows, "vocabulary": len(choice.kept)}
    facts |= {"parameters_before": before, "parameters": checkpoint.parameters(model)}
    return {**facts, "languages": choice.cover, **more}


def choose(source: Artifact, settings: Trim, out: Path, progress: Progress) -> Choice:
    """Count pieces on the corpora, choose what stays, and write the smaller tokenizer."""
    tokenizer = checkpoint.read_tokenizer(source.path)
    checkpoint.frame(tokenizer)  # a tokenizer without start, end or padding is told before anything is counted
    vocabulary = read_vocabulary(tokenizer, source.path)
    tokenizer.save_pretrained(out)
    tokenizer.backend_tokenizer.no_truncation()  # what is written keeps its own; here whole sentences are read
    unit = source.manifest.task
    used = usage(tokenizer.backend_tokenizer, vocabulary.size, settings, units_of(unit), progress)
    kept = kept_ids(vocabulary, {code: found.pieces for code, found in used.items()}, settings)
    write_tokenizer(tokenizer, vocabulary, kept, source.path, out)
    covered = cover(tokenizer.backend_tokenizer, vocabulary, used, kept, settings)
    encoder = checkpoint.encoder(tokenizer, checkpoint.max_tokens(checkpoint.read_config(source.path)), unit_of(unit))
    stays = set(kept)
    inputs = {
        code: [row.ids for row in encoder.encode(found.aside) if stays.issuperset(row.ids)][:_SAMPLE]
        for code, found in used.items()
    }
    return Choice(kept, vocabulary.size, covered, inputs)


def units_of(name: str) -> tuple[Unit, ...]:
    """How text is cut into words before sub-words: a masked LM learns lines as they stand, its later task words."""
    return ("word", "text") if task(name).unit == "token" else (unit_of(name),)


def cut_embeddings(model: Any, kept: list[int]) -> None:
    """Keep those rows of the word embedding, in that order, and of tied masked-LM heads with their bias.

    ModelError where positions begin behind the padding's id, as in RoBERTa, and that id would change.
    """
    longest = checkpoint.max_tokens(model.config.to_dict())
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
    if checkpoint.max_tokens(model.config.to_dict()) != longest:
        hint = "Use a recipe without the trim step: write the other steps into a .yaml file, give it with --recipe."
        raise ModelError("trim: positions begin behind the padding's id here, and that would change", hint)
    head = model.get_output_embeddings()
    if head is not None:
        head.weight, head.out_features = smaller.weight, len(kept)
        _cut_bias(model, head, rows)
    if hasattr(model, "second_head"):
        model.second_head.bias = torch.nn.Parameter(model.second_head.bias.data[rows])


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


def _give_back_memory() -> None:
    """Hand what is free back to the system. The C library keeps it otherwise, as small pieces; other systems do not."""
    gc.collect()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
