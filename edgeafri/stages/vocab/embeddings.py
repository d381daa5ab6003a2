"""embeddings: a tokenizer for a new language, the first values of its word embedding, and their place in a model."""

import copy
import io
import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal, cast

import sentencepiece
import torch
from tokenizers import Tokenizer

from edgeafri.data.languages import alphabet
from edgeafri.errors import ConfigError, ModelError
from edgeafri.stages.vocab.unigram import UnigramModel
from edgeafri.stages.vocab.vocabulary import TokenizerJson, moved

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

_LONGEST = 1 << 20  # bytes of a line that SentencePiece still learns from; it leaves out longer ones in silence
_LARGER = "Use a larger --vocabulary: all single characters of the text must fit."
_PRINTABLE = frozenset(map(chr, range(0x21, 0x7F)))
_IDS = ("pad_token_id", "bos_token_id", "eos_token_id")


def new_tokenizer(
    old: "PreTrainedTokenizerFast", lines: Sequence[str], languages: Iterable[str], size: int
) -> "PreTrainedTokenizerFast":
    """A tokenizer of the old one's kind with at most `size` subwords learnt from text, always the same.

    Normalizer, pre-tokenizer and special tokens are the old one's. The letters of the languages, digits and punctuation
    are in it. Text that has fewer subwords gives fewer. ConfigError when not even the characters fit.
    """
    letters = sorted({sign for code in languages for letter in alphabet(code) for sign in letter} | _PRINTABLE)
    old_fast: TokenizerJson = json.loads(old.backend_tokenizer.to_str())
    if old_fast["model"]["type"] != "Unigram":
        new = old.train_new_from_iterator([lines], size, initial_alphabet=letters)
        if len(new) > size:
            raise ConfigError(f"adapt-mini: no vocabulary of {size} subwords ({len(new)} are the least)", _LARGER)
        return _checked(old, new)
    # The Unigram trainer of tokenizers gives scores that differ from run to run; SentencePiece's does not.
    special = [token["content"] for token in old_fast["added_tokens"] if token["special"]]
    learnt = _unigram([_normal(old, line) for line in lines], letters, size - len(special))
    return _checked(old, _rebuilt(old, old_fast, special, learnt))


def start(
    model: "PreTrainedModel",
    old: "PreTrainedTokenizerFast",
    new: "PreTrainedTokenizerFast",
    how: Literal["random", "overlap", "mean"],
    seed: int,
) -> torch.Tensor:
    """The first word embedding of a new vocabulary, float32 of shape (new subwords, width).

    Special tokens keep their rows. Of the others, "overlap" copies those of equal subwords, and "mean" takes also the
    mean of the rows of the old subwords that a new one is cut into. What is left is drawn with the mean and the
    deviation of the old rows.
    """
    table, known = model.get_input_embeddings().weight.detach(), old.get_vocab()
    drawn = torch.randn(len(new), table.shape[1], generator=torch.Generator().manual_seed(seed))
    rows = drawn * table.std(0) + table.mean(0)
    for token, place in new.get_vocab().items():
        if token in new.all_special_tokens or (token in known and how != "random"):
            rows[place] = table[known[token]]
        elif how == "mean" and (own := _cut(old, new, token)):
            rows[place] = table[own].mean(0)
    return rows


def start_bias(bias: torch.Tensor, old: "PreTrainedTokenizerFast", new: "PreTrainedTokenizerFast") -> torch.Tensor:
    """The first bias of a masked-LM head for a new vocabulary: that of equal subwords, else their mean."""
    known = old.get_vocab()
    values = bias.mean().repeat(len(new))
    for token, place in new.get_vocab().items():
        if token in known:
            values[place] = bias[known[token]]
    return values


def plug(
    model: "PreTrainedModel",
    table: torch.Tensor,
    tokenizer: "PreTrainedTokenizerFast",
    bias: torch.Tensor | None = None,
) -> None:
    """Give a model another vocabulary: word embedding, a masked-LM head's bias, special ids. Changes `model`."""
    model.resize_token_embeddings(len(table), mean_resizing=False)
    with torch.no_grad():
        model.get_input_embeddings().weight.copy_(table)
        if bias is not None:
            model.get_output_embeddings().bias.copy_(bias)
    for name in _IDS:
        setattr(model.config, name, getattr(tokenizer, name))


