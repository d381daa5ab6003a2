"""The sampler: in which order the examples of an epoch are read, so that small languages count and little is padded."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

from edgeafri.stages.training.examples import Examples

GROUP = 50  # batches whose examples are sorted by length together


class LanguageSampler(Sampler[int]):
    """The examples of an epoch: every language as often as its share to the power alpha says, like lengths together.

    With q_i ~ p_i ** alpha (Conneau et al. 2020, section 3) an epoch has as many examples as there are; a language that
    is drawn more often than it has examples begins anew. With `one_language_per_batch` no batch mixes languages,
    batches of all languages come in random order, and the last batch of a language is filled with more examples of its
    own. The order depends on seed and epoch alone, so a resumed run sees the same.
    """

    def __init__(
        self, examples: Examples, batch: int, alpha: float, seed: int, one_language_per_batch: bool = False
    ) -> None:
        self._examples, self._batch, self._alpha, self._seed = examples, batch, alpha, seed
        self._one_language_per_batch = one_language_per_batch

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch that is read next; accelerate's data loader calls this."""
        self._examples.epoch = epoch

    def __len__(self) -> int:
        if not self._one_language_per_batch:
            return len(self._examples)
        wanted = drawn_counts(self._examples.outline.languages, self._alpha)
        return int((-(-wanted // self._batch)).sum()) * self._batch

    def __iter__(self) -> Iterator[int]:
        random = np.random.default_rng((self._seed, self._examples.epoch))
        parts = drawn_examples(self._examples.outline.languages, self._alpha, random)
        groups = self._by_language(parts, random) if self._one_language_per_batch else self._mixed(parts, random)
        for group in groups:
            yield from group.ravel().tolist()

    def _mixed(self, parts: Sequence[NDArray[np.int64]], random: np.random.Generator) -> Iterator[NDArray[np.int64]]:
        drawn = random.permutation(np.concatenate(parts))
        whole = len(drawn) - len(drawn) % self._batch  # the short batch stays last
        for batches in self._batches(drawn[:whole]):
            yield random.permutation(batches)
        yield drawn[whole:]

    def _by_language(
        self, parts: Sequence[NDArray[np.int64]], random: np.random.Generator
    ) -> Iterator[NDArray[np.int64]]:
        found: list[NDArray[np.int64]] = []
        for part in parts:
            whole = -(-len(part) // self._batch) * self._batch
            found += self._batches(np.resize(random.permutation(part), whole))
        batches = np.concatenate(found)
        random.shuffle(batches)
        yield from np.array_split(batches, max(1, len(batches) // GROUP))

    def _batches(self, drawn: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
        """Groups of batches, of shape (batches, batch size): examples of like length together, the shortest first."""
        size = self._batch * GROUP
        for start in range(0, len(drawn), size):
            group = drawn[start : start + size]
            yield group[np.argsort(self._examples.lengths[group], kind="stable")].reshape(-1, self._batch)


def drawn_counts(languages: NDArray[np.integer], alpha: float) -> NDArray[np.int64]:
    """How many examples of every language an epoch has; their sum is the number of all examples."""
    return _apportioned(np.bincount(languages).astype(float) ** alpha, len(languages))


def drawn_examples(
    languages: NDArray[np.integer], alpha: float, random: np.random.Generator
) -> list[NDArray[np.int64]]:
    """The numbers of the drawn examples, one array per language: all of them as often as they fit, the rest at random.

    `languages` (examples,) are the numbers of the examples' languages.
    """
    parts = []
    for number, count in enumerate(drawn_counts(languages, alpha).tolist()):
        own = np.flatnonzero(languages == number)
        repeats, rest = divmod(count, len(own))
        parts.append(np.concatenate([*[own] * repeats, random.permutation(own)[:rest]]))
    return parts


def _apportioned(shares: NDArray[np.float64], total: int) -> NDArray[np.int64]:
    """Whole numbers in proportion to `shares` that add up to `total`: the largest remainders are rounded up."""
    exact = shares / shares.sum() * total
    found: NDArray[np.int64] = np.floor(exact).astype(np.int64)
    found[np.argsort(found - exact, kind="stable")[: total - int(found.sum())]] += 1
    return found
