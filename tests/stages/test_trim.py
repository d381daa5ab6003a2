"""trim: which pieces stay, and that text made of them keeps its ids, one to one, and its logits."""

import json
from dataclasses import replace

import numpy as np
import pytest
import tokenizers
import torch
import transformers

from edgeafri.errors import DataError, ModelError
from edgeafri.menu.facts.conversion import HeldOut
from edgeafri.menu.settings import ScratchSettings, TrimSettings
from edgeafri.stages import scratch, trim
from edgeafri.stages.models import checkpoint
from edgeafri.stages.training import second_head
from edgeafri.stages.trim import cut_embeddings, held_out
from edgeafri.stages.vocab.equivalence import check_equivalence
from edgeafri.util.progress import silent

SWAHILI = ["Wavuvi wa Lamu walirudi jioni", "Mwalimu Zawadi anafundisha hisabati", "Bei ya mahindi imepanda tena"]
OTHERS = ["Ɗalibai sun taru a ƙofar gidan sarki", "አበበ ወደ ጎንደር ሄደ ዛሬ ጠዋት", "Qoxy vujik blerth zumqa wexil"]
KEPT_TEXT = "Zawadi walirudi Lamu jioni tena , 12 % ?"


def write_bert(folder):
    tokenizer = tokenizers.BertWordPieceTokenizer(strip_accents=False, lowercase=False)
    tokenizer.train_from_iterator(SWAHILI + OTHERS, vocab_size=300, min_frequency=1, show_progress=False)
    tokenizer.save_model(str(folder))
    config = transformers.BertConfig(tokenizer.get_vocab_size(), 8, 1, 2, 16, num_labels=3)
    fast = transformers.BertTokenizerFast(str(folder / "vocab.txt"), do_lower_case=False, strip_accents=False)
    checkpoint.write_model(transformers.BertForTokenClassification(config), fast, folder)


def write_roberta(folder):
    tokenizer = tokenizers.ByteLevelBPETokenizer(add_prefix_space=True)
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    tokenizer.train_from_iterator(SWAHILI + OTHERS, 400, min_frequency=1, special_tokens=special, show_progress=False)
    tokenizer.save_model(str(folder))
    config = transformers.RobertaConfig(tokenizer.get_vocab_size(), 8, 1, 2, 16, max_position_embeddings=66)
    files = (str(folder / "vocab.json"), str(folder / "merges.txt"))
    fast = transformers.RobertaTokenizerFast(*files, add_prefix_space=True)
    checkpoint.write_model(transformers.RobertaForTokenClassification(config), fast, folder)


makers = {"bert": write_bert, "roberta": write_roberta}


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
    settings = ScratchSettings(vocabulary=400, layers=1, hidden=16, heads=2, ffn=32, positions=64)
    scratch.run(as_artifact(root, "corpus"), settings, folder, silent)
    torch.manual_seed(0)
    model = checkpoint.read_model(folder, "XLMRobertaForTokenClassification", new_head=True, config={"num_labels": 5})
    checkpoint.write_model(model, checkpoint.read_tokenizer(folder), folder)
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
    facts = trim.run(wide, TrimSettings(("swa",), data=labelled, keep="corpus"), folder, silent)
    return folder, facts


@pytest.fixture(scope="module")
def both(wide, trimmed):
    """The tokenizer before and after."""
    return checkpoint.read_tokenizer(wide.path), checkpoint.read_tokenizer(trimmed[0])


def test_ids_map_one_to_one(both, trimmed):
    """
    Text whose pieces are all kept is cut into the same pieces, an unknown character among them.
    """
    before, after = both
    for text in [*SWAHILI, KEPT_TEXT, "Zawadi 漢 Lamu"]:
        pieces = before.convert_ids_to_tokens(before(text)["input_ids"])
        assert after.convert_ids_to_tokens(after(text)["input_ids"]) == pieces
    assert len(after) == trimmed[1].vocabulary < len(before)


