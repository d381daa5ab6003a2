"""Documents as HTML for a notebook: plain tables, every text escaped."""

import dataclasses
from collections.abc import Mapping, Sequence
from html import escape

_LONGEST = 60  # rows of a table; the JSON has them all
_PLAIN = (bool, int, float, str)


def document_html(document: object) -> str:
    """A table of the plain values of a dataclass, then a table of each part that has several values."""
    plain, parts = [], []
    for name, value in _named(document):
        if value is None or isinstance(value, _PLAIN):
            plain.append((name, _shown(value)))
        elif _is_document(value):
            parts.append(f"<p>{escape(name)}</p>{document_html(value)}")
        elif rows := _rows(name, value):
            parts.append(table_html(rows))
    return (table_html([(type(document).__name__, ""), *plain]) if plain else "") + "".join(parts)


def table_html(rows: Sequence[Sequence[object]]) -> str:
    """Rows as an HTML table, the header first; the first column to the left, the others to the right."""
    header, *body = rows
    lines = [_row("th", header), *(_row("td", row) for row in body[:_LONGEST])]
    more = f"<p>and {len(body) - _LONGEST:,} more</p>" if len(body) > _LONGEST else ""
    return f"<table>{''.join(lines)}</table>{more}"


def _rows(name: str, value: object) -> list[Sequence[object]]:
    """The rows of a mapping or a sequence: of documents a column for each plain value that one of them has."""
    named = isinstance(value, Mapping)
    items = list(value.items()) if isinstance(value, Mapping) else list(enumerate(_sequence(value), 1))
    if not items:
        return []
    if not all(_is_document(item) for _, item in items):
        cells = [(str(key), _shown(item)) for key, item in items if item is None or isinstance(item, _PLAIN)]
        return [(name, ""), *cells] if cells else []
    found = [(key, dict(_named(item))) for key, item in items]
    columns = [column for column in found[0][1] if any(isinstance(own[column], _PLAIN) for _, own in found)]
    header = [name, *columns]
    body = [[key if named else f"{key}", *(_shown(own.get(column)) for column in columns)] for key, own in found]
    return [header, *body]


def _named(document: object) -> list[tuple[str, object]]:
    fields = dataclasses.fields(document)  # type: ignore[arg-type]  # it is a dataclass
    return [(field.name, getattr(document, field.name)) for field in fields]


def _sequence(value: object) -> Sequence[object]:
    return value if isinstance(value, (list, tuple)) else ()


def _is_document(value: object) -> bool:
    return dataclasses.is_dataclass(value) and not isinstance(value, type)


def _shown(value: object) -> str:
    if value is None or not isinstance(value, _PLAIN):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:z,.2f}"
    return f"{value:,}" if isinstance(value, int) else value


def _row(tag: str, cells: Sequence[object]) -> str:
    sides = ["left", *["right"] * (len(cells) - 1)]
    written = (
        f'<{tag} style="text-align:{side}">{escape(str(cell))}</{tag}>' for side, cell in zip(sides, cells, strict=True)
    )
    return f"<tr>{''.join(written)}</tr>"
