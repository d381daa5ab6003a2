"""entry: all that is known of one bundle on one device, in one form, whichever documents it comes from."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

Document = Mapping[str, Any]
ESTIMATE, HOST, DEVICE, MEASURED = "estimate", "host", "device", "measured"
TIERS = (ESTIMATE, HOST, MEASURED, DEVICE)  # the further, the closer to the device


@dataclass(frozen=True)
class Timing:
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
class Curve:
    """Memory of a process over time: samples of [seconds, MB] by phase, and the limit in MB where there is one."""

    where: str
    phases: Mapping[str, Sequence[Sequence[float]]]
    limit: float | None


@dataclass(frozen=True)
class Counts:
    """What one inference executes on an emulated processor: instructions by class. Never a time."""

    cpu: str
    instructions: Mapping[str, float]
    peak_rss_mb: float | None
    parity: Mapping[str, Any]


@dataclass(frozen=True)
class Machine:
    """What was measured on one machine, as names and values for people."""

    where: str
    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Entry:
    """One bundle for one target. Parts that nobody measured are empty or None."""

    id: str
    bundle: str = ""
    target: str = ""
    task: str = ""
    languages: tuple[str, ...] = ()
    sample: bool = False
    on_device: bool = False
    recipe: str = ""
    teacher: str = ""
    checks: tuple[Mapping[str, Any], ...] = ()
    quality: Mapping[str, Any] | None = None
    parity: Mapping[str, Any] | None = None
    size: Mapping[str, Any] | None = None
    groups: Mapping[str, int] | None = None
    timings: tuple[Timing, ...] = ()
    counts: tuple[Counts, ...] = ()
    curves: tuple[Curve, ...] = ()
    machines: tuple[Machine, ...] = ()
    steps: tuple[Mapping[str, Any], ...] = ()
    commands: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def merged(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """One entry a bundle, in the order of their first: what several documents say of one stands together."""
    found: dict[str, Entry] = {}
    for entry in entries:
        found[entry.id] = _joined(found[entry.id], entry) if entry.id in found else entry
    return tuple(found.values())


def _joined(first: Entry, second: Entry) -> Entry:
    """Lists one after the other without repeats, and of all else what is known."""
    joined: dict[str, Any] = {name: _without_repeats(getattr(first, name), getattr(second, name)) for name in _LISTS}
    joined |= {name: getattr(first, name) or getattr(second, name) for name in _ALONE}
    joined["timings"] = tuple(sorted(joined["timings"], key=lambda timing: TIERS.index(timing.tier)))
    joined["size"] = {**(second.size or {}), **(first.size or {})} or None
    joined["machines"] = _machines_of(first.machines, second.machines)
    return replace(first, checks=_checks_of(first, second), **joined)


_LISTS = ("timings", "counts", "curves", "commands", "notes")
_ALONE = (
    *("bundle", "target", "task", "languages", "sample", "on_device", "recipe", "teacher"),
    *("quality", "parity", "groups", "steps"),
)


def _checks_of(first: Entry, second: Entry) -> tuple[Mapping[str, Any], ...]:
    """Of a check made twice: that of a real device, of two devices the worse, else the later."""
    checks = {item["name"]: item for item in first.checks}
    for item in second.checks:
        known = checks.get(item["name"])
        if known is None or not first.on_device or (second.on_device and _badness(item) > _badness(known)):
            checks[item["name"]] = item
    return tuple(checks.values())


def _badness(item: Mapping[str, Any]) -> tuple[int, float]:
    passed = item.get("passed")
    known = item.get("measured")
    return (0 if passed else 1 if passed is None else 2), 0.0 if known is None else known


def _without_repeats(first: tuple[Any, ...], second: tuple[Any, ...]) -> tuple[Any, ...]:
    return (*first, *(item for item in second if item not in first))


def _machines_of(first: tuple[Machine, ...], second: tuple[Machine, ...]) -> tuple[Machine, ...]:
    """All of both; of one measurement that both tell of, the one that tells more."""
    alone = [item for item in first if not any(_holds(other, item) for other in second)]
    return (*alone, *(item for item in second if not any(_holds(other, item) for other in alone)))


def _holds(machine: Machine, other: Machine) -> bool:
    return machine.where == other.where and set(machine.facts) >= set(other.facts)
