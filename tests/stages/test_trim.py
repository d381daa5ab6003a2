"""trim: which pieces stay, and that text made of them keeps its ids, one to one, and its logits."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import transformers

from edgeafri.errors import DataError, ModelError
from edgeafri.progress import silent
from edgeafri.stages import model as door
from edgeafri.stages import scratch, trim
from edgeafri.stages.menu import Scratch, Trim
from edgeafri.stages.trim import cut_embeddings, cut_fast, kept_ids

SWAHILI = ["Wavuvi wa Lamu walirudi jioni", "Mwalimu Zawadi anafundisha hisabati", "Bei ya mahindi imepanda tena"]
OTHERS = ["Ɗalibai sun taru a ƙofar gidan sarki", "አበበ ወደ ጎንደር ሄደ ዛሬ ጠዋት", "Qoxy vujik blerth zumqa wexil"]
KEPT_TEXT = "Zawadi walirudi Lamu jioni tena , 12 % ?"


def fast_of(*pieces):
    """tokenizer.json of a Unigram model: XLM-R's special tokens, then (piece, score)."""
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    added = [{"id": number, "content": token} for number, token in enumerate(special)]
    vocabulary = [[token, 0.0] for token in special] + [list(piece) for piece in pieces]
    return {
        "model": {"type": "Unigram", "unk_id": 3, "vocab": vocabulary},
        "added_tokens": added,
        "post_processor": None,
    }


def write_split(root, language, name, sentences):
    (root / language).mkdir(parents=True, exist_ok=True)
    blocks = ["".join(f"{word} O\n" for word in sentence.split()) for sentence in sentences]
    (root / language / f"{name}.txt").write_text("\n".join(blocks), "utf-8")


@pytest.fixture(scope="module")
def wide(tmp_path_factory, as_artifact):
    """A teacher whose vocabulary covers three languages and an invented one."""
    root, folder = tmp_path_factory.mktemp("corpus"), tmp_path_factory.mktemp("wide")
    for language, sentences in (("swa", SWAHILI), ("hau", OTHERS[:1]), ("amh", OTHERS[1:2]), ("lin", OTHERS[2:])):
        write_split(root, language, "train", sentences * 6)
    settings = Scratch(vocabulary=400, layers=1, hidden=16, heads=2, ffn=32, positions=64)
    scratch.run(as_artifact(root, "corpus"), settings, folder, silent)
    torch.manual_seed(0)
    model = door.read_model(folder, "XLMRobertaForTokenClassification", new_head=True, num_labels=5)
    door.write_model(model, door.read_tokenizer(folder), folder)
    return as_artifact(folder, "torch")


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """Swahili in train and dev; a test split that cannot even be decoded."""
    root = tmp_path_factory.mktemp("labelled")
    write_split(root, "swa", "train", SWAHILI[:2])
    write_split(root, "swa", "dev", SWAHILI[2:])
    (root / "swa" / "test.txt").write_bytes(b"\xff\xfe not UTF-8, and not to be read")
    return root


@pytest.fixture(scope="module")
def trimmed(wide, labelled, tmp_path_factory):
    """`wide`, cut to what the Swahili sentences use."""
    folder = tmp_path_factory.mktemp("trimmed")
    facts = trim.run(wide, Trim(("swa",), data=labelled, keep="corpus"), folder, silent)
    return folder, facts


@pytest.fixture(scope="module")
def tokenizers(wide, trimmed):
    """The tokenizer before and after."""
    return door.read_tokenizer(wide.path), door.read_tokenizer(trimmed[0])


def test_kept_ids_are_ordered_and_hold_what_must_stay():
    """
    Used pieces, special tokens, alphabet letters, signs and the lowest score, in their old order.
    """
    fast = fast_of(("▁", -1), ("kitu", -9), ("▁ɗ", -3), ("kaza", -4), (";", -5), ("zz", -99), ("ŋ", -6))
    kept = kept_ids(fast, [7], Trim(("hau",), keep="corpus"))

    assert kept == [0, 1, 2, 3, 4, 6, 7, 8, 9]


def test_scripts_keeps_every_piece_of_the_languages_scripts():
    """
    Latin pieces, digits and signs for Swahili; neither Ge'ez nor Cyrillic, nor a piece that mixes.
    """
    fast = fast_of(("kitu", -1), ("▁12", -2), ("ጤና", -3), ("мир", -4), ("aጤ", -5), ("ŋwá", -6), ("…%", -7), ("ጤ", -99))
    kept = kept_ids(fast, [], Trim(("swa",), keep="scripts"))

    assert kept == [0, 1, 2, 3, 4, 5, 9, 10, 11]


