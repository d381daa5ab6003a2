"""Labelled and raw text from disk, per language, checked, with every repair counted.

Words with labels: ROOT/<ISO 639-3 code>/{train,dev,test}.txt, CoNLL. Texts with labels: the same with .tsv.
Raw text: ROOT/<ISO 639-3 code>.txt, one sentence per line.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from edgeafri.data import conll, tsv
from edgeafri.data.text import clean
from edgeafri.data.textfile import decoded
from edgeafri.documents.data_issues import DataIssues
from edgeafri.errors import DataError

SPLITS = ("train", "dev", "test")
Unit = Literal["word", "text"]
"""What a label stands for: every word of a sentence, or the whole text."""


@dataclass(frozen=True)
class Sentence:
    """Words and their labels.

    Of a sentence: IOB2 tags, one per word; a word of nothing but zero-width characters is "" and stays. Of a text: what
    stands between its spaces, and a single label.
    """

    words: tuple[str, ...]
    tags: tuple[str, ...]


@dataclass(frozen=True)
class Split:
    """One file.

    `notes` counts repairs: words of repaired_tags, zero_width and not_nfc, lines of crlf, one bom, and empty texts,
    which are left out.
    """

    language: str
    name: str
    sentences: tuple[Sentence, ...]
    notes: Mapping[str, int]
    unit: Unit = "word"


@dataclass(frozen=True)
class Dataset:
    """The labelled data of some languages below one folder. A split is read once, and kept until `forget`."""

    root: Path
    languages: tuple[str, ...]
    unit: Unit = "word"
    _splits: dict[tuple[str, str], Split] = field(default_factory=dict, repr=False, compare=False)

    def files(self, *names: str) -> list[Path]:
        """The files that these splits are read from. DataError for the first that is missing."""
        return [_labelled_file(self.root, language, name, self.unit) for language in self.languages for name in names]

    def split(self, language: str, name: str) -> Split:
        """One split of one language; DataError as read_split raises it."""
        if (language, name) not in self._splits:
            self._splits[language, name] = read_split(self.root, language, name, self.unit)
        return self._splits[language, name]

    def splits(self, *names: str) -> list[Split]:
        """These splits of every language, language after language."""
        return [self.split(language, name) for language in self.languages for name in names]

    def forget(self) -> None:
        """Free the memory of the splits; they are read again when they are needed again."""
        self._splits.clear()

    def labels(self, *names: str) -> tuple[str, ...]:
        """The labels that a model of these splits needs, as labels_of orders them."""
        return labels_of(self.splits(*names))

    def check_labels(self, name: str, labels: Sequence[str]) -> None:
        """DataError when this split of a language has a label that is not among the model's."""
        for split in self.splits(name):
            check_labels(split, labels)

    def notes(self, name: str) -> dict[str, Mapping[str, int]]:
        """What was repaired while this split was read, by language; languages without repairs are left out."""
        return {split.language: split.notes for split in self.splits(name) if split.notes}

    def issues(self, labels: Sequence[str] | None) -> DataIssues:
        """What is odd about all three splits: repairs, and test sentences that also stand in train.

        DataError when test has labels that the model will not know: it knows `labels`, or where it is still to be
        trained, those of train and dev.
        """
        known = self.labels("train", "dev") if labels is None else labels
        notes: list[str] = []
        leaks = {}
        for code in self.languages:
            train, _, test = splits = [self.split(code, name) for name in SPLITS]
            check_labels(test, known)
            notes += [line for split in splits for line in _repairs(split)]
            leaks[code] = leaked(train, test)
            notes += _leak_notes(test, leaks[code], contradicting(train, test))
        return DataIssues(tuple(notes), leaks)


@dataclass(frozen=True)
class _Layout:
    """How the data of one unit is written, and what messages call it."""

    suffix: str
    read: Callable[[Path, Counter[str]], Iterator[tuple[tuple[str, ...], tuple[str, ...]]]]
    item: str
    labelled: str
    label: str
    tasks: str
    example: str


_LAYOUTS: Mapping[Unit, _Layout] = {
    "word": _Layout(
        suffix=".txt",
        read=conll.sentences,
        item="sentence",
        labelled="words",
        label="tag",
        tasks="--task ner",
        example='Write one line "token TAG" per word, and a blank line between sentences.',
    ),
    "text": _Layout(
        suffix=".tsv",
        read=tsv.texts,
        item="text",
        labelled="texts",
        label="label",
        tasks="--task sentiment or topic",
        example='Write a line that names the columns, "tweet<TAB>label", then one line per text.',
    ),
}
_LAYOUT_HINT = (
    "Data with labelled words is laid out as ROOT/swa/train.txt, dev.txt and test.txt, with labelled texts as "
    "ROOT/swa/train.tsv, dev.tsv and test.tsv, with ISO 639-3 codes as folder names."
)


def read_split(root: Path, language: str, split: str, unit: Unit = "word") -> Split:
    """ROOT/<language>/<split>.txt, or .tsv where texts are labelled.

    DataError names the line of what cannot be read; conll.py and tsv.py say what can.
    """
    layout = _LAYOUTS[unit]
    path = _labelled_file(root, language, split, unit)
    notes: Counter[str] = Counter()
    sentences = tuple(Sentence(words, tags) for words, tags in layout.read(path, notes))
    if not sentences:
        raise DataError(f"{path}: no {layout.item} in it", layout.example)
    return Split(language, split, sentences, dict(+notes), unit)


