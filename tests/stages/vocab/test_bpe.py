"""bpe: what a piece is merged from stays with it, in either form of the merges; the text behind bytes."""

import pytest
from tokenizers import pre_tokenizers

from edgeafri.stages.vocab.bpe import BYTE_OF, Bpe


def bpe(*merges, pieces="abcd", over_bytes=False, **more):
    """Single characters at the ids from 0, then what the merges make, each named once."""
    prefix = more.get("continuing_subword_prefix") or ""
    names = list(pieces)
    for merge in merges:
        left, right = merge.split(" ") if isinstance(merge, str) else merge
        names += [name for name in (left, right, left + right.removeprefix(prefix)) if name not in names]
    vocabulary = {name: index for index, name in enumerate(names)}
    return Bpe({"type": "BPE", "unk_token": None, **more, "vocab": vocabulary, "merges": list(merges)}, over_bytes)


def needed(kind, *pieces):
    """The names of what must stay with these pieces."""
    return {kind.tokens[index] for index in kind.with_needed({kind.model["vocab"][piece] for piece in pieces})}


def test_a_piece_stays_with_all_that_it_is_merged_from():
    """
    Down to single characters.
    """
    kind = bpe("a b", "ab c", "c d")

    assert needed(kind, "abc") == {"abc", "ab", "a", "b", "c"}


def test_every_merge_that_makes_a_piece_counts():
    """
    "abc" comes from "ab" or from "bc", as the text around it has it.
    """
    assert needed(bpe("a b", "b c", "ab c", "a bc"), "abc") == {"abc", "ab", "bc", "a", "b", "c"}


def test_merges_may_stand_in_any_order():
    """
    SentencePiece's merges are ordered by score: a part may be merged later than the whole.
    """
    assert needed(bpe("abc d", "ab c", "a b"), "abcd") == {"abcd", "abc", "ab", "a", "b", "c", "d"}


@pytest.mark.parametrize("form", [str, list])
def test_merges_keep_their_form_and_order(form):
    """
    "a b" in older files, pairs in newer ones. A merge goes with its result.
    """
    merges = ["a b", "c d", "ab c", "a d"]
    kind = bpe(*(merge if form is str else merge.split(" ") for merge in merges))
    kept = [kind.model["vocab"][piece] for piece in ("a", "b", "c", "d", "ab", "abc")]
    cut = kind.cut({old: new for new, old in enumerate(kept)})

    assert cut["merges"] == [kind.model["merges"][0], kind.model["merges"][2]]
    assert cut["vocab"] == {"a": 0, "b": 1, "c": 2, "d": 3, "ab": 4, "abc": 5}


def test_marks_of_word_parts_are_no_text():
    """
    A prefix for what goes on a word, or a suffix for what ends it.
    """
    kind = bpe(("a", "##b"), continuing_subword_prefix="##", end_of_word_suffix="</w>")

    assert needed(kind, "ab") == {"ab", "a", "##b"}
    assert [kind.bare(piece) for piece in ("a", "##b", "ab</w>", "▁a")] == ["a", "b", "ab", "a"]


def test_bytes_stay():
    """
    Any text can be written with them.
    """
    kind = bpe("Ã ©", pieces="aĠÃ©", over_bytes=True)

    assert needed(kind, "a") == {"a", "Ġ", "Ã", "©"}


def test_the_bytes_are_those_of_the_tokenizers_library():
    """
    All 256 of them; an accented letter is two.
    """
    written = pre_tokenizers.ByteLevel(add_prefix_space=False).pre_tokenize_str("ẹ\x00 \n\xad")

    assert set(pre_tokenizers.ByteLevel.alphabet()) == BYTE_OF.keys()
    assert sorted(BYTE_OF.values()) == list(range(256))
    assert bytes(BYTE_OF[one] for part, _ in written for one in part).decode("utf-8") == "ẹ\x00 \n\xad"


def test_the_text_of_bytes_is_read_as_utf8():
    """
    None where a character is cut in two, and for a name that is not made of bytes.
    """
    kind = bpe(over_bytes=True)

    assert [kind.bare(piece) for piece in ("Ġlamu", "Ġ", "Ã©", "Ã", "á»", "日")] == ["lamu", "", "é", None, None, None]


def test_the_unknown_is_named_or_there_is_none():
    """
    Where every byte is a piece nothing is unknown.
    """
    assert bpe(pieces=["<unk>", "a"], unk_token="<unk>").unknown == 0
    assert bpe().unknown is None
