"""words: numbers and any part of a document as people read them."""

import json
from collections.abc import Mapping, Sequence

from edgeafri.documents.base import Document, Json

UNKNOWN = "–"
_MOST = 24  # values of one fact that are shown: as many as there are languages


def number(value: float | None) -> str:
    """A number as people read it: three digits or so, thousands apart, a dash when unknown."""
    if value is None:
        return UNKNOWN
    if value == int(value) or abs(value) >= 1000:
        return f"{value:,.0f}"
    if abs(value) < 0.005:
        return f"{value:.1e}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def points(value: float | None) -> str:
    """A metric or a drop in points: two digits always, so that columns compare."""
    return UNKNOWN if value is None else f"{value:.2f}"


def span(low: float | None, high: float | None, unit: str = "") -> str:
    """An interval: both ends, or the one that is known."""
    write = points if unit == "points" else number
    if low is None and high is None:
        return UNKNOWN
    return f"{write(low)} to {write(high)}"


def megabytes(size: float | None) -> str:
    """Bytes as MB of 10^6."""
    return UNKNOWN if size is None else f"{number(size / 1e6)} MB"


def text_of(value: Json) -> str:
    """Any part of a document in one line; a long part of it, such as one number per matrix, by its length alone."""
    if isinstance(value, (Mapping, list, tuple)) and not value:
        return "none"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_short(inner)}" for key, inner in value.items())
    if isinstance(value, (list, tuple)):
        return "; ".join(text_of(item) for item in value)
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    return number(value) if isinstance(value, (int, float)) else str(value)


def fact_lines(facts: Mapping[str, Json]) -> list[str]:
    """A step's facts in one line, and one more line for every language where there are facts per language."""
    deep = {name: value for name, value in facts.items() if isinstance(value, Mapping) and _of_each(value)}
    plain = {name: value for name, value in facts.items() if name not in deep}
    each = [f"{code}: {text_of(own)}" for value in deep.values() for code, own in value.items()]
    return [text_of(plain), *each]


def known_of(document: Document) -> dict[str, Json]:
    """A document without what was not said."""
    return {name: value for name, value in document.to_json().items() if value is not None}


def _of_each(value: Mapping[str, Json]) -> bool:
    return bool(value) and all(isinstance(own, Mapping) for own in value.values())


def _short(value: Json) -> str:
    if isinstance(value, (Mapping, list, tuple)) and (len(value) > _MOST or _of_many(value)):
        return f"({len(value)} values, in the JSON)"
    return text_of(value)


def _of_many(value: Mapping[str, Json] | Sequence[Json]) -> bool:
    """Whether it is a list of things that have several values each."""
    return not isinstance(value, Mapping) and bool(value) and all(isinstance(item, Mapping) for item in value)
