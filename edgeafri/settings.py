"""Settings: a mapping from YAML, JSON or the command line becomes a frozen dataclass, strictly.

One definition, five uses: the class is the YAML schema, the command's options, the type the code sees, the cache key
(`identity`) and the manifest entry. Field types: bool, int, float, str, Path, Literal, tuple[X, ...], dict[str, X],
another dataclass, and `X | None`.
"""

import dataclasses
import math
import os
import types
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from edgeafri.documents.base import Json
from edgeafri.errors import ConfigError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T")
TypeHint: TypeAlias = Any
"""`int | None`, `tuple[str, ...]`: what an annotation says has no type of its own."""


def setting(
    default: object,
    about: str,
    low: float | None = None,
    high: float | None = None,
    given: bool = False,
    names_model: bool = False,
) -> Any:  # Any: as dataclasses.field(), it stands where a value of the field's type is expected
    """A field with its default, its sentence of help and its closed range [low, high].

    `given` marks what belongs to a whole build rather than to one method (task, languages, data): a build fills it in.
    `names_model` marks a path to a model; other paths lead to data.
    """
    metadata = {"about": about, "low": low, "high": high, "given": given, "names_model": names_model}
    return dataclasses.field(default=default, metadata=metadata)


def read(cls: type[T], values: Mapping[str, object], where: str) -> T:
    """Make a `cls` from `values`; every unknown key, wrong type or value out of range is a ConfigError at `where`."""
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where}: expected key: value lines, got {values!r}", f"Known keys: {_listed(_names(cls))}.")
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]  # T is a dataclass
    kinds = types_of(cls)
    known = {}
    for key, value in values.items():
        name = str(key).replace("-", "_")
        if name not in fields:
            raise ConfigError(f"{where}: unknown setting '{key}'", did_you_mean(str(key), _names(cls)))
        known[name] = _checked(fields[name], coerce(value, kinds[name], f"{where}.{key}"), f"{where}.{key}")
    missing = [name for name, field in fields.items() if name not in known and _required(field)]
    if missing:
        raise ConfigError(f"{where}: '{missing[0]}' is missing", f"Add a line '{missing[0]}: ...'.")
    return cls(**known)


def coerce(value: object, kind: TypeHint, where: str) -> object:
    """`value` as `kind`; text from a command line is read as the kind it stands for. ConfigError when it cannot be."""
    if dataclasses.is_dataclass(kind):
        return value if isinstance(value, kind) else read(kind, value, where)  # type: ignore[arg-type]
    origin: TypeHint = get_origin(kind)
    if origin in (Union, types.UnionType):
        return _coerce_optional(value, kind, where)
    if origin is Literal:
        return _coerce_choice(value, get_args(kind), where)
    if origin is tuple:
        inner = get_args(kind)[0]
        items = _items(value, inner) if isinstance(value, str) else value
        numbered = dataclasses.is_dataclass(inner)  # which of several parts it was
        listed = enumerate(_iterable(items, where))
        return tuple(coerce(item, inner, f"{where}[{place}]" if numbered else where) for place, item in listed)
    if origin is dict:
        inner = get_args(kind)[1]
        value = _pairs(value, where) if isinstance(value, str) else value
        return {str(key): coerce(item, inner, f"{where}.{key}") for key, item in _mapping(value, where).items()}
    return _coerce_plain(value, kind, where)


