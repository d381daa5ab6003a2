"""scratch: make a small untrained XLM-R encoder, with a SentencePiece vocabulary learnt from raw or labelled text.

It is for the embedded sample, for tests, and for what adapt-maft pretrains; a real teacher starts from a published
encoder.
"""

import io
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import sentencepiece
import torch
from transformers import XLMRobertaConfig, XLMRobertaModel, XLMRobertaTokenizerFast

from edgeafri.artifact import Artifact
from edgeafri.data.dataset import languages_in, read_split
from edgeafri.errors import ConfigError
from edgeafri.menu.facts.training import ScratchFacts
from edgeafri.menu.settings import ScratchSettings
from edgeafri.stages.models.checkpoint import parameters, write_model
from edgeafri.stages.training.examples import lines_of, raw_files
from edgeafri.util.progress import Progress

_LONGEST = 1 << 20  # bytes of a line that SentencePiece still learns from; it leaves out longer ones without a word


def run(source: Artifact, settings: ScratchSettings, out: Path, progress: Progress) -> ScratchFacts:
    """Train the vocabulary on the text in `source`, draw the weights, save both.

    The text is raw text, LANG.txt, if there is such a file for one of the languages; else the text of LANG/train.
    """
    if settings.hidden % settings.heads:
        raise ConfigError(
            f"scratch: {settings.heads} heads do not divide the width {settings.hidden}", "Use 1, 2, 4 or 8."
        )
    lines = _lines(source.path, settings)
    progress(0, 2)
    (out / "sentencepiece.bpe.model").write_bytes(_vocabulary(lines, settings))
    progress(1, 2)
    tokenizer = XLMRobertaTokenizerFast(
        vocab_file=str(out / "sentencepiece.bpe.model"),
        model_max_length=settings.positions,
        clean_up_tokenization_spaces=False,
    )
    model = _encoder(settings, len(tokenizer))
    write_model(model, tokenizer, out)
    return ScratchFacts(vocabulary=len(tokenizer), parameters=parameters(model))


def _vocabulary(lines: Iterator[str], settings: ScratchSettings) -> bytes:
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=lines,
        model_writer=model,
        vocab_size=settings.vocabulary,
        model_type="unigram",
        character_coverage=1.0,
        max_sentence_length=_LONGEST,
        hard_vocab_limit=False,
        num_threads=1,
    )
    return model.getvalue()


def _lines(root: Path, settings: ScratchSettings) -> Iterator[str]:
    languages = settings.languages
    if any((root / f"{language}.txt").is_file() for language in languages):
        for language, path in raw_files(root, languages).items():
            yield from lines_of(path, language, settings.lines, Counter())
        return
    for language in languages or languages_in(root):
        for sentence in read_split(root, language, "train").sentences:
            yield " ".join(sentence.words)


def _encoder(settings: ScratchSettings, vocabulary: int) -> XLMRobertaModel:
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
