"""from_documents: what a build, a profile and a measurement become: entries of a report."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from edgeafri.documents.base import Document
from edgeafri.documents.build import BuildResult, BuildStep, Sizes
from edgeafri.documents.checks import Check
from edgeafri.documents.device_run import DeviceRun
from edgeafri.documents.emulated_run import EmulatedRun
from edgeafri.documents.estimate import Estimate
from edgeafri.documents.measurement import Measurement
from edgeafri.documents.outliers import Outliers
from edgeafri.documents.profile import Profile
from edgeafri.report.checks import judged_again
from edgeafri.report.entry import (
    DEVICE,
    ESTIMATE,
    HOST,
    MEASURED,
    EmulatedCounts,
    Entry,
    Machine,
    MemoryCurve,
    Timing,
)
from edgeafri.report.machines import device_named, emulated_machine, host_facts, machine_of, real_device
from edgeafri.report.words import number

_MEMORY_CHECK = "peak memory"


def of_build(result: BuildResult, where: str = "build") -> Entry:
    """The entry of a build. DataError, below `where`, for facts of a step that are not what they should be."""
    device, host = result.device, result.host
    return Entry(
        id=result.artifact_id,
        bundle=result.bundle,
        target=result.target,
        task=result.task,
        languages=result.languages,
        sample=result.sample,
        recipe=result.recipe,
        teacher=result.teacher.id if result.teacher else "",
        checks=tuple(map(judged_again, result.checks)),
        quality=result.quality,
        parity=result.parity if result.parity and result.parity.rows else None,
        outliers=_outliers_of(result.steps, where),
        size=result.size,
        groups=_groups_of(result.steps, where),
        timings=(
            *(_estimated(device, device.seq_len, device.threads) if device else ()),
            *(_timed(host, HOST) if host else ()),
        ),
        curves=_curve(host, _memory_limit(result.checks)) if host else (),
        machines=(machine_of(host, "this machine"),) if host else (),
        steps=result.steps,
        commands=result.commands,
        notes=(*result.notes, *(f"estimate: {note}" for note in (device.notes if device else ()))),
    )


def of_profile(profile: Profile) -> Entry:
    """The entry of a profile: one bundle on one device, tier by tier."""
    tiers, name = profile.tiers, profile.name or ""
    return Entry(
        id=profile.bundle_id,
        bundle=profile.bundle,
        target=profile.target,
        task=profile.task,
        languages=profile.languages,
        sample=profile.sample,
        on_device=tiers.device is not None,
        checks=profile.checks,
        size=Sizes(bundle_bytes=profile.bundle_bytes),
        groups=_known(profile.groups or {}),
        timings=(
            *(_estimated(tiers.estimate, profile.seq_len, profile.threads) if tiers.estimate else ()),
            *(_timed(tiers.host.measurement, HOST) if tiers.host else ()),
            *((_timed_there(tiers.device, name),) if tiers.device else ()),
        ),
        counts=(_counted(tiers.emulated),) if tiers.emulated else (),
        curves=_curves_of(profile),
        machines=_machines_of(profile),
        commands=profile.commands,
        notes=profile.notes,
    )


def of_measurement(measured: Measurement) -> Entry:
    """One measurement: of `edgeafri bench --json`, or of the phone app."""
    return Entry(
        id=measured.bundle_id,
        timings=_timed(measured, MEASURED),
        curves=_curve(measured, None),
        machines=(machine_of(measured, "a machine"),),
    )


@dataclass(frozen=True)
class _OutlierFacts(Document):
    """What a report reads of the facts of the step that quantized."""

    outliers: Outliers | None = None


def _outliers_of(steps: tuple[BuildStep, ...], where: str) -> Outliers | None:
    """The last search for outlier channels; None where there was none, and of an early version."""
    facts = (
        _OutlierFacts.from_json(step.facts or {}, f"{where}.steps[{place}].facts") for place, step in enumerate(steps)
    )
    return next((found.outliers for found in reversed(list(facts)) if found.outliers), None)


@dataclass(frozen=True)
class _GroupFacts(Document):
    """What a report reads of the facts of the last step; a bundle of an early version has no groups."""

    group_bytes: Mapping[str, int | None] = field(default_factory=dict)


def _groups_of(steps: tuple[BuildStep, ...], where: str) -> dict[str, int] | None:
    if not steps:
        return None
    return _known(_GroupFacts.from_json(steps[-1].facts or {}, f"{where}.steps[{len(steps) - 1}].facts").group_bytes)


def _known(groups: Mapping[str, int | None]) -> dict[str, int] | None:
    return {name: size for name, size in groups.items() if size} or None


def _curves_of(profile: Profile) -> tuple[MemoryCurve, ...]:
    host, device = profile.tiers.host, profile.tiers.device
    limit = _memory_limit(profile.checks) or (host.ceiling.limit_mb if host and host.ceiling else None)
    there = _curve(device.measurement, limit, device_named(device, profile.name or "")) if device else ()
    return (*(_curve(host.measurement, limit) if host else ()), *there)


def _machines_of(profile: Profile) -> tuple[Machine, ...]:
    tiers = profile.tiers
    host = (machine_of(tiers.host.measurement, "this machine", host_facts(tiers.host)),) if tiers.host else ()
    emulated = (emulated_machine(tiers.emulated),) if tiers.emulated else ()
    device = (real_device(tiers.device, profile.name or ""),) if tiers.device else ()
    return (*host, *emulated, *device)


def _estimated(estimate: Estimate, seq_len: int | None, threads: int | None) -> tuple[Timing]:
    low, high, middle = estimate.low_ms, estimate.high_ms, estimate.expected_ms
    return (Timing(ESTIMATE, "by arithmetic", low, high, middle, None, estimate.basis, seq_len, threads),)


def _timed(measured: Measurement, tier: str) -> tuple[Timing]:
    """A measurement: half of the runs took up to p50, 95 % of them up to p95."""
    p50, p95 = measured.p50_ms, measured.p95_ms
    where = measured.device or "this machine"
    return (Timing(tier, where, p50, p95, p50, p95, "p50 to p95", measured.seq_len, measured.threads),)


def _timed_there(device: DeviceRun, name: str) -> Timing:
    """The device itself: p50 with its interval."""
    measured = device.measurement
    low, high = device.p50_interval_ms or (None, None)
    warnings = []
    if device.throttled:
        warnings.append("throttled: the clock was held back during the runs")
    if not device.settled:
        width = device.p50_half_width_percent
        warnings.append("not settled" + (f": p50 is known within {number(width)} %" if width is not None else ""))
    return Timing(
        tier=DEVICE,
        where=device_named(device, name) or measured.device,
        low=low,
        high=high,
        middle=measured.p50_ms,
        p95=measured.p95_ms,
        of="p50 with its 95 % interval",
        seq_len=measured.seq_len,
        threads=measured.threads,
        warnings=tuple(warnings),
    )


def _counted(emulated: EmulatedRun) -> EmulatedCounts:
    return EmulatedCounts(emulated.cpu, emulated.instructions, emulated.peak_rss_mb, emulated.parity)


def _curve(measured: Measurement, limit: float | None, where: str = "") -> tuple[MemoryCurve, ...]:
    phases = {name: samples for name, samples in (measured.memory or {}).items() if samples}
    return (MemoryCurve(where or measured.device, phases, limit),) if phases else ()


def _memory_limit(checks: Iterable[Check]) -> float | None:
    return next((item.limit for item in checks if item.name == _MEMORY_CHECK), None)