def languages_in(root: Path, unit: Unit = "word") -> tuple[str, ...]:
    """The languages with labelled data below `root`, sorted. DataError when there is none."""
    _check_folder(root)
    layout, other = _LAYOUTS[unit], _other(unit)
    found = _folders(root, layout)
    if not found:
        message = f"{root}: no folder with a train{layout.suffix} or test{layout.suffix} there"
        raise DataError(message, _hint_for(other) if _folders(root, other) else _LAYOUT_HINT)
    return tuple(sorted(found))


def labels_of(splits: Iterable[Split]) -> tuple[str, ...]:
    """The labels a model of this data needs, the same whatever the order of the data.

    Of words: O, then B- and I- of every entity type, types in alphabetical order. Of texts: those found, sorted.
    """
    chosen = tuple(splits)
    tags = {tag for split in chosen for sentence in split.sentences for tag in sentence.tags}
    if any(split.unit == "text" for split in chosen):
        return tuple(sorted(tags))
    types = sorted({tag[2:] for tag in tags if tag != "O"})
    return ("O", *(f"{prefix}-{kind}" for kind in types for prefix in "BI"))


def check_labels(split: Split, labels: Sequence[str]) -> None:
    """DataError when the data has a label that is not among the model's."""
    counts = Counter(tag for sentence in split.sentences for tag in sentence.tags)
    unknown = sorted(counts.keys() - set(labels))
    if not unknown:
        return
    tag, layout = unknown[0], _LAYOUTS[split.unit]
    message = (
        f"{split.language}/{split.name}{layout.suffix}: the model does not know the {layout.label} {tag} "
        f"({counts[tag]} {layout.labelled}); its labels are {', '.join(labels)}"
    )
    raise DataError(message, _label_hint(labels, layout))


def leaked(train: Split, test: Split) -> int:
    """How many test sentences have a word sequence that also stands in train."""
    known = {sentence.words for sentence in train.sentences}
    return sum(sentence.words in known for sentence in test.sentences)


def contradicting(train: Split, test: Split) -> int:
    """How many test sentences also stand in train with other tags."""
    known: defaultdict[tuple[str, ...], set[tuple[str, ...]]] = defaultdict(set)
    for sentence in train.sentences:
        known[sentence.words].add(sentence.tags)
    return sum(not known[sentence.words] <= {sentence.tags} for sentence in test.sentences)


def text_files(root: Path, languages: Iterable[str]) -> dict[str, Path]:
    """ROOT/<language>.txt for every language. DataError for the first that is missing."""
    _check_folder(root)
    there = sorted(file.stem for file in root.glob("*.txt"))
    files = {language: root / f"{language}.txt" for language in languages}
    for language, path in files.items():
        if language not in there:
            raise DataError(f"{path}: no such file", f"{_near(language, there)} Raw text is one file per language.")
    return files


def read_lines(path: Path) -> Iterator[str]:
    """The lines of a raw text file that are not empty: NFC, single spaces, nothing invisible."""
    for _, line in decoded(path):
        visible = " ".join(clean(" ".join(line.split())).split())
        if visible:
            yield visible


def _repairs(split: Split) -> list[str]:
    where = f"{split.language} {split.name}"
    return [f"{where}: {count} {what.replace('_', ' ')}" for what, count in split.notes.items()]


def _leak_notes(test: Split, leaks: int, contradictions: int) -> list[str]:
    found = f"{test.language}: {{}} test {_LAYOUTS[test.unit].item}s"
    also = [f"{found.format(leaks)} also stand in train"] if leaks else []
    otherwise = [f"{found.format(contradictions)} stand in train labelled otherwise"] if contradictions else []
    return also + otherwise


def _folders(root: Path, layout: _Layout) -> set[str]:
    return {file.parent.name for name in ("train", "test") for file in root.glob(f"[!.]*/{name}{layout.suffix}")}


def _labelled_file(root: Path, language: str, split: str, unit: Unit) -> Path:
    _check_folder(root)
    folder = root / language
    if not folder.is_dir():
        there = sorted(entry.name for entry in root.iterdir() if entry.is_dir())
        raise DataError(f"{folder}: no such language folder", f"{_near(language, there)} {_LAYOUT_HINT}")
    path, other = folder / f"{split}{_LAYOUTS[unit].suffix}", _other(unit)
    if not path.is_file():
        there = sorted(entry.stem for entry in folder.glob(f"*{path.suffix}"))
        meant = path.with_suffix(other.suffix).is_file()
        raise DataError(f"{path}: no such file", _hint_for(other) if meant else f"{_near(split, there)} {_LAYOUT_HINT}")
    return path


def _other(unit: Unit) -> _Layout:
    return _LAYOUTS["text" if unit == "word" else "word"]


def _hint_for(layout: _Layout) -> str:
    """What to say where the data is for another task than the one that was asked for."""
    found = f"There are {layout.suffix} files: data whose {layout.labelled} are labelled, for {layout.tasks}."
    return f"{found} {_LAYOUT_HINT}"


def _check_folder(root: Path) -> None:
    if not root.is_dir():
        raise DataError(f"{root}: no such data folder", "Check the path that you gave as --data or --text.")


def _near(name: str, there: Sequence[str]) -> str:
    import difflib  # only a mistake pays for it

    listed = f"There: {', '.join(there) or 'nothing'}."
    near = difflib.get_close_matches(name, there, n=1, cutoff=0.5)
    return f"Did you mean '{near[0]}'? {listed}" if near else listed


def _label_hint(labels: Sequence[str], layout: _Layout) -> str:
    if all(label.startswith("LABEL_") for label in labels):
        return "The model does not name its labels: write their names into id2label and label2id of its config.json."
    return f"Give data with the model's {layout.label}s, or fine-tune the model on this data first: edgeafri finetune."
