"""wordpiece: pieces at their new ids, the text of a piece, and the one thing that changes."""

import json

from tokenizers import Tokenizer

from edgeafri.stages.vocab.wordpiece import WordPiece, by_id


def wordpiece(*pieces):
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    rest = {"unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100}
    return WordPiece({"type": "WordPiece", **rest, "vocab": vocabulary})


def cut_with(model, word):
    """The pieces of a word."""
    return Tokenizer.from_str(json.dumps({"version": "1.0", "added_tokens": [], "model": model})).encode(word).tokens


def test_pieces_move_to_their_new_ids():
    """
    The rest of the model stays as it is.
    """
    kind = wordpiece("[PAD]", "lamu", "[UNK]", "##ni")
    cut = kind.cut({0: 0, 2: 1, 3: 2})

    assert cut == {**kind.model, "vocab": {"[PAD]": 0, "[UNK]": 1, "##ni": 2}}
    assert kind.unknown == 2


def test_no_piece_needs_another():
    """
    The longest piece at a place stays the longest.
    """
    kind = wordpiece("[UNK]", "la", "lamu", "##mu", "##ni")
    cut = kind.cut({old: new for new, old in enumerate(sorted(kind.with_needed({0, 2, 4})))})

    assert cut_with(kind.model, "lamuni") == cut_with(cut, "lamuni") == ["lamu", "##ni"]


def test_an_unknown_word_may_become_known():
    """
    "lamu" led nowhere and hid the way over "la".
    """
    kind = wordpiece("[UNK]", "la", "lamu", "##mut")

    assert cut_with(kind.model, "lamut") == ["[UNK]"]
    assert cut_with(kind.cut({0: 0, 1: 1, 3: 2}), "lamut") == ["la", "##mut"]


def test_the_text_of_a_piece_has_no_mark():
    """
    One mark goes, the sign itself stays.
    """
    kind = wordpiece("[UNK]")

    assert [kind.bare(piece) for piece in ("lamu", "##ni", "#", "###")] == ["lamu", "ni", "#", "#"]


def test_a_gap_in_the_ids_stays_visible():
    """
    A vocab.txt that names a piece twice leaves nothing at the first place.
    """
    assert by_id({"lamu": 2, "[UNK]": 0}) == ["[UNK]", None, "lamu"]
    assert by_id({}) == []
