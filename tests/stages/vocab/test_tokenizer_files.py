"""tokenizer_files: cut tokenizers load again, fast and slow, with the same token at every id."""

import json

import pytest
import transformers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sentencepiece import SentencePieceProcessor, sentencepiece_model_pb2
from tokenizers import ByteLevelBPETokenizer

from edgeafri.errors import ModelError
from edgeafri.stages.models import checkpoint
from edgeafri.stages.vocab.tokenizer_files import bound_tokens, cut_sentencepiece, read_vocabulary, write_tokenizer

LINES = ["Rais Amina Juma alizuru Mombasa Jumatatu .", "Gwamna Bala Ɗanjuma ya je Kano ranar Litinin .", "ẹ̀kọ́ ጤና سلام"]
KEPT_TEXT = "Amina ya je Mombasa <mask> 漢"
SLOW = {
    "XLMRobertaTokenizerFast": ["sentencepiece.bpe.model"],
    "DebertaV2TokenizerFast": ["spm.model"],
    "BertTokenizerFast": ["vocab.txt"],
    "RobertaTokenizerFast": ["vocab.json", "merges.txt"],
}


def sentencepiece(*pieces, model_type=1):
    """A SentencePiece model of (piece, score, type); 1 is normal, 2 unknown, 3 control, 4 user-defined, 6 byte."""
    proto = sentencepiece_model_pb2.ModelProto()
    proto.trainer_spec.model_type = model_type
    for piece, score, kind in pieces:
        proto.pieces.add(piece=piece, score=score, type=kind)
    return proto


def xlm_roberta(folder, encoder_folder):
    return transformers.XLMRobertaTokenizerFast.from_pretrained(encoder_folder)


def deberta(folder, encoder_folder):
    """No fairseq offset: ids are those of the SentencePiece model, the mask behind it. One piece is user-defined."""
    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString((encoder_folder / "sentencepiece.bpe.model").read_bytes())
    normal = [(piece.piece, piece.score, 1) for piece in proto.pieces if piece.type == 1]
    del proto.pieces[:]
    control = [(name, 0.0, 3) for name in ("[PAD]", "[CLS]", "[SEP]")]
    proto.pieces.extend(sentencepiece(*control, ("[UNK]", 0.0, 2), *normal[:9], ("@@", 0.0, 4), *normal[9:]).pieces)
    for place, name in enumerate(("pad", "bos", "eos", "unk")):
        setattr(proto.trainer_spec, f"{name}_id", place)
        setattr(proto.trainer_spec, f"{name}_piece", proto.pieces[place].piece)
    (folder / "spm.model").write_bytes(proto.SerializeToString())
    return transformers.DebertaV2TokenizerFast(str(folder / "spm.model"), mask_token="<mask>")


def bert(folder, encoder_folder):
    words = [word for line in LINES for word in line.lower().split()]
    letters = sorted({letter for word in words for letter in word})
    names = [
        "[PAD]",
        *words[:5],
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "<mask>",
        *words[5:],
        *letters,
        *(f"##{one}" for one in letters),
    ]
    (folder / "vocab.txt").write_text("".join(f"{name}\n" for name in dict.fromkeys(names)), "utf-8")
    return transformers.BertTokenizerFast(str(folder / "vocab.txt"), mask_token="<mask>", strip_accents=False)


