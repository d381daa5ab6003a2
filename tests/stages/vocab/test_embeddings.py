"""embeddings: a tokenizer for a new language that is always the same, and rows to start from."""

import pytest
import torch
from tokenizers import ByteLevelBPETokenizer, Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertForMaskedLM, PreTrainedTokenizerFast

from edgeafri.errors import ConfigError, ModelError
from edgeafri.stages.models import checkpoint
from edgeafri.stages.vocab import embeddings

LINES = [f"Yara {number} sun yi wasa kusa da kogi , a ƙasar Ɗanjuma ." for number in range(40)]
SIZE = 220


@pytest.fixture(scope="module")
def old(encoder_folder):
    return checkpoint.read_tokenizer(encoder_folder)


@pytest.fixture(scope="module")
def new(old):
    return embeddings.new_tokenizer(old, LINES, ("hau",), SIZE)


@pytest.fixture
def model(masked):
    return checkpoint.read_model(masked.path)


def wordpiece(*pieces):
    """A BERT tokenizer of these pieces; the padding is where it is named."""
    vocabulary = {piece: place for place, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.NFC(), pre_tokenizers.Whitespace()
    ends = [("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])]
    tokenizer.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", special_tokens=ends)
    names = {"unk_token": "[UNK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, mask_token="[MASK]", **names)


def test_the_same_text_gives_the_same_tokenizer(old, new):
    """
    Byte for byte: a run that was killed goes on with it, and methods are compared on it.
    """
    again = embeddings.new_tokenizer(old, LINES, ("hau",), SIZE)

    assert again.backend_tokenizer.to_str() == new.backend_tokenizer.to_str()


def test_what_is_not_the_vocabulary_stays(old, new):
    """
    Special tokens come first, with the ids that positions hang on; text is framed as before.
    """
    ids = new("Yara sun yi wasa")["input_ids"]

    assert new.special_tokens_map == old.special_tokens_map
    assert new.convert_tokens_to_ids(["<s>", "<pad>", "</s>", "<unk>", "<mask>"]) == [0, 1, 2, 3, 4]
    assert (ids[0], ids[-1]) == (0, 2)
    assert new.backend_tokenizer.normalizer.normalize_str("Ɗ \u0301") == old.backend_tokenizer.normalizer.normalize_str(
        "Ɗ \u0301"
    )


def test_it_knows_its_language(old, new):
    """
    Fewer subwords than the old one's, and none unknown: letters, digits and punctuation that the text lacks too.
    """
    line = "Yara sun yi wasa kusa da kogi"

    assert len(new) <= SIZE
    assert len(new(line)["input_ids"]) < len(old(line)["input_ids"])
    assert new.unk_token_id not in new("Ƙ ɓ ; 9 ?")["input_ids"]


def test_it_is_read_back_without_a_slow_file(new, tmp_path):
    """
    The old vocabulary's SentencePiece model does not stay behind.
    """
    new.save_pretrained(tmp_path)
    again = checkpoint.read_tokenizer(tmp_path)

    assert not list(tmp_path.glob("*.model"))
    assert again("Yara sun yi wasa")["input_ids"] == new("Yara sun yi wasa")["input_ids"]
    assert (again.mask_token_id, again.pad_token_id, len(again)) == (4, 1, len(new))


def test_a_vocabulary_smaller_than_its_characters_is_refused(old):
    """
    Some text would be unknown then.
    """
    with pytest.raises(ConfigError) as caught:
        embeddings.new_tokenizer(old, LINES, ("hau",), 60)

    assert caught.value.message.startswith("adapt-mini: no vocabulary of 55 subwords (")
    assert caught.value.hint == "Use a larger --vocabulary: all single characters of the text must fit."


def test_a_vocabulary_smaller_than_its_bytes_is_refused():
    """
    Byte-level BPE keeps a subword for each of the 256 bytes, whatever was asked for.
    """
    trained = ByteLevelBPETokenizer()
    trained.train_from_iterator(LINES, 300, special_tokens=["<pad>", "<s>", "</s>"], show_progress=False)
    old = PreTrainedTokenizerFast(tokenizer_object=trained._tokenizer, pad_token="<pad>")

    with pytest.raises(ConfigError) as caught:
        embeddings.new_tokenizer(old, LINES, ("hau",), 220)
    assert caught.value.message.startswith("adapt-mini: no vocabulary of 220 subwords (")
    assert caught.value.hint == "Use a larger --vocabulary: all single characters of the text must fit."


def test_wordpieces_are_learnt_too():
    """
    By the tokenizers library.
    """
    old = wordpiece("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "yara", "##s")
    new = embeddings.new_tokenizer(old, LINES, ("hau",), SIZE)

    assert new.pad_token_id == 0
    assert new.tokenize("Yara sun yi wasa") == ["Yara", "sun", "yi", "wasa"]


def test_a_padding_that_would_move_is_refused():
    """
    Positions are counted from its id.
    """
    with pytest.raises(ModelError, match="the new padding id would be 4, not 5"):
        embeddings.new_tokenizer(wordpiece("[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "[PAD]"), LINES, ("hau",), SIZE)


def test_equal_sub_words_keep_their_rows(model, old, new):
    """
    "overlap" copies what both vocabularies have; "random" the special tokens alone.
    """
    table = model.get_input_embeddings().weight
    rows = {how: embeddings.start(model, old, new, how, seed=1) for how in ("random", "overlap")}
    same = sorted(set(old.get_vocab()) & set(new.get_vocab()) - set(new.all_special_tokens))
    before, after = old.convert_tokens_to_ids(same), new.convert_tokens_to_ids(same)
    special = new.all_special_tokens
    ids = old.convert_tokens_to_ids(special), new.convert_tokens_to_ids(special)

    assert len(same) > 20
    assert torch.equal(rows["overlap"][after], table[before])
    assert not torch.isclose(rows["random"][after], table[before]).any(1).all()
    assert all(torch.equal(found[ids[1]], table[ids[0]]) for found in rows.values())


def test_what_is_new_is_the_mean_of_its_old_parts(model, old, new):
    """
    With "mean"; unknown parts do not count.
    """
    rows, table = embeddings.start(model, old, new, "mean", seed=1), model.get_input_embeddings().weight
    unseen = [piece for piece in sorted(new.get_vocab()) if piece not in old.get_vocab()]
    cuts = {piece: old(piece.strip("▁"), add_special_tokens=False)["input_ids"] for piece in unseen}
    piece, parts = next((piece, ids) for piece, ids in cuts.items() if len(ids) > 1 and old.unk_token_id not in ids)

    assert torch.allclose(rows[new.get_vocab()[piece]], table[parts].mean(0))


def test_what_is_drawn_is_like_the_old_rows(model, old, new):
    """
    Mean and deviation of every dimension within what 200 draws allow; the same with the same seed.
    """
    first, again, other = (embeddings.start(model, old, new, "random", seed) for seed in (1, 1, 2))
    table = model.get_input_embeddings().weight

    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert ((first.std(0) / table.std(0)).log().abs() < 0.25).all()
    assert ((first.mean(0) - table.mean(0)).abs() < 0.4 * table.std(0)).all()


def test_a_bias_starts_as_that_of_equal_sub_words(old, new):
    """
    The others' is the mean.
    """
    bias = torch.arange(len(old), dtype=torch.float32)
    found = embeddings.start_bias(bias, old, new)
    piece = next(piece for piece in new.get_vocab() if piece not in old.get_vocab())

    assert found[new.mask_token_id] == old.mask_token_id
    assert found[new.get_vocab()[piece]] == bias.mean()


def test_a_plugged_table_is_tied(model, old, new, tmp_path):
    """
    To the masked-LM head, whose bias is as long; so it is read back.
    """
    rows = embeddings.start(model, old, new, "overlap", seed=1)
    embeddings.plug(model, rows, new, torch.ones(len(new)))
    checkpoint.write_model(model, new, tmp_path)
    again = checkpoint.read_model(tmp_path)

    assert again.lm_head.decoder.weight is again.get_input_embeddings().weight
    assert torch.equal(again.get_input_embeddings().weight, rows)
    assert torch.equal(again.lm_head.bias, torch.ones(len(new)))
    assert again.config.vocab_size == len(new)


def test_the_head_of_another_family_is_tied_too():
    """
    BERT keeps its head elsewhere.
    """
    config = BertConfig(vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)
    model, new = BertForMaskedLM(config), wordpiece("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b")
    embeddings.plug(model, torch.ones(7, 8), new, torch.ones(7))

    assert model.cls.predictions.decoder.weight is model.get_input_embeddings().weight
    assert torch.equal(model.cls.predictions.decoder.bias, torch.ones(7))


def test_embeddings_that_were_learnt_since_are_refused(model, masked):
    """
    The layers would not know the new ones.
    """
    other = checkpoint.read_model(masked.path)
    embeddings.check_same(model, other, "TUNED")
    other.roberta.embeddings.LayerNorm.bias.data[0] += 1e-3

    with pytest.raises(ModelError) as caught:
        embeddings.check_same(model, other, "TUNED")

    assert caught.value.message == "TUNED: its embeddings are not those of the source"
    assert "--frozen embeddings" in caught.value.hint
