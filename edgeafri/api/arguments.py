"""What people hand over in Python: paths, languages and texts, checked before any work."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from edgeafri.errors import UsageError

StrPath = str | os.PathLike[str]
ALL = "all"


def path_of(value: StrPath, name: str) -> Path:
    """A path, `~` expanded. UsageError for what is none."""
    found: object = os.fspath(value) if isinstance(value, os.PathLike) else value
    if isinstance(found, str) and found:
        return Path(os.path.expanduser(found))  # noqa: PTH111  # Path.expanduser raises for an unknown user
    raise UsageError(f"{name}: {value!r} is not a path", f"Give a path as text or a Path: {name}='folder'.")


def paths_of(value: StrPath | Iterable[StrPath], name: str, needed: bool = False) -> tuple[Path, ...]:
    """One path or several, as paths. UsageError for what are no paths, and where one is `needed` for an empty list."""
    if isinstance(value, (str, os.PathLike)):
        return (path_of(value, name),)
    if not isinstance(value, Iterable):
        raise UsageError(f"{name}: {value!r} is neither a path nor a list of paths", f"Write {name}=['folder'].")
    found = tuple(path_of(item, f"{name}[{place}]") for place, item in enumerate(value))
    if needed and not found:
        raise UsageError(f"{name}: none is named", f"Write {name}=['folder'].")
    return found


def codes_of(value: str | Iterable[str], name: str = "languages") -> tuple[str, ...]:
    """Language codes without repeats, in the order given: of a list, or of one text such as 'swa' or 'swa,hau'."""
    items = value.split(",") if isinstance(value, str) else _listed(value, name)
    return tuple(dict.fromkeys(code.strip() for code in items if code.strip()))


def no_language() -> UsageError:
    """The failure of a list of languages with nothing in it."""
    return UsageError("no language is named", "Name them, as --lang swa,hau or languages=['swa', 'hau'], or say 'all'.")


def texts_of(value: str | Iterable[str]) -> list[str]:
    """Texts to label; one text is a list of one. UsageError for anything that is not text."""
    texts = [value] if isinstance(value, str) else _listed(value, "texts")
    for place, text in enumerate(texts):
        if not text.isprintable() and any("\ud800" <= letter <= "\udfff" for letter in text):
            message = f"texts[{place}]: half of a character, which no file can hold ({text[:40]!r})"
            raise UsageError(message, "Read the text as UTF-8: open(file, encoding='utf-8').")
    return texts


def word_of(value: str, name: str) -> str:
    """A name, such as that of a device. UsageError for what is no text."""
    if isinstance(value, str) and value:
        return value
    raise UsageError(f"{name}: {value!r} is not a name", f"Write {name}='...'.")


def number_of(value: float, name: str) -> float:
    """A number. UsageError for anything else; what range it may have is checked where it is used."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    raise UsageError(f"{name}: {value!r} is not a number", f"Write {name}=1.0.")


def whole_number(value: int, name: str, low: int, high: int | None = None) -> int:
    """A whole number within its bounds. UsageError otherwise."""
    if isinstance(value, int) and not isinstance(value, bool) and low <= value and (high is None or value <= high):
        return value
    bounds = f"of {low} or more" if high is None else f"from {low} to {high}"
    raise UsageError(f"{name}: {value!r} is not a whole number {bounds}", f"Use a whole number {bounds}.")


def _listed(value: Iterable[object], name: str) -> list[str]:
    """A list whose items are text. The types say so too, but in a notebook nobody checks them."""
    hint = f"Write {name}=['...', '...']."
    if isinstance(value, (bytes, os.PathLike, Mapping)) or not isinstance(value, Iterable):
        raise UsageError(f"{name}: {value!r} is not a list of text", hint)
    found = []
    for place, item in enumerate(value):
        if not isinstance(item, str):
            raise UsageError(f"{name}[{place}]: {item!r} is not text", hint)
        found.append(item)
    return found