def check_same(model: "PreTrainedModel", other: "PreTrainedModel", where: str) -> None:
    """ModelError when the second model's embeddings are not those of the first: new ones would not fit its layers."""
    ours, theirs = (part.base_model.embeddings.state_dict() for part in (model, other))
    alike = ours.keys() == theirs.keys() and all(
        value.shape == theirs[name].shape and value.equal(theirs[name]) for name, value in ours.items()
    )
    if not alike:
        hint = "Fine-tune the source itself with its embeddings frozen: edgeafri finetune SOURCE --frozen embeddings."
        raise ModelError(f"{where}: its embeddings are not those of the source", hint)


def _unigram(lines: Sequence[str], letters: Sequence[str], size: int) -> list[tuple[str, float]]:
    """Tokens with their scores, the best first."""
    learnt = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines),
            model_writer=learnt,
            vocab_size=size + 3,  # with its own <unk>, <s> and </s>
            model_type="unigram",
            character_coverage=1.0,
            required_chars="".join(letters),
            normalization_rule_name="identity",
            max_sentence_length=_LONGEST,
            hard_vocab_limit=False,
            num_threads=1,
            minloglevel=2,
        )
    except RuntimeError as error:
        raise ConfigError(f"adapt-mini: no vocabulary of {size} subwords ({_last(error)})", _LARGER) from None
    found = sentencepiece.SentencePieceProcessor(model_proto=learnt.getvalue())
    normal = [place for place in range(len(found)) if not (found.IsControl(place) or found.IsUnknown(place))]
    return [(found.IdToPiece(place), found.GetScore(place)) for place in normal]


def _rebuilt(
    old: "PreTrainedTokenizerFast", fast: TokenizerJson, special: Sequence[str], learnt: Sequence[tuple[str, float]]
) -> "PreTrainedTokenizerFast":
    """The old tokenizer with another vocabulary: special tokens first, then the learnt ones."""
    ids = {token: place for place, token in enumerate(special)}
    vocabulary = [*((token, 0.0) for token in special), *(item for item in learnt if item[0] not in ids)]
    model = cast("UnigramModel", fast["model"])
    unknown = model["vocab"][model["unk_id"] or 0][0]
    new_ids = {token["id"]: ids[token["content"]] for token in fast["added_tokens"] if token["special"]}
    changed = {
        **fast,
        "added_tokens": [{**token, "id": ids[token["content"]]} for token in fast["added_tokens"] if token["special"]],
        "model": {**model, "vocab": vocabulary, "unk_id": ids[unknown]},
        "post_processor": moved(fast["post_processor"], new_ids),
    }
    new = copy.deepcopy(old)
    # transformers has no public way to give a fast tokenizer another backend, and a new one would lose old settings.
    new._tokenizer = Tokenizer.from_str(json.dumps(changed))
    new.vocab_file = None  # the old SentencePiece model is not written beside it
    return new


def _normal(old: "PreTrainedTokenizerFast", line: str) -> str:
    normalizer = old.backend_tokenizer.normalizer
    return line if normalizer is None else str(normalizer.normalize_str(line))


def _checked(old: "PreTrainedTokenizerFast", new: "PreTrainedTokenizerFast") -> "PreTrainedTokenizerFast":
    """The new tokenizer. Positions count from the padding's id, so that must stay."""
    if new.pad_token_id != old.pad_token_id:
        hint = "Use a model whose padding token is among the first of its vocabulary, as XLM-R's and BERT's are."
        raise ModelError(f"the new padding id would be {new.pad_token_id}, not {old.pad_token_id}", hint)
    return new


def _cut(old: "PreTrainedTokenizerFast", new: "PreTrainedTokenizerFast", token: str) -> list[int]:
    """The old subwords that a new one is cut into, unknown ones left out."""
    text = new.convert_tokens_to_string([token]).strip()
    ids = old(text, add_special_tokens=False)["input_ids"] if text else []
    return [place for place in ids if place != old.unk_token_id]


def _last(error: BaseException) -> str:
    return (str(error).strip().splitlines() or ["?"])[-1].strip()