def test_logits_of_kept_text_are_equal(wide, trimmed, both):
    """
    The same rows of the same numbers; 1e-6 would be a sum in another order.
    """
    models = (checkpoint.read_model(wide.path), checkpoint.read_model(trimmed[0]))
    inputs = [np.array([tokenizer(KEPT_TEXT)["input_ids"]]) for tokenizer in both]
    logits = [checkpoint.forward(model)(ids, np.ones_like(ids)) for model, ids in zip(models, inputs, strict=True)]

    assert inputs[0].tolist() != inputs[1].tolist()
    assert np.abs(logits[0] - logits[1]).max() <= 1e-6


def test_facts_count_what_went(wide, trimmed):
    """
    Every piece dropped is one row of the embedding.
    """
    folder, facts = trimmed
    dropped = facts.vocabulary_before - facts.vocabulary

    assert facts.parameters_before - facts.parameters == 16 * dropped > 0
    assert facts.languages["swa"].words == sum(len(sentence.split()) for sentence in SWAHILI)
    assert checkpoint.read_config(folder)["vocab_size"] == facts.vocabulary


def test_fast_and_slow_files_agree_id_by_id(trimmed):
    """
    tokenizer.json, the SentencePiece model and tokenizer_config.json name the same token at every id.
    """
    folder, facts = trimmed
    fast = transformers.AutoTokenizer.from_pretrained(folder, use_fast=True)
    slow = transformers.AutoTokenizer.from_pretrained(folder, use_fast=False)
    ids = range(facts.vocabulary)
    config = json.loads((folder / "tokenizer_config.json").read_text("utf-8"))

    assert not slow.is_fast
    assert len(fast) == len(slow) == len(ids)
    assert fast.convert_ids_to_tokens(ids) == slow.convert_ids_to_tokens(ids)
    assert fast(KEPT_TEXT)["input_ids"] == slow(KEPT_TEXT)["input_ids"]
    for number, token in config["added_tokens_decoder"].items():
        assert fast.convert_ids_to_tokens(int(number)) == token["content"]


def test_special_tokens_keep_their_meaning(both):
    """
    The mask moved to the new end; start, end, padding and unknown stayed.
    """
    before, after = both

    assert after.mask_token_id == len(after) - 1 != before.mask_token_id
    assert (after.cls_token_id, after.pad_token_id, after.sep_token_id, after.unk_token_id) == (0, 1, 2, 3)


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
    before = checkpoint.forward(model)(np.array([[0, 7, 11, 19, 2]]), np.ones((1, 5), dtype=np.int64))
    cut_embeddings(model, kept)
    after = checkpoint.forward(model)(np.array([[0, 4, 5, 6, 2]]), np.ones((1, 5), dtype=np.int64))

    assert after.shape == (1, 5, 7)
    assert np.abs(after - before[..., kept]).max() <= 1e-6


def test_padding_that_would_move_the_positions_is_refused():
    """
    RoBERTa's positions begin behind the padding's id: with another, every place would be another.
    """
    config = transformers.XLMRobertaConfig(
        vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, pad_token_id=6
    )
    model = transformers.XLMRobertaForTokenClassification(config)

    with pytest.raises(ModelError, match="trim: positions begin behind the padding's id here"):
        cut_embeddings(model, [0, 2, 6, 7])


def test_raw_text_counts_and_test_does_not(wide, labelled, tmp_path):
    """
    A piece used only in raw text stays. The test split is not decodable, so reading it would have failed.
    """
    (tmp_path / "swa.txt").write_text("ƙofar\n", "utf-8")
    trim.run(wide, TrimSettings(("swa",), data=labelled, text=tmp_path), tmp_path, silent)
    before, after = checkpoint.read_tokenizer(wide.path).get_vocab(), checkpoint.read_tokenizer(tmp_path).get_vocab()

    assert {"ƙ", "Ɗ", "ጎ"} <= {letter for piece in before for letter in piece}
    assert {"ƙ", "Ɗ", "ጎ"} & {letter for piece in after for letter in piece} == {"ƙ"}


