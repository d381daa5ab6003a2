"""keeping: what every mode keeps, and that no language falls below the share that was asked for."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeafri.errors import ConfigError
from edgeafri.menu.settings import TrimSettings
from edgeafri.stages.vocab.selection import covering, kept_ids, mode_of, safety_set, top, written_in


@dataclass(frozen=True)
class Pieces:
    """A vocabulary of these texts, of which the first always stays, and each that has one brings its ancestor."""

    surfaces: tuple[str | None, ...]
    ancestors: tuple[tuple[int, int], ...] = ()

    @property
    def size(self):
        return len(self.surfaces)

    def surface(self, index):
        return self.surfaces[index]

    def closed(self, ids):
        found = {0, *ids}
        return sorted(found | {parent for child, parent in self.ancestors if child in found})


def vocabulary(*surfaces, ancestors=()):
    return Pieces(("", *surfaces), ancestors)


def counts(*numbers):
    return np.array([0, *numbers])


def test_corpus_keeps_what_any_language_uses():
    """
    Used pieces, single characters of the alphabets, digits and signs, and what must stay beside them.
    """
    pieces = vocabulary("kitu", "kaza", "ɗ", "7", ";", "zz", "ŋ", None, ancestors=((2, 6),))
    used = {"hau": counts(0, 3, 0, 0, 0, 0, 0, 0), "swa": counts(1, 0, 0, 0, 0, 0, 0, 0)}

    assert kept_ids(pieces, used, TrimSettings(("hau", "swa"), keep="corpus")) == [0, 1, 2, 3, 4, 5, 6]


def test_scripts_keeps_every_piece_of_the_languages_scripts():
    """
    Latin pieces, digits, marks and signs for Swahili; neither Ge'ez nor Cyrillic, nor a piece that mixes, nor bytes.
    """
    pieces = vocabulary("kitu", "12", "ጤና", "мир", "aጤ", "ŋwá", "…%", "\u0301", None)

    assert written_in(pieces, ("swa",)) == {0, 1, 2, 6, 7, 8}
    assert written_in(pieces, ("swa", "amh")) == {0, 1, 2, 3, 5, 6, 7, 8}


def test_scripts_keeps_what_the_text_itself_uses_beside_them():
    """
    Hausa in ajami: its pieces are no Latin ones, and are used.
    """
    pieces = vocabulary("kitu", "بَرْكَ", "привет")

    assert kept_ids(pieces, {"hau": counts(0, 2, 0)}, TrimSettings(("hau",), keep="scripts")) == [0, 1, 2]


def test_auto_is_corpus_with_raw_text_and_scripts_without(tmp_path):
    """
    Labelled data alone is too little to say what a language never uses.
    """
    assert mode_of(TrimSettings(("swa",), text=tmp_path)) == "corpus"
    assert mode_of(TrimSettings(("swa",), data=Path("data"))) == "scripts"
    assert mode_of(TrimSettings(("swa",), text=tmp_path, keep="scripts")) == "scripts"


def test_the_safety_set_is_the_characters_of_the_languages_digits_and_signs():
    """
    Tone marks, dots below and hooks of the languages named; not those of others, and no longer piece.
    """
    pieces = vocabulary("ẹ", "ƙ", "\u0301", "ጤ", "9", "!", "“", "ab", None)

    assert safety_set(pieces, ("yor",)) == {0, 1, 3, 5, 6, 7}
    assert safety_set(pieces, ("hau", "amh")) == {0, 2, 4, 5, 6, 7}


def test_top_gives_every_language_the_same_number():
    """
    Two of each fit beside the safety set; a piece that both use frequently leaves no room for another.
    """
    pieces = vocabulary("aa", "bb", "cc", "dd", "ee", "ff")
    used = [counts(9, 8, 7, 0, 0, 0), counts(0, 9, 0, 8, 7, 0)]

    assert top(pieces, used, [0], 4) == [0, 1, 2, 4]
    assert top(pieces, used, [0], 5) == [0, 1, 2, 4]
    assert top(pieces, used, [0], 99) == [0, 1, 2, 3, 4, 5]
    assert top(pieces, used, [0], 1) == [0]


def test_top_counts_what_must_stay_beside_a_piece():
    """
    A merge's ancestor takes room like any other.
    """
    pieces = vocabulary("aa", "bb", "cc", ancestors=((1, 3),))

    assert top(pieces, [counts(9, 8, 0)], [0], 2) == [0]
    assert top(pieces, [counts(9, 8, 0)], [0], 3) == [0, 1, 3]


def test_a_size_below_the_safety_set_is_refused():
    """
    Letters, digits, signs and special tokens are not negotiable; the message says how many they are.
    """
    pieces = vocabulary("a", "b", "kitu")

    with pytest.raises(ConfigError) as caught:
        kept_ids(pieces, {"swa": counts(1, 1, 1)}, TrimSettings(("swa",), keep="top", size=2))
    assert caught.value.message.startswith("trim: a size of 2 is less than the 3 subwords that must stay")
    assert caught.value.hint == "Use a size of 3 or more."


def test_the_worst_language_decides_the_share():
    """
    A large language is covered early; the small one still gets its own pieces.
    """
    large, small = counts(9000, 900, 90, 9, 1), counts(0, 0, 0, 1, 9)

    assert covering(np.stack([large, small]), [0], 0.9) == {0, 1, 5}
    assert covering(np.stack([large, small]), [0], 0.999) == {0, 1, 2, 3, 4, 5}
    assert covering(np.stack([large]), [0], 0.999) == {0, 1, 2, 3}


def test_shared_pieces_are_preferred():
    """
    One piece that two languages share does for both what two others would do for one each.
    """
    used = np.stack([counts(5, 0, 5), counts(0, 5, 5)])

    assert covering(used, [0], 0.5) == {0, 3}


languages = st.lists(st.lists(st.integers(0, 50), min_size=8, max_size=8).filter(any), min_size=1, max_size=3)


@given(languages, st.floats(0.5, 1.0))
def test_every_language_is_covered_and_no_piece_is_needless(numbers, coverage):
    """
    Leaving out any one of the pieces taken would put a language below its share. A single language gets the fewest
    that there can be.
    """
    used = np.array(numbers)
    kept = covering(used, [], coverage)
    totals = used.sum(axis=1)

    def covered(pieces):
        return all(used[row, sorted(pieces)].sum() >= coverage * totals[row] - 1e-9 for row in range(len(used)))

    assert covered(kept)
    assert not any(covered(kept - {piece}) for piece in kept if coverage < 1 or used[:, piece].any())
    if len(used) == 1:
        frequent = np.cumsum(np.sort(used[0])[::-1])
        assert len(kept) == int((frequent < coverage * totals[0] - 1e-9).sum()) + 1


def test_a_size_without_top_is_refused():
    """
    Either alone means nothing.
    """
    with pytest.raises(ConfigError, match="keep 'top' needs a size"):
        TrimSettings(("swa",), keep="top")
    with pytest.raises(ConfigError, match="a size goes with keep 'top', not 'share'"):
        TrimSettings(("swa",), keep="share", size=100)


def test_a_coverage_without_share_is_refused():
    """
    The other modes cover what they cover.
    """
    with pytest.raises(ConfigError) as caught:
        TrimSettings(("swa",), keep="corpus", coverage=0.9)
    assert caught.value.message == "trim: a coverage goes with keep 'share', not 'corpus'"
    assert caught.value.hint == "Add --keep share."
