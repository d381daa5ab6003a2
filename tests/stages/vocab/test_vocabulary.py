"""vocabulary: text whose pieces are all kept keeps its pieces, in every kind; ids move wherever they stand."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sentencepiece import SentencePieceProcessor, sentencepiece_model_pb2
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

from edgeafri.errors import ModelError
from edgeafri.stages.vocab.tokenizer_files import bound_tokens, cut_sentencepiece
from edgeafri.stages.vocab.vocabulary import vocabulary_of

SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
# Latin with a letter of two bytes and a tone mark, Ge'ez and Arabic: few, so that random pieces meet in random text.
LETTERS = "aɓ\u0301ጤم"
PIECES = st.lists(st.text(LETTERS, min_size=1, max_size=4), min_size=1, max_size=40, unique=True)
# Many ties, and unknown characters (10 below the lowest) that pay in place of some pieces once the lowest is gone.
SCORES = st.sampled_from([-1.0, -2.0, -15.0, -40.0])

FEW = settings(deadline=None, max_examples=60)  # a busy machine is no failure


@st.composite
def texts_of(draw, pieces=()):
    """Short texts of random letters, one of them in no piece, and of some of the pieces."""
    words = st.text(LETTERS + "q", min_size=1, max_size=6)
    if pieces:
        words |= st.lists(st.sampled_from(pieces), min_size=1, max_size=4).map("".join)
    return draw(st.lists(st.lists(words, min_size=1, max_size=4).map(" ".join), min_size=1, max_size=8))


def parsed(model, pre_tokenizer=None, special=SPECIAL):
    """tokenizer.json of a model of the tokenizers library, with special tokens around text."""
    tokenizer = Tokenizer(model)
    tokenizer.add_special_tokens(special)
    tokenizer.pre_tokenizer = pre_tokenizer or pre_tokenizers.Whitespace()
    ends = [(token, tokenizer.token_to_id(token)) for token in (special[0], special[2])]
    tokenizer.post_processor = processors.RobertaProcessing(sep=ends[1], cls=ends[0])
    return json.loads(tokenizer.to_str())


def unigram(scores, **more):
    vocabulary = [(token, 0.0) for token in SPECIAL] + list(scores.items())
    return parsed(models.Unigram(vocabulary, unk_id=3, **more), pre_tokenizers.Metaspace())


def wordpiece(pieces):
    vocabulary = {piece: index for index, piece in enumerate([*SPECIAL, *pieces])}
    return parsed(models.WordPiece(vocabulary, unk_token="<unk>"), pre_tokenizers.WhitespaceSplit())


def bpe(singles, merges, over_bytes, **more):
    names = list(dict.fromkeys([*SPECIAL, *singles, *(left + right for left, right in merges)]))
    vocabulary = {piece: index for index, piece in enumerate(names)}
    before = pre_tokenizers.ByteLevel(add_prefix_space=False) if over_bytes else pre_tokenizers.WhitespaceSplit()
    return parsed(models.BPE(vocabulary, merges, **more), before)


def changed(fast, texts, data, aside=frozenset()):
    """The texts whose pieces are all kept and that are cut into others, where what some of the texts use is kept."""
    vocabulary, before = vocabulary_of(fast, "test"), Tokenizer.from_str(json.dumps(fast))
    ids = {text: before.encode(text).ids for text in texts}
    corpus = data.draw(st.lists(st.sampled_from(texts), unique=True))
    more = data.draw(st.sets(st.integers(0, vocabulary.size - 1), max_size=12))
    kept = vocabulary.closed(more.union(*(ids[text] for text in corpus)))
    after = Tokenizer.from_str(json.dumps(vocabulary.cut(kept)))
    covered = [text for text in texts if set(ids[text]) <= set(kept) - aside]
    assert aside or set(covered) >= set(corpus)
    return [text for text in covered if [kept[index] for index in after.encode(text).ids] != ids[text]]


@FEW
@given(PIECES, st.data())
def test_unigram_cuts_kept_text_as_before(pieces, data):
    """
    Whatever the scores, with many ties among them, and with unknown characters in the text.
    """
    scores = {with_mark(piece, "▁", data): data.draw(SCORES) for piece in pieces}

    assert changed(unigram(scores), data.draw(texts_of(pieces)), data) == []


@FEW
@given(PIECES, st.data())
def test_sentencepiece_cuts_kept_text_as_before(pieces, data):
    """
    The slow file, cut with the pieces that the fast one keeps.
    """
    proto = sentencepiece_model_pb2.ModelProto()
    proto.trainer_spec.model_type = 1
    for name, kind in (("<unk>", 2), ("<s>", 3), ("</s>", 3)):
        proto.pieces.add(piece=name, score=0.0, type=kind)
    for piece in pieces:
        proto.pieces.add(piece=with_mark(piece, "▁", data), score=data.draw(SCORES), type=1)
    before = SentencePieceProcessor(model_proto=proto.SerializeToString())
    cut = {text: before.encode(text, out_type=str) for text in data.draw(texts_of(pieces))}
    corpus = data.draw(st.lists(st.sampled_from(list(cut)), unique=True))
    kept = {piece for text in corpus for piece in cut[text]} | bound_tokens(proto)
    cut_sentencepiece(proto, kept)
    after = SentencePieceProcessor(model_proto=proto.SerializeToString())
    covered = [text for text in cut if {before.id_to_piece(index) for index in before.encode(text)} <= kept]

    assert set(covered) >= set(corpus)
    assert [text for text in covered if after.encode(text, out_type=str) != cut[text]] == []


@FEW
@given(PIECES, st.data())
def test_wordpiece_cuts_known_text_as_before(pieces, data):
    """
    Unknown words aside, which may become known.
    """
    marked = [with_mark(piece, "##", data) for piece in pieces]

    assert changed(wordpiece(marked), data.draw(texts_of(pieces)), data, aside={3}) == []


@FEW
@given(st.booleans(), st.booleans(), st.data())
def test_bpe_cuts_kept_text_as_before(over_bytes, ignore_merges, data):
    """
    Over bytes and over characters; merges in any order, some of them making one piece in two ways.
    """
    singles = sorted(pre_tokenizers.ByteLevel.alphabet()) if over_bytes else list(LETTERS)
    made, merges = as_written(LETTERS) if over_bytes else list(LETTERS), {}
    for _ in range(data.draw(st.integers(0, 20))):
        left, right = data.draw(st.sampled_from(made)), data.draw(st.sampled_from(made))
        made.append(left + right)
        merges[left, right] = None
    shuffled = data.draw(st.permutations(list(merges)))
    fast = bpe(singles, shuffled, over_bytes, unk_token="<unk>", ignore_merges=ignore_merges)

    assert changed(fast, data.draw(texts_of([] if over_bytes else made)), data) == []


def with_mark(piece, mark, data):
    """The piece, or the piece behind a mark."""
    return mark + piece if data.draw(st.booleans()) else piece


def as_written(letters):
    """The characters that stand for the bytes of these letters."""
    level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return sorted({one for letter in letters for part, _ in level.pre_tokenize_str(letter) for one in part})


def test_pieces_and_their_texts():
    """
    Special tokens and a space alone stand for no text.
    """
    vocabulary = vocabulary_of(unigram({"▁": -1.0, "▁lamu": -2.0, "mu": -3.0}), "test")

    assert vocabulary.size == 7
    assert [vocabulary.token(index) for index in range(3, 7)] == ["<unk>", "▁", "▁lamu", "mu"]
    assert [vocabulary.surface(index) for index in range(3, 7)] == ["", "", "lamu", "mu"]
    assert vocabulary.unknown == 3


def test_byte_pieces_stay_and_stand_for_ascii_alone():
    """
    What is unknown is spelt with them; half of a character is no text.
    """
    pieces = {f"<0x{byte:02X}>": 0.0 for byte in range(256)}
    vocabulary = vocabulary_of(unigram({"a": -1.0, **pieces, "b": -2.0}, byte_fallback=True), "test")

    assert vocabulary.closed([]) == [0, 1, 2, 3, *range(5, 262)]
    assert (vocabulary.surface(5 + 0x41), vocabulary.surface(5 + 0xE1)) == ("A", None)


def test_tokens_that_a_user_added_stay():
    """
    They have ids behind the vocabulary; a word among them stands for itself.
    """
    tokenizer = Tokenizer.from_str(json.dumps(unigram({"a": -1.0, "b": -2.0, "c": -3.0})))
    tokenizer.add_tokens(["kitabu"])
    tokenizer.add_special_tokens(["<tag>"])
    vocabulary = vocabulary_of(json.loads(tokenizer.to_str()), "test")
    kept = vocabulary.closed([4])
    after = Tokenizer.from_str(json.dumps(vocabulary.cut(kept)))

    assert (vocabulary.size, vocabulary.surface(7), vocabulary.surface(8)) == (9, "kitabu", "")
    assert kept == [0, 1, 2, 3, 4, 6, 7, 8]
    assert [after.token_to_id(token) for token in ("a", "c", "kitabu", "<tag>")] == [4, 5, 6, 7]
    assert after.encode("kitabu <tag>", add_special_tokens=False).ids[0] == 6


def test_a_gap_in_the_ids_is_closed():
    """
    Nothing stands there, so nothing stays.
    """
    fast = wordpiece(["a", "b", "c"])
    fast["model"]["vocab"]["c"] = 8
    vocabulary = vocabulary_of(fast, "test")

    assert (vocabulary.size, vocabulary.token(7), vocabulary.surface(7)) == (9, "", None)
    assert vocabulary.closed([4, 7, 8]) == [0, 1, 2, 3, 4, 8]


def test_pieces_bound_to_another_file_stay():
    """
    A SentencePiece file may need a piece that this one does not.
    """
    assert vocabulary_of(unigram({"a": -1.0, "b": -2.0, "c": -3.0}), "test", bound={"b"}).closed([]) == [
        0,
        1,
        2,
        3,
        5,
        6,
    ]


def test_closing_twice_changes_nothing():
    """
    What had to stay is there the first time.
    """
    vocabulary = vocabulary_of(bpe("abc", [("a", "b"), ("ab", "c")], over_bytes=False), "test")
    kept = vocabulary.closed([vocabulary.tokens.index("abc")])

    assert vocabulary.closed(kept) == kept


@pytest.mark.parametrize(
    "parts",
    [
        {"decoder": decoders.ByteLevel()},
        {"pre_tokenizer": pre_tokenizers.ByteLevel()},
        {"pre_tokenizer": pre_tokenizers.Sequence([pre_tokenizers.Digits(), pre_tokenizers.ByteLevel()])},
        {"decoder": decoders.Sequence([decoders.Fuse(), decoders.ByteLevel()])},
    ],
)
def test_bytes_are_seen_by_what_stands_before_or_behind_the_model(parts):
    """
    The model itself does not tell what its characters stand for.
    """
    tokenizer = Tokenizer.from_str(json.dumps(bpe(["Ã", "©"], [("Ã", "©")], over_bytes=False)))
    for name, part in parts.items():
        setattr(tokenizer, name, part)
    vocabulary = vocabulary_of(json.loads(tokenizer.to_str()), "test")

    assert vocabulary.surface(vocabulary.tokens.index("Ã©")) == "é"


def template(*tokens):
    """A post-processor as XLM-R's tokenizer.json has it."""
    return processors.TemplateProcessing(single="[a] $0 [b]", pair="[a] $A [b] $B:1 [b]:1", special_tokens=tokens)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            processors.RobertaProcessing(sep=("[b]", 5), cls=("[a]", 1)),
            processors.RobertaProcessing(sep=("[b]", 2), cls=("[a]", 0)),
        ),
        (
            processors.BertProcessing(sep=("[b]", 5), cls=("[a]", 1)),
            processors.BertProcessing(sep=("[b]", 2), cls=("[a]", 0)),
        ),
        (template(("[a]", 1), ("[b]", 5)), template(("[a]", 0), ("[b]", 2))),
        (
            processors.Sequence([processors.ByteLevel(), template(("[a]", 1), ("[b]", 5))]),
            processors.Sequence([processors.ByteLevel(), template(("[a]", 0), ("[b]", 2))]),
        ),
    ],
)
def test_the_post_processor_moves_with_its_tokens(before, after):
    """
    In each of the forms that tokenizer.json writes; its tokens stay even where nothing else names them.
    """
    fast = wordpiece(["x", "y", "z"]) | {"added_tokens": [{"id": 3, "content": "<unk>", "special": True}]}
    fast["post_processor"] = form(before)
    vocabulary = vocabulary_of(fast, "test")

    assert vocabulary.closed([]) == [1, 3, 5]
    assert json.loads(json.dumps(vocabulary.cut([1, 3, 5])["post_processor"])) == form(after)


