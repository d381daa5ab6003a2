"""CoNLL files: one line "token TAG" per word, tags in IOB2, a blank line between sentences."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from edgeafri.data.textfile import cleaned, decoded, short
from edgeafri.errors import DataError

_TAG = re.compile(r"O|[BI]-\S+")


def sentences(path: Path, notes: Counter[str]) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    """The words and the tags of every sentence; counts words of repaired_tags.

    Of more than two columns the first and the last count. I- that continues nothing of its type becomes B-. DataError
    names the line of anything that is not "token TAG" in IOB2.
    """
    words: list[str] = []
    tags: list[str] = []
    for number, line in decoded(path, notes):
        if line.startswith("-DOCSTART-"):
            continue
        if line.strip():
            word, tag = _columns(line, f"{path}:{number}")
            words.append(cleaned(word, notes))
            tags.append(_repaired(tag, tags[-1] if tags else "O", notes))
        elif words:
            yield tuple(words), tuple(tags)
            words, tags = [], []
    if words:
        yield tuple(words), tuple(tags)


def _columns(line: str, where: str) -> tuple[str, str]:
    """First and last column; a file with tabs may have spaces inside its tokens."""
    columns = re.split(r"\t+" if "\t" in line else " +", line.strip(" \t"))
    if len(columns) < 2:
        hint = 'A line is one word, a space or a tab, and its tag: "Nairobi B-LOC".'
        raise DataError(f"{where}: expected 'token TAG', found {short(line)}", hint)
    tag = columns[-1].strip()
    if not _TAG.fullmatch(tag):
        hint = "Tags are IOB2: B-PER starts a person, I-PER continues it. Convert other schemes (BIOES, IO) first."
        raise DataError(f"{where}: expected a tag O, B-TYPE or I-TYPE, found {short(tag)}", hint)
    return columns[0].strip(), tag


def _repaired(tag: str, before: str, notes: Counter[str]) -> str:
    """The tag as IOB2 says it; `before` is the tag of the word before."""
    if tag.startswith("I-") and before[2:] != tag[2:]:
        notes["repaired_tags"] += 1
        return f"B-{tag[2:]}"
    return tag
