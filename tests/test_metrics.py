"""Entity F1 equal to seqeval's, and bootstrap intervals that mean what they say."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics import f1_score, precision_score, recall_score
from seqeval.metrics.sequence_labeling import get_entities

from edgeafri.metrics import Drop, average_drop, drop, entities, interval, scores, sentence_counts

TAGS = st.sampled_from(["O", "O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-A-B", "I-A-B"])
PAIRS = st.lists(st.tuples(TAGS, TAGS), max_size=12).map(lambda rows: tuple(zip(*rows, strict=True)) or ((), ()))


def sample(seed, sentences=200, quality=0.8):
    """Counts of a system that finds a share `quality` of up to four entities a sentence."""
    generator = np.random.default_rng(seed)
    gold = generator.integers(0, 5, sentences)
    predicted = generator.integers(0, 5, sentences)
    correct = generator.binomial(np.minimum(gold, predicted), quality)
    return np.stack([correct, predicted, gold], axis=1)


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


def test_nothing_to_find_scores_zero():
    """
    No sentences at all give zeros and the interval 0 to 0, never a division by zero.
    """
    empty = sentence_counts([], [])

    assert (scores(empty).f1, interval(empty, draws=10)) == (0.0, (0.0, 0.0))


def test_an_interval_holds_the_score_and_repeats():
    """
    The same seed gives the same interval, it lies around F1, and another seed moves it a little.
    """
    counts = sample(seed=1)

    low, high = interval(counts)

    assert low < scores(counts).f1 < high
    assert interval(counts) == (low, high)
    assert interval(counts, seed=1) != (low, high)


def test_more_sentences_narrow_the_interval():
    """
    Four times the sentences, about half the width; a third of slack for chance.
    """
    small, large = interval(sample(1, sentences=400)), interval(sample(1, sentences=1600))

    assert (large[1] - large[0]) / (small[1] - small[0]) == pytest.approx(0.5, rel=0.33)


def test_an_interval_covers_the_truth_about_as_often_as_it_says():
    """
    Of 200 samples of 150 sentences out of a large population, 95 % intervals hold its F1 in 89 % to 99 %.
    """
    population = sample(seed=2, sentences=20_000)
    truth = scores(population).f1
    generator = np.random.default_rng(3)

    found = [interval(population[generator.integers(20_000, size=150)], draws=300) for _ in range(200)]

    assert 178 <= sum(low <= truth <= high for low, high in found) <= 198


def test_a_large_sample_is_drawn_in_parts_with_the_same_result(monkeypatch):
    """
    Memory is bounded by drawing in parts; the numbers do not depend on how many parts there are.
    """
    whole = interval(sample(1), draws=50)
    monkeypatch.setattr("edgeafri.metrics._CELLS", 1000)

    assert interval(sample(1), draws=50) == whole


def test_a_system_loses_nothing_against_itself():
    """
    Both systems see the same resampled sentences, so equal systems differ by exactly 0 in every draw.
    """
    assert drop(sample(1), sample(1)) == Drop(0.0, 0.0, 0.0)


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


def test_a_gain_is_a_negative_drop():
    """
    Swapping the systems turns the sign of the drop.
    """
    forth, back = drop(sample(1), sample(1, quality=0.9)), drop(sample(1, quality=0.9), sample(1))

    assert forth.value == -back.value
    assert forth.low == pytest.approx(-back.high)


def test_two_systems_must_have_labelled_the_same_sentences():
    """
    A pair of different length cannot be paired.
    """
    with pytest.raises(ValueError, match="dimension"):
        drop(sample(1, sentences=10), sample(1, sentences=11))


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
