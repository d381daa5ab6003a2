"""lineage: the artifacts that a bundle was made from, found again by the ids in their manifests."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeafri.artifact import MANIFEST, Artifact, adopt, is_artifact, load_artifact, load_bundle
from edgeafri.documents.base import Document
from edgeafri.documents.build import BuildStep, TeacherSource
from edgeafri.errors import ArtifactError, DataError, EdgeAfriError
from edgeafri.menu import find
from edgeafri.util.files import Digests


@dataclass(frozen=True)
class Lineage:
    """A chain from the model that a build began with to the bundle, and what could not be found of it, in words."""

    chain: tuple[Artifact, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Record(Document):
    """What is read of the report of a build, whichever version wrote it."""

    task: str = ""
    teacher: TeacherSource | None = None
    steps: tuple[BuildStep, ...] = ()
    commands: tuple[str, ...] = ()


def lineage(bundle: Path, work: Path, digests: Digests) -> Lineage:
    """What a bundle was made from, among the artifacts in `work` and the teacher that its report there names.

    ArtifactError for what is no bundle, and for a step between that is not there any more. A teacher that cannot be
    found is a note: the chain begins behind it.
    """
    last = load_bundle(bundle, digests)
    there, report = _folders_by_id(work), _report(work, last.id)
    chain = [last]
    while (parent := chain[0].manifest.parent) in there:
        chain.insert(0, load_artifact(there[str(parent)], digests))
    if parent is None:
        return Lineage(tuple(chain), ())
    _check_removed(chain[0], work, report)
    teacher = _teacher(parent, report, digests)
    if teacher is not None:
        return Lineage((teacher, *chain), ())
    note = f"what {chain[0].manifest.stage} was made from is not in {work}: the comparison begins there"
    return Lineage(tuple(chain), (note,))


def reference_place(stages: Sequence[str], has_head: bool) -> int | None:
    """The step whose model a bundle is compared with; None for the teacher itself, which has a head or not.

    The last fine-tuning before anything is made smaller. A later one makes up for what was lost, and hides none of it.
    """
    entries = [find(name) for name in stages]
    smaller = next((place for place, entry in enumerate(entries) if entry and entry.makes_smaller), len(stages))
    tuned = [place for place, entry in enumerate(entries) if entry and entry.teaches_task]
    whole = [place for place in tuned if place < smaller]
    if whole or has_head:
        return whole[-1] if whole else None
    return tuned[0]  # a teacher without a head cannot be measured before that


def _folders_by_id(work: Path) -> dict[str, Path]:
    folders = sorted(entry for entry in work.iterdir() if is_artifact(entry)) if work.is_dir() else []
    return {found: folder for folder in folders if (found := _id(folder))}


def _id(folder: Path) -> str:
    """The id in a folder's manifest; empty where it cannot be read, which is said when the folder is needed."""
    try:
        return str(json.loads((folder / MANIFEST).read_text("utf-8"))["id"])
    except (OSError, ValueError, LookupError, TypeError):
        return ""


def _report(work: Path, bundle_id: str) -> _Record | None:
    """The report of the build that made a bundle; None where there is none that can be read."""
    for file in sorted(work.glob(f"reports/*-{bundle_id}/report.json")):
        try:
            return _Record.from_json(json.loads(file.read_text("utf-8")), str(file))
        except (OSError, ValueError, DataError):
            continue
    return None


def _check_removed(first: Artifact, work: Path, report: _Record | None) -> None:
    """ArtifactError when a step of the build stood before `first`: only a teacher may stand elsewhere."""
    parent, stage = first.manifest.parent, first.manifest.stage
    known = {step.id: step.stage for step in report.steps} if report else {}
    entry = find(stage)
    takes = entry.takes if entry else "torch"
    if parent in known or takes != "torch":
        name = known.get(str(parent), f"the {takes} artifact")
        message = f"{work}: {name} ({parent}), which {stage} was made from, is not there any more"
        again = report.commands[0] if report and report.commands else "edgeafri build"
        raise ArtifactError(message, f"Build again, only what is missing is made: {again}")


def _teacher(parent: str, report: _Record | None, digests: Digests) -> Artifact | None:
    """The model that the report says the build began with, if it is still the one."""
    if report is None or report.teacher is None or not Path(report.teacher.folder).is_dir():
        return None
    folder = Path(report.teacher.folder)
    if is_artifact(folder) and _id(folder) == parent:
        return load_artifact(folder, digests)
    try:
        found = adopt(folder, "torch", report.task, report.teacher.languages, digests)
    except EdgeAfriError:
        return None
    return found if found.id == parent else None
