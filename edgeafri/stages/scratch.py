"""scratch: a small untrained XLM-R encoder, with a SentencePiece vocabulary learnt from a labelled corpus.

For the embedded sample and for tests; a real teacher starts from a pretrained encoder.
"""

import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import sentencepiece
import torch
from transformers import XLMRobertaConfig, XLMRobertaModel, XLMRobertaTokenizerFast

from edgeafri.artifact import Artifact
from edgeafri.dataset import languages_in, read_split
from edgeafri.errors import ConfigError
from edgeafri.progress import Tick
from edgeafri.stages.menu import Scratch
from edgeafri.stages.model import parameters, write_model


def run(source: Artifact, settings: Scratch, out: Path, tick: Tick) -> Mapping[str, Any]:
    """Train the vocabulary on the train splits below `source`, draw the weights, save both."""
    if settings.hidden % settings.heads:
        raise ConfigError(
            f"scratch: {settings.heads} heads do not divide the width {settings.hidden}", "Use 1, 2, 4 or 8."
        )
    languages = settings.languages or languages_in(source.path)
    tick(0, 2)
    (out / "sentencepiece.bpe.model").write_bytes(_vocabulary(source.path, languages, settings))
    tick(1, 2)
    tokenizer = XLMRobertaTokenizerFast(
        vocab_file=str(out / "sentencepiece.bpe.model"),
        model_max_length=settings.positions,
        clean_up_tokenization_spaces=False,
    )
    model = _encoder(settings, len(tokenizer))
    write_model(model, tokenizer, out)
    return {"vocabulary": len(tokenizer), "parameters": parameters(model)}


def _vocabulary(root: Path, languages: tuple[str, ...], settings: Scratch) -> bytes:
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=_lines(root, languages),
        model_writer=model,
        vocab_size=settings.vocabulary,
        model_type="unigram",
        character_coverage=1.0,
        hard_vocab_limit=False,
        num_threads=1,
    )
    return model.getvalue()


def _lines(root: Path, languages: tuple[str, ...]) -> Iterator[str]:
    for language in languages:
        for sentence in read_split(root, language, "train").sentences:
            yield " ".join(sentence.words)


def _encoder(settings: Scratch, vocabulary: int) -> XLMRobertaModel:
    torch.manual_seed(settings.seed)
    config = XLMRobertaConfig(
        vocab_size=vocabulary,
        num_hidden_layers=settings.layers,
        hidden_size=settings.hidden,
        num_attention_heads=settings.heads,
        intermediate_size=settings.ffn,
        max_position_embeddings=settings.positions + 2,
        type_vocab_size=1,
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
        architectures=["XLMRobertaModel"],
    )
    return XLMRobertaModel(config)