def roberta(folder, encoder_folder):
    trained = ByteLevelBPETokenizer()
    trained.train_from_iterator(LINES * 3, 400, special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    trained.save_model(str(folder))
    return transformers.RobertaTokenizerFast(str(folder / "vocab.json"), str(folder / "merges.txt"))


@pytest.fixture(scope="module", params=[xlm_roberta, deberta, bert, roberta], ids=lambda make: make.__name__)
def whole(request, encoder_folder, tmp_path_factory):
    """A tokenizer in a folder of its own, fast and slow, with a word and a special token that a user added."""
    folder = tmp_path_factory.mktemp("whole")
    tokenizer = request.param(folder, encoder_folder)
    tokenizer.add_tokens(["kitabu"])
    tokenizer.add_special_tokens({"additional_special_tokens": ["<tag>"]})
    tokenizer.save_pretrained(folder)
    return tokenizer, folder


def cut(tokenizer, folder, out, texts, more=()):
    """Keep what the texts use; the vocabulary and the ids kept."""
    vocabulary = read_vocabulary(tokenizer, folder)
    kept = vocabulary.closed({index for text in texts for index in tokenizer(text)["input_ids"]}.union(more))
    tokenizer.save_pretrained(out)
    write_tokenizer(tokenizer, vocabulary, kept, folder, out)
    return vocabulary, kept


def both(tokenizer, folder):
    """The tokenizers that a folder loads as: fast and slow."""
    return type(tokenizer).from_pretrained(folder), tokenizer.slow_tokenizer_class.from_pretrained(folder)


def test_fast_and_slow_name_the_same_token_at_every_id(whole, tmp_path):
    """
    Added tokens and the mask among them, and each role keeps its token.
    """
    tokenizer, folder = whole
    vocabulary, kept = cut(tokenizer, folder, tmp_path, [KEPT_TEXT])
    names = [vocabulary.token(index) for index in kept]

    assert len(kept) < vocabulary.size == len(tokenizer)
    for found in both(tokenizer, tmp_path):
        assert len(found) == len(kept)
        assert found.convert_ids_to_tokens(range(len(kept))) == names
        assert found.special_tokens_map == tokenizer.special_tokens_map


def test_kept_text_keeps_its_pieces_in_both_forms(whole, tmp_path):
    """
    Each form as it was before, an unknown character and added tokens in the text.
    """
    tokenizer, folder = whole
    texts = [KEPT_TEXT, "Bala kitabu <tag> Kano", "ẹ̀kọ́ ጤና"]
    _, kept = cut(tokenizer, folder, tmp_path, texts)

    for before, after in zip(both(tokenizer, folder), both(tokenizer, tmp_path), strict=True):
        assert [[kept[index] for index in after(text)["input_ids"]] for text in texts] == before(texts)["input_ids"]


def test_a_cut_tokenizer_is_saved_and_cut_again(whole, tmp_path):
    """
    What was written is a source like any other.
    """
    tokenizer, folder = whole
    cut(tokenizer, folder, tmp_path, [KEPT_TEXT, LINES[0]])
    once = type(tokenizer).from_pretrained(tmp_path)
    (tmp_path / "again").mkdir()
    vocabulary, kept = cut(once, tmp_path, tmp_path / "again", [KEPT_TEXT])
    fast, slow = both(tokenizer, tmp_path / "again")

    assert len(kept) < vocabulary.size
    assert fast.convert_ids_to_tokens(range(len(kept))) == slow.convert_ids_to_tokens(range(len(kept)))
    assert [kept[index] for index in fast(KEPT_TEXT)["input_ids"]] == once(KEPT_TEXT)["input_ids"]


def test_every_file_that_names_ids_is_right(whole, tmp_path):
    """
    tokenizer_config.json and added_tokens.json say what tokenizer.json says; special_tokens_map.json holds names alone.
    """
    tokenizer, folder = whole
    _, kept = cut(tokenizer, folder, tmp_path, [KEPT_TEXT])
    read = {path.name: json.loads(path.read_text("utf-8")) for path in tmp_path.glob("*.json")}
    added = {token["content"]: token["id"] for token in read["tokenizer.json"]["added_tokens"]}
    decoder = read["tokenizer_config.json"]["added_tokens_decoder"]

    assert {token["content"]: int(index) for index, token in decoder.items()} == added
    assert read["added_tokens.json"].items() <= added.items()
    assert [added["kitabu"], added["<tag>"]] == [len(kept) - 2, len(kept) - 1]
    assert read["special_tokens_map.json"] == json.loads((folder / "special_tokens_map.json").read_text("utf-8"))


def test_slow_files_are_there_where_the_source_has_them(whole, tmp_path):
    """
    A stale one would be worse than none.
    """
    tokenizer, folder = whole
    names = SLOW[type(tokenizer).__name__]
    bare, with_slow, without = (tmp_path / name for name in ("bare", "with", "without"))
    for path in (bare, with_slow, without):
        path.mkdir()
    (bare / "tokenizer.json").write_bytes((folder / "tokenizer.json").read_bytes())
    cut(tokenizer, folder, with_slow, [KEPT_TEXT])
    cut(tokenizer, bare, without, [KEPT_TEXT])

    assert all((with_slow / name).is_file() for name in names)
    assert not any((without / name).exists() for name in names)
    assert (with_slow / "tokenizer.json").read_bytes() == (without / "tokenizer.json").read_bytes()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=10)
