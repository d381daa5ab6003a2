"""scratch: a small encoder and its vocabulary from a corpus, the same again for the same seed."""

import shutil

import pytest
from safetensors.torch import load_file

from edgeafri.errors import ConfigError, DataError
from edgeafri.menu.settings import ScratchSettings
from edgeafri.stages import scratch
from edgeafri.stages.models import checkpoint
from edgeafri.util.progress import silent

SMALL = {"vocabulary": 200, "layers": 1, "hidden": 16, "heads": 2, "ffn": 32, "positions": 32}


@pytest.fixture
def corpus(data, as_artifact):
    return as_artifact(data, "corpus")


def test_the_encoder_has_the_asked_shape(corpus, tmp_path):
    """
    Layers, widths and positions are the settings'; the facts count what is there.
    """
    facts = scratch.run(corpus, ScratchSettings(**SMALL), tmp_path, silent).to_json()
    config = checkpoint.read_config(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")

    assert (config["num_hidden_layers"], config["hidden_size"], config["intermediate_size"]) == (1, 16, 32)
    assert checkpoint.max_tokens(config) == 32
    assert facts["vocabulary"] == len(weights["embeddings.word_embeddings.weight"]) == config["vocab_size"]
    assert facts["parameters"] == sum(weight.numel() for weight in weights.values())


def test_the_vocabulary_covers_the_corpus(corpus, tmp_path):
    """
    No letter of the training words is unknown, the hooked ones included.
    """
    scratch.run(corpus, ScratchSettings(**SMALL), tmp_path, silent)
    tokenizer = checkpoint.read_tokenizer(tmp_path)

    assert tokenizer.unk_token_id not in tokenizer("Gwamna Bala Ɗanjuma Mombasa Jumatatu")["input_ids"]


def test_only_the_asked_languages_are_read(corpus, tmp_path):
    """
    A letter that only the other language has is unknown.
    """
    scratch.run(corpus, ScratchSettings(("swa",), **SMALL), tmp_path, silent)
    tokenizer = checkpoint.read_tokenizer(tmp_path)

    assert tokenizer.unk_token_id in tokenizer("Ɗanjuma")["input_ids"]
    assert tokenizer.unk_token_id not in tokenizer("Mombasa")["input_ids"]


def test_a_seed_is_a_model(corpus, tmp_path):
    """
    Equal seeds give equal files, another seed other weights on the same vocabulary.
    """
    for name, seed in (("one", 1), ("again", 1), ("two", 2)):
        (tmp_path / name).mkdir()
        scratch.run(corpus, ScratchSettings(**SMALL, seed=seed), tmp_path / name, silent)
    weights = {name: (tmp_path / name / "model.safetensors").read_bytes() for name in ("one", "again", "two")}
    pieces = {(tmp_path / name / "sentencepiece.bpe.model").read_bytes() for name in weights}

    assert weights["one"] == weights["again"] != weights["two"]
    assert len(pieces) == 1


def test_raw_text_will_do(text, as_artifact, tmp_path):
    """
    Of the languages that are named; lines of numbers teach nothing.
    """
    root, out = shutil.copytree(text, tmp_path / "text"), tmp_path / "out"
    out.mkdir()
    with (root / "swa.txt").open("a", encoding="utf-8") as file:
        file.write("\n£ 12\n")
    scratch.run(as_artifact(root, "corpus"), ScratchSettings(("swa",), **SMALL), out, silent)
    tokenizer = checkpoint.read_tokenizer(out)

    assert tokenizer.unk_token_id not in tokenizer("Watoto walicheza Mombasa")["input_ids"]
    assert tokenizer.unk_token_id in tokenizer("Ɗanjuma")["input_ids"]
    assert tokenizer.unk_token_id in tokenizer("£")["input_ids"]


def test_raw_text_in_another_script_is_refused(text, as_artifact, tmp_path):
    """
    A vocabulary would be of the wrong letters.
    """
    root = shutil.copytree(text, tmp_path / "text")
    (root / "swa.txt").rename(root / "amh.txt")
    with pytest.raises(DataError, match=r"amh\.txt:1: Amharic \(amh\) is written in Ethiopic script"):
        scratch.run(as_artifact(root, "corpus"), ScratchSettings(("amh",), **SMALL), tmp_path, silent)


def test_raw_text_is_read_as_far_as_asked(text, as_artifact, tmp_path):
    """
    Lines are taken at equal distances; a letter that stands in none of them is unknown.
    """
    root = shutil.copytree(text, tmp_path / "text")
    with (root / "hau.txt").open("a", encoding="utf-8") as file:
        file.write("\nŋ yara\n")
    scratch.run(as_artifact(root, "corpus"), ScratchSettings(("hau",), lines=2, **SMALL), tmp_path, silent)
    tokenizer = checkpoint.read_tokenizer(tmp_path)

    assert tokenizer.unk_token_id in tokenizer("ŋ")["input_ids"]
    assert tokenizer.unk_token_id not in tokenizer("Gwamna")["input_ids"]


def test_heads_must_divide_the_width(corpus, tmp_path):
    """
    The message has both numbers.
    """
    with pytest.raises(ConfigError) as caught:
        scratch.run(corpus, ScratchSettings(**{**SMALL, "heads": 3}), tmp_path, silent)
    assert caught.value.message == "scratch: 3 heads do not divide the width 16"
    assert caught.value.hint == "Use 1, 2, 4 or 8."


def test_a_missing_language_is_named(corpus, tmp_path):
    """
    Before any vocabulary is learnt.
    """
    with pytest.raises(DataError, match="yor: no such language folder"):
        scratch.run(corpus, ScratchSettings(("yor",), **SMALL), tmp_path, silent)


def test_a_missing_language_of_raw_text_is_named(text, as_artifact, tmp_path):
    """
    As a file, not as a folder.
    """
    with pytest.raises(DataError, match=r"yor\.txt: no such file"):
        scratch.run(as_artifact(text, "corpus"), ScratchSettings(("swa", "yor"), **SMALL), tmp_path, silent)


def test_long_lines_are_learnt_from(tmp_path, as_artifact):
    """
    A line of more than 4,192 bytes, which SentencePiece leaves out unless it is told, has a letter of its own.
    """
    lines = ["Rais Amina alizuru Mombasa", "Watoto walicheza ŋ " * 400]
    (tmp_path / "swa.txt").write_text("\n".join(lines), "utf-8")
    (tmp_path / "out").mkdir()
    scratch.run(as_artifact(tmp_path, "corpus"), ScratchSettings(("swa",), **SMALL), tmp_path / "out", silent)
    tokenizer = checkpoint.read_tokenizer(tmp_path / "out")

    assert tokenizer.unk_token_id not in tokenizer("ŋ")["input_ids"]
