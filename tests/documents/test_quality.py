"""Quality documents: the keys that reports, the phone page and committed results read."""

from edgeafri.documents.quality import BundleEvaluation, Drop, LanguageQuality, QualityComparison, Worst

ENTRY = LanguageQuality(precision=50.0, recall=100.0, f1=66.7, loss=0.3, seconds=1.5, sentences=2, words=3)


def test_accuracy_and_counts_are_keys_only_where_they_say_something():
    """
    Labels of words have no accuracy; `edgeafri eval` leaves the counts out.
    """
    assert list(ENTRY.to_json()) == ["precision", "recall", "f1", "loss", "seconds", "sentences", "words"]


def test_an_evaluation_is_read_back_equal():
    """
    With the counts that intervals are drawn from, and accuracy in its place after F1.
    """
    entry = LanguageQuality.from_json({**ENTRY.to_json(), "accuracy": 70.0, "counts": [[1, 2, 1], [0, 0, 0]]})
    found = BundleEvaluation(
        bundle_id="ab", sample=False, int8_arithmetic="exact", metric="macro F1", quality={"yor": entry}, notes={}
    )

    assert list(entry.to_json())[2:4] == ["f1", "accuracy"]
    assert entry.counts == ((1, 2, 1), (0, 0, 0))
    assert BundleEvaluation.from_json(found.to_json()) == found


def test_a_comparison_has_the_keys_of_a_build():
    """
    What a report reads; `test_sentences_in_train` is there when train was read.
    """
    drop = Drop(0.2, 0.0, 0.5)
    found = QualityComparison(
        metric="entity F1",
        split="test",
        teacher={"swa": 76.1, "avg": 76.1},
        bundle={"swa": 75.9, "avg": 75.9},
        drop={"swa": drop, "avg": drop},
        units={"swa": 1179},
        worst=Worst("swa", 0.2),
    )

    assert list(found.to_json()) == ["metric", "split", "teacher", "bundle", "drop", "counted", "units", "worst"]
    assert found.to_json()["worst"] == {"lang": "swa", "drop": 0.2}
    assert QualityComparison.from_json(found.to_json()) == found
