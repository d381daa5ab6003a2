"""The tables of a study: rows under columns with units, as Markdown for people, CSV and JSON for programs."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any, TypeAlias

from edgeafri.util.files import json_text


@dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation (n - 1) of `count` values. One value has no deviation."""

    mean: float
    deviation: float | None
    count: int


Cell: TypeAlias = Spread | float | int | str | None


@dataclass(frozen=True)
class Column:
    """`key` names the column in CSV and JSON; `digits` are those shown behind the point in Markdown."""

    key: str
    title: str
    unit: str = ""
    digits: int = 2


@dataclass(frozen=True)
class Table:
    """`name` is a file's stem. A row may leave a cell out; ValueError when it has one that no column shows.

    A `long` one is too long to read: its page names the files that it is in.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Mapping[str, Cell], ...]
    notes: tuple[str, ...] = ()
    long: bool = False

    def __post_init__(self) -> None:
        unknown = {key for row in self.rows for key in row} - {column.key for column in self.columns}
        if unknown:
            raise ValueError(f"table '{self.name}' has no column for {', '.join(sorted(unknown))}")


def spread(values: Sequence[float]) -> Spread:
    """Mean and deviation over seeds. ValueError without values."""
    return Spread(fmean(values), stdev(values) if len(values) > 1 else None, len(values))


def to_markdown(table: Table) -> str:
    """A section: title, table, notes. Units stand in the head, numbers to the right, '–' for what is not known."""
    head = [f"{column.title} ({column.unit})" if column.unit else column.title for column in table.columns]
    rule = ["---:" if _numeric(table, column) else "---" for column in table.columns]
    rows = [[_shown(row.get(column.key), column.digits) for column in table.columns] for row in table.rows]
    lines = ["| " + " | ".join(escaped(cell) for cell in line) + " |" for line in (head, rule, *rows)]
    notes = [f"- {escaped(note)}" for note in table.notes]
    return "\n\n".join(["## " + escaped(table.title), "\n".join(lines), *(["\n".join(notes)] if notes else [])]) + "\n"


def to_csv(table: Table) -> str:
    """Keys as head, figures in full, nothing for what is not known. A spread's deviation is in the column `key_sd`."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    wide = [column.key for column in table.columns if any(isinstance(cell, Spread) for cell in _cells(table, column))]
    writer.writerow([name for column in table.columns for name in _names(column.key, column.key in wide)])
    for row in table.rows:
        pairs = (_pair(row.get(column.key), column.key in wide) for column in table.columns)
        writer.writerow([cell for pair in pairs for cell in pair])
    return text.getvalue()


def to_json(table: Table) -> str:
    """Everything, with the unit of every column; a spread is {"mean", "sd", "n"}."""
    columns = [{"key": column.key, "title": column.title, "unit": column.unit} for column in table.columns]
    rows = [{column.key: _plain(row.get(column.key)) for column in table.columns} for row in table.rows]
    return json_text(
        {"name": table.name, "title": table.title, "columns": columns, "rows": rows, "notes": list(table.notes)}
    )


def _cells(table: Table, column: Column) -> Iterator[Cell]:
    return (row.get(column.key) for row in table.rows)


def _numeric(table: Table, column: Column) -> bool:
    return any(isinstance(cell, (int, float, Spread)) for cell in _cells(table, column))


def _shown(cell: Cell, digits: int) -> str:
    if cell is None:
        return "–"
    if isinstance(cell, Spread):
        mean = _shown(cell.mean, digits)
        return mean if cell.deviation is None else f"{mean} ± {cell.deviation:.{digits}f}"
    if isinstance(cell, float):
        return f"{cell:z,.{digits}f}"  # z: a loss of -0.001 is 0.00, not -0.00
    return f"{cell:,}" if isinstance(cell, int) else cell


def _names(key: str, wide: bool) -> list[str]:
    return [key, f"{key}_sd"] if wide else [key]


def _pair(cell: Cell, wide: bool) -> list[Any]:
    first, second = (cell.mean, cell.deviation) if isinstance(cell, Spread) else (cell, None)
    return [first, second] if wide else [first]


def _plain(cell: Cell) -> Any:
    return {"mean": cell.mean, "sd": cell.deviation, "n": cell.count} if isinstance(cell, Spread) else cell


def escaped(text: str) -> str:
    """One line of Markdown that ends no table cell and starts no tag, whoever wrote it."""
    return one_line(text).replace("|", "\\|").replace("<", "&lt;")


def one_line(text: str) -> str:
    """The text without line breaks and repeated spaces."""
    return " ".join(text.split())
