"""cause: which step of a build cost most, and which layer of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeafri.artifact import Artifact
from edgeafri.build.events import OnEvent
from edgeafri.build.lineage import Lineage, lineage, reference_place
from edgeafri.build.measurement_cache import MeasurementCache
from edgeafri.build.pipeline import workplace
from edgeafri.build.teacher import head_of
from edgeafri.data.languages import language
from edgeafri.errors import UsageError
from edgeafri.menu import MENU
from edgeafri.tasks import task
from edgeafri.util.files import Digests, storage


@dataclass(frozen=True)
class Case:
    """What the user asks about: a bundle, where its steps are, and the text to compare them on.

    `languages` are the bundle's own when empty. Labelled data says what F1 each step cost; raw text what it changed.
    """

    bundle: Path
    work: Path
    data: Path | None = None
    text: Path | None = None
    languages: tuple[str, ...] = ()


def explain(case: Case, digests: Digests, on_event: OnEvent) -> dict[str, Any]:
    """The document that `edgeafri why --json` prints: every step, the one that cost most, and what its layers cost.

    `costliest` is None when no step changed anything. `layers` are those of the step of `bisected`: of the quantizing
    and optimizing steps the one that cost most. UsageError for no text, and as in `lineage`.
    """
    found = lineage(case.bundle, case.work, digests)
    bundle = found.chain[-1]
    languages = case.languages or bundle.manifest.languages
    _check_text(case, languages, bundle.manifest.task)
    chain = _compared(found)
    with storage(case.work), workplace(case.work):
        cache = MeasurementCache(case.work, digests, on_event, fresh=False)
        parity = cache.parity(chain, bundle.manifest.task, languages, case.data, case.text)
        rows = parity["rows"] if parity else []
        place = _costliest(rows, [entry.name for entry in MENU if entry.rewrites_graph])
        layers = cache.layers(chain[place - 1], chain[place], languages, case.data, case.text) if place else []
    worst = _costliest(rows, [row["stage"] for row in rows])
    return {
        "bundle": str(case.bundle),
        "artifact_id": bundle.id,
        "task": bundle.manifest.task,
        "metric": task(bundle.manifest.task).metric,
        "languages": list(languages),
        "parity": parity,
        "costliest": rows[worst]["stage"] if worst else None,
        "bisected": rows[place]["stage"] if place else None,
        "layers": layers,
        "notes": list(found.notes),
    }


def _check_text(case: Case, languages: Sequence[str], name: str) -> None:
    """What the models are compared on is there, for every language, before anything is loaded."""
    from edgeafri.data.dataset import Dataset, text_files
    from edgeafri.tasks import unit_of

    for code in languages:
        language(code)
    if case.data is not None:
        Dataset(case.data, tuple(languages), unit_of(name)).files("dev")
    elif case.text is not None:
        text_files(case.text, languages)
    else:
        hint = "Add --data DIR, whose dev files are read, or --text DIR with LANG.txt."
        raise UsageError("there is no text to compare the steps on", hint)


def _compared(found: Lineage) -> tuple[Artifact, ...]:
    """The chain from the model that the bundle is compared with in its report."""
    first, *steps = found.chain
    whole = first.manifest.stage != "adopt" or head_of(first, found.chain[-1].manifest.task)
    place = reference_place([item.manifest.stage for item in steps], whole)
    return found.chain if place is None else tuple(steps[place:])


def _costliest(rows: Sequence[Mapping[str, Any]], stages: Sequence[str]) -> int | None:
    """The row of these stages that cost most; None when none of them changed an answer."""
    places = [place for place, row in enumerate(rows) if row["stage"] in stages and row["step"] is not None]
    worst = max(places, key=lambda place: _cost(rows[place]), default=None)
    return worst if worst is not None and rows[worst]["step"]["largest"] != 0 else None


def _cost(row: Mapping[str, Any]) -> tuple[float, float, float]:
    """F1 lost in the worst language, then changed labels, then how far the logits are off; no number is the worst."""
    lost = max((row["lost"] or {"": 0.0}).values())
    mean = row["step"]["mean"]
    return lost, row["step"]["flips_percent"], float("inf") if mean is None else mean