def test_scripts_serves_every_language():
    """
    With Amharic beside Swahili both scripts stay.
    """
    fast = fast_of(("kitu", -1), ("ጤና", -3), ("мир", -4), ("aጤ", -5), ("z", -99))

    assert kept_ids(fast, [], Trim(("swa", "amh"), keep="scripts")) == [0, 1, 2, 3, 4, 5, 7, 8]


def test_auto_is_corpus_with_raw_text_and_scripts_without(tmp_path):
    """
    Labelled data alone is too little to say what a language never uses.
    """
    fast = fast_of(("kitu", -1), ("a", -99))

    assert 4 not in kept_ids(fast, [], Trim(("swa",), text=tmp_path))
    assert 4 in kept_ids(fast, [], Trim(("swa",), data=tmp_path))


def test_ids_map_one_to_one(tokenizers, trimmed):
    """
    Text whose pieces are all kept is cut into the same pieces, an unknown character among them.
    """
    before, after = tokenizers
    for text in [*SWAHILI, KEPT_TEXT, "Zawadi 漢 Lamu"]:
        pieces = before.convert_ids_to_tokens(before(text)["input_ids"])
        assert after.convert_ids_to_tokens(after(text)["input_ids"]) == pieces
    assert len(after) == trimmed[1]["vocabulary"] < len(before)


def test_logits_of_kept_text_are_equal(wide, trimmed, tokenizers):
    """
    The same rows of the same numbers; 1e-6 would be a sum in another order.
    """
    models = (door.read_model(wide.path), door.read_model(trimmed[0]))
    inputs = [np.array([tokenizer(KEPT_TEXT)["input_ids"]]) for tokenizer in tokenizers]
    logits = [door.forward(model)(ids, np.ones_like(ids)) for model, ids in zip(models, inputs, strict=True)]

    assert inputs[0].tolist() != inputs[1].tolist()
    assert np.abs(logits[0] - logits[1]).max() <= 1e-6


def test_facts_count_what_went(wide, trimmed):
    """
    Every piece dropped is one row of the embedding.
    """
    folder, facts = trimmed
    dropped = facts["vocabulary_before"] - facts["vocabulary"]

    assert facts["parameters_before"] - facts["parameters"] == 16 * dropped > 0
    assert facts["words_counted"] == {"swa": sum(len(sentence.split()) for sentence in SWAHILI)}
    assert door.read_config(folder)["vocab_size"] == facts["vocabulary"]


def test_fast_and_slow_files_agree_id_by_id(trimmed):
    """
    tokenizer.json, the SentencePiece model and tokenizer_config.json name the same token at every id.
    """
    folder, facts = trimmed
    fast = transformers.AutoTokenizer.from_pretrained(folder, use_fast=True)
    slow = transformers.AutoTokenizer.from_pretrained(folder, use_fast=False)
    ids = range(facts["vocabulary"])
    config = json.loads((folder / "tokenizer_config.json").read_text("utf-8"))

    assert not slow.is_fast
    assert len(fast) == len(slow) == len(ids)
    assert fast.convert_ids_to_tokens(ids) == slow.convert_ids_to_tokens(ids)
    assert fast(KEPT_TEXT)["input_ids"] == slow(KEPT_TEXT)["input_ids"]
    for number, token in config["added_tokens_decoder"].items():
        assert fast.convert_ids_to_tokens(int(number)) == token["content"]


def test_special_tokens_keep_their_meaning(tokenizers):
    """
    The mask moved to the new end; start, end, padding and unknown stayed.
    """
    before, after = tokenizers

    assert after.mask_token_id == len(after) - 1 != before.mask_token_id
    assert (after.cls_token_id, after.pad_token_id, after.sep_token_id, after.unk_token_id) == (0, 1, 2, 3)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            {"type": "RobertaProcessing", "sep": ["[end]", 5], "cls": ["<s>", 0], "trim_offsets": True},
            {"type": "RobertaProcessing", "sep": ["[end]", 4], "cls": ["<s>", 0], "trim_offsets": True},
        ),
        (
            {"type": "TemplateProcessing", "special_tokens": {"[end]": {"id": "[end]", "ids": [5]}}},
            {"type": "TemplateProcessing", "special_tokens": {"[end]": {"id": "[end]", "ids": [4]}}},
        ),
    ],
)
def test_the_post_processor_moves_with_its_tokens(before, after):
    """
    Both of the forms that tokenizer.json writes.
    """
    fast = {**fast_of(("a", -1), ("[end]", 0)), "post_processor": before}

    assert cut_fast(fast, [0, 1, 2, 3, 5])["post_processor"] == after