def form(part):
    """A post-processor as tokenizer.json writes it."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.post_processor = part
    return json.loads(tokenizer.to_str())["post_processor"]


def test_padding_moves_with_its_token():
    """
    A tokenizer that pads by itself names the id, which stays.
    """
    tokenizer = Tokenizer.from_str(json.dumps(unigram({"a": -1.0, "[PAD]": -2.0, "c": -3.0})))
    tokenizer.enable_padding(pad_id=5, pad_token="[PAD]")
    vocabulary = vocabulary_of(json.loads(tokenizer.to_str()), "test")

    assert vocabulary.closed([]) == [0, 1, 2, 3, 5, 6]
    assert vocabulary.cut([0, 1, 2, 3, 5, 6])["padding"] == {**vocabulary.fast["padding"], "pad_id": 4}


def test_another_kind_is_refused():
    """
    Whole words have no pieces to cut.
    """
    fast = parsed(models.WordLevel({token: index for index, token in enumerate(SPECIAL)}, unk_token="<unk>"))
    with pytest.raises(ModelError) as caught:
        vocabulary_of(fast, "here")

    assert caught.value.message == "here: trim reads Unigram, WordPiece and BPE vocabularies, this one is WordLevel"
    assert "recipe without the trim step" in caught.value.hint


def test_a_tokenizer_without_special_tokens_is_refused():
    """
    Inputs have no start, end or padding then.
    """
    fast = unigram({"a": -1.0}) | {"added_tokens": [{"id": 5, "content": "kitabu", "special": False}]}
    with pytest.raises(ModelError) as caught:
        vocabulary_of(fast, "here")

    assert caught.value.message == "here: the tokenizer has no special tokens, none for start, end or padding"
    assert "add_special_tokens" in caught.value.hint


@pytest.mark.parametrize("kept", [[], [0, 1, 3, 4]])
def test_no_special_token_may_be_lost(kept):
    """
    The first one is named.
    """
    with pytest.raises(ModelError) as caught:
        vocabulary_of(unigram({"a": -1.0}), "here").cut(kept)

    assert caught.value.message == f"here: '{'</s>' if kept else '<s>'}' would be lost, a token that must stay"
    assert caught.value.hint == "Keep closed(ids)."