def test_progress_is_told(wide, labelled, tmp_path):
    """
    Language by language.
    """
    ticks = []
    trim.run(wide, TrimSettings(("swa",), data=labelled), tmp_path, lambda *progress: ticks.append(progress))

    assert ticks == [(0, 1), (1, 1)]


def test_no_text_is_refused(wide, tmp_path):
    """
    Without a corpus nothing can be told apart.
    """
    with pytest.raises(DataError) as caught:
        trim.run(wide, TrimSettings(("swa",)), tmp_path, silent)
    assert caught.value.message == "trim: no text for 'swa'"
    assert "--data DIR" in caught.value.hint


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_other_kinds_of_vocabulary_are_cut_too(family, as_artifact, labelled, tmp_path):
    """
    WordPiece and byte-level BPE: fewer rows, the same labels' logits, the same ids fast and slow.
    """
    source, out = tmp_path / "source", tmp_path / "out"
    source.mkdir()
    out.mkdir()
    makers[family](source)
    settings = TrimSettings(("swa",), data=labelled, keep="corpus", prove=True)
    facts = trim.run(as_artifact(source, "torch"), settings, out, silent)
    fast, slow = (transformers.AutoTokenizer.from_pretrained(out, use_fast=kind) for kind in (True, False))
    words = SWAHILI[0].split()

    assert facts.vocabulary < facts.vocabulary_before
    assert facts.proof.languages["swa"].inputs == 1
    assert fast(words, is_split_into_words=True)["input_ids"] == slow(words, is_split_into_words=True)["input_ids"]
    assert len(fast) == checkpoint.read_model(out).get_input_embeddings().num_embeddings


def test_tokens_that_a_user_added_stay(wide, labelled, as_artifact, tmp_path):
    """
    add_tokens() numbers them behind the last piece; they have a row in the embedding like any other.
    """
    model, tokenizer = checkpoint.read_model(wide.path), checkpoint.read_tokenizer(wide.path)
    tokenizer.add_tokens(["<hashtag>"])
    model.resize_token_embeddings(len(tokenizer))
    checkpoint.write_model(model, tokenizer, tmp_path / "grown")
    (tmp_path / "out").mkdir()
    settings = TrimSettings(("swa",), data=labelled, keep="corpus")
    trim.run(as_artifact(tmp_path / "grown", "torch"), settings, tmp_path / "out", silent)

    assert "<hashtag>" in checkpoint.read_tokenizer(tmp_path / "out").tokenize("Lamu <hashtag> jioni")


def test_an_embedding_without_a_row_for_every_token_is_refused(wide, labelled, as_artifact, tmp_path):
    """
    add_tokens() without resize_token_embeddings(): such a model cannot read its own tokens.
    """
    model, tokenizer = checkpoint.read_model(wide.path), checkpoint.read_tokenizer(wide.path)
    tokenizer.add_tokens(["<hashtag>"])
    checkpoint.write_model(model, tokenizer, tmp_path / "grown")

    with pytest.raises(ModelError, match=r"the tokenizer has \d+ ids, the word embedding \d+ rows"):
        trim.run(as_artifact(tmp_path / "grown", "torch"), TrimSettings(("swa",), data=labelled), tmp_path, silent)


def test_rows_behind_the_last_token_go(wide, labelled, as_artifact, tmp_path):
    """
    Published models pad their embedding to a round number: those rows count before and are gone after.
    """
    model, tokenizer = checkpoint.read_model(wide.path), checkpoint.read_tokenizer(wide.path)
    model.resize_token_embeddings(len(tokenizer) + 5)
    checkpoint.write_model(model, tokenizer, tmp_path / "padded")
    facts = trim.run(as_artifact(tmp_path / "padded", "torch"), TrimSettings(("swa",), data=labelled), tmp_path, silent)

    assert facts.vocabulary_before == len(tokenizer) + 5
    assert checkpoint.read_model(tmp_path).get_input_embeddings().num_embeddings == facts.vocabulary


