"""Quality per language: counts, averages and progress, equal to seqeval's on the same labels."""

import random
from types import SimpleNamespace

import pytest
from seqeval.metrics import f1_score, precision_score, recall_score

from edgeafri.dataset import Sentence, Split
from edgeafri.evaluate import average, evaluate
from edgeafri.predict import Labelled

TAGS = ("O", "O", "B-PER", "I-PER", "B-LOC", "I-LOC")


class Answers:
    """A predictor that answers each list of words with the tags it was given for it."""

    def __init__(self, answers):
        self.answers = answers

    def label(self, sentences, tick):
        tick(1, 2)
        tick(2, 2)
        return [Labelled(self.answers[words], (), ()) for words in sentences]


def split(language, *sentences):
    return Split(
        language, "test", tuple(Sentence(tuple(words.split()), tuple(tags.split())) for words, tags in sentences), {}
    )


def test_quality_is_keyed_by_language():
    """
    Languages keep the order they were given in; sentences, words and counts are those of the split.
    """
    splits = [split("yor", ("a b", "B-PER O"), ("c", "O")), split("hau", ("d", "B-LOC"))]
    answers = {("a", "b"): ("B-PER", "B-LOC"), ("c",): ("O",), ("d",): ("O",)}
    quality = evaluate(Answers(answers), splits)

    assert list(quality) == ["yor", "hau"]
    assert quality["yor"] == {
        "precision": 50.0,
        "recall": 100.0,
        "f1": pytest.approx(200 / 3),
        "sentences": 2,
        "words": 3,
        "counts": [[1, 2, 1], [0, 0, 0]],
    }
    assert quality["hau"]["f1"] == 0.0


def test_quality_equals_seqeval():
    """
    Precision, recall and F1 on random tags, also on I- that continues nothing.
    """
    draw = random.Random(3)  # tags of a test, not a secret
    gold = [[draw.choice(TAGS) for _ in range(draw.randint(1, 12))] for _ in range(60)]
    found = [[tag if draw.random() < 0.7 else draw.choice(TAGS) for tag in tags] for tags in gold]
    words = [tuple(f"w{number}" for _ in tags) for number, tags in enumerate(gold)]
    sentences = tuple(Sentence(names, tuple(tags)) for names, tags in zip(words, gold, strict=True))
    answers = dict(zip(words, map(tuple, found), strict=True))
    quality = evaluate(Answers(answers), [Split("swa", "test", sentences, {})])["swa"]

    assert quality["f1"] == pytest.approx(100 * f1_score(gold, found))
    assert quality["precision"] == pytest.approx(100 * precision_score(gold, found))
    assert quality["recall"] == pytest.approx(100 * recall_score(gold, found))


def test_every_language_counts_the_same_in_the_average():
    """
    A language with few sentences weighs as much as one with many.
    """
    assert average({"amh": {"f1": 40.0, "sentences": 5}, "swa": {"f1": 80.0, "sentences": 5000}}) == 60.0


def test_progress_runs_through_all_languages():
    """
    It counts sentences, only ever goes up, and ends at the sum of all splits.
    """
    ticks = []
    splits = [split("yor", ("a", "O"), ("b", "O")), split("hau", ("c", "O"), ("d", "O"))]
    answers = {(letter,): ("O",) for letter in "abcd"}
    evaluate(Answers(answers), splits, lambda done, total: ticks.append((done, total)))

    assert ticks == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_a_sentence_that_loses_words_is_an_error():
    """
    Fewer labels than words would shift every count; it is never passed over.
    """
    short = SimpleNamespace(label=lambda sentences, tick: [])

    with pytest.raises(ValueError, match="zip"):
        evaluate(short, [split("swa", ("a", "O"))])
