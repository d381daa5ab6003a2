"""unigram: what stays for the sake of scores, and the text of a piece."""

import json

from tokenizers import Tokenizer

from edgeafri.stages.vocab.unigram import Unigram

SCORES = [("<unk>", 0.0), ("▁lamu", -2.0), ("l", -9.5), ("amu", -4.0), ("u", -9.5), ("▁", -3.0)]


def unigram(*pieces, unknown=0):
    return Unigram({"type": "Unigram", "unk_id": unknown, "vocab": [list(piece) for piece in pieces]})


def cut_with(kind, text):
    """The pieces of a text."""
    return (
        Tokenizer.from_str(json.dumps({"version": "1.0", "added_tokens": [], "model": kind.model})).encode(text).tokens
    )


def test_the_lowest_scored_piece_stays():
    """
    The first of those that are equally low.
    """
    kind = unigram(*SCORES)

    assert kind.with_needed({1}) == {1, 2}


def test_the_lowest_piece_sets_the_price_of_the_unknown():
    """
    Without it an unknown character is cheaper, and text that never used it is cut otherwise.
    """
    pieces = [("<unk>", 0.0), ("zab", -1.0), ("qza", -20.0), ("b", -20.0), ("v", -99.0)]

    assert cut_with(unigram(*pieces), "qzab") == ["qza", "b"]
    assert cut_with(unigram(*pieces[:-1]), "qzab") == ["q", "zab"]


def test_pieces_keep_their_order_and_scores():
    """
    The unknown is found at its new place.
    """
    cut = unigram(("<s>", 0.0), ("a", -1.5), ("<unk>", 0.0), ("b", -2.5), unknown=2).cut({0: 0, 2: 1, 3: 2})

    assert cut == {"type": "Unigram", "unk_id": 1, "vocab": [["<s>", 0.0], ["<unk>", 0.0], ["b", -2.5]]}


def test_a_vocabulary_may_have_no_unknown_piece():
    """
    Byte pieces or a full alphabet can take its place.
    """
    assert unigram(("a", -1.0), unknown=None).cut({0: 0})["unk_id"] is None


def test_the_text_of_a_piece_has_no_space_mark():
    """
    A mark inside a piece is a space.
    """
    kind = unigram(*SCORES)

    assert [kind.bare(piece) for piece in ("▁lamu", "amu", "▁", "▁▁", "ya▁leo")] == ["lamu", "amu", "", "", "ya leo"]
