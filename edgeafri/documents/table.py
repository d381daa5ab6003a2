"""Tables: rows under columns with units, as text for the terminal, Markdown for people, CSV and JSON for programs."""

import io
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from edgeafri.documents.base import Document, Json, plain

UNKNOWN = "–"


@dataclass(frozen=True)
class Spread(Document):
    """Mean and sample standard deviation (divided by n - 1) of n values. One value has no deviation."""

    mean: float
    sd: float | None
    n: int


Cell = Spread | float | int | str | None
Cells = dict[str, Cell]
"""A row of a table, by the keys of its columns."""


@dataclass(frozen=True)
class Column(Document):
    """`key` names the column in CSV and JSON; `digits` are those shown after the decimal point in Markdown."""

    key: str
    title: str
    unit: str = ""
    digits: int = 2

    @property
    def header(self) -> str:
        """The title with its unit."""
        return f"{self.title} ({self.unit})" if self.unit else self.title

    def to_json(self) -> dict[str, Json]:
        """Without the digits: figures are given in full."""
        return {"key": self.key, "title": self.title, "unit": self.unit}


@dataclass(frozen=True)
class Table(Document):
    """`name` is the stem of its files. A row may leave a cell out; ValueError when a cell has no column.

    A `long` table is too long to read: a page names its files instead of showing it.
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

    def to_json(self) -> dict[str, Json]:
        """Everything that is known, with the unit of every column; a spread is {"mean", "sd", "n"}."""
        rows = [{column.key: plain(row.get(column.key)) for column in self.columns} for row in self.rows]
        columns = [column.to_json() for column in self.columns]
        return {"name": self.name, "title": self.title, "columns": columns, "rows": rows, "notes": list(self.notes)}


def spread(values: Sequence[float]) -> Spread:
    """Mean and deviation over seeds. ValueError without values."""
    from statistics import fmean, stdev  # a study alone needs them; every build imports this module

    return Spread(fmean(values), stdev(values) if len(values) > 1 else None, len(values))


def text_table(rows: Sequence[Sequence[str]]) -> str:
    """Rows for a terminal, the header first: the first column to the left, others to the right, the last one free."""
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    lines = []
    for first, *middle, last in rows:
        cells = (cell.rjust(width) for cell, width in zip(middle, widths[1:-1], strict=True))
        lines.append("  " + "  ".join([first.ljust(widths[0]), *cells, last]).rstrip())
    return "\n".join(lines)


def markdown_table(rows: Sequence[Sequence[object]], right: Collection[int] = ()) -> str:
    """Rows in Markdown, the header first; `right` are the places of the columns that stand to the right."""
    header, *body = rows
    rule = ["---:" if place in right else "---" for place in range(len(header))]
    return "\n".join("| " + " | ".join(map(escaped, row)) + " |" for row in (header, rule, *body))


def to_markdown(table: Table) -> str:
    """A section: title, table, notes. Units stand in the header, numbers to the right, '–' for what is not known."""
    header = [column.header for column in table.columns]
    rows = [[_shown(row.get(column.key), column.digits) for column in table.columns] for row in table.rows]
    right = [place for place, column in enumerate(table.columns) if _numeric(table, column)]
    notes = "\n".join(f"- {escaped(note)}" for note in table.notes)
    parts = ["## " + escaped(table.title), markdown_table([header, *rows], right), notes]
    return "\n\n".join(part for part in parts if part) + "\n"


def to_csv(table: Table) -> str:
    """Keys as header, figures in full, nothing for what is not known. A deviation is in the column `key_sd`."""
    import csv  # see spread()

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    wide = {column.key for column in table.columns if any(isinstance(cell, Spread) for cell in _cells(table, column))}
    writer.writerow([name for column in table.columns for name in _names(column.key, column.key in wide)])
    for row in table.rows:
        pairs = (_pair(row.get(column.key), column.key in wide) for column in table.columns)
        writer.writerow([cell for pair in pairs for cell in pair])
    return text.getvalue()


def escaped(text: object) -> str:
    """One line of Markdown that ends no table cell and starts no tag, whoever wrote the text."""
    return one_line(text).replace("|", "\\|").replace("<", "&lt;")


def one_line(text: object) -> str:
    """The text without line breaks and repeated spaces."""
    return " ".join(str(text).split())


def _cells(table: Table, column: Column) -> Iterator[Cell]:
    return (row.get(column.key) for row in table.rows)


def _numeric(table: Table, column: Column) -> bool:
    return any(isinstance(cell, (int, float, Spread)) for cell in _cells(table, column))


def _shown(cell: Cell, digits: int) -> str:
    if cell is None:
        return UNKNOWN
    if isinstance(cell, Spread):
        mean = _shown(cell.mean, digits)
        return mean if cell.sd is None else f"{mean} ± {cell.sd:.{digits}f}"
    if isinstance(cell, float):
        return f"{cell:z,.{digits}f}"  # z: a loss of -0.001 is 0.00, not -0.00
    return f"{cell:,}" if isinstance(cell, int) else cell


def _names(key: str, wide: bool) -> list[str]:
    return [key, f"{key}_sd"] if wide else [key]


def _pair(cell: Cell, wide: bool) -> list[Cell]:
    first, second = (cell.mean, cell.sd) if isinstance(cell, Spread) else (cell, None)
    return [first, second] if wide else [first]
