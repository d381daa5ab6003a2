"""diagnosis: which step of a build cost most, and which layer of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeafri.artifact import Artifact
from edgeafri.builder.events import OnEvent
from edgeafri.builder.lineage import Lineage, lineage, reference_place
from edgeafri.builder.measurement_cache import MeasurementCache, Sentences
from edgeafri.builder.pipeline import workplace
from edgeafri.builder.teacher import head_of
from edgeafri.data.languages import language
from edgeafri.documents.build import Diagnosis
from edgeafri.documents.outliers import Outliers
from edgeafri.documents.parity import Gap, ParityRow
from edgeafri.errors import UsageError
from edgeafri.menu import MENU, facts_of
from edgeafri.menu.facts.conversion import QuantizeFacts
from edgeafri.tasks import task, unit_of
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


def diagnose(case: Case, digests: Digests, on_event: OnEvent) -> Diagnosis:
    """What every step of a bundle's build changed, the step that cost most, and what each layer of one step cost.

    UsageError without text, and what `lineage` raises.
    """
    found = lineage(case.bundle, case.work, digests)
    bundle = found.chain[-1]
    languages = case.languages or bundle.manifest.languages
    sentences = _sentences(case, languages, bundle.manifest.task)
    chain = _compared(found)
    with storage(case.work), workplace(case.work):
        cache = MeasurementCache(case.work, digests, on_event, fresh=False)
        parity = cache.parity(chain, bundle.manifest.task, sentences)
        rows = parity.rows if parity else ()
        place = costliest(rows, [entry.name for entry in MENU if entry.rewrites_graph])
        layers = cache.layers(chain[place - 1], chain[place], sentences) if place else ()
    worst = costliest(rows, [row.stage for row in rows])
    return Diagnosis(
        bundle=str(case.bundle),
        artifact_id=bundle.id,
        task=bundle.manifest.task,
        metric=task(bundle.manifest.task).metric,
        languages=languages,
        parity=parity,
        costliest=rows[worst].stage if worst else None,
        bisected=rows[place].stage if place else None,
        layers=layers,
        outliers=_outliers(found.chain),
        notes=found.notes,
    )


def _sentences(case: Case, languages: tuple[str, ...], task_name: str) -> Sentences:
    """What the models are compared on, found to be there for every language before anything is loaded."""
    from edgeafri.data.dataset import Dataset

    for code in languages:
        language(code)
    dataset = Dataset(case.data, languages, unit_of(task_name)) if case.data is not None else None
    found = Sentences(languages, dataset, case.text)
    if not found.files:
        hint = "Add --data DIR, whose dev files are read, or --text DIR with LANG.txt."
        raise UsageError("there is no text to compare the steps on", hint)
    return found


def _compared(found: Lineage) -> tuple[Artifact, ...]:
    """The chain from the model that the bundle is compared with in its report."""
    first, *steps = found.chain
    whole = first.manifest.stage != "adopt" or head_of(first, found.chain[-1].manifest.task)
    place = reference_place([item.manifest.stage for item in steps], whole)
    return found.chain if place is None else tuple(steps[place:])


def _outliers(chain: Sequence[Artifact]) -> Outliers | None:
    """What the last step that looked for outlier channels found."""
    facts = [facts_of(item.manifest) for item in chain]
    found = [item.outliers for item in facts if isinstance(item, QuantizeFacts) and item.outliers]
    return found[-1] if found else None


def costliest(rows: Sequence[ParityRow], stages: Sequence[str]) -> int | None:
    """The row of these stages that cost most; None when none of them changed an answer."""
    compared = [(place, row, row.step) for place, row in enumerate(rows) if row.stage in stages and row.step]
    if not compared:
        return None
    worst, _, gap = max(compared, key=lambda item: _cost(item[1], item[2]))
    return worst if gap.largest != 0 else None


def _cost(row: ParityRow, gap: Gap) -> tuple[float, float, float]:
    """F1 lost in the worst language, then changed labels, then how far the logits are off; NaN is the worst.

    A gain is luck: a step that changed nothing did not cost more.
    """
    lost = max((0.0, *(row.lost or {}).values()))
    return lost, gap.flips_percent, float("inf") if gap.mean is None else gap.mean