def test_words_of_texts_are_those_between_spaces(wide, as_artifact, tmp_path):
    """
    A classifier of texts reads "jioni," as it stands, with no piece for a comma after a space. Test is never read.
    """
    (tmp_path / "data" / "swa").mkdir(parents=True)
    for split, text in {"train": "Wavuvi wa Lamu", "dev": "Mwalimu Zawadi"}.items():
        (tmp_path / "data" / "swa" / f"{split}.tsv").write_text(f"tweet\tlabel\n{text}\tneutral\n", "utf-8")
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "swa.txt").write_text("walirudi jioni, tena\n", "utf-8")
    settings = TrimSettings(("swa",), data=tmp_path / "data", text=tmp_path / "raw")
    counted = {}
    for task in ("ner", "topic"):
        (tmp_path / task).mkdir()
        kept = settings if task == "topic" else replace(settings, data=None)
        source = as_artifact(wide.path, "torch", task)
        counted[task] = trim.run(source, kept, tmp_path / task, silent).languages["swa"].words

    assert counted == {"ner": 4, "topic": 3 + 3 + 2}


def test_what_trimming_keeps_is_said_of_every_language(wide, trimmed):
    """
    In mode corpus all that was counted is kept. What was not seen before is judged by sentences set aside: here one of
    three, whose own words nobody else uses.
    """
    found = trimmed[1].languages["swa"]
    aside = found.held_out

    assert found.coverage == 1
    assert (aside.sentences, aside.one_to_one) == (1, 0)
    assert aside.coverage < 1
    assert aside.fertility > aside.fertility_before >= 1
    assert (aside.unknown_before, aside.unknown) == (0, 0)


def test_a_tokenizer_that_cuts_inputs_off_is_judged_on_whole_sentences(wide, labelled, as_artifact, tmp_path):
    """
    Published tokenizers carry a longest input. It stays in the file, and shortens nothing that is counted here.
    """
    model, tokenizer = checkpoint.read_model(wide.path), checkpoint.read_tokenizer(wide.path)
    tokenizer.backend_tokenizer.enable_truncation(3)
    checkpoint.write_model(model, tokenizer, tmp_path / "source")
    (tmp_path / "out").mkdir()
    settings = TrimSettings(("swa",), data=labelled, keep="scripts", prove=True)
    facts = trim.run(as_artifact(tmp_path / "source", "torch"), settings, tmp_path / "out", silent)
    found = facts.languages["swa"].held_out

    assert (found.coverage, found.one_to_one) == (1, 1)
    assert found.fertility == found.fertility_before >= 1
    assert json.loads((tmp_path / "out" / "tokenizer.json").read_text("utf-8"))["truncation"]["max_length"] == 3


def test_held_out_counts_what_becomes_unknown(both):
    """
    A hooked letter that nothing is left of is unknown after, and its sentence is not cut as before.
    """
    before, after = (one.backend_tokenizer for one in both)
    kept = [before.token_to_id(after.id_to_token(place)) for place in range(after.get_vocab_size())]
    unknown = before.token_to_id("<unk>")
    found = held_out(before, after, kept, [("Lamu", "jioni"), ("Ɗalibai",)], unknown)

    assert (found.one_to_one, found.unknown_before) == (0.5, 0)
    assert found.unknown > 0
    assert held_out(before, after, kept, [], unknown) == HeldOut(sentences=0)


