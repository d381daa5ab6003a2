"""What people hand over in Python: paths, languages and texts, checked before any work, and never taken apart by letter."""

import os
from collections.abc import Iterable
from pathlib import Path

from edgeafri.errors import UsageError

StrPath = str | os.PathLike[str]
ALL = "all"


def path_of(value: StrPath, name: str) -> Path:
    """A path, `~` expanded. UsageError for what is none."""
    if isinstance(value, (str, os.PathLike)) and isinstance(found := os.fspath(value), str) and found:
        return Path(os.path.expanduser(found))  # noqa: PTH111  # Path.expanduser raises for an unknown user
    raise UsageError(f"{name}: {value!r} is not a path", f"Give a path as text or a Path: {name}='folder'.")


def codes_of(value: str | Iterable[str], name: str = "languages") -> tuple[str, ...]:
    """Language codes without repeats, in the order given: of a list, or of one text such as 'swa' or 'swa,hau'."""
    items = value.split(",") if isinstance(value, str) else _listed(value, name)
    wrong = [item for item in items if not isinstance(item, str)]
    if wrong:
        raise UsageError(f"{name}: {wrong[0]!r} is not a language code", f"Write {name}=['swa', 'hau'].")
    return tuple(dict.fromkeys(code.strip() for code in items if code.strip()))


def texts_of(value: str | Iterable[str]) -> list[str]:
    """Texts to label; one text is a list of one. UsageError for anything that is not text."""
    texts = [value] if isinstance(value, str) else _listed(value, "texts")
    for place, text in enumerate(texts):
        if not isinstance(text, str):
            hint = "Give one text, or a list of texts: bundle.predict(['...', '...'])."
            raise UsageError(f"texts[{place}]: {text!r} is not text", hint)
    return texts


def whole_number(value: int, name: str, low: int, high: int | None = None) -> int:
    """A whole number within its bounds. UsageError otherwise."""
    if isinstance(value, int) and not isinstance(value, bool) and low <= value and (high is None or value <= high):
        return value
    bounds = f"of {low} or more" if high is None else f"from {low} to {high}"
    raise UsageError(f"{name}: {value!r} is not a whole number {bounds}", f"Use a whole number {bounds}.")


def _listed(value: Iterable[str], name: str) -> list[str]:
    if isinstance(value, (bytes, os.PathLike)) or not isinstance(value, Iterable):
        raise UsageError(f"{name}: {value!r} is not a list", f"Write {name}=['...', '...'].")
    return list(value)
