"""Examples: labels where words begin, windows, lines worth learning from, BERT's rule of hiding, flat positions."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from edgeafri.data.dataset import Sentence, Split, read_split
from edgeafri.errors import DataError
from edgeafri.stages.models import checkpoint
from edgeafri.stages.training.examples import (
    IGNORED,
    Collator,
    Example,
    Examples,
    Item,
    Masking,
    cut_lines,
    labelled_examples,
    lines_of,
    masked_examples,
    raw_lines,
    raw_words,
    split_held_out,
    unlabelled_examples,
)

MASK, VOCABULARY = 3, 1000
LABELS = ("O", "B-LOC", "B-PER")
AMINA = Sentence(("Amina", "alizuru", "Mombasa"), ("B-PER", "O", "B-LOC"))


@pytest.fixture(scope="module")
def cut(encoder_folder):
    """A function: a limit, and a unit, to the encoder that cuts words into inputs of that length."""
    tokenizer = checkpoint.read_tokenizer(encoder_folder)
    return lambda limit, unit="word": checkpoint.encoder(tokenizer, limit, unit)


def plain(length, language="swa"):
    """An example of raw text whose subwords are 100, 101 ..., start and end beside them."""
    own = tuple(range(100, 100 + length))
    return Example((0, *own, 2), tuple(range(1, length + 1)), own, language)


def of_words(*pieces):
    """An example of raw text whose words have so many subwords."""
    firsts = [place == 0 for count in pieces for place in range(count)]
    return replace(plain(sum(pieces)), word_starts=firsts)


def masking(**changed):
    return Masking(
        **{"mask_id": MASK, "vocabulary": VOCABULARY, "seed": 1, "everywhere": False, "fixed": False, **changed}
    )


def written(folder, **languages):
    for code, lines in languages.items():
        (folder / f"{code}.txt").write_text("\n".join(lines), "utf-8")
    return folder


def test_labels_stand_at_first_sub_words(cut):
    """
    One position and one target per word, at its first subword; nothing else is compared, start and end included.
    """
    row = labelled_examples(cut(64), Split("swa", "train", (AMINA,), {}), LABELS)[0]

    assert row.positions == cut(64).encode([AMINA.words])[0].firsts
    assert row.targets == (2, 0, 1)
    assert row.language == "swa"
    assert len(row.ids) > 3 + 2


def test_a_long_sentence_is_learnt_in_windows(cut, data):
    """
    No word is lost and none is learnt twice, however short the inputs are.
    """
    split = read_split(data, "hau", "train")
    labels = ("O", "B-DATE", "I-DATE", "B-LOC", "B-PER", "I-PER")
    rows = labelled_examples(cut(12), split, labels)
    words = sum(len(sentence.words) for sentence in split.sentences)

    assert len(rows) > len(split.sentences)
    assert max(len(row.ids) for row in rows) <= 12
    assert max(place for row in rows for place in row.positions) < 12 - 1
    assert sum(len(row.targets) for row in rows) == sum(len(row.positions) for row in rows) == words


def test_words_without_sub_words_have_no_place(cut):
    """
    A token of nothing but zero-width characters is "" in the data; its neighbours keep their own labels.
    """
    sentence = Sentence(("Amina", "", "Mombasa"), ("B-PER", "O", "B-LOC"))
    nothing = Sentence(("",), ("O",))
    rows = labelled_examples(cut(64), Split("swa", "train", (sentence, nothing), {}), LABELS)

    assert [row.targets for row in rows] == [(2, 1), ()]


def test_sentences_without_labels_have_the_same_places(cut):
    """
    The teacher answers at the positions where labels would stand.
    """
    labelled = labelled_examples(cut(64), Split("swa", "train", (AMINA,), {}), LABELS)
    unlabelled = unlabelled_examples(cut(64), [AMINA.words], "swa")

    assert [(row.ids, row.positions) for row in unlabelled] == [(row.ids, row.positions) for row in labelled]
    assert unlabelled[0].targets == (IGNORED,) * 3


def test_of_a_long_text_the_beginning_is_read(cut):
    """
    One position at the start, whatever the length; the first max_length subwords, start and end among them.
    """
    encoder = cut(12, "text")
    text = Sentence(("Mombasa",) * 40, ("negative",))
    short = Sentence(("Mombasa",), ("positive",))
    rows = labelled_examples(encoder, Split("swa", "train", (text, short), {}), ("negative", "positive"))
    pieces = encoder.tokenizer.encode_batch([list(text.words)], is_pretokenized=True, add_special_tokens=False)[0].ids

    assert rows[0].ids == (0, *pieces[:10], 2)
    assert [(row.positions, row.targets) for row in rows] == [((0,), (0,)), ((0,), (1,))]
    assert len(rows[1].ids) < 12


def test_raw_text_is_split_as_the_device_does(cut):
    """
    For labels of words punctuation stands alone; a text that is labelled as a whole keeps its words as typed.
    """
    line = "Amina, njoo!"

    assert raw_words(cut(64), [line]) == [["Amina", ",", "njoo", "!"]]
    assert raw_words(cut(64, "text"), [line]) == [["Amina,", "njoo!"]]


def test_lines_without_letters_are_left_out(tmp_path):
    """
    Digits and punctuation teach no language (MAFT); letters of any script count, Ethiopic numerals do not.
    """
    folder = written(tmp_path, swa=["12 345", "!?", "", "1_000", "saa 10"], amh=["፲፪ ።", "ጤና ይስጥልኝ"])

    assert raw_lines(folder, ("swa", "amh"), None) == {"swa": ["saa 10"], "amh": ["ጤና ይስጥልኝ"]}


def test_fewer_lines_are_spread_over_the_file(tmp_path):
    """
    The beginning of a corpus is often of one source; a limit takes lines of all parts, in their order.
    """
    folder = written(tmp_path, swa=[f"neno {number}" for number in range(10)], hau=["kalma"])

    assert raw_lines(folder, ("swa", "hau"), 3) == {"swa": ["neno 0", "neno 3", "neno 6"], "hau": ["kalma"]}


@pytest.mark.parametrize("most", [None, 2])
def test_lines_are_counted_as_they_are_read(tmp_path, most):
    """
    Those with a letter, of which a limit takes some, and those without; empty lines are no lines.
    """
    folder, notes = written(tmp_path, swa=["moja", "", "12", "mbili", "?!", "3", "tatu", "nne"]), Counter()
    found = list(lines_of(folder / "swa.txt", "swa", most, notes))

    assert found == (["moja", "tatu"] if most else ["moja", "mbili", "tatu", "nne"])
    assert notes == {"lines": 4, "no_letter": 3}


@pytest.mark.parametrize("most", [None, 1])
def test_text_in_another_script_is_refused(tmp_path, most):
    """
    Where a limit is given before the first line is told; else when the whole file has been read.
    """
    folder, found = written(tmp_path, amh=["ጤና", "Selam new, endemin neh", "Dehna"]), []

    with pytest.raises(DataError, match=r"amh\.txt:2: Amharic \(amh\) is written in Ethiopic script"):
        found.extend(lines_of(folder / "amh.txt", "amh", most, Counter()))
    assert len(found) == (0 if most else 3)


@pytest.mark.parametrize("lines", [[], ["", "  "], ["12", "3.5 %"]])
def test_a_language_without_text_is_refused(tmp_path, lines):
    """
    An empty file and one of numbers alone are named, with what a file should hold.
    """
    folder = written(tmp_path, swa=["neno"], hau=lines)

    with pytest.raises(DataError) as caught:
        raw_lines(folder, ("swa", "hau"), None)
    assert caught.value.message == f"{folder}/hau.txt: no line of text in it"
    assert caught.value.hint == "Write one sentence per line."


def test_raw_text_of_no_language_is_refused(tmp_path):
    """
    The message is about the missing option, not about too little text.
    """
    with pytest.raises(DataError) as caught:
        raw_lines(written(tmp_path, swa=["neno"]), (), None)
    assert caught.value.message == f"{tmp_path}: no language named to read raw text of"
    assert caught.value.hint == "Add --languages swa,hau: the files of --text to learn from."


def test_every_sub_word_of_raw_text_is_a_place(cut):
    """
    All but start and end, each its own target; a line of fewer than six subwords is not worth an example.
    """
    long, short = "Rais Amina Juma alizuru Mombasa", "ya"
    (row,) = masked_examples(cut(64), [long, short], "swa")

    assert list(row.positions) == list(range(1, len(row.ids) - 1))
    assert row.targets == row.ids[1:-1]
    assert (row.ids[0], row.ids[-1], row.language) == (0, 2, "swa")
    assert (len(row.word_starts), sum(row.word_starts), row.word_starts[0]) == (len(row.positions), 5, True)


def test_a_long_line_becomes_several_inputs(cut):
    """
    Every subword is learnt once; an input begins where a word does.
    """
    line = "Rais Amina Juma alizuru Mombasa Jumatatu " * 5
    ((whole, _),) = cut_lines(cut(1000), [line])
    parts = list(cut_lines(cut(20), [line]))

    assert np.concatenate([ids for ids, _ in parts]).tolist() == whole.tolist()
    assert all(len(ids) <= 18 and firsts[0] for ids, firsts in parts)
    assert min(len(ids) for ids, _ in parts[:-1]) > 18 - 12  # the longest of these words has no more subwords


def test_a_word_that_is_longer_than_an_input_is_cut(cut):
    """
    Text may have no spaces for long; nothing is lost, and only the first part begins a word.
    """
    line = "Mombasa" * 10
    ((whole, _),) = cut_lines(cut(1000), [line])
    parts = list(cut_lines(cut(12), [line]))

    assert np.concatenate([ids for ids, _ in parts]).tolist() == whole.tolist()
    assert [int(firsts.sum()) for _, firsts in parts] == [1] + [0] * (len(parts) - 1)
    assert masking(whole_words=True).apply(masked_examples(cut(12), [line], "swa")[1], 0, 0)[1] == list(range(1, 11))


def test_one_row_in_fifty_is_held_back():
    """
    The second of every fifty of a language; none is in both parts.
    """
    rows = [plain(6) for _ in range(150)]
    learnt, held_out = split_held_out(rows)
    ids = {id(row) for row in learnt}

    assert [next(number for number, row in enumerate(rows) if row is one) for one in held_out] == [1, 51, 101]
    assert len(learnt) == 147
    assert not any(id(row) in ids for row in held_out)


def test_every_language_is_judged():
    """
    However small, as long as a row is left to learn from; one row alone is learnt from.
    """
    rows = [replace(plain(6), language=code) for code in ["swa"] * 20 + ["hau"] * 3 + ["yor"]]
    learnt, held_out = split_held_out(rows)

    assert [row.language for row in held_out] == ["swa", "hau"]
    assert [row.language for row in learnt if row.language == "yor"] == ["yor"]


def test_two_rows_are_the_fewest():
    """
    One for training, one for validation; the message says so.
    """
    first, second = plain(6), plain(7)

    assert split_held_out([first, second]) == ([first], [second])
    with pytest.raises(DataError) as caught:
        split_held_out([first])
    message = "too little raw text: at least one line for training and one for validation are needed"
    assert (caught.value.message, caught.value.hint) == (message, "Add text.")


def test_sub_words_are_hidden_at_berts_rates():
    """
    15 % are chosen; of these 80 % are masked, 10 % are another subword, 10 % stay. Of 40,000 subwords, within one
    and three points: three standard deviations are half a point and 1.6 points.
    """
    row, found = plain(200), {"masked": 0, "other": 0, "same": 0}
    for number in range(200):
        ids, positions, targets = masking().apply(row, number, 0)
        for place, target in zip(positions, targets, strict=True):
            found["masked" if ids[place] == MASK else "same" if ids[place] == target else "other"] += 1
    chosen = sum(found.values())

    assert chosen / 40_000 == pytest.approx(0.15, abs=0.01)
    assert found["masked"] / chosen == pytest.approx(0.8, abs=0.03)
    assert found["other"] / chosen == pytest.approx(0.1, abs=0.03)
    assert found["same"] / chosen == pytest.approx(0.1, abs=0.03)


def test_targets_are_what_was_hidden():
    """
    The true subword at every compared position; start and end and all that is not compared stand as they were.
    """
    row = plain(60)
    ids, positions, targets = masking().apply(row, 0, 0)
    untouched = [place for place in range(len(row.ids)) if place not in positions]

    assert targets == [row.ids[place] for place in positions]
    assert ids[untouched].tolist() == [row.ids[place] for place in untouched]
    assert {0, 61} <= set(untouched)


def test_with_all_compared_the_hidden_ones_alone_have_targets():
    """
    A teacher is compared everywhere, the true subword counts where it could not be seen.
    """
    row = plain(60)
    ids, positions, targets = masking(everywhere=True).apply(row, 0, 0)
    same_ids, hidden, true = masking().apply(row, 0, 0)

    assert positions == list(row.positions)
    assert ids.tolist() == same_ids.tolist()
    assert [place for place, target in zip(positions, targets, strict=True) if target != IGNORED] == hidden
    assert [target for target in targets if target != IGNORED] == true


def test_something_is_always_hidden():
    """
    Six subwords go by unhidden in 0.85 ** 6 = 38 of 100 draws; such a row would teach nothing.
    """
    draws = [masking().apply(plain(6), number, 0) for number in range(200)]

    assert min(len(positions) for _, positions, _ in draws) == 1
    assert all(1 <= place <= 6 for _, positions, _ in draws for place in positions)


def test_whole_words_are_hidden_or_not_at_all():
    """
    All subwords of a word together; with all words of one subword it is the same draw as without.
    """
    row = of_words(3, 1, 2, 4, 1, 5)
    words = np.cumsum(row.word_starts)
    for number in range(200):
        positions = np.array(masking(whole_words=True).apply(row, number, 0)[1]) - 1
        for word in set(words[positions]):
            assert (words[positions] == word).sum() == (words == word).sum()
    alone = of_words(*[1] * 60)

    assert masking(whole_words=True).apply(alone, 7, 0)[1:] == masking().apply(alone, 7, 0)[1:]


def test_whole_words_hide_as_many_sub_words():
    """
    15 % of 40,000 subwords in words of one to five; words are drawn, so the deviation is larger: three standard
    deviations are 0.9 points.
    """
    row = of_words(*[1, 2, 3, 4, 5] * 13, 5)
    hidden = sum(len(masking(whole_words=True).apply(row, number, 0)[1]) for number in range(200))

    assert hidden / 40_000 == pytest.approx(0.15, abs=0.01)


def test_every_epoch_hides_others():
    """
    RoBERTa's dynamic masking, unless a teacher's kept answers need the same masks for good; rows differ always.
    """

    def hidden(own, number, epoch):
        return own.apply(plain(60), number, epoch)[1]

    assert hidden(masking(), 0, 0) != hidden(masking(), 0, 1)
    assert hidden(masking(), 0, 1) == hidden(masking(), 0, 1)
    assert hidden(masking(), 0, 1) != hidden(masking(seed=2), 0, 1)
    assert hidden(masking(fixed=True), 0, 0) == hidden(masking(fixed=True), 0, 7)
    assert hidden(masking(fixed=True), 0, 0) != hidden(masking(fixed=True), 1, 0)


def test_rows_know_their_number_and_the_epoch():
    """
    Items of a data set: as they stand, or hidden as the epoch says.
    """
    rows = Examples([plain(60), plain(8, "hau")])
    hidden = Examples(rows.examples, masking())
    first = hidden[0].positions
    hidden.epoch = 1

    assert rows[1] == Item(1, plain(8).ids, plain(8).positions, plain(8).targets)
    assert (rows.lengths.tolist(), rows.position_counts.tolist()) == ([62, 10], [60, 8])
    assert (rows.outline.names, rows.outline.languages.tolist()) == (("swa", "hau"), [0, 1])
    assert hidden[0].positions != first


def test_a_batch_is_padded_and_its_places_are_flat():
    """
    Places count through the padded batch, row by row; a row without positions takes none.
    """
    items = [
        Item(7, (0, 5, 6, 2), (1, 2), (4, IGNORED)),
        Item(3, np.array([0, 2]), (), ()),
        Item(5, (0, 9, 2), [1], [8]),
    ]
    batch = Collator(1)(items)

    assert batch["input_ids"].tolist() == [[0, 5, 6, 2], [0, 2, 1, 1], [0, 9, 2, 1]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 0, 0], [1, 1, 1, 0]]
    assert batch["input_ids"].flatten()[batch["positions"]].tolist() == [5, 6, 9]
    assert (batch["targets"].tolist(), batch["numbers"].tolist()) == ([4, IGNORED, 8], [7, 3, 5])
    assert {str(values.dtype) for values in batch.values()} == {"torch.int64"}


def test_a_batch_without_a_place_is_a_batch():
    """
    All its rows may be of words that have no subwords.
    """
    batch = Collator(1)([Item(0, (0, 2), (), ())])

    assert batch["positions"].shape == batch["targets"].shape == (0,)
    assert {str(values.dtype) for values in batch.values()} == {"torch.int64"}
