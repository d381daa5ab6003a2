"""The sampler: languages drawn by hand-made numbers, like lengths together, batches of one language."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from edgeafri.stages.training.sampler import LanguageSampler, drawn_examples


def numbers_of(languages):
    return np.array([sorted(set(languages)).index(language) for language in languages])


def shares(languages, alpha):
    """How often each language is drawn, and how many of its examples at least once."""
    drawn = np.concatenate(drawn_examples(numbers_of(languages), alpha, np.random.default_rng(1))).tolist()
    counts = Counter(languages[number] for number in drawn)
    return dict(counts), Counter(languages[number] for number in set(drawn)), len(drawn)


def batches(order, size):
    numbers = list(order)
    return [numbers[start : start + size] for start in range(0, len(numbers), size)]


@pytest.mark.parametrize(
    ("sizes", "alpha", "drawn"),
    [
        ((16, 4), 0.5, (13, 7)),  # square roots 4 and 2: 2/3 and 1/3 of 20 are 13.33 and 6.67
        ((1000, 10), 0.3, (807, 203)),  # 100 ** 0.3 = 3.98: 3.98 and 1 parts of 4.98, of 1010
        ((6, 3, 3), 0, (4, 4, 4)),  # equal shares
        ((7, 2, 1), 0, (4, 3, 3)),  # 3.33 each; the row that is left goes to one of them
        ((5, 1), 1, (5, 1)),
    ],
)
def test_languages_are_drawn_by_their_share_to_a_power(sizes, alpha, drawn):
    """
    q ~ p ** alpha (Conneau et al. 2020), with as many rows as there are; a small language begins anew.
    """
    codes = ("amh", "hau", "swa")[: len(sizes)]
    languages = [code for code, size in zip(codes, sizes, strict=True) for _ in range(size)]
    counts, different, total = shares(languages, alpha)

    assert total == sum(sizes)
    assert tuple(counts[code] for code in codes) == drawn
    assert tuple(different[code] for code in codes) == tuple(map(min, sizes, drawn))


def test_by_its_share_every_row_is_read_once_an_epoch(tiny):
    """
    With alpha 1 nothing is left out and nothing is read twice.
    """
    rows = tiny.examples_of(swa=30, hau=7)

    assert sorted(LanguageSampler(rows, 4, 1.0, seed=1)) == list(range(37))


def test_rows_are_drawn_as_evenly_as_can_be():
    """
    7 draws of 4 rows: every row once or twice, no row three times.
    """
    languages = ["swa"] * 16 + ["hau"] * 4
    counts = Counter(np.concatenate(drawn_examples(numbers_of(languages), 0.5, np.random.default_rng(1))).tolist())

    assert sorted(counts[number] for number in range(16, 20)) == [1, 2, 2, 2]


@pytest.mark.parametrize("alpha", [1.0, 0.3])
def test_the_order_hangs_on_seed_and_epoch(alpha, tiny):
    """
    A resumed run must see the rows of its epoch in the same order, another epoch sees them in another.
    """

    def order(seed, epoch):
        found = LanguageSampler(tiny.examples_of(swa=30, hau=7), 4, alpha, seed)
        found.set_epoch(epoch)
        return list(found)

    assert order(1, 2) == order(1, 2)
    assert len({tuple(order(seed, epoch)) for seed in (1, 2) for epoch in (0, 1, 2)}) == 6


@pytest.mark.parametrize("alpha", [1.0, 0.3])
def test_a_batch_of_a_single_language_is_full(alpha, tiny):
    """
    What is left of a language is filled with rows of its own; with alpha 1 every row is there.
    """
    rows = tiny.examples_of(swa=30, hau=7, yor=1)
    order = LanguageSampler(rows, 4, alpha, seed=1, one_language_per_batch=True)
    found = batches(order, 4)

    assert all(len(batch) == 4 and len(set(rows.outline.languages[batch])) == 1 for batch in found)
    assert len(order) == 4 * len(found)
    if alpha == 1.0:
        assert set(order) == set(range(38))
        assert len(found) == 8 + 2 + 1


def test_batches_of_a_single_language_are_shuffled(tiny):
    """
    Languages take turns at random, long rows and short ones too; the order depends on seed and epoch.
    """
    rows = tiny.examples_of(swa=200, hau=200)

    def order(seed, epoch):
        found = LanguageSampler(rows, 4, 1.0, seed, one_language_per_batch=True)
        found.set_epoch(epoch)
        return list(found)

    languages = [int(rows.outline.languages[batch[0]]) for batch in batches(order(1, 0), 4)]
    longest = [int(rows.lengths[batch].max()) for batch in batches(order(1, 0), 4)]

    assert sum(one != other for one, other in pairwise(languages)) > 30
    assert sum(before > after for before, after in pairwise(longest)) > 30
    assert order(1, 2) == order(1, 2)
    assert len({tuple(order(seed, epoch)) for seed in (1, 2) for epoch in (0, 1, 2)}) == 6


@pytest.mark.parametrize("languages", [{"swa": 400}, {"swa": 200, "hau": 200}])
def test_in_batches_of_a_single_language_like_lengths_are_together(languages, tiny):
    """
    As they are in mixed ones.
    """
    rows = tiny.examples_of(**languages)

    def padding(numbers):
        return sum(int(rows.lengths[batch].max()) * len(batch) for batch in numbers) - int(rows.lengths.sum())

    assert (
        padding(batches(LanguageSampler(rows, 8, 1.0, seed=1, one_language_per_batch=True), 8))
        < padding(batches(range(400), 8)) / 10
    )


def test_like_lengths_are_read_together(tiny):
    """
    Of 400 rows the padding is under a tenth of what it is in random order; the batches' order is random still.
    """
    rows = tiny.examples_of(swa=400)
    found = batches(LanguageSampler(rows, 8, 1.0, seed=1), 8)
    longest = [int(rows.lengths[batch].max()) for batch in found]

    def padding(numbers):
        return sum(int(rows.lengths[batch].max()) * len(batch) for batch in numbers) - int(rows.lengths.sum())

    assert padding(found) < padding(batches(range(400), 8)) / 10
    assert sum(before > after for before, after in pairwise(longest)) > 10


def test_the_short_batch_stays_last(tiny):
    """
    In the middle it would shift every batch behind it, and rows of unlike length would meet.
    """
    rows = tiny.examples_of(swa=10)
    order = list(LanguageSampler(rows, 4, 1.0, seed=1))
    lengths = [rows.lengths[order[start : start + 4]].tolist() for start in (0, 4)]

    assert sorted(order) == list(range(10))
    assert max(min(lengths)) <= min(max(lengths))
    assert list(LanguageSampler(rows, 64, 1.0, seed=1)) != list(range(10))
