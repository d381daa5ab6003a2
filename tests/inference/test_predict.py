"""From words to labels, with a tokenizer of characters and a model of arithmetic: windows, first sub-words, margins."""

from types import SimpleNamespace

import numpy as np
import pytest

from edgeafri.inference.predict import Encoder, Frame, Predictor, SentenceLabels, padded

LABELS = ("B-PER", "O", "B-LOC")
FRAME = Frame(start=0, end=2, pad=1)


class Characters:
    """A tokenizer that cuts words into characters, each its own code point as id, and drops `~`."""

    def encode_batch(self, inputs, is_pretokenized, add_special_tokens):
        assert is_pretokenized
        assert not add_special_tokens
        return [self._encode(words) for words in inputs]

    def _encode(self, words):
        pieces = [(place, ord(letter)) for place, word in enumerate(words) for letter in word if letter != "~"]
        return SimpleNamespace(ids=[code for _, code in pieces], word_ids=[place for place, _ in pieces])


def by_code_point(ids, mask):
    """Logits that depend on a position's id alone: 3 for the label at the id's remainder, 0 for the others."""
    return np.float32(3) * np.eye(len(LABELS), dtype=np.float32)[ids % len(LABELS)]


def encoder(limit=20):
    return Encoder(Characters(), FRAME, limit)


def labels_of(*words, limit=20, batch=1):
    return Predictor(encoder(limit), LABELS, by_code_point, batch).label([words])[0].labels


def expected(words):
    return tuple(LABELS[ord(word[0]) % len(LABELS)] for word in words)


def test_an_input_is_framed():
    """
    Start, the sub-words of all words in order, end.
    """
    row = encoder().encode([["ab", "c"]])[0]

    assert (row.ids, row.words, row.firsts) == ((0, 97, 98, 99, 2), (0, 1), (1, 3))


def test_labels_are_read_at_the_first_sub_word():
    """
    What the model says of a word's later pieces does not count.
    """
    words = ("ab", "ba", "cab")

    assert labels_of(*words) == expected(words) == ("O", "B-LOC", "B-PER")


def test_a_word_without_pieces_is_outside():
    """
    Its label is O, whatever stands first among the labels, and its margin is 0, so it can never be a golden word.
    """
    labelled = Predictor(encoder(), LABELS, by_code_point).label([["ab", "~", "b"]])[0]

    assert labelled.labels == ("O", "O", "B-LOC")
    assert labelled.margins == (3.0, 0.0, 3.0)


def test_a_sentence_of_words_without_pieces_is_outside():
    """
    The model sees start and end only.
    """
    assert labels_of("~", "~") == ("O", "O")


def test_an_empty_sentence_has_no_labels():
    """
    It costs no input of the model, and the sentences beside it keep their places.
    """
    empty, one = Predictor(encoder(), LABELS, by_code_point).label([[], ["b"]])

    assert empty == SentenceLabels((), (), ())
    assert one.labels == ("B-LOC",)
    assert encoder().encode([[]]) == []


def test_no_sentences_have_no_labels():
    """
    An empty list is not an error.
    """
    assert Predictor(encoder(), LABELS, by_code_point).label([]) == []


def test_a_long_sentence_is_read_in_windows():
    """
    No input is longer than the limit, neighbours overlap, and every word is kept by just one window.
    """
    words = [letter * 2 for letter in "abcdefghijklmnopqrstuvwxyz"]
    rows = encoder(limit=14).encode([words])

    assert len(rows) > 3
    assert max(len(row.ids) for row in rows) <= 14
    assert sum(len(row.ids) - 2 for row in rows) > 2 * len(words)
    assert [word for row in rows for word in row.words] == list(range(len(words)))
    assert labels_of(*words, limit=14) == expected(words)


def test_a_window_points_at_its_own_positions():
    """
    First sub-words are counted from the window's start, behind the start token.
    """
    words = ["abc", "d", "~", "efgh", "i", "jk"] * 5
    rows = encoder(limit=12).encode([words])

    for row in rows:
        assert [chr(row.ids[place]) for place in row.firsts] == [words[word][0] for word in row.words]


