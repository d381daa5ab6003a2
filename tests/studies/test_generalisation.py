"""Out of distribution: a few sentences are always the same ones, and what is taught does not count as zero-shot."""

from pathlib import Path

import pytest

from edgeafri.data.dataset import Sentence, read_split
from edgeafri.errors import DataError, UsageError
from edgeafri.studies.generalisation import (
    check_few_shot,
    check_high_resource,
    check_zero_shot,
    spread_over,
    write_few,
    zero_shot_pairs,
    zero_shot_table,
)
from edgeafri.studies.levels import Level, Sweep
from edgeafri.studies.parts import PartSettings, StudyPart

LABELS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-DATE", "I-DATE")


def corpus(folder: Path, code: str, **splits: str) -> Path:
    """A data folder with the splits given, the others with a word."""
    (folder / code).mkdir(parents=True)
    for name in ("train", "dev", "test"):
        (folder / code / f"{name}.txt").write_text(splits.get(name, "Juma B-PER\n"), "utf-8")
    return folder


def test_a_few_sentences_are_spread_over_the_file():
    """
    Files are often sorted by their source; the first ones would all be of one kind.
    """
    sentences = [Sentence((str(number),), ("O",)) for number in range(10)]

    assert [item.words[0] for item in spread_over(sentences, 4)] == ["0", "2", "5", "7"]
    assert spread_over(sentences, 10) == spread_over(sentences, 99) == sentences


def test_a_few_sentences_are_read_back_as_they_were(tmp_path):
    """
    With words that hold a space or nothing visible; test is never copied.
    """
    text = "New York\tB-LOC\n\u200b\tO\nẹ́\tO\n\nJuma\tB-PER\n"
    data = corpus(tmp_path / "data", "yor", train=text, dev=text)
    few = write_few(data, "yor", 2, tmp_path / "few")

    assert read_split(few, "yor", "train").sentences == read_split(data, "yor", "train").sentences
    assert read_split(few, "yor", "train").sentences[0].words == ("New York", "", "ẹ́")
    assert sorted(file.name for file in (few / "yor").iterdir()) == ["dev.txt", "train.txt"]


def test_a_few_sentences_are_always_the_same(data, tmp_path):
    """
    Byte for byte, so that what was learnt from them is found again.
    """
    first, second = (write_few(data, "swa", 3, tmp_path / name) / "swa" / "train.txt" for name in "ab")

    assert first.read_bytes() == second.read_bytes()
    assert len(read_split(tmp_path / "a", "swa", "train").sentences) == 3


def test_a_label_that_the_teacher_does_not_know_is_told_before_any_work(tmp_path):
    """
    Its head would be made new, and with it the zeros of a pruned one.
    """
    data = corpus(tmp_path, "bam", train="Juma B-AGE\n")

    with pytest.raises(DataError, match=r"bam/train\.txt: the model does not know the tag B-AGE"):
        check_few_shot(StudyPart("few-shot", data, PartSettings(), ("bam",)), LABELS)


def test_an_unseen_language_has_a_code(tmp_path):
    """
    A bundle names its languages.
    """
    with pytest.raises(UsageError, match="unknown language 'bambara'"):
        check_few_shot(StudyPart("few-shot", corpus(tmp_path, "bambara"), PartSettings(), ("bambara",)), LABELS)


def test_a_high_resource_language_needs_its_test_split_alone(tmp_path):
    """
    Nothing is learnt from it; but its labels must be known.
    """
    part = StudyPart("high-resource", corpus(tmp_path / "one", "eng", train="Juma B-AGE\n"), PartSettings(), ("eng",))
    check_high_resource(part, LABELS)

    with pytest.raises(DataError, match=r"eng/test\.txt: the model does not know the tag B-AGE"):
        check_high_resource(
            StudyPart("high-resource", corpus(tmp_path / "two", "eng", test="Juma B-AGE\n"), PartSettings(), ("eng",)),
            LABELS,
        )


def test_a_source_language_knows_the_labels_of_its_targets(tmp_path):
    """
    It is the only one that the model learns from.
    """
    data = corpus(tmp_path, "swa")
    corpus(tmp_path, "hau", test="Kano B-LOC\n")

    with pytest.raises(DataError, match=r"hau/test\.txt: the model does not know the tag B-LOC"):
        check_zero_shot(StudyPart("zero-shot", data, PartSettings(), ("swa",)), ("swa", "hau"))


@pytest.fixture
def runs(quality) -> dict:
    """
    Taught Swahili and seen on three languages, by two seeds.
    """
    found = (quality(swa=10, hau=6, yor=2), quality(swa=10, hau=8, yor=4))
    return {"swa": Sweep((Level(0.0, 0, (), found),), ("swa", "hau", "yor"))}


def test_what_is_taught_does_not_count_as_zero_shot(runs):
    """
    The mean, the best and the worst are of the other languages.
    """
    (row,) = zero_shot_table(runs, ("swa", "hau", "yor"), "zero", "Zero", ()).rows

    assert row["swa"].mean == 100
    assert (row["others"].mean, row["others"].sd) == (50.0, pytest.approx(14.142, abs=1e-3))
    assert (row["best"], row["worst"]) == ("hau", "yor")


def test_pairs_are_of_two_languages(runs):
    """
    A row a source, target and level.
    """
    table = zero_shot_pairs(runs, "pairs", "Pairs", ())

    assert [(row["source"], row["target"], row["f1"].mean) for row in table.rows] == [
        ("swa", "hau", 70.0),
        ("swa", "yor", 30.0),
    ]


def test_one_language_has_no_others(runs):
    """
    Then there is nothing to transfer to.
    """
    (row,) = zero_shot_table(runs, ("swa",), "zero", "Zero", ()).rows

    assert "others" not in row
