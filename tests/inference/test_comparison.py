"""Teacher and bundle beside each other: drops with intervals that admit how little was measured."""

import numpy as np

from edgeafri.documents.quality import FEW, LanguageQuality, Worst
from edgeafri.inference.comparison import compare, counts_of

RIGHT, WRONG = (1, 1, 1), (0, 1, 1)


def entry(f1: float, *counts: tuple[int, ...]) -> LanguageQuality:
    """The quality of a language with these counts, a row per sentence."""
    size = len(counts)
    return LanguageQuality(
        precision=f1, recall=f1, f1=f1, loss=0.0, seconds=0.0, sentences=size, words=size, counts=counts
    )


def test_the_language_that_lost_most_is_named():
    """
    Every language counts the same in the average; languages keep the teacher's order.
    """
    right, wrong = entry(100.0, *[RIGHT] * FEW), entry(0.0, *[WRONG] * FEW)
    found = compare({"swa": right, "hau": right}, {"hau": wrong, "swa": right}, "ner", "test")

    assert (found.metric, found.split) == ("entity F1", "test")
    assert list(found.bundle.items()) == [("swa", 100.0), ("hau", 0.0), ("avg", 50.0)]
    assert {code: lost.value for code, lost in found.drop.items()} == {"swa": 0, "hau": 100, "avg": 50}
    assert found.worst == Worst("hau", 100)


def test_a_language_with_few_entities_is_not_judged():
    """
    One sentence gives a bootstrap interval of no width; the interval given admits that nothing is known.
    """
    before = {"swa": entry(100.0, RIGHT), "hau": entry(100.0, *[RIGHT] * FEW)}
    found = compare(before, before, "ner", "test")

    assert (found.drop["swa"].low, found.drop["swa"].high) == (-100, 100)
    assert (found.drop["hau"].low, found.drop["hau"].high) == (0, 0)
    assert (found.drop["avg"].low, found.drop["avg"].high) == (-50, 50)
    assert found.notes() == ("swa: entities in test: 1, too few to judge by",)


def test_a_language_with_few_texts_is_not_judged():
    """
    Where whole texts are labelled, it is texts that are few, whatever their labels.
    """
    before = {"swa": entry(100.0, (1, 1, 1, 0, 0, 0)), "hau": entry(100.0, *[(0, 0, 0, 1, 1, 1)] * FEW)}
    found = compare(before, before, "topic", "test")

    assert (found.metric, found.counted, found.units) == ("macro F1", "texts", {"swa": 1, "hau": FEW})
    assert (found.drop["swa"].low, found.drop["swa"].high) == (-100, 100)
    assert found.notes() == ("swa: texts in test: 1, too few to judge by",)


def test_counts_are_arrays_of_the_languages_asked_for():
    """
    As metrics.py resamples them.
    """
    counts = counts_of({"swa": entry(50.0, RIGHT, WRONG), "hau": entry(0.0)}, ("swa",))

    assert list(counts) == ["swa"]
    assert np.array_equal(counts["swa"], [RIGHT, WRONG])
