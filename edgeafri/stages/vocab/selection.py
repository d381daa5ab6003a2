"""selection: which tokens of a vocabulary stay: all that a text uses, the most frequent, a covering few, or scripts."""

import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edgeafri.data.languages import alphabet
from edgeafri.data.scripts import script_of
from edgeafri.errors import ConfigError
from edgeafri.menu.settings import TrimSettings
from edgeafri.stages.vocab.token_counts import Frequencies
from edgeafri.stages.vocab.vocabulary import Vocabulary

Mode = Literal["corpus", "top", "share", "scripts"]
_SIGNS = "“”‘’«»–—…₦፡።፣፤፥፦፧፨،؛؟"
_SLACK = 1e-12  # what sums of shares may be off by rounding


def kept_ids(vocabulary: Vocabulary, used: Mapping[str, Frequencies], settings: TrimSettings) -> list[int]:
    """The ids to keep, in order: what the mode asks for, a safety set, and all that must stay beside them.

    `used` is, by language, how often each token stands in its text. ConfigError for a size below the safety set.
    """
    safe = vocabulary.closed(safety_set(vocabulary, settings.languages))
    chosen = mode_of(settings)
    if chosen == "top":
        return top(vocabulary, list(used.values()), safe, settings.size or 0)
    if chosen == "share":
        return vocabulary.closed(covering(np.stack(list(used.values())), safe, settings.coverage))
    found = set(np.flatnonzero(sum(used.values())).tolist())
    if chosen == "scripts":  # and what is used beside them: ajami, names in other letters
        found |= written_in(vocabulary, settings.languages)
    return vocabulary.closed({*safe, *found})


def mode_of(settings: TrimSettings) -> Mode:
    """The mode that is meant: without raw text, labelled data alone is too little to say what a language never uses."""
    if settings.keep == "auto":
        return "corpus" if settings.text else "scripts"
    return settings.keep


def safety_set(vocabulary: Vocabulary, languages: Iterable[str]) -> set[int]:
    """The tokens of one character of the languages' alphabets, of ASCII digits and signs, and of common punctuation."""
    letters = {character for language in languages for character in alphabet(language)}
    safe = letters | {chr(code) for code in range(0x21, 0x7F)} | set(_SIGNS) | {""}
    return {index for index in range(vocabulary.size) if vocabulary.surface(index) in safe}


def top(vocabulary: Vocabulary, used: Sequence[Frequencies], safe: Sequence[int], size: int) -> list[int]:
    """Every language's most frequent tokens, as many of each as fit into `size` with all that must stay.

    The recipe of AfroXLMR-small (Alabi et al. 2022, section 3.2): languages get the same number, their union is kept.
    """
    if size < len(safe):
        raise ConfigError(
            f"trim: a size of {size:,} is less than the {len(safe):,} subwords that must stay "
            "(special tokens, and the letters, digits and signs of the languages)",
            f"Use a size of {len(safe)} or more.",
        )
    ranked = [_most_frequent_first(counts) for counts in used]

    def kept(each: int) -> list[int]:
        return vocabulary.closed({*safe, *(int(index) for order in ranked for index in order[:each])})

    return kept(_largest(lambda each: len(kept(each)) <= size, max(map(len, ranked))))


def covering(used: NDArray[np.int64], safe: Sequence[int], coverage: float) -> set[int]:
    """A small set of tokens that covers that share of the running tokens of every language.

    `used` is int64 of shape (languages, vocabulary). Tokens are taken by what they add to the languages that still lack
    something (Wolsey 1982), then those that turned out needless are put back: none of the rest can be left out.
    """
    shares = used / np.maximum(used.sum(axis=1, keepdims=True), 1)
    missing = coverage - shares[:, list(safe)].sum(axis=1)
    open_ids = np.setdiff1d(np.flatnonzero(used.any(axis=0)), safe)
    added, missing = _added(shares, open_ids.tolist(), missing)
    for index in sorted(added, key=lambda one: (float(shares[:, one].sum()), -one)):
        if (missing + shares[:, index] <= _SLACK).all():
            missing = missing + shares[:, index]
            added.remove(index)
    return {*safe, *added}


def written_in(vocabulary: Vocabulary, languages: Iterable[str]) -> set[int]:
    """The tokens without a letter of another script than the languages'; digits, marks and signs belong to all."""
    scripts = {script_of(character) for language in languages for character in alphabet(language)} | {""}
    surfaces = ((index, vocabulary.surface(index)) for index in range(vocabulary.size))
    return {index for index, text in surfaces if text is not None and all(script_of(one) in scripts for one in text)}


def _added(
    shares: NDArray[np.float64], open_ids: list[int], missing: NDArray[np.float64]
) -> tuple[set[int], NDArray[np.float64]]:
    """The tokens taken, by what each adds, until no language lacks anything; and what is missing then, 0 or less.

    What a token adds only falls while others are taken, so it is computed again only when it comes up.
    """

    def adds(index: int) -> float:
        return float(np.minimum(shares[:, index], np.maximum(missing, 0)).sum())

    queue = [(-adds(index), index) for index in open_ids]
    heapq.heapify(queue)
    added: set[int] = set()
    while queue and (missing > _SLACK).any():
        _, index = heapq.heappop(queue)
        gain = adds(index)
        if queue and -gain > queue[0][0]:
            heapq.heappush(queue, (-gain, index))
            continue
        added.add(index)
        missing = missing - shares[:, index]
    return added, missing


def _most_frequent_first(counts: Frequencies) -> NDArray[np.int64]:
    """The tokens that are used at all; of two that are equally frequent the one with the smaller number first."""
    order: NDArray[np.int64] = np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]
    return order


def _largest(fits: Callable[[int], bool], most: int) -> int:
    """The largest number from 0 to `most` that fits, where all below it fit too."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low
