"""documents: what a build, a profile and a measurement become: entries of a report, every part of them optional."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from edgeafri.report.entry import DEVICE, ESTIMATE, HOST, MEASURED, Counts, Curve, Document, Entry, Timing
from edgeafri.report.machines import device_named, emulated_machine, host_ceiling, machine_of, real_device
from edgeafri.report.words import number

_MEMORY_CHECK = "peak memory"


def of_build(document: Document) -> Entry:
    """The document that `edgeafri build --json` prints. Every part of it may be missing or null."""
    steps, checks = tuple(document.get("steps") or ()), tuple(document.get("checks") or ())
    estimate, host = document.get("device") or {}, document.get("host") or {}
    parity, facts = document.get("parity") or {}, (steps[-1].get("facts") or {}) if steps else {}
    return Entry(
        id=document.get("artifact_id") or "",
        **_named(document),
        recipe=document.get("recipe") or "",
        teacher=(document.get("teacher") or {}).get("id") or "",
        checks=checks,
        quality=document.get("quality") or None,
        parity=parity if parity.get("rows") else None,
        size=document.get("size") or None,
        groups=_groups(facts.get("group_bytes")),
        timings=(*_estimated(estimate), *_timed(host)),
        curves=_curve(host, _memory_limit(checks)),
        machines=machine_of(host, "this machine"),
        steps=steps,
        notes=(*(document.get("notes") or ()), *(f"estimate: {note}" for note in estimate.get("notes") or ())),
    )


def of_profile(document: Document) -> Entry:
    """The document of `edgeafri profile` for one bundle and one device."""
    tiers, checks = document.get("tiers") or {}, tuple(document.get("checks") or ())
    estimate, host = tiers.get("estimate") or {}, tiers.get("host") or {}
    measured, ceiling = host.get("measurement") or {}, host.get("ceiling") or {}
    device, emulated = tiers.get("device") or {}, tiers.get("emulated")
    there, name = device.get("measurement") or {}, document.get("name") or ""
    limit = _memory_limit(checks) or ceiling.get("limit_mb")
    size = document.get("bundle_bytes")
    return Entry(
        id=document.get("bundle_id") or "",
        **_named(document),
        checks=checks,
        size={"bundle_bytes": size} if size else None,
        groups=_groups(document.get("groups")),
        timings=(*_estimated(estimate, document), *_timed(measured), *_timed_there(device, name)),
        counts=(_counted(emulated),) if emulated else (),
        curves=(*_curve(measured, limit), *_curve(there, limit, device_named(device, name))),
        machines=(
            *machine_of(measured, "this machine", host_ceiling(host)),
            *emulated_machine(emulated or {}),
            *real_device(device, name),
        ),
        on_device=bool(device),
        notes=tuple(document.get("notes") or ()),
    )


def of_measurement(document: Document) -> Entry:
    """One measurement: of `edgeafri bench --json`, or of the phone app."""
    return Entry(
        id=document["bundle_id"],
        timings=_timed(document, MEASURED),
        curves=_curve(document, None),
        machines=machine_of(document, "a machine"),
    )


def _named(document: Document) -> dict[str, Any]:
    texts = {name: document.get(name) or "" for name in ("bundle", "target", "task")}
    lists = {name: tuple(document.get(name) or ()) for name in ("languages", "commands")}
    return {**texts, **lists, "sample": bool(document.get("sample"))}


def _groups(groups: Mapping[str, int | None] | None) -> dict[str, int] | None:
    return {name: size for name, size in (groups or {}).items() if size} or None


def _estimated(estimate: Document, document: Document | None = None) -> tuple[Timing, ...]:
    if not estimate:
        return ()
    about = {**(document or {}), **estimate}
    basis = about.get("basis") or "basis not named"
    low, high, middle = (about.get(name) for name in ("low_ms", "high_ms", "expected_ms"))
    case = (about.get("seq_len"), about.get("threads"))
    return (Timing(ESTIMATE, "by arithmetic", low, high, middle, None, basis, *case),)


def _timed(measured: Document, tier: str = HOST) -> tuple[Timing, ...]:
    """A measurement: half of the runs took up to p50, 95 % of them up to p95."""
    if measured.get("p50_ms") is None:
        return ()
    p50, p95 = measured["p50_ms"], measured.get("p95_ms")
    where = measured.get("device") or "this machine"
    return (Timing(tier, where, p50, p95, p50, p95, "p50 to p95", measured.get("seq_len"), measured.get("threads")),)


def _timed_there(device: Document, name: str) -> tuple[Timing, ...]:
    """The device itself: p50 with its interval."""
    measured = device.get("measurement") or {}
    if measured.get("p50_ms") is None:
        return ()
    low, high = device.get("p50_interval_ms") or (None, None)
    (timing,) = _timed(measured, DEVICE)
    warnings = []
    if device.get("throttled"):
        warnings.append("throttled: the clock was held back during the runs")
    if device.get("settled") is False:
        width = device.get("p50_half_width_percent")
        warnings.append("not settled" + (f": p50 is known within {number(width)} %" if width is not None else ""))
    where = device_named(device, name) or timing.where
    of = "p50 with its 95 % interval"
    return (replace(timing, where=where, low=low, high=high, of=of, warnings=tuple(warnings)),)


def _counted(emulated: Document) -> Counts:
    instructions = {name: value for name, value in (emulated.get("instructions") or {}).items() if value is not None}
    cpu = emulated.get("cpu") or "a processor not named"
    return Counts(cpu, instructions, emulated.get("peak_rss_mb"), emulated.get("parity") or {})


def _curve(measured: Document, limit: float | None, where: str = "") -> tuple[Curve, ...]:
    phases = {name: samples for name, samples in (measured.get("memory") or {}).items() if samples}
    return (Curve(where or measured.get("device") or "", phases, limit),) if phases else ()


def _memory_limit(checks: Iterable[Mapping[str, Any]]) -> float | None:
    return next((item["limit"] for item in checks if item["name"] == _MEMORY_CHECK), None)