def test_a_word_longer_than_the_model_is_read_by_its_beginning():
    """
    It is cut to what fits, is labelled all the same, and its neighbours too.
    """
    words = ["b", "c" * 50, "a"]
    rows = encoder(limit=10).encode([words])

    assert max(len(row.ids) for row in rows) == 10
    assert labels_of(*words, limit=10) == expected(words)


def shapes(tokens, batch, *lengths):
    """The shapes of the inputs that a predictor makes of sentences of so many sub-words, start and end included."""
    seen = []

    def forward(ids, mask):
        seen.append(ids.shape)
        return by_code_point(ids, mask)

    Predictor(encoder(), LABELS, forward, batch, tokens).label([["a" * (length - 2)] for length in lengths])
    return seen


def test_sentences_go_together_by_length_up_to_so_many_sub_words():
    """
    Padding counts, so that no input is larger than that; from short to long, little is padded.
    """
    assert shapes(24, 100, 12, 6, 5, 11, 6) == [(3, 6), (2, 12)]


def test_a_sentence_longer_than_the_limit_goes_alone():
    """
    Nothing is cut for it.
    """
    assert shapes(8, 100, 12, 4, 4, 11) == [(2, 4), (1, 11), (1, 12)]


def test_no_more_sentences_go_together_than_the_batch():
    """
    Both limits hold.
    """
    assert shapes(100, 2, 5, 5, 5) == [(2, 5), (1, 5)]


@pytest.mark.parametrize("batch", [1, 2, 3, 100])
def test_the_batch_does_not_change_labels(batch):
    """
    Rows are sorted by length for the model; the answers stand in the order of the sentences.
    """
    sentences = [["abc"] * count for count in (7, 1, 0, 12, 3)] + [["b", "ca"]]
    labelled = Predictor(encoder(limit=12), LABELS, by_code_point, batch).label(sentences)

    assert [item.labels for item in labelled] == [expected(words) for words in sentences]


def test_scores_are_probabilities_and_margins_are_distances():
    """
    The score is the softmax of the best label, the margin the distance of the two best logits.
    """

    def constant(ids, mask):
        return np.broadcast_to(np.array([0.5, 3.0, 1.0], dtype=np.float32), (*ids.shape, 3))

    labelled = Predictor(encoder(), LABELS, constant).label([["a"]])[0]

    assert labelled.labels == ("O",)
    assert labelled.margins == pytest.approx((2.0,))
    assert labelled.scores == pytest.approx((np.exp(3) / (np.exp(0.5) + np.exp(3) + np.exp(1)),))


def test_a_model_of_one_label_labels():
    """
    Data without entities trains a model that knows O alone; there is no second label to be close to.
    """
    predictor = Predictor(encoder(), ("O",), lambda ids, mask: np.zeros((*ids.shape, 1), dtype=np.float32))

    assert predictor.label([["a"]])[0].labels == ("O",)


def test_large_logits_do_not_overflow():
    """
    The softmax is taken of differences, so a logit of 1000 is a probability of 1, not of nan.
    """

    def huge(ids, mask):
        return np.broadcast_to(np.array([1000, 0, -1000], dtype=np.float32), (*ids.shape, 3))

    assert Predictor(encoder(), LABELS, huge).label([["a"]])[0].scores == (1.0,)


def test_progress_counts_rows_up_to_all():
    """
    The last progress says that all windows are read.
    """
    ticks = []
    predictor = Predictor(encoder(limit=12), LABELS, by_code_point, batch=2)
    predictor.label([["abc"] * 9, ["a"]], lambda done, total: ticks.append((done, total)))

    rows = len(encoder(limit=12).encode([["abc"] * 9, ["a"]]))
    assert ticks[-1] == (rows, rows)
    assert ticks == sorted(ticks)


def test_padding_is_masked():
    """
    Shorter rows are filled with the padding id, and the mask says what is real.
    """
    ids, mask = padded([(5, 6, 7), (8,)], pad=1)

    assert ids.tolist() == [[5, 6, 7], [8, 1, 1]]
    assert mask.tolist() == [[1, 1, 1], [1, 0, 0]]
    assert ids.dtype == mask.dtype == np.int64
