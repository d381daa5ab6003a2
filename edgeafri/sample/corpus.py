"""The embedded sample's corpus: sentences for named entities, drawn from templates and name lists with fixed seeds.

Every list of names is dealt out to train, dev and test, so no name of one split is found in another. Templates are
shared, but some stand in test only. {PER}, {ORG}, {LOC} and {DATE} in them become entities, {lower} ones plain words.
"""

import hashlib
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeafri.data.dataset import Sentence

SIZES = {"train": 400, "dev": 60, "test": 120}
LANGUAGES = ("amh", "hau", "ibo", "swa", "yor")
_FOLDER = Path(__file__).parent
_DEALT = ("train", "train", "train", "dev", "test")  # neighbours in a list go to these splits, over and over
_TEST_ONLY = 14  # every fourteenth template
_DAYS = tuple(str(day) for day in range(1, 29))
_YEARS = tuple(str(year) for year in range(1950, 2025))
_NUMBERS = tuple(str(number) for number in range(31, 999))


@dataclass(frozen=True)
class Lists:
    """What one language's sentences are made of, as its YAML file has it. Text is NFC, tokens stand between spaces."""

    templates: Sequence[str]
    given: Sequence[str]
    family: Sequence[str]
    places: Sequence[str]
    organisations: Sequence[str]
    weekdays: Sequence[str]
    months: Sequence[str]
    dates: Sequence[str]
    words: Mapping[str, Sequence[str]]


def write_corpus(out: Path) -> None:
    """Write out/<ISO 639-3 code>/{train,dev,test}.txt: "token TAG" a word, a blank line between sentences."""
    for language in LANGUAGES:
        (out / language).mkdir(parents=True, exist_ok=True)
        for split, sentences in draw_splits(language, read_lists(language)).items():
            text = "\n".join(_conll(sentence) for sentence in sentences)
            (out / language / f"{split}.txt").write_text(text, "utf-8", newline="\n")


def digest() -> str:
    """A hash over this file and the lists, so that caches notice when the corpus would be another one."""
    files = [Path(__file__), *sorted(_FOLDER.glob("*.yaml"))]
    lines = [f"{file.name} {hashlib.sha256(file.read_bytes()).hexdigest()}" for file in files]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def read_lists(language: str) -> Lists:
    """The lists of one of LANGUAGES."""
    import yaml  # the command line starts without it

    return Lists(**yaml.safe_load((_FOLDER / f"{language}.yaml").read_text("utf-8")))


def draw_splits(language: str, lists: Lists) -> dict[str, list[Sentence]]:
    """All three splits of a language; no sentence twice. `language` seeds the draws."""
    seen: set[Sentence] = set()
    return {split: _draw_split(_Draw(language, split, lists), size, seen) for split, size in SIZES.items()}


def share(items: Sequence[str], split: str) -> list[str]:
    """The items that belong to this split: three in five are for train, one for dev, one for test."""
    return [item for place, item in enumerate(items) if _DEALT[place % len(_DEALT)] == split]


def templates_of(templates: Sequence[str], split: str) -> list[str]:
    """All templates for test; without every fourteenth for train and dev."""
    return [text for place, text in enumerate(templates, start=1) if split == "test" or place % _TEST_ONLY]


class _Draw:
    """One split's names and templates, with its own random numbers: strings seed them the same on every machine."""

    def __init__(self, language: str, split: str, lists: Lists) -> None:
        self._random = random.Random(f"{language} {split}")  # noqa: S311  no secret depends on it
        fixed = [name for name in lists.organisations if "{" not in name]
        self._templates = templates_of(lists.templates, split)
        self._choices = {
            "PER": ("{given} {family}", "{given} {family}", "{given}", "{family}"),
            "LOC": share(lists.places, split),
            "DATE": lists.dates,
            "ORG": ("{fixed}", "{pattern}"),
            "fixed": share(fixed, split),
            "pattern": [name for name in lists.organisations if "{" in name],
            "given": share(lists.given, split),
            "family": share(lists.family, split),
            "weekday": lists.weekdays,
            "month": lists.months,
            "day": share(_DAYS, split),
            "year": share(_YEARS, split),
            "number": _NUMBERS,
            **lists.words,
        }

    def templates(self) -> Iterator[str]:
        """All templates in random order, then again in another one, for ever."""
        while True:
            yield from self._random.sample(self._templates, len(self._templates))

    def text(self, name: str) -> str:
        """Something for the placeholder of that name, with the placeholders inside it filled too."""
        chosen = self._random.choice(self._choices[name])
        return re.sub(r"\{(\w+)\}", lambda match: self.text(match[1]), chosen)


def _draw_split(draw: _Draw, size: int, seen: set[Sentence]) -> list[Sentence]:
    sentences: list[Sentence] = []
    for template in draw.templates():
        sentence = _fill(template, draw)
        if sentence not in seen:
            seen.add(sentence)
            sentences.append(sentence)
        if len(sentences) == size:
            break
    return sentences


def _fill(template: str, draw: _Draw) -> Sentence:
    """A sentence that starts with a capital letter."""
    words: list[str] = []
    tags: list[str] = []
    for token in template.split():
        name = token.strip("{}")
        found = [token] if token == name else draw.text(name).split()
        words += found
        tags += _tags(name, len(found)) if token.isupper() and token != name else ["O"] * len(found)
    words[0] = re.sub(r"\w", lambda first: first[0].upper(), words[0], count=1)
    return Sentence(tuple(words), tuple(tags))


def _tags(kind: str, length: int) -> list[str]:
    return [f"B-{kind}", *[f"I-{kind}"] * (length - 1)]


def _conll(sentence: Sentence) -> str:
    return "".join(f"{word} {tag}\n" for word, tag in zip(sentence.words, sentence.tags, strict=True))
