"""leftovers: steps in a work folder that were made with other versions, and so are never reused."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgeafri.artifact import MANIFEST
from edgeafri.builder.cache_key import versions
from edgeafri.builder.events import Noted, OnEvent
from edgeafri.util.files import write_whole

_TOLD = ".leftovers"  # in a work folder: the names of the steps that the user was told about


@dataclass(frozen=True)
class Leftover:
    """A step's folder and the size of its files. A bundle is none: it is a result of its own."""

    name: str
    bytes: int


def tell_leftovers(work: Path, on_event: OnEvent) -> None:
    """Say once that a work folder holds steps of other versions, and what removing them would free."""
    found = list(leftovers(work))
    told = _told(work)
    if not {item.name for item in found} - told:
        return
    size = sum(item.bytes for item in found)
    steps = "1 step" if len(found) == 1 else f"{len(found)} steps"
    note = f"not reused: {steps} of other versions in {work}; removing them frees {_readable(size)}"
    on_event(Noted("work folder", note))
    write_whole(work / _TOLD, "".join(f"{item.name}\n" for item in found))


def leftovers(work: Path) -> Iterator[Leftover]:
    """The steps whose manifest names other versions than those of today: of EdgeAfri, or of a library behind it.

    Versions are part of every key, so such a step is never found again. A manifest that cannot be read tells nothing.
    """
    today = versions()
    for manifest in sorted(work.glob(f"*/{MANIFEST}")):
        try:
            values = json.loads(manifest.read_text("utf-8"))
            if values["versions"] != today and values["kind"] != "bundle":
                yield Leftover(manifest.parent.name, sum(int(entry["bytes"]) for entry in values["files"].values()))
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            continue


def _told(work: Path) -> set[str]:
    file = work / _TOLD
    return set(file.read_text("utf-8").splitlines()) if file.is_file() else set()


def _readable(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
