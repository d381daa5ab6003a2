"""Makes tiny/: a bundle without a graph and its vectors, small enough to be kept here, from this project's own texts.

    python android-demo/vectors/tiny.py

Run it again when words are split, sub-words chosen or windows cut in another way, and look at what changed.
"""

import io
import json
import shutil
import tempfile
from pathlib import Path

import sentencepiece
from make import write
from tokenizers import Tokenizer

from edgeafri.artifact import Manifest, seal
from edgeafri.bundle import SCHEMA, TOKENIZER, BundleConfig, Frame, Golden, write_config, write_golden
from edgeafri.data.dataset import Sentence
from edgeafri.data.languages import golden
from edgeafri.data.text import split_words
from edgeafri.inference.predict import Encoder
from edgeafri.sample.corpus import LANGUAGES, draw_splits, read_lists
from edgeafri.stages.bundle import normalized_tokenizer
from edgeafri.util.files import Digests

OUT = Path(__file__).parent / "tiny"
LABELS = ("O", *(f"{place}-{kind}" for kind in ("DATE", "PER", "ORG", "LOC") for place in "BI"))
VECTORS = OUT / "vectors.jsonl"
LONGEST = 500  # characters of a text that is kept here; the tests make the longer ones themselves
PIECES = 400
# A table of characters of one's own is 4 kB where SentencePiece's is 320. It holds what its has: wide letters and
# ligatures, spaces, a letter that becomes nothing, a composed letter and its decomposed spelling.
RULES = {
    "\uff21": "A",
    "\uff2b": "K",
    "\ufb01": "fi",
    "\ufb03": "ffi",
    "\u2026": "...",
    "\u00bd": "1\u20442",
    "\u00b2": "2",
    "\u00aa": "a",
    "\u2122": "TM",
    "\u00a0": " ",
    "\u00a8": " \u0308",
    "\u034f": "",
    "\u0149": "\u02bcn",
    "\u017f": "s",
    "\u212b": "\u00c5",
    "A\u030a": "\u00c5",
    "\ufdfa": "\u0635\u0644\u0649 \u0627\u0644\u0644\u0647",
    "\U0001d49c": "A",
}


def main() -> None:
    """Write the bundle and the vectors."""
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir()
    splits = {language: draw_splits(language, read_lists(language)) for language in LANGUAGES}
    texts = [" ".join(sentence.words) for language in LANGUAGES for sentence in splits[language]["train"]]
    texts += [text for language in LANGUAGES for text in golden(language)]
    tokenizer = _tokenizer(texts)
    tokenizer.save(str(OUT / TOKENIZER))
    config = _config()
    write_config(config, OUT)
    encoder = Encoder(tokenizer, config.frame, config.max_tokens)
    items = [_golden(encoder, code, item) for code in LANGUAGES for item in splits[code]["test"][:8]]
    write_golden([*items, _strange(encoder, items[0])], OUT)
    manifest = Manifest("bundle", "ner", LANGUAGES, "bundle", {}, None, {}, {}, {"weight_bits": 8, "share": 1.5e-07})
    with tempfile.TemporaryDirectory() as folder:
        seal(OUT, manifest, Digests(Path(folder) / "digests.json"))
    write(OUT, None, VECTORS)
    lines = VECTORS.read_text("ascii").splitlines(keepends=True)
    VECTORS.write_text("".join(line for line in lines if len(json.loads(line)["text"]) <= LONGEST), "ascii")


def _tokenizer(texts: list[str]) -> Tokenizer:
    """As the stages `scratch` and `bundle` make one, from a SentencePiece model with RULES."""
    from transformers import XLMRobertaTokenizerFast  # seconds, and only now

    with tempfile.TemporaryDirectory() as folder:
        rules, model = Path(folder) / "rules.tsv", Path(folder) / "sentencepiece.bpe.model"
        rules.write_text("".join(f"{_hex(key)}\t{_hex(value)}\n" for key, value in RULES.items()), "utf-8")
        made = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts),
            model_writer=made,
            vocab_size=PIECES,
            model_type="unigram",
            character_coverage=1.0,
            normalization_rule_tsv=str(rules),
            hard_vocab_limit=False,
            num_threads=1,
            minloglevel=2,
        )
        model.write_bytes(made.getvalue())
        XLMRobertaTokenizerFast(vocab_file=str(model)).save_pretrained(folder)
        return normalized_tokenizer(Path(folder))


def _config() -> BundleConfig:
    return BundleConfig(SCHEMA, "ner", LABELS, LANGUAGES, 48, Frame(0, 2, 1), 1, "NFC", True, "1.17")


def _golden(encoder: Encoder, language: str, sentence: Sentence) -> Golden:
    """The sample's own labels stand for a model's."""
    text = " ".join(sentence.words)
    words = [word.text for word in split_words(text)]
    labels = dict(zip(sentence.words, sentence.tags, strict=True))
    ids = encoder.encode([words])[0].ids
    return Golden(language, text, ids, tuple(labels.get(word, "O") for word in words))


def _strange(encoder: Encoder, item: Golden) -> Golden:
    """Labels in an order that no good model gives: an I- after nothing, after an O and after another kind."""
    text = f"{item.text} {item.text}"
    words = [word.text for word in split_words(text)]
    labels = ["I-PER", "I-LOC", "B-LOC", "I-LOC", "I-ORG", "O", "I-DATE", "B-DATE", "B-DATE"]
    ids = encoder.encode([words])[0].ids
    return Golden(item.language, text, ids, tuple(label for label, _ in zip(labels * len(words), words, strict=False)))


def _hex(text: str) -> str:
    return " ".join(f"{ord(letter):X}" for letter in text)


if __name__ == "__main__":
    main()
