"""The tables of a study: rows under columns with units, as Markdown for people, CSV and JSON for programs."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, TypeAlias

from edgeafri.files import json_text, storage, write_whole


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
    """`name` is a file's stem. A row may leave a cell out; ValueError when it has one that no column shows."""

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Mapping[str, Cell], ...]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        unknown = {key for row in self.rows for key in row} - {column.key for column in self.columns}
        if unknown:
            raise ValueError(f"table '{self.name}' has no column for {', '.join(sorted(unknown))}")


def spread(values: Sequence[float]) -> Spread:
    """Mean and deviation over seeds. ValueError without values."""
    return Spread(fmean(values), stdev(values) if len(values) > 1 else None, len(values))


def write(tables: Sequence[Table], folder: Path, heading: str, commands: Sequence[str]) -> Path:
    """Write one page named after the folder, with all tables, and a CSV and a JSON file a table.

    The same tables give the same bytes. Returns the page. StorageError when the disk refuses.
    """
    page = folder / f"{folder.resolve().name}.md"
    texts = {page: _page(tables, heading, commands)}
    for table in tables:
        texts |= {folder / f"{table.name}.csv": to_csv(table), folder / f"{table.name}.json": to_json(table)}
    with storage(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for file, text in texts.items():
            write_whole(file, text)
    return page


def to_markdown(table: Table) -> str:
    """A section: title, table, notes. Units stand in the head, numbers to the right, '–' for what is not known."""
    head = [f"{column.title} ({column.unit})" if column.unit else column.title for column in table.columns]
    rule = ["---:" if _numeric(table, column) else "---" for column in table.columns]
    rows = [[_shown(row.get(column.key), column.digits) for column in table.columns] for row in table.rows]
    lines = ["| " + " | ".join(_escaped(cell) for cell in line) + " |" for line in (head, rule, *rows)]
    notes = [f"- {_escaped(note)}" for note in table.notes]
    return "\n\n".join(["## " + _escaped(table.title), "\n".join(lines), *(["\n".join(notes)] if notes else [])]) + "\n"


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


def _page(tables: Iterable[Table], heading: str, commands: Sequence[str]) -> str:
    sections = [f"# {_escaped(heading)}\n", *(to_markdown(table) for table in tables)]
    if commands:
        sections.append("## Repeat it\n\n" + "".join(f"    {_one_line(command)}\n" for command in commands))
    return "\n".join(sections)


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


def _escaped(text: str) -> str:
    # Text of other people must not end a table cell or start a tag.
    return _one_line(text).replace("|", "\\|").replace("<", "&lt;")


def _one_line(text: str) -> str:
    return " ".join(text.split())
