"""Scripts: which writing system text is in, told from its letters, and whether it is that of its language."""

import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from edgeafri.data.languages import LANGUAGES, OTHER_SCRIPTS
from edgeafri.data.textfile import decoded, short
from edgeafri.errors import DataError

# ISO 15924 codes, and the word that the Unicode names of a script's letters begin with.
_NAMES = {"Latn": "LATIN", "Ethi": "ETHIOPIC", "Arab": "ARABIC", "Nkoo": "NKO"}
_FEWEST = 0.5  # share of a text's letters that are in its language's scripts; foreign names and words are normal


@cache
def script_of(character: str) -> str:
    """The first word of a letter's Unicode name, which names its script; empty for digits, marks and signs."""
    if not unicodedata.category(character).startswith("L"):
        return ""
    return unicodedata.name(character, "?").split()[0]


def check_script(path: Path, code: str, characters: Mapping[str, int]) -> None:
    """DataError when most letters of a raw text file are in no script that its language is written in.

    `characters` counts every character of what was read of the file: it is judged as a whole. Ajami is as good as Latin
    letters where a language has both. A language that is not in the table has no script to judge by. The message names
    the first line that is in another script.
    """
    row = next((row for row in LANGUAGES if row.code == code), None)
    if row is None:
        return
    wanted = [_NAMES[script] for script in (row.script, *OTHER_SCRIPTS.get(code, ()))]
    if _share(characters, wanted) >= _FEWEST:
        return
    number, line = _first_in_another(path, wanted)
    named = " or ".join(name.title() for name in wanted)
    own = f"{100 * _share(characters, wanted):.0f} % of the letters are {named}"
    written = f"{row.name} ({code}) is written in {named} script, and this line is not"
    raise DataError(
        f"{path}:{number}: {written}: {short(line)}; in the whole file {own}",
        f"Give {row.name} in {named} script as {path.name}, or name the language that this text is in.",
    )


def _share(characters: Mapping[str, int], wanted: Sequence[str]) -> float:
    """Letters of these scripts among all letters; 1 where there are none."""
    counts: Counter[str] = Counter()
    for character, count in characters.items():
        counts[script_of(character)] += count
    letters = counts.total() - counts[""]
    return sum(counts[name] for name in wanted) / letters if letters else 1.0


def _first_in_another(path: Path, wanted: Sequence[str]) -> tuple[int, str]:
    lines = ((number, line) for number, line in decoded(path) if _share(Counter(line), wanted) < _FEWEST)
    return next(lines)
