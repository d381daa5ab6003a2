"""Entity F1 equal to seqeval's, macro F1 to scikit-learn's, and bootstrap intervals that mean what they say."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics import f1_score, precision_score, recall_score
from seqeval.metrics.sequence_labeling import get_entities
from sklearn import metrics as sklearn

from edgeafri.inference.metrics import (
    Drop,
    accuracy,
    average_drop,
    class_counts,
    drop,
    entities,
    interval,
    scores,
    sentence_counts,
)

TAGS = st.sampled_from(["O", "O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-A-B", "I-A-B"])
PAIRS = st.lists(st.tuples(TAGS, TAGS), max_size=12).map(lambda rows: tuple(zip(*rows, strict=True)) or ((), ()))

LABELS = ("negative", "neutral", "positive", "mixed")


def sample(seed, sentences=200, quality=0.8):
    """Counts of a system that finds a share `quality` of up to four entities a sentence."""
    generator = np.random.default_rng(seed)
    gold = generator.integers(0, 5, sentences)
    predicted = generator.integers(0, 5, sentences)
    correct = generator.binomial(np.minimum(gold, predicted), quality)
    return np.stack([correct, predicted, gold], axis=1)


def texts(seed, count=200, quality=0.8, labels=LABELS):
    """Labels of random texts, rarer ones later in `labels`, and those of a system that guesses in some of them."""
    generator = np.random.default_rng(seed)
    share = 0.5 ** np.arange(len(labels))
    gold = generator.choice(labels, count, p=share / share.sum())
    guessed = np.where(generator.random(count) < quality, gold, generator.choice(labels, count))
    return gold.tolist(), guessed.tolist()


def sample_of_texts(seed, count=200, quality=0.8):
    """Counts of such a system."""
    return class_counts(*texts(seed, count, quality), LABELS)


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        (["B-PER", "I-PER", "O"], {("PER", 0, 1)}),
        (["O", "I-PER", "I-PER"], {("PER", 1, 2)}),
        (["B-PER", "I-LOC"], {("PER", 0, 0), ("LOC", 1, 1)}),
        (["B-PER", "B-PER"], {("PER", 0, 0), ("PER", 1, 1)}),
        ([], set()),
    ],
)
def test_entities_are_read_leniently(tags, expected):
    """
    I- without B- starts an entity, a new type or a B- ends the one before.
    """
    assert entities(tags) == expected


@given(st.lists(TAGS, max_size=20))
def test_entities_equal_seqeval(tags):
    """
    Any sequence of IOB2 tags, valid or not, has the entities that seqeval's default mode finds.
    """
    assert entities(tags) == set(get_entities(list(tags)))


@settings(deadline=None)
@given(st.lists(PAIRS, min_size=1, max_size=6))
@pytest.mark.filterwarnings("ignore")  # seqeval warns where nothing is divided
def test_scores_equal_seqeval(sentences):
    """
    Micro precision, recall and F1 are seqeval's, also where nothing is predicted or nothing is there.
    """
    gold = [list(pair[0]) for pair in sentences]
    predicted = [list(pair[1]) for pair in sentences]

    ours = scores(sentence_counts(gold, predicted))

    # The same few divisions in another order: differences are in the last bits.
    assert ours.precision == pytest.approx(100 * precision_score(gold, predicted), abs=1e-9)
    assert ours.recall == pytest.approx(100 * recall_score(gold, predicted), abs=1e-9)
    assert ours.f1 == pytest.approx(100 * f1_score(gold, predicted), abs=1e-9)


def test_counts_are_kept_a_sentence():
    """
    One row a sentence: correct, predicted, gold.
    """
    gold = [["B-PER", "O"], ["B-LOC", "I-LOC"], ["O"]]
    predicted = [["B-PER", "B-LOC"], ["B-LOC", "O"], ["O"]]

    counts = sentence_counts(gold, predicted)

    assert counts.tolist() == [[1, 2, 1], [0, 1, 1], [0, 0, 0]]
    assert counts.dtype == np.int64


@pytest.mark.parametrize(("gold", "predicted"), [([["O"]], []), ([], [["O"]])])
def test_counts_refuse_different_sentences(gold, predicted):
    """
    Two lists of different length are a programming mistake, not a score.
    """
    with pytest.raises(ValueError, match="zip"):
        sentence_counts(gold, predicted)


def test_classes_are_counted_a_text():
    """
    One row a text; for every label in order: correct, predicted, gold.
    """
    counts = class_counts(["b", "a", "b"], ["b", "b", "c"], ["a", "b", "c"])

    assert counts.tolist() == [[0, 0, 0, 1, 1, 1, 0, 0, 0], [0, 0, 1, 0, 1, 0, 0, 0, 0], [0, 0, 0, 0, 0, 1, 0, 1, 0]]
    assert counts.dtype == np.int64


def test_class_counts_refuse_different_texts_and_unknown_labels():
    """
    Both are programming mistakes: labels are checked where data is read.
    """
    with pytest.raises(ValueError, match="zip"):
        class_counts(["a", "a"], ["a"], ["a"])
    with pytest.raises(KeyError, match="c"):
        class_counts(["a"], ["c"], ["a", "b"])


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("abcd")), min_size=1, max_size=30))
def test_classification_equals_scikit_learn(pairs):
    """
    Macro precision, recall and F1 over the labels that are there, and accuracy; labels that nobody used change nothing.
    """
    gold, predicted = zip(*pairs, strict=True)
    counts = class_counts(gold, predicted, "abcde")

    ours = scores(counts)

    expected = sklearn.precision_recall_fscore_support(gold, predicted, average="macro", zero_division=0)[:3]
    # The same few divisions in another order: differences are in the last bits.
    assert (ours.precision, ours.recall, ours.f1) == pytest.approx([100 * value for value in expected], abs=1e-9)
    assert accuracy(counts) == pytest.approx(100 * sklearn.accuracy_score(gold, predicted), abs=1e-9)


def test_a_class_without_any_correct_text_counts_as_zero():
    """
    By hand: a has F1 2/3, b, which is never predicted, and c, which is never right, have 0; d is not there.
    """
    counts = class_counts(["a", "b"], ["a", "a"], "abd")
    with_c = class_counts(["a", "b", "a"], ["a", "a", "c"], "abcd")

    assert scores(counts).f1 == pytest.approx(100 * (2 / 3) / 2)
    assert scores(with_c).f1 == pytest.approx(100 * (1 / 2) / 3)
    assert (accuracy(counts), accuracy(with_c)) == (50.0, pytest.approx(100 / 3))


def test_accuracy_of_entities_is_their_recall():
    """
    One group, gold in the denominator.
    """
    assert accuracy(sample(1)) == scores(sample(1)).recall


@pytest.mark.parametrize("empty", [sentence_counts([], []), class_counts([], [], LABELS)], ids=["entities", "classes"])
def test_nothing_to_find_scores_zero(empty):
    """
    No sentences at all give zeros and the interval 0 to 0, never a division by zero.
    """
    assert (scores(empty).f1, accuracy(empty), interval(empty, draws=10)) == (0.0, 0.0, (0.0, 0.0))


def test_an_interval_holds_the_score_and_repeats():
    """
    The same seed gives the same interval, it lies around F1, and another seed moves it a little.
    """
    counts = sample(seed=1)

    low, high = interval(counts)

    assert low < scores(counts).f1 < high
    assert interval(counts) == (low, high)
    assert interval(counts, seed=1) != (low, high)


def test_every_draw_is_scored_as_scikit_learn_would():
    """
    The same texts drawn by the same seed, one draw at a time: a class that a draw misses is left out of its mean.
    """
    gold, predicted = (np.array(labels) for labels in texts(1, count=12))
    chosen = np.random.default_rng(0).integers(12, size=(50, 12))
    drawn = [sklearn.f1_score(gold[rows], predicted[rows], average="macro", zero_division=0) for rows in chosen]
    missed = [set(LABELS) - {*gold[rows], *predicted[rows]} for rows in chosen]

    found = interval(class_counts(gold, predicted, LABELS), draws=50)

    assert 0 < sum(map(bool, missed)) < 50
    assert found == pytest.approx(100 * np.percentile(drawn, (2.5, 97.5)), abs=1e-9)


def test_the_interval_of_two_texts_is_known_by_hand():
    """
    One right, one wrong: of four equally likely draws one has both right, F1 1, one both wrong, 0, and two 1/3.
    """
    counts = class_counts(["a", "b"], ["a", "a"], "ab")

    assert interval(counts) == (0.0, 100.0)
    assert scores(counts).f1 == pytest.approx(100 / 3)


def test_more_sentences_narrow_the_interval():
    """
    Four times the sentences, about half the width; a third of slack for chance.
    """
    small, large = interval(sample(1, sentences=400)), interval(sample(1, sentences=1600))

    assert (large[1] - large[0]) / (small[1] - small[0]) == pytest.approx(0.5, rel=0.33)


@pytest.mark.parametrize("population", [sample(2, 20_000), sample_of_texts(2, 20_000)], ids=["entities", "classes"])
def test_an_interval_covers_the_truth_about_as_often_as_it_says(population):
    """
    Of 200 samples of 150 sentences out of a large population, 95 % intervals hold its F1 in 89 % to 99 %.
    """
    truth = scores(population).f1
    generator = np.random.default_rng(3)

    found = [interval(population[generator.integers(20_000, size=150)], draws=300) for _ in range(200)]

    assert 178 <= sum(low <= truth <= high for low, high in found) <= 198


@pytest.mark.parametrize("counts", [sample(1), sample_of_texts(1)], ids=["entities", "classes"])
def test_a_large_sample_is_drawn_in_parts_with_the_same_result(monkeypatch, counts):
    """
    Memory is bounded by drawing in parts; the numbers do not depend on how many parts there are.
    """
    whole = interval(counts, draws=50)
    monkeypatch.setattr("edgeafri.inference.metrics._CELLS", 6000)

    assert interval(counts, draws=50) == whole


def test_a_system_loses_nothing_against_itself():
    """
    Both systems see the same resampled sentences, so equal systems differ by exactly 0 in every draw.
    """
    assert drop(sample(1), sample(1)) == Drop(0.0, 0.0, 0.0)
    assert drop(sample_of_texts(1), sample_of_texts(1)) == Drop(0.0, 0.0, 0.0)


def test_a_paired_drop_is_surer_than_two_intervals():
    """
    A candidate that misses one entity in fifty is worse for sure, although the two F1 intervals overlap widely.
    """
    reference = sample(1, sentences=500)
    candidate = reference.copy()
    candidate[::25, 0] = np.maximum(candidate[::25, 0] - 1, 0)

    found = drop(reference, candidate)

    assert found.value == pytest.approx(scores(reference).f1 - scores(candidate).f1)
    assert 0 < found.low < found.value < found.high
    assert interval(reference)[0] < interval(candidate)[1]


def test_a_drop_of_classes_is_paired_too():
    """
    A candidate that has one text in fifty wrong on top is worse for sure.
    """
    gold, ours = texts(1, count=1000)
    theirs = [LABELS[LABELS.index(label) - 1] if number % 50 == 0 else label for number, label in enumerate(ours)]
    reference, candidate = class_counts(gold, ours, LABELS), class_counts(gold, theirs, LABELS)

    found = drop(reference, candidate)

    macro = [sklearn.f1_score(gold, labels, average="macro") for labels in (ours, theirs)]
    assert found.value == pytest.approx(100 * (macro[0] - macro[1]), abs=1e-9)
    assert 0 < found.low < found.value < found.high
    assert interval(reference)[0] < interval(candidate)[1]


def test_a_gain_is_a_negative_drop():
    """
    Swapping the systems turns the sign of the drop.
    """
    forth, back = drop(sample(1), sample(1, quality=0.9)), drop(sample(1, quality=0.9), sample(1))

    assert forth.value == -back.value
    assert forth.low == pytest.approx(-back.high)


def test_two_systems_must_have_labelled_the_same_sentences():
    """
    A pair of different length cannot be paired, nor one of entities with one of classes.
    """
    with pytest.raises(ValueError, match="shape"):
        drop(sample(1, sentences=10), sample(1, sentences=11))
    with pytest.raises(ValueError, match="shape"):
        drop(sample(1), sample_of_texts(1))


def test_the_average_drop_is_the_mean_over_languages():
    """
    Every language counts the same whatever its size, and the order of languages changes nothing.
    """
    reference = {"swa": sample(1), "yor": sample(2, sentences=50)}
    candidate = {"yor": sample(2, sentences=50, quality=0.7), "swa": sample(1, quality=0.7)}

    found = average_drop(reference, candidate)

    each = [drop(reference[code], candidate[code]).value for code in reference]
    assert found.value == pytest.approx(sum(each) / 2)
    assert found.low < found.value < found.high
    assert found == average_drop(dict(reversed(reference.items())), candidate)


def test_an_average_needs_every_language_of_both():
    """
    A language that only one system was measured on is a mistake, never left out in silence.
    """
    with pytest.raises(KeyError):
        average_drop({"swa": sample(1), "yor": sample(2)}, {"swa": sample(1)})
