"""entry: all that is known of one bundle on one device, in one form, whichever documents it comes from."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import TypeVar

from edgeafri.documents.base import Document
from edgeafri.documents.build import BuildStep, Sizes
from edgeafri.documents.checks import Check
from edgeafri.documents.emulated_run import Instructions, MachineParity
from edgeafri.documents.measurement import MemorySamples
from edgeafri.documents.outliers import Outliers
from edgeafri.documents.parity import Parity
from edgeafri.documents.quality import QualityComparison

ESTIMATE, HOST, DEVICE, MEASURED = "estimate", "host", "device", "measured"
TIERS = (ESTIMATE, HOST, MEASURED, DEVICE)  # the further, the closer to the device
T = TypeVar("T")


@dataclass(frozen=True)
class Timing(Document):
    """Milliseconds for one sentence as one tier has them. `of` says what `low` to `high` is.

    `middle` is p50 of what was measured, and what is expected by an estimate that can say so.
    """

    tier: str
    where: str
    low: float | None
    high: float | None
    middle: float | None
    p95: float | None
    of: str
    seq_len: int | None = None
    threads: int | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class MemoryCurve(Document):
    """Memory of a process over time: samples of (seconds, MB) by phase, and the limit in MB where there is one."""

    where: str
    phases: MemorySamples
    limit: float | None


@dataclass(frozen=True)
class EmulatedCounts(Document):
    """What one inference executes on an emulated processor. Never a time."""

    cpu: str
    instructions: Instructions
    peak_rss_mb: float | None
    parity: MachineParity | None


@dataclass(frozen=True)
class Machine(Document):
    """What was measured on one machine, as names and values for people."""

    where: str
    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Entry(Document):
    """One bundle for one target. Parts that nobody measured are empty or None.

    `groups` are bytes of the bundle by what they belong to; `teacher` is the id of the model that the build began with.
    """

    id: str
    bundle: str = ""
    target: str = ""
    task: str = ""
    languages: tuple[str, ...] = ()
    sample: bool = False
    on_device: bool = False
    recipe: str = ""
    teacher: str = ""
    checks: tuple[Check, ...] = ()
    quality: QualityComparison | None = None
    parity: Parity | None = None
    outliers: Outliers | None = None
    size: Sizes | None = None
    groups: Mapping[str, int] | None = None
    timings: tuple[Timing, ...] = ()
    counts: tuple[EmulatedCounts, ...] = ()
    curves: tuple[MemoryCurve, ...] = ()
    machines: tuple[Machine, ...] = ()
    steps: tuple[BuildStep, ...] = ()
    commands: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def merged(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """One entry per bundle, in the order of their first: what several documents say of one stands together."""
    found: dict[str, Entry] = {}
    for entry in entries:
        found[entry.id] = _joined(found[entry.id], entry) if entry.id in found else entry
    return tuple(found.values())


def _joined(first: Entry, second: Entry) -> Entry:
    """Lists one after the other without repeats, and of all else what is known."""
    timings = _without_repeats(first.timings, second.timings)
    return Entry(
        id=first.id,
        bundle=first.bundle or second.bundle,
        target=first.target or second.target,
        task=first.task or second.task,
        languages=first.languages or second.languages,
        sample=first.sample or second.sample,
        on_device=first.on_device or second.on_device,
        recipe=first.recipe or second.recipe,
        teacher=first.teacher or second.teacher,
        checks=_checks_of(first, second),
        quality=first.quality or second.quality,
        parity=first.parity or second.parity,
        outliers=first.outliers or second.outliers,
        size=_sizes_of(first.size, second.size),
        groups=first.groups or second.groups,
        timings=tuple(sorted(timings, key=lambda timing: TIERS.index(timing.tier))),
        counts=_without_repeats(first.counts, second.counts),
        curves=_without_repeats(first.curves, second.curves),
        machines=_machines_of(first.machines, second.machines),
        steps=first.steps or second.steps,
        commands=_without_repeats(first.commands, second.commands),
        notes=_without_repeats(first.notes, second.notes),
    )


def _checks_of(first: Entry, second: Entry) -> tuple[Check, ...]:
    """Of a check made twice: that of a real device, of two devices the worse, else the later."""
    checks = {item.name: item for item in first.checks}
    for item in second.checks:
        known = checks.get(item.name)
        if known is None or not first.on_device or (second.on_device and _badness(item) > _badness(known)):
            checks[item.name] = item
    return tuple(checks.values())


def _badness(item: Check) -> tuple[int, float]:
    return {True: 0, None: 1, False: 2}[item.passed], item.measured or 0.0


def _sizes_of(first: Sizes | None, second: Sizes | None) -> Sizes | None:
    """What the first does not know, from the second."""
    if first is None or second is None:
        return first or second
    unknown = [field.name for field in fields(Sizes) if getattr(first, field.name) is None]
    return replace(first, **{name: getattr(second, name) for name in unknown})


def _without_repeats(first: tuple[T, ...], second: tuple[T, ...]) -> tuple[T, ...]:
    return (*first, *(item for item in second if item not in first))


def _machines_of(first: tuple[Machine, ...], second: tuple[Machine, ...]) -> tuple[Machine, ...]:
    """All of both; of one measurement that both tell of, the one that tells more."""
    alone = [item for item in first if not any(_holds(other, item) for other in second)]
    return (*alone, *(item for item in second if not any(_holds(other, item) for other in alone)))


def _holds(machine: Machine, other: Machine) -> bool:
    return machine.where == other.where and set(machine.facts) >= set(other.facts)