def test_a_tied_head_is_cut_with_the_embedding():
    """
    A masked-LM model predicts the kept pieces as before.
    """
    config = transformers.XLMRobertaConfig(
        vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, pad_token_id=1
    )
    torch.manual_seed(0)
    model = transformers.XLMRobertaForMaskedLM(config).eval()
    model.lm_head.bias.data = torch.arange(20.0)
    kept = [0, 1, 2, 3, 7, 11, 19]
    before = door.forward(model)(np.array([[0, 7, 11, 19, 2]]), np.ones((1, 5), dtype=np.int64))
    cut_embeddings(model, kept)
    after = door.forward(model)(np.array([[0, 4, 5, 6, 2]]), np.ones((1, 5), dtype=np.int64))

    assert after.shape == (1, 5, 7)
    assert np.abs(after - before[..., kept]).max() <= 1e-6


def test_raw_text_counts_and_test_does_not(wide, labelled, tmp_path):
    """
    A piece used only in raw text stays. The test split is not decodable, so reading it would have failed.
    """
    (tmp_path / "swa.txt").write_text("ƙofar\n", "utf-8")
    trim.run(wide, Trim(("swa",), data=labelled, text=tmp_path), tmp_path, silent)
    before, after = door.read_tokenizer(wide.path).get_vocab(), door.read_tokenizer(tmp_path).get_vocab()

    assert {"ƙ", "Ɗ", "ጎ"} <= {letter for piece in before for letter in piece}
    assert {"ƙ", "Ɗ", "ጎ"} & {letter for piece in after for letter in piece} == {"ƙ"}


def test_progress_is_told(wide, labelled, tmp_path):
    """
    It ends at the number of distinct words.
    """
    ticks = []
    trim.run(wide, Trim(("swa",), data=labelled), tmp_path, lambda *tick: ticks.append(tick))

    assert ticks[-1] == (len({word for sentence in SWAHILI for word in sentence.split()}),) * 2


def test_no_text_is_refused(wide, tmp_path):
    """
    Without a corpus nothing can be told apart.
    """
    with pytest.raises(DataError) as caught:
        trim.run(wide, Trim(("swa",)), tmp_path, silent)
    assert caught.value.message == "trim: no text for 'swa'"
    assert "--data DIR" in caught.value.hint


def test_wordpiece_is_refused(as_artifact, labelled, tmp_path):
    """
    BERT's vocabulary is cut by other rules; the way out is a recipe without trim.
    """
    (tmp_path / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "lamu"]), "utf-8")
    config = transformers.BertConfig(
        vocab_size=6, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    tokenizer = transformers.BertTokenizerFast(str(tmp_path / "vocab.txt"))
    door.write_model(transformers.BertForTokenClassification(config), tokenizer, tmp_path)

    with pytest.raises(ModelError) as caught:
        trim.run(as_artifact(tmp_path, "torch"), Trim(("swa",), data=labelled), tmp_path, silent)
    assert caught.value.message.endswith("trim reads Unigram (SentencePiece) vocabularies, this one is WordPiece")
    assert "recipe without the trim step" in caught.value.hint


def test_tokens_that_a_user_added_stay(wide, labelled, as_artifact, tmp_path):
    """
    add_tokens() numbers them behind the last piece; they have a row in the embedding like any other.
    """
    model, tokenizer = door.read_model(wide.path), door.read_tokenizer(wide.path)
    tokenizer.add_tokens(["<hashtag>"])
    model.resize_token_embeddings(len(tokenizer))
    door.write_model(model, tokenizer, tmp_path / "grown")
    (tmp_path / "out").mkdir()
    settings = Trim(("swa",), data=labelled, keep="corpus")
    trim.run(as_artifact(tmp_path / "grown", "torch"), settings, tmp_path / "out", silent)

    assert "<hashtag>" in door.read_tokenizer(tmp_path / "out").tokenize("Lamu <hashtag> jioni")


def test_words_of_texts_are_those_between_spaces(wide, as_artifact, tmp_path):
    """
    A classifier of texts reads "jioni," as it stands, with no piece for a comma after a space. Test is never read.
    """
    (tmp_path / "data" / "swa").mkdir(parents=True)
    for split, text in {"train": "Wavuvi wa Lamu", "dev": "Mwalimu Zawadi"}.items():
        (tmp_path / "data" / "swa" / f"{split}.tsv").write_text(f"tweet\tlabel\n{text}\tneutral\n", "utf-8")
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "swa.txt").write_text("walirudi jioni, tena\n", "utf-8")
    settings = Trim(("swa",), data=tmp_path / "data", text=tmp_path / "raw")
    counted = {}
    for task in ("ner", "topic"):
        (tmp_path / task).mkdir()
        kept = settings if task == "topic" else replace(settings, data=None)
        source = as_artifact(wide.path, "torch", task)
        counted[task] = trim.run(source, kept, tmp_path / task, silent)["words_counted"]["swa"]

    assert counted == {"ner": 4, "topic": 3 + 3 + 2}
