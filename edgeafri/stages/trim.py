"""trim: drop vocabulary that the target languages never use, the largest lever on size in multilingual encoders.

Kept tokens keep their order and their scores, so text whose tokens are all kept is cut into the same tokens, and its
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
from typing import TYPE_CHECKING

import torch
from tokenizers import Tokenizer

from edgeafri.artifact import Artifact
from edgeafri.data.dataset import Unit
from edgeafri.errors import DataError, ModelError
from edgeafri.menu.facts.conversion import Factorised, HeldOut, LanguageCover, TrimFacts
from edgeafri.menu.settings import TrimSettings
from edgeafri.stages.models import checkpoint
from edgeafri.stages.models.factorised_embedding import factorise
from edgeafri.stages.training import second_head
from edgeafri.stages.vocab.equivalence import check_equivalence, with_shared_weights
from edgeafri.stages.vocab.selection import kept_ids, mode_of
from edgeafri.stages.vocab.token_counts import Sentence, TokenCounts, count_tokens
from edgeafri.stages.vocab.tokenizer_files import read_vocabulary, write_tokenizer
from edgeafri.stages.vocab.vocabulary import Vocabulary
from edgeafri.tasks import task, unit_of
from edgeafri.util.progress import Progress

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_SAMPLE = 32  # inputs per language that --prove compares


@dataclass(frozen=True)
class Selection:
    """What the tokenizer alone decides: the ids that stay, in order, and what the text says of them.

    `tokens` is how many ids there were. `inputs` are, by language, whole inputs as ids before the cut, all of whose
    tokens stay.
    """

    kept: list[int]
    tokens: int
    cover: Mapping[str, LanguageCover]
    inputs: Mapping[str, Sequence[Sequence[int]]]


def run(source: Artifact, settings: TrimSettings, out: Path, progress: Progress) -> TrimFacts:
    """Count tokens in the text, cut the vocabulary in all tokenizer files and the embedding in the model."""
    if not settings.languages:
        raise DataError("trim: no language named", "Add --languages swa,hau: what they use is what is kept.")
    selection = select(source, settings, out, progress)
    _give_back_memory()  # a tokenizer of 250,000 tokens takes more than half a gigabyte: it and the model take turns
    model = checkpoint.read_model(source.path)
    if second_head.read_place(source.path) is not None:
        second_head.read_into(model, source.path)
    before, rows = checkpoint.parameters(model), model.get_input_embeddings().num_embeddings
    if selection.tokens > rows:
        message = f"{source.path}: the tokenizer has {selection.tokens:,} ids, the word embedding {rows:,} rows"
        raise ModelError(message, "Call model.resize_token_embeddings(len(tokenizer)), and save both again.")
    whole = with_shared_weights(model) if settings.prove else None
    cut_embeddings(model, selection.kept)
    proof = check_equivalence(whole, model, selection.kept, selection.inputs) if whole is not None else None
    del whole
    rank = settings.factorise
    factorised = None if rank is None else Factorised(rank=rank, squares_kept=factorise(model, rank))
    model.save_pretrained(out, safe_serialization=True)
    return TrimFacts(
        keep=mode_of(settings),
        vocabulary_before=rows,
        vocabulary=len(selection.kept),
        parameters_before=before,
        parameters=checkpoint.parameters(model),
        languages=selection.cover,
        proof=proof,
        factorised=factorised,
    )


def select(source: Artifact, settings: TrimSettings, out: Path, progress: Progress) -> Selection:
    """Count tokens in the text, choose what stays, and write the smaller tokenizer."""
    tokenizer = checkpoint.read_tokenizer(source.path)
    checkpoint.frame(tokenizer)  # a tokenizer without start, end or padding is told before anything is counted
    vocabulary = read_vocabulary(tokenizer, source.path)
    tokenizer.save_pretrained(out)
    tokenizer.backend_tokenizer.no_truncation()  # what is written keeps its own; here whole sentences are read
    name = source.manifest.task
    used = count_tokens(tokenizer.backend_tokenizer, vocabulary.size, settings, units_of(name), progress)
    kept = kept_ids(vocabulary, {code: found.total for code, found in used.items()}, settings)
    write_tokenizer(tokenizer, vocabulary, kept, source.path, out)
    covered = cover(tokenizer.backend_tokenizer, vocabulary, used, kept, settings)
    encoder = checkpoint.encoder(tokenizer, checkpoint.max_tokens(checkpoint.read_config(source.path)), unit_of(name))
    stays = set(kept)
    inputs = {
        code: [row.ids for row in encoder.encode(found.held_out) if stays.issuperset(row.ids)][:_SAMPLE]
        for code, found in used.items()
    }
    return Selection(kept, vocabulary.size, covered, inputs)


def units_of(name: str) -> tuple[Unit, ...]:
    """How text is cut into words before subwords: a masked LM learns lines as they stand, its later task words."""
    return ("word", "text") if task(name).unit == "token" else (unit_of(name),)


def cut_embeddings(model: "PreTrainedModel", kept: list[int]) -> None:
    """Keep those rows of the word embedding, in that order, and of tied masked-LM heads with their bias.

    ModelError where positions begin behind the padding's id, as in RoBERTa, and that id would change.
    """
    longest = checkpoint.max_tokens(model.config)
    rows, table = torch.tensor(kept), model.get_input_embeddings()
    # A shallow copy keeps its own class and its other parts, but shares the dictionary of its parameters with the
    # table, which stays in use by the copy of the model that --prove compares with: so the copy gets a new one.
    smaller = copy.copy(table)
    smaller._parameters = {"weight": torch.nn.Parameter(table.weight.data[rows])}
    smaller.num_embeddings = len(kept)
    smaller.padding_idx = kept.index(table.padding_idx) if table.padding_idx in kept else None
    model.set_input_embeddings(smaller)
    model.config.vocab_size = len(kept)
    for name in ("pad_token_id", "bos_token_id", "eos_token_id"):
        if getattr(model.config, name, None) in kept:
            setattr(model.config, name, kept.index(getattr(model.config, name)))
    if checkpoint.max_tokens(model.config) != longest:
        hint = "Use a recipe without the trim step: write the other steps into a .yaml file, give it with --recipe."
        raise ModelError("trim: positions begin behind the padding's id here, and that would change", hint)
    head = model.get_output_embeddings()
    if head is not None:
        head.weight, head.out_features = smaller.weight, len(kept)
        _cut_bias(model, head, rows)
    if hasattr(model, "second_head"):
        model.second_head.bias = torch.nn.Parameter(model.second_head.bias.data[rows])


def cover(
    tokenizer: Tokenizer,
    vocabulary: Vocabulary,
    used: Mapping[str, TokenCounts],
    kept: list[int],
    settings: TrimSettings,
) -> dict[str, LanguageCover]:
    """By language: words read, the share of running tokens that is kept, and what becomes of text not seen before.

    Sentences are held out for that: they are judged by the vocabulary that the rest of the text alone would have kept.
    """
    blind = kept_ids(vocabulary, {code: found.without_held_out for code, found in used.items()}, settings)
    after = Tokenizer.from_str(json.dumps(vocabulary.cut(blind)))
    after.no_truncation()
    return {
        code: LanguageCover(
            words=found.words,
            coverage=round(float(found.total[kept].sum() / max(found.total.sum(), 1)), 6),
            held_out=held_out(tokenizer, after, blind, found.held_out, vocabulary.unknown),
        )
        for code, found in used.items()
    }


def held_out(
    before: Tokenizer, after: Tokenizer, kept: Sequence[int], sentences: Sequence[Sentence], unknown: int | None
) -> HeldOut:
    """Tokens per word and the share of unknown tokens with both tokenizers, and how much is cut as before.

    `coverage` is the share of running tokens that are kept, `one_to_one` that of the sentences whose ids stand for the
    same tokens, one to one.
    """
    if not sentences:
        return HeldOut(sentences=0)
    old, new = (
        [
            item.ids
            for item in one.encode_batch(
                [list(words) for words in sentences], is_pretokenized=True, add_special_tokens=False
            )
        ]
        for one in (before, after)
    )
    place = {token: number for number, token in enumerate(kept)}
    same = [[place.get(token) for token in ids] == found for ids, found in zip(old, new, strict=True)]
    words = sum(map(len, sentences))
    running = [token for ids in old for token in ids]
    renewed = [token for ids in new for token in ids]
    lost = None if unknown is None else place.get(unknown)
    return HeldOut(
        sentences=len(sentences),
        coverage=round(sum(token in place for token in running) / max(len(running), 1), 6),
        one_to_one=round(sum(same) / len(same), 4),
        fertility_before=round(len(running) / max(words, 1), 4),
        fertility=round(len(renewed) / max(words, 1), 4),
        unknown_before=round(running.count(unknown) / max(len(running), 1), 6),
        unknown=round(renewed.count(lost) / max(len(renewed), 1), 6),
    )


def _cut_bias(model: "PreTrainedModel", head: torch.nn.Linear, rows: torch.Tensor) -> None:
    """The bias of a masked-LM head, which transformers keeps under two names: the decoder's and that of its owner."""
    if head.bias is None:
        return
    head.bias = torch.nn.Parameter(head.bias.data[rows])
    owners = [part for part in model.modules() if getattr(part, "decoder", None) is head]
    for owner in owners:
        if getattr(owner, "bias", None) is not None:
            owner.bias = head.bias


def _give_back_memory() -> None:
    """Hand what is free back to the system. The C library keeps it otherwise, in small parts; other systems do not."""
    gc.collect()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