def identity(settings: "DataclassInstance", digest: Callable[[Path], str]) -> dict[str, Json]:
    """The settings as plain JSON, for the cache key and the manifest: a path counts by what it holds, not its name."""
    return {field.name: _plain(getattr(settings, field.name), digest) for field in dataclasses.fields(settings)}


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The next step after a name that does not exist."""
    import difflib  # only a mistake pays for it

    names = sorted(known)
    near = difflib.get_close_matches(word.replace("_", "-").lower(), names, n=1, cutoff=0.55)
    return f"Did you mean '{near[0]}'? Known: {_listed(names)}." if near else f"Known: {_listed(names)}."


def types_of(cls: type) -> dict[str, TypeHint]:
    """The type of every field of a settings class."""
    return get_type_hints(cls)


def _names(cls: type) -> list[str]:
    return [field.name.replace("_", "-") for field in dataclasses.fields(cls)]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


def _required(field: "dataclasses.Field[object]") -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _checked(field: "dataclasses.Field[object]", value: object, where: str) -> object:
    low, high = field.metadata.get("low"), field.metadata.get("high")
    number = value if isinstance(value, (int, float)) else None
    too_low = low is not None and number is not None and number < low
    too_high = high is not None and number is not None and number > high
    if too_low or too_high:
        upper = "and up" if high is None else f"to {high:g}"
        lower = "anything" if low is None else f"{low:g}"
        raise ConfigError(f"{where}: {value} is out of range", f"Use a value from {lower} {upper}.")
    return value


def _coerce_optional(value: object, kind: TypeHint, where: str) -> object:
    inner = [item for item in get_args(kind) if item is not types.NoneType]
    if value is None or (isinstance(value, str) and value.lower() in ("none", "null")):
        return None
    return coerce(value, inner[0], where)


def _coerce_choice(value: object, choices: tuple[object, ...], where: str) -> object:
    for choice in choices:
        if value == choice or str(value) == str(choice):
            return choice
    hint = did_you_mean(str(value), [str(choice) for choice in choices])
    raise ConfigError(f"{where}: '{value}' is not one of its values", hint)


def _coerce_plain(value: object, kind: TypeHint, where: str) -> object:
    if kind is Any:
        return value
    try:
        converted = _CONVERT[kind](value)
    except (KeyError, TypeError, ValueError, OverflowError):
        raise ConfigError(f"{where}: expected {_KINDS[kind]}, got {value!r}", f"Give {_KINDS[kind]}.") from None
    return converted


def _to_bool(value: object) -> bool:
    if isinstance(value, bool):
        return value
    return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[str(value).lower()]


def _to_int(value: object) -> int:
    if isinstance(value, bool) or (isinstance(value, float) and value != int(value)):
        raise ValueError(value)
    return int(cast("str", value))  # or whatever else int() reads; it raises for the rest


def _to_float(value: object) -> float:
    number = float(cast("str", value))  # or whatever else float() reads; it raises for the rest
    if isinstance(value, bool) or not math.isfinite(number):
        raise ValueError(value)
    return number


def _to_text(value: object) -> str:
    if isinstance(value, (Mapping, list, tuple)) or value is None:
        raise TypeError(value)
    return str(value)


_CONVERT: dict[type, Callable[[object], object]] = {
    bool: _to_bool,
    int: _to_int,
    float: _to_float,
    str: _to_text,
    Path: lambda value: value if isinstance(value, Path) else Path(os.path.expanduser(_to_text(value))),  # noqa: PTH111  # Path.expanduser raises for an unknown user
}
_KINDS: dict[type, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    Path: "a path",
}


def _items(text: str, kind: TypeHint) -> list[str]:
    """`swa, hau` as its parts, without spaces. A language named twice counts once, a number as often as it stands."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    return list(dict.fromkeys(parts)) if kind is str else parts


def _pairs(text: str, where: str) -> dict[str, str]:
    """`rpi4=0.5, phone=0.4` as its parts."""
    parts = [part.partition("=") for part in _items(text, str)]
    if not all(name and equals for name, equals, _ in parts):
        raise ConfigError(f"{where}: expected name=value, got {text!r}", "Write it as a=1 or a=1,b=2.")
    return {name.strip(): value.strip() for name, _, value in parts}


def _iterable(value: object, where: str) -> Iterable[object]:
    if isinstance(value, (list, tuple)):
        return value
    raise ConfigError(f"{where}: expected a list, got {value!r}", "Write it as [a, b] or a,b.")


def _mapping(value: object, where: str) -> Mapping[object, object]:
    if isinstance(value, Mapping):
        return value
    raise ConfigError(f"{where}: expected key: value lines, got {value!r}", "Write one 'key: value' a line.")


def _plain(value: object, digest: Callable[[Path], str]) -> Json:
    if isinstance(value, Path):
        return {"sha256": digest(value)}
    if isinstance(value, tuple):
        return [_plain(item, digest) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return identity(value, digest)
    return cast("Json", value)
