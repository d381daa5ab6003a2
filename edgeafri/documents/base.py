"""What every document shares: a frozen dataclass that is written as JSON and read back from it.

Keys are the names of fields. A key that is not known is passed over (a later version wrote it), one that is missing or
null takes its default (an earlier version wrote it); anything else that does not fit is a DataError that names the
place. So a field that may be None has the default None, or none at all.
"""

import dataclasses
import types
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal, Self, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from edgeafri.errors import DataError

Json = bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"] | None
T = TypeVar("T")
_AGAIN = "Make the document again with this version of edgeafri."
_PLAIN: Mapping[type, set[type]] = {bool: {bool}, int: {int}, float: {float, int}, str: {str}}
_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


class Document:
    """The base of a document; a subclass is a frozen dataclass of plain values, tuples, mappings and documents."""

    def to_json(self) -> dict[str, Json]:
        """The document as JSON values, its keys in the order of its fields."""
        found: dict[str, Json] = {}
        for field in dataclasses.fields(self):  # type: ignore[arg-type]  # every subclass is a dataclass
            value = getattr(self, field.name)
            if value is None and _has(field, "omitted"):
                continue
            found |= value.to_json() if _has(field, "inlined") else {field.name: plain(value)}
        return found

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        from edgeafri.documents.html import document_html

        return document_html(self)

    @classmethod
    def from_json(cls, value: object, where: str = "") -> Self:
        """Read what to_json() wrote. DataError names the place, below `where`, of what does not fit."""
        return read_as(cls, value, where or cls.__name__)


def omitted_when_none() -> Any:  # Any: dataclasses.field() is typed as the field's own type
    """A field whose key is left out of the JSON when it is None, as it says nothing of such a document."""
    return dataclasses.field(default=None, metadata={"omitted": True})


def inlined(optional: bool = False) -> Any:  # Any: dataclasses.field() is typed as the field's own type
    """A field that holds a document whose keys stand among those of this one; None, if allowed, has no keys at all."""
    metadata = {"inlined": True, "omitted": optional}
    return dataclasses.field(default=None if optional else dataclasses.MISSING, metadata=metadata)


def plain(value: object) -> Json:
    """A value of a document as JSON: documents and mappings as objects, sequences as arrays, paths as text."""
    if isinstance(value, Document):
        return value.to_json()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    return cast("Json", value)


def read_as(kind: type[T], value: object, where: str) -> T:
    """A JSON value as `kind`: a document, a plain type, tuple[X, ...], Mapping[str, X], a union or a Literal."""
    return cast("T", _read(kind, value, where))


def _read(kind: Any, value: object, where: str) -> object:  # Any: a type hint has no type of its own
    origin = get_origin(kind)
    if kind in (object, Any) or any(get_origin(item) is Sequence for item in get_args(kind)):  # Json: whatever it is
        return value
    if origin in (Union, types.UnionType):
        return _read_union(get_args(kind), value, where)
    if origin is Literal:
        return value if value in get_args(kind) else _refuse(value, " or ".join(map(str, get_args(kind))), where)
    if origin is tuple:
        return _read_tuple(get_args(kind), value, where)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            return _refuse(value, "names with values", where)
        return {str(key): _read(get_args(kind)[1], item, f"{where}.{key}") for key, item in value.items()}
    if dataclasses.is_dataclass(kind):
        return _read_fields(cast("type", kind), value, where)
    if kind is Path:
        return Path(value) if isinstance(value, str) else _refuse(value, "a path", where)
    return value if _is(kind, value) else _refuse(value, _WORDS[kind], where)


def _read_fields(kind: type, value: object, where: str) -> object:
    if not isinstance(value, Mapping):
        return _refuse(value, "names with values", where)
    found, hints = {}, _hints(kind)
    for field in dataclasses.fields(kind):
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if _has(field, "inlined"):
            found[field.name] = _read_inlined(field, hints[field.name], value, where)
        elif field.name in value and (required or value[field.name] is not None):
            found[field.name] = _read(hints[field.name], value[field.name], f"{where}.{field.name}")
        elif required:
            raise DataError(f"{where}: '{field.name}' is missing", _AGAIN)
    return kind(**found)


def _read_inlined(field: "dataclasses.Field[Any]", kind: Any, value: Mapping[str, object], where: str) -> object:
    """A document from the keys around it; None where that is allowed and none of its keys is there."""
    inner = next((item for item in get_args(kind) if item is not types.NoneType), kind)
    there = any(own.name in value for own in dataclasses.fields(inner))
    return _read(inner, value, where) if there or not _has(field, "omitted") else None


def _read_union(kinds: tuple[Any, ...], value: object, where: str) -> object:
    others = [kind for kind in kinds if kind is not types.NoneType]
    if value is None and len(others) < len(kinds):
        return None
    plains = [kind for kind in others if kind in _WORDS]
    for kind in plains:
        if _is(kind, value):
            return value
    rest = [kind for kind in others if kind not in plains] or others
    return _read(next((kind for kind in rest if _has_keys(kind, value)), rest[0]), value, where)


def _has_keys(kind: Any, value: object) -> bool:  # Any: a type hint has no type of its own
    """Whether `value` has every key that a document of `kind` cannot be without; this tells documents of a union."""
    if not dataclasses.is_dataclass(kind) or not isinstance(value, Mapping):
        return False
    missing = dataclasses.MISSING
    needed = (field for field in dataclasses.fields(kind) if field.default is field.default_factory is missing)
    return all(field.name in value for field in needed)


def _read_tuple(kinds: tuple[Any, ...], value: object, where: str) -> tuple[object, ...]:
    if not isinstance(value, (list, tuple)):
        return cast("tuple[object, ...]", _refuse(value, "a list", where))
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        if set(map(type, value)) <= _PLAIN.get(kinds[0], set()):
            return tuple(value)  # long lists of numbers are common, and a build reads many
        kinds = (kinds[0],) * len(value)
    elif len(kinds) != len(value):
        _refuse(value, f"a list of {len(kinds)}", where)
    return tuple(
        _read(kind, item, f"{where}[{place}]") for place, (kind, item) in enumerate(zip(kinds, value, strict=True))
    )


def _is(kind: type, value: object) -> bool:
    if kind is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def _refuse(value: object, words: str, where: str) -> object:
    shown = repr(value)
    raise DataError(f"{where}: {shown if len(shown) < 40 else shown[:40] + '...'} is not {words}", _AGAIN)


def _has(field: "dataclasses.Field[Any]", trait: str) -> bool:
    return bool(field.metadata.get(trait))


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)
