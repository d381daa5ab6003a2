"""usage: pieces counted by language over raw text, train and dev, and sentences set aside."""

import numpy as np
import pytest

from edgeafri.errors import DataError
from edgeafri.menu.settings import TrimSettings
from edgeafri.stages.models import checkpoint
from edgeafri.stages.vocab.token_counts import count_tokens, count_words, counts_in
from edgeafri.util.progress import silent


@pytest.fixture(scope="module")
def tokenizer(encoder_folder):
    return checkpoint.read_tokenizer(encoder_folder).backend_tokenizer


@pytest.fixture
def raw(tmp_path):
    """120 Swahili lines, of which each has a word of its own."""
    lines = [f"Rais Amina alizuru Mombasa {number}" for number in range(120)]
    (tmp_path / "swa.txt").write_text("\n".join(lines), "utf-8")
    return tmp_path


def test_words_of_raw_text_train_and_dev_count(raw, data):
    """
    120 raw lines, and 16 sentences of eight words: twelve in train, four in dev.
    """
    found = count_words(TrimSettings(("swa",), text=raw, data=data), "swa", ("word",))

    assert found.words["alizuru"] == 120 + 16
    assert sum(found.words.values()) == 120 * 5 + 16 * 8


def test_one_sentence_in_fifty_is_set_aside_of_either(raw, data):
    """
    Three of 120 raw lines, one of the labelled sentences; they are counted too.
    """
    found = count_words(TrimSettings(("swa",), text=raw, data=data), "swa", ("word",))

    assert [words[4] for words in found.held_out[:3]] == ["0", "50", "100"]
    assert len(found.held_out) == 4


def test_pieces_are_counted_as_in_the_sentences_themselves(tokenizer, raw):
    """
    Word by word and each distinct word once, or line by line: the same sums.
    """
    size = tokenizer.get_vocab_size()
    found = count_tokens(tokenizer, size, TrimSettings(("swa",), text=raw), ("word",), silent)["swa"]
    lines = [line.split() for line in (raw / "swa.txt").read_text("utf-8").splitlines()]
    ids = [
        piece
        for encoding in tokenizer.encode_batch(lines, is_pretokenized=True, add_special_tokens=False)
        for piece in encoding.ids
    ]

    assert found.words == 600
    assert np.array_equal(found.total, np.bincount(ids, minlength=size))
    assert found.total.sum() - found.without_held_out.sum() == sum(
        len(tokenizer.encode(list(words), is_pretokenized=True, add_special_tokens=False).ids)
        for words in found.held_out
    )


def test_pieces_behind_the_vocabulary_have_a_place(tokenizer):
    """
    The arrays are as long as the ids go, not as there are pieces.
    """
    assert counts_in(tokenizer, 500, {"Rais": 2}).shape == (500,)


@pytest.mark.parametrize("line", ["", "12 34 ."])
def test_raw_text_without_a_letter_is_refused(data, tmp_path, line):
    """
    With labelled data beside it too: that alone is too little to say what a language never uses.
    """
    (tmp_path / "swa.txt").write_text(f"{line}\n" * 100, "utf-8")

    with pytest.raises(DataError) as caught:
        count_words(TrimSettings(("swa",), text=tmp_path, data=data), "swa", ("word",))
    assert caught.value.message == f"{tmp_path}/swa.txt: no line of text in it"
    assert caught.value.hint == "Write one sentence a line."


def test_text_is_read_by_every_unit(raw):
    """
    A masked LM learns lines as they stand, and its later task reads words: both count.
    """
    (raw / "swa.txt").write_text("Rais alizuru Lamu.\n", "utf-8")
    found = count_words(TrimSettings(("swa",), text=raw), "swa", ("word", "text"))

    assert dict(found.words) == {"Rais": 2, "alizuru": 2, "Lamu": 1, ".": 1, "Lamu.": 1}
