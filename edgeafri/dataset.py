"""Labelled and raw text from disk: CoNLL files and plain lines, checked, with every repair counted.

Labelled data: ROOT/<ISO 639-3 code>/{train,dev,test}.txt, a line "token TAG" a word, a blank line between sentences.
Raw text: ROOT/<ISO 639-3 code>.txt, a sentence a line.
"""

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeafri.errors import DataError
from edgeafri.text import clean, nfc

_TAG = re.compile(r"O|[BI]-\S+")
_BOM = "\ufeff"
_LAYOUT = "Labelled data is laid out as ROOT/swa/train.txt, dev.txt and test.txt, with ISO 639-3 codes as folder names."


@dataclass(frozen=True)
class Sentence:
    """Words and their IOB2 tags, one tag a word. A word of nothing but zero-width characters is "" and stays."""

    words: tuple[str, ...]
    tags: tuple[str, ...]


@dataclass(frozen=True)
class Split:
    """One file. `notes` counts repairs: words of repaired_tags, zero_width and not_nfc, lines of crlf, one bom."""

    language: str
    name: str
    sentences: tuple[Sentence, ...]
    notes: Mapping[str, int]


def read_split(root: Path, language: str, split: str) -> Split:
    """ROOT/<language>/<split>.txt. DataError names the line of anything that is not "token TAG" in IOB2 and UTF-8.

    Of more than two columns the first and the last count. I- that continues nothing of its type becomes B-.
    """
    path = _labelled_file(root, language, split)
    notes: Counter[str] = Counter()
    sentences = tuple(_sentences(path, notes))
    if not sentences:
        raise DataError(
            f"{path}: no sentence in it", 'Write a line "token TAG" a word, a blank line between sentences.'
        )
    return Split(language, split, sentences, dict(+notes))


def languages_in(root: Path) -> tuple[str, ...]:
    """The languages with labelled data below `root`, sorted. DataError when there is none."""
    _check_folder(root)
    found = {file.parent.name for name in ("train", "test") for file in root.glob(f"[!.]*/{name}.txt")}
    if not found:
        raise DataError(f"{root}: no folder with a train.txt or test.txt there", _LAYOUT)
    return tuple(sorted(found))


def files_of(root: Path, languages: Iterable[str], splits: Iterable[str]) -> list[Path]:
    """The files that these languages and splits are read from. DataError for the first that is missing."""
    names = tuple(splits)
    return [_labelled_file(root, language, name) for language in languages for name in names]


def labels_of(splits: Iterable[Split]) -> tuple[str, ...]:
    """The tags a model of this data needs: O, then B- and I- of every entity type, types in alphabetical order."""
    tags = {tag for split in splits for sentence in split.sentences for tag in sentence.tags}
    types = sorted({tag[2:] for tag in tags if tag != "O"})
    return ("O", *(f"{prefix}-{kind}" for kind in types for prefix in "BI"))


def check_labels(split: Split, labels: Sequence[str]) -> None:
    """DataError when the data has a tag that is not among the model's labels."""
    counts = Counter(tag for sentence in split.sentences for tag in sentence.tags)
    unknown = sorted(counts.keys() - set(labels))
    if not unknown:
        return
    tag = unknown[0]
    message = (
        f"{split.language}/{split.name}.txt: the model does not know the tag {tag} ({counts[tag]} words); "
        f"its labels are {', '.join(labels)}"
    )
    raise DataError(message, _label_hint(labels))


def leaked(train: Split, test: Split) -> int:
    """How many test sentences have a word sequence that also stands in train."""
    known = {sentence.words for sentence in train.sentences}
    return sum(sentence.words in known for sentence in test.sentences)


def text_files(root: Path, languages: Iterable[str]) -> dict[str, Path]:
    """ROOT/<language>.txt for every language. DataError for the first that is missing."""
    _check_folder(root)
    there = sorted(file.stem for file in root.glob("*.txt"))
    files = {language: root / f"{language}.txt" for language in languages}
    for language, path in files.items():
        if language not in there:
            raise DataError(f"{path}: no such file", f"{_near(language, there)} Raw text is one file a language.")
    return files


def read_lines(path: Path) -> Iterator[str]:
    """The lines of a raw text file that are not empty: NFC, single spaces, nothing invisible."""
    for _, line in _decoded(path):
        visible = " ".join(clean(" ".join(line.split())).split())
        if visible:
            yield visible


