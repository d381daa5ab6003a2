"""Quality per language: counts, averages and progress, equal to seqeval's on the same labels."""

import math
import random
from types import SimpleNamespace

import numpy as np
import pytest
from seqeval.metrics import f1_score, precision_score, recall_score

from edgeafri.data.dataset import Sentence, Split
from edgeafri.documents.quality import LanguageQuality
from edgeafri.inference.evaluate import average, evaluate
from edgeafri.inference.predict import SentenceLogits

TAGS = ("O", "O", "B-PER", "I-PER", "B-LOC", "I-LOC")
LOGIT = 3.0
TONES = ("negative", "neutral", "positive")


class Answers:
    """A predictor that answers each list of words with the labels it was given for it, each with the same logit."""

    def __init__(self, answers, labels=("O", "B-PER", "I-PER", "B-LOC", "I-LOC")):
        self.answers, self.labels = answers, labels

    def logits(self, sentences, progress):
        progress(1, 2)
        progress(2, 2)
        return [self._reading(self.answers[words]) for words in sentences]

    def _reading(self, answer):
        chosen = np.array([[label == one for label in self.labels] for one in answer], dtype=np.float32)
        return SentenceLogits(LOGIT * chosen, np.ones(len(answer), dtype=bool))


def loss(labels, right, wrong):
    """The mean cross-entropy of `Answers` with so many labels: the logit of what was answered stands over zeros."""
    below = math.log(math.exp(LOGIT) + labels - 1)
    return (right * (below - LOGIT) + wrong * below) / (right + wrong)


def texts(language, **labels):
    """A split of whole texts, each of one word."""
    return Split(language, "test", tuple(Sentence((word,), (label,)) for word, label in labels.items()), {}, "text")


def split(language, *sentences):
    return Split(
        language, "test", tuple(Sentence(tuple(words.split()), tuple(tags.split())) for words, tags in sentences), {}
    )


def entry(f1, sentences):
    """The quality of a language where all but F1 and the number of sentences is beside the point."""
    return LanguageQuality(precision=f1, recall=f1, f1=f1, loss=0.0, seconds=0.0, sentences=sentences, words=sentences)


def test_quality_is_keyed_by_language():
    """
    Languages keep the order they were given in; sentences, words and counts are those of the split.
    """
    splits = [split("yor", ("a b", "B-PER O"), ("c", "O")), split("hau", ("d", "B-LOC"))]
    answers = {("a", "b"): ("B-PER", "B-LOC"), ("c",): ("O",), ("d",): ("O",)}
    quality = evaluate(Answers(answers), splits)

    assert list(quality) == ["yor", "hau"]
    found = quality["yor"].to_json()
    assert found.pop("seconds") >= 0
    assert found.pop("loss") == pytest.approx(loss(5, right=2, wrong=1))
    assert found == {
        "precision": 50.0,
        "recall": 100.0,
        "f1": pytest.approx(200 / 3),
        "sentences": 2,
        "words": 3,
        "counts": [[1, 2, 1], [0, 0, 0]],
    }
    assert quality["hau"].f1 == 0.0


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

    assert quality.f1 == pytest.approx(100 * f1_score(gold, found))
    assert quality.precision == pytest.approx(100 * precision_score(gold, found))
    assert quality.recall == pytest.approx(100 * recall_score(gold, found))


def test_every_language_counts_the_same_in_the_average():
    """
    A language with few sentences weighs as much as one with many.
    """
    assert average({"amh": entry(f1=40.0, sentences=5), "swa": entry(f1=80.0, sentences=5000)}) == 60.0


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
    short = SimpleNamespace(logits=lambda sentences, progress: [], labels=("O",))

    with pytest.raises(ValueError, match="zip"):
        evaluate(short, [split("swa", ("a", "O"))])


def test_texts_are_judged_by_macro_f1_and_accuracy():
    """
    Every label counts the same: two of three texts are right, and the label that is always missed weighs a third.
    """
    gold = {"a": "negative", "b": "neutral", "c": "positive"}
    answers = {("a",): ("negative",), ("b",): ("neutral",), ("c",): ("neutral",)}
    quality = evaluate(Answers(answers, TONES), [texts("swa", **gold)])["swa"]

    assert quality.f1 == pytest.approx((100 + 200 / 3 + 0) / 3)
    assert quality.accuracy == pytest.approx(200 / 3)
    assert quality.loss == pytest.approx(loss(3, right=2, wrong=1))
    assert (quality.sentences, quality.words, len(quality.counts)) == (3, 3, 3)


def test_labels_of_words_have_no_accuracy():
    """
    Most words are outside every entity: it would be high for a model that finds nothing.
    """
    assert "accuracy" not in evaluate(Answers({("a",): ("O",)}), [split("swa", ("a", "O"))])["swa"].to_json()