@given(data=st.data())
def test_whatever_is_kept_both_forms_stay_in_step(whole, tmp_path_factory, data):
    """
    Random pieces beside what one line uses.
    """
    tokenizer, folder = whole
    out = tmp_path_factory.mktemp("cut")
    more = data.draw(st.sets(st.integers(0, len(tokenizer) - 1)))
    _, kept = cut(tokenizer, folder, out, [KEPT_TEXT], more)
    fast, slow = both(tokenizer, out)

    assert fast.convert_ids_to_tokens(range(len(kept))) == slow.convert_ids_to_tokens(range(len(kept)))
    assert [kept[index] for index in fast(KEPT_TEXT)["input_ids"]] == tokenizer(KEPT_TEXT)["input_ids"]


def test_the_sentencepiece_file_keeps_scores_and_kinds(encoder_folder):
    """
    In the old order; the size and the places of special pieces are written down anew.
    """
    pieces = [("a", -1.0, 1), ("b", -3.0, 1), ("c", -2.0, 1), ("<unk>", 0.0, 2), ("@", 0.0, 4), ("<s>", 0.0, 3)]
    proto = sentencepiece(*pieces)
    spec = proto.trainer_spec
    spec.unk_id, spec.bos_id, spec.eos_id = 3, 5, -1
    cut_sentencepiece(proto, {"c"})

    assert [(piece.piece, piece.score, piece.type) for piece in proto.pieces] == pieces[2:]
    assert (spec.vocab_size, spec.unk_id, spec.bos_id, spec.eos_id, spec.pad_id) == (4, 1, 3, -1, -1)


def test_a_sentencepiece_file_needs_its_special_pieces_and_its_lowest():
    """
    The first of the lowest; bytes are needed all together.
    """
    proto = sentencepiece(("<unk>", -99.0, 2), ("a", -1.0, 1), ("b", -3.0, 1), ("c", -3.0, 1), ("<0x41>", 0.0, 6))

    assert bound_tokens(proto) == {"<unk>", "b", "<0x41>"}
    assert bound_tokens(sentencepiece(("<unk>", 0.0, 2))) == {"<unk>"}


def test_sentencepiece_bpe_is_cut_too():
    """
    Its merges are not written down: a piece is merged from any two pieces that make it up.
    """
    names = ["a", "b", "c", "ab", "bc", "abc", "ca", "d"]
    proto = sentencepiece(
        ("<unk>", 0.0, 2), *((name, -float(rank), 1) for rank, name in enumerate(names)), model_type=2
    )
    proto.normalizer_spec.add_dummy_prefix = False
    before = SentencePieceProcessor(model_proto=proto.SerializeToString())
    cut_sentencepiece(proto, {"a", "b", "c", "ab", "bc", "abc"} | bound_tokens(proto))
    after = SentencePieceProcessor(model_proto=proto.SerializeToString())

    assert before.encode("abcab", out_type=str) == after.encode("abcab", out_type=str) == ["abc", "ab"]


def test_a_slow_file_that_is_no_model_is_named(encoder_folder, tmp_path):
    """
    Such as the pointer that a download without its large files leaves.
    """
    path = tmp_path / "sentencepiece.bpe.model"
    for content in (b"version https://git-lfs.github.com/spec/v1\n", b""):
        path.write_bytes(content)
        with pytest.raises(ModelError) as caught:
            read_vocabulary(checkpoint.read_tokenizer(encoder_folder), tmp_path)
        assert caught.value.message == f"{path}: not a SentencePiece model"
        assert "download it again" in caught.value.hint


def test_files_that_do_not_belong_together_are_refused(encoder_folder, tmp_path):
    """
    Ids of the slow form would point at other rows of the embedding.
    """
    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString((encoder_folder / "sentencepiece.bpe.model").read_bytes())
    pieces = [*proto.pieces[:10], *proto.pieces[11:], proto.pieces[10]]
    del proto.pieces[:]
    proto.pieces.extend(pieces)
    path, out = tmp_path / "sentencepiece.bpe.model", tmp_path / "out"
    path.write_bytes(proto.SerializeToString())
    tokenizer = checkpoint.read_tokenizer(encoder_folder)

    with pytest.raises(ModelError) as caught:
        cut(tokenizer, tmp_path, out, LINES, range(len(tokenizer)))
    assert caught.value.message == f"{path}: names other subwords than tokenizer.json, or in another order"
    assert "the other is enough" in caught.value.hint
