"""Texts with one label each, from a TSV file with a header whose fields may be quoted."""

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from edgeafri.data.textfile import cleaned, decoded, short
from edgeafri.errors import DataError

_LABEL_COLUMNS = ("label", "category")
_TEXT_COLUMNS = ("headline", "title", "tweet", "text", "sentence", "review")
_QUOTES = 'A text that begins with a quote is quoted whole, its own quotes doubled: """Yes"", she said."'

Line = tuple[int, str]


def texts(path: Path, notes: Counter[str]) -> Iterator[tuple[tuple[str, ...], tuple[str]]]:
    """What stands between spaces, and the one label, of every text; counts texts without a word (empty).

    The text columns are joined in the file's order, other columns are not read. DataError names the line where the
    record begins that cannot be read.
    """
    records = _records(path, notes)
    where, header = next(records, ("", []))
    if not header:
        return
    label, columns = _columns([name.strip() for name in header], where)
    for where, record in records:
        _check_width(record, len(header), where)
        tag = _label(record[label], where)
        words = _words(" ".join(record[column] for column in columns), notes)
        if words:
            yield words, (tag,)
        notes["empty"] += not words


def _records(path: Path, notes: Counter[str]) -> Iterator[tuple[str, list[str]]]:
    """Where each record begins, and its fields; a blank line is no record."""
    pending: list[Line] = []
    try:
        for record in csv.reader(_lines(path, notes, pending), delimiter="\t"):
            _check_quotes(path, pending, len(record))
            where = f"{path}:{pending[0][0]}"
            pending.clear()
            if record:
                yield where, record
    except csv.Error:  # of this dialect there is one: a field over the limit
        raise _endless(path, pending) from None


def _lines(path: Path, notes: Counter[str], pending: list[Line]) -> Iterator[str]:
    """The lines of the file for the csv reader, each put into `pending`, which is emptied after every record."""
    for line in decoded(path, notes):
        pending.append(line)
        yield f"{line[1]}\n"  # a line break inside quotes belongs to the text
    if pending:
        raise DataError(f"{path}:{pending[0][0]}: a quote opens in this row and is never closed", _QUOTES)


def _check_quotes(path: Path, lines: Sequence[Line], columns: int) -> None:
    """DataError where a lone quote has swallowed rows: the first line and the last would each be a row alone."""
    (first, opening), (last, closing) = lines[0], lines[-1]
    if first != last and opening.count("\t") == closing.count("\t") == columns - 1:
        raise DataError(f"{path}:{first}: a quote opens in this row and closes in another, at line {last}", _QUOTES)


def _endless(path: Path, lines: Sequence[Line]) -> DataError:
    where, limit = f"{path}:{lines[0][0]}", csv.field_size_limit()
    if len(lines) > 1:
        return DataError(f"{where}: a quote opens in this row and is not closed within {limit} characters", _QUOTES)
    return DataError(f"{where}: a field of more than {limit} characters", "Cut it: models read how a text begins.")


def _columns(header: Sequence[str], where: str) -> tuple[int, list[int]]:
    """Which column is the label and which are text."""
    labels = [column for column, name in enumerate(header) if name in _LABEL_COLUMNS]
    columns = [column for column, name in enumerate(header) if name in _TEXT_COLUMNS]
    hint = 'The first line names the columns, with tabs between them: "tweet<TAB>label".'
    if len(labels) != 1:
        names = " or ".join(_LABEL_COLUMNS)
        raise DataError(f"{where}: expected one column {names}, found {short(', '.join(header))}", hint)
    if not columns:
        names = ", ".join(_TEXT_COLUMNS)
        raise DataError(f"{where}: expected a column of {names}, found {short(', '.join(header))}", hint)
    return labels[0], columns


def _check_width(record: Sequence[str], width: int, where: str) -> None:
    if len(record) != width:
        hint = "Put a tab between columns, and a text that holds a tab or a line break in double quotes."
        raise DataError(f"{where}: expected {width} columns, found {len(record)}", hint)


def _label(field: str, where: str) -> str:
    label = field.strip()
    if not label:
        raise DataError(f"{where}: no label", "Write the text's label, or remove the row.")
    return label


def _words(text: str, notes: Counter[str]) -> tuple[str, ...]:
    words = (cleaned(part, notes) for part in text.split())
    return tuple(word for word in words if word)