def _sentences(path: Path, notes: Counter[str]) -> Iterator[Sentence]:
    words: list[str] = []
    tags: list[str] = []
    for number, line in _decoded(path, notes):
        if line.startswith("-DOCSTART-"):
            continue
        if line.strip():
            word, tag = _columns(line, f"{path}:{number}")
            words.append(_cleaned(word, notes))
            tags.append(_repaired(tag, tags[-1] if tags else "O", notes))
        elif words:
            yield Sentence(tuple(words), tuple(tags))
            words, tags = [], []
    if words:
        yield Sentence(tuple(words), tuple(tags))


def _decoded(path: Path, notes: Counter[str] | None = None) -> Iterator[tuple[int, str]]:
    """Line numbers from 1 and lines without their ends; counts a byte order mark and Windows line ends."""
    notes = Counter() if notes is None else notes
    if not path.is_file():
        raise DataError(f"{path}: no such file", "Check the path.")
    offset = 0
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            line = _decode(raw, path, number, offset)
            offset += len(raw)
            notes["bom"] += number == 1 and line.startswith(_BOM)
            notes["crlf"] += line.endswith("\r\n")
            if "\r" in line.rstrip("\r\n"):
                hint = (
                    f"Old Macintosh line ends? Convert them: tr '\\r' '\\n' < {path} > {path.stem}-lines{path.suffix}"
                )
                raise DataError(f"{path}:{number}: a carriage return inside the line", hint)
            yield number, line.removeprefix(_BOM if number == 1 else "").rstrip("\r\n")


def _decode(raw: bytes, path: Path, number: int, offset: int) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        value = raw[error.start]
        message = f"{path}:{number}: not UTF-8: byte 0x{value:02X} at offset {offset + error.start} of the file"
        likely = "UTF-16" if raw.startswith((b"\xff\xfe", b"\xfe\xff")) else "WINDOWS-1252"
        command = f"iconv -f {likely} -t UTF-8 {path} > {path.stem}-utf8{path.suffix}"
        raise DataError(message, f"Convert it, if it is {likely}: {command}") from None


def _columns(line: str, where: str) -> tuple[str, str]:
    """First and last column; a file with tabs may have spaces inside its tokens."""
    columns = re.split(r"\t+" if "\t" in line else " +", line.strip(" \t"))
    if len(columns) < 2:
        hint = 'A line is one word, a space or a tab, and its tag: "Nairobi B-LOC".'
        raise DataError(f"{where}: expected 'token TAG', found {_short(line)}", hint)
    tag = columns[-1].strip()
    if not _TAG.fullmatch(tag):
        hint = "Tags are IOB2: B-PER starts a person, I-PER continues it. Convert other schemes (BIOES, IO) first."
        raise DataError(f"{where}: expected a tag O, B-TYPE or I-TYPE, found {_short(tag)}", hint)
    return columns[0].strip(), tag


def _cleaned(word: str, notes: Counter[str]) -> str:
    result = clean(word)
    if result != word:
        composed = nfc(word)
        notes["not_nfc"] += composed != word
        notes["zero_width"] += result != composed
    return result


def _repaired(tag: str, before: str, notes: Counter[str]) -> str:
    """The tag as IOB2 says it; `before` is the tag of the word before."""
    if tag.startswith("I-") and before[2:] != tag[2:]:
        notes["repaired_tags"] += 1
        return f"B-{tag[2:]}"
    return tag


def _labelled_file(root: Path, language: str, split: str) -> Path:
    _check_folder(root)
    folder = root / language
    if not folder.is_dir():
        there = sorted(entry.name for entry in root.iterdir() if entry.is_dir())
        raise DataError(f"{folder}: no such language folder", f"{_near(language, there)} {_LAYOUT}")
    path = folder / f"{split}.txt"
    if not path.is_file():
        there = sorted(entry.stem for entry in folder.glob("*.txt"))
        raise DataError(f"{path}: no such file", f"{_near(split, there)} {_LAYOUT}")
    return path


def _check_folder(root: Path) -> None:
    if not root.is_dir():
        raise DataError(f"{root}: no such data folder", "Check the path that you gave as --data or --text.")


def _near(name: str, there: Sequence[str]) -> str:
    listed = f"There: {', '.join(there) or 'nothing'}."
    near = difflib.get_close_matches(name, there, n=1, cutoff=0.5)
    return f"Did you mean '{near[0]}'? {listed}" if near else listed


def _label_hint(labels: Sequence[str]) -> str:
    if all(label.startswith("LABEL_") for label in labels):
        return "The model does not name its labels: write their names into id2label and label2id of its config.json."
    return "Give data with the model's tags, or fine-tune the model on this data first: edgeafri finetune."


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:40] + "...")