def test_the_proof_compares_both_models(wide, labelled, masked, text, tmp_path):
    """
    Equal logits on sentences whose pieces are all kept; of a masked LM those of the kept pieces.
    """
    settings = TrimSettings(("swa",), data=labelled, keep="corpus", prove=True)
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    facts = trim.run(wide, settings, tmp_path / "one", silent).proof
    of_masked = trim.run(masked, TrimSettings(("swa",), text=text, prove=True), tmp_path / "two", silent).proof

    assert facts.to_json() == {
        "of": "logits",
        "tolerance": 1e-6,
        "languages": {"swa": {"inputs": 1, "largest_difference": pytest.approx(0, abs=1e-6)}},
    }
    assert of_masked.of == "masked-LM logits"
    assert of_masked.languages["swa"].inputs == 1
    assert of_masked.languages["swa"].largest_difference <= 1e-5


def test_a_bare_encoder_is_proven_by_its_hidden_states(encoder, text, tmp_path):
    """
    Without a head there are no logits; what a head would read is compared.
    """
    found = trim.run(encoder, TrimSettings(("swa",), text=text, prove=True), tmp_path, silent).proof

    assert (found.of, found.tolerance) == ("hidden states", 1e-6)
    assert found.languages["swa"].largest_difference <= 1e-6


def test_a_second_head_is_cut_too(masked, text, as_artifact, tmp_path):
    """
    It shares the word embedding and has a bias of its own; a mini-model answers as before.
    """
    model, tokenizer = checkpoint.read_model(masked.path), checkpoint.read_tokenizer(masked.path)
    second_head.attach(model, second_head.HeadPlace(1, 0))
    model.second_head.bias.data += torch.arange(len(tokenizer))
    checkpoint.write_model(model, tokenizer, tmp_path / "joint")
    (tmp_path / "out").mkdir()
    source = as_artifact(tmp_path / "joint", "torch")
    trim.run(source, TrimSettings(("swa",), text=text, keep="top", size=150), tmp_path / "out", silent)
    small, pieces = checkpoint.read_model(tmp_path / "out"), checkpoint.read_tokenizer(tmp_path / "out").get_vocab()
    second_head.read_into(small, tmp_path / "out")
    places = [tokenizer.get_vocab()[piece] for piece in sorted(pieces, key=lambda piece: pieces[piece])]

    assert len(pieces) < len(tokenizer)
    assert torch.equal(small.second_head.bias, model.second_head.bias[places])
    assert torch.equal(small.second_head.dense.weight, model.second_head.dense.weight)


def test_a_proof_that_fails_ends_the_stage(wide):
    """
    A row that changed on the way is found, and the message says where.
    """
    whole, cut = checkpoint.read_model(wide.path), checkpoint.read_model(wide.path)
    inputs = [[0, 5, 6, 7, 2]]
    cut.get_input_embeddings().weight.data *= 2
    kept = list(range(whole.config.vocab_size))

    with pytest.raises(ModelError, match=r"trim: logits in swa are off by .* where all subwords are kept"):
        check_equivalence(whole, cut, kept, {"swa": inputs})
    assert check_equivalence(whole, whole, kept, {"swa": []}).languages["swa"].largest_difference is None


def test_raw_text_in_another_script_is_refused(wide, tmp_path):
    """
    Ge'ez where Swahili was announced: the file and its first line are named.
    """
    (tmp_path / "swa.txt").write_text(f"{SWAHILI[0]}\n{OTHERS[1]}\n{OTHERS[1]}\n", "utf-8")

    with pytest.raises(DataError, match=r"swa\.txt:2: Swahili \(swa\) is written in Latin or Arabic script"):
        trim.run(wide, TrimSettings(("swa",), text=tmp_path), tmp_path, silent)


def test_the_embedding_is_factorised_on_request(wide, labelled, tmp_path):
    """
    After the cut; the share of its squares that is left stands in the facts, and the folder is read like any other.
    """
    facts = trim.run(wide, TrimSettings(("swa",), data=labelled, keep="corpus", factorise=6), tmp_path, silent)
    table = checkpoint.read_model(tmp_path).get_input_embeddings()

    assert tuple(table.weight.shape) == (facts.vocabulary, 6)
    assert facts.factorised.rank == 6
    assert 0.3 < facts.factorised.squares_kept < 1
