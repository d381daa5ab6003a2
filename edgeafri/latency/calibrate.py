"""Calibration: measurements of bundles on one device become the constants that its estimates use."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from edgeafri.device.calibration import SCHEMA, Calibration, Constants
from edgeafri.device.profile import DeviceProfile
from edgeafri.errors import ArtifactError, DataError
from edgeafri.latency.fit import LAYERS, MACS, MEGABYTES, Numbers, fit
from edgeafri.latency.roofline import Work, read_work

_AGAIN = "Measure on the device with this version: edgeafri bench BUNDLE --json > FILE."
_SINCE_START = " has occurred"
_MEGA = 1e6
Document = tuple[str, Any]  # where it was read, and what was read
Columns = dict[str, Numbers | None]


@dataclass(frozen=True)
class Run:
    """One measurement of one bundle: milliseconds are the median of its timed sentences."""

    where: str
    device: str
    bundle: str
    seq_len: int
    threads: int
    work: Work
    ms: float
    slowed: str
    document: Mapping[str, Any]


def calibrate(profile: DeviceProfile, documents: Iterable[Document]) -> Calibration:
    """The constants of a device from measurements, lists of them, documents of `profile` and of `farm`.

    Weights of other bits and other numbers of threads have constants of their own. Runs of one bundle at one length
    count once, by their median. Runs that a hot or hungry device slowed down are left out, and so are those of other
    devices in documents that name them. DataError when a measurement is of another device, is given twice or cannot be
    used, and when none is left.
    """
    found = [item for where, document in documents for item in _runs(where, document, profile.name)]
    runs = [item for item in found if isinstance(item, Run)]
    _check_device(runs, profile)
    _check_once(runs)
    notes = [item for item in found if isinstance(item, str)]
    notes += [f"{run.where} is left out: the device was slowed down ({run.slowed})" for run in runs if run.slowed]
    kept = [run for run in runs if not run.slowed]
    if not kept:
        raise DataError("; ".join([f"no measurement of {profile.name} to calibrate with", *notes]), _AGAIN)
    groups, first = _groups(kept), profile.cores[0]
    return Calibration(
        schema=SCHEMA,
        device=profile.name,
        core=first.type if max(run.threads for run in kept) <= first.count else "",
        ghz=first.ghz.value if first.ghz is not None else None,
        measured_on=", ".join(sorted({run.device for run in kept})),
        constants=tuple(_constants(group) for group in groups),
        notes=(*notes, *(note for group in groups for note in _said_of(group))),
    )


def _groups(runs: Sequence[Run]) -> list[list[Run]]:
    """The runs by the bits of their weights and their threads, most first."""
    groups = defaultdict(list)
    for run in runs:
        groups[run.work.weight_bits, run.threads].append(run)
    return [groups[key] for key in sorted(groups, reverse=True)]


def _constants(runs: Sequence[Run]) -> Constants:
    points = _points(runs)
    fitted = fit(_columns(points), np.array([point.ms for point in points]))
    macs = [point.work.macs(point.seq_len) for point in points]
    per_mac, per_megabyte, per_layer = fitted.constants
    return Constants(
        weight_bits=runs[0].work.weight_bits,
        threads=runs[0].threads,
        runs=len(points),
        bundles=len({point.bundle for point in points}),
        ms_per_million_macs=per_mac,
        ms_per_megabyte=per_megabyte,
        ms_per_layer=per_layer,
        left_out=fitted.left_out,
        median_error=fitted.error(0.5),
        p90_error=fitted.error(0.9),
        level=fitted.level,
        factor=fitted.factor,
        fewest_macs=min(macs),
        most_macs=max(macs),
    )


def _points(runs: Sequence[Run]) -> list[Run]:
    """A run for each bundle and length: the one in the middle stands for all of them."""
    ordered = sorted(runs, key=lambda run: (run.bundle, run.seq_len, run.ms))
    same = [list(group) for _, group in groupby(ordered, key=lambda run: (run.bundle, run.seq_len))]
    return [group[(len(group) - 1) // 2] for group in same]


def _columns(points: Sequence[Run]) -> Columns:
    layers = [point.work.layers for point in points]
    known = all(point.work.activation_bytes(point.seq_len) is not None for point in points)
    return {
        MACS: np.array([point.work.macs(point.seq_len) / _MEGA for point in points]),
        MEGABYTES: np.array([point.work.bytes_moved(point.seq_len) / _MEGA for point in points]) if known else None,
        LAYERS: None if None in layers else np.array(layers, dtype=np.float64),
    }


def _said_of(runs: Sequence[Run]) -> list[str]:
    """What a reader must know of these runs beside their constants."""
    threads = "1 thread" if runs[0].threads == 1 else f"{runs[0].threads} threads"
    named = f"{runs[0].work.weight_bits}-bit weights on {threads}"
    points, notes = _points(runs), []
    if len(points) < len(runs):
        notes.append(f"{named}: {len(runs)} runs of {len(points)} bundles and lengths; each counts once, by its median")
    if len({run.bundle for run in runs}) == 1:
        notes.append(f"{named}: one bundle alone was measured, so the error on others is not known")
    return notes


def _runs(where: str, document: Any, target: str) -> Iterator[Run | str]:
    """The runs in a document, and in words what in it is not of this device."""
    if isinstance(document, list):
        for number, item in enumerate(document, 1):
            yield from _runs(f"{where}, {number}", item, target)
    elif isinstance(document, dict) and "p50_ms" in document:
        yield _run(where, document, False)
    elif isinstance(document, dict) and document.get("kind") == "profile":
        yield from _runs_of_profile(where, document, target)
    elif isinstance(document, dict) and any(isinstance(value, (list, dict)) for value in document.values()):
        inner = list(_profiles(document))
        if not inner:
            raise DataError(f"{where}: no measurement in it", _AGAIN)
        for number, item in enumerate(inner, 1):
            yield from _runs(f"{where}, {number}", item, target)
    else:
        raise DataError(f"{where}: no measurement", _AGAIN)


def _profiles(document: Any) -> Iterator[Mapping[str, Any]]:
    """The documents of `profile` inside another one."""
    if isinstance(document, dict) and document.get("kind") == "profile":
        yield document
    elif isinstance(document, (dict, list)):
        for value in document.values() if isinstance(document, dict) else document:
            yield from _profiles(value)


def _runs_of_profile(where: str, document: Mapping[str, Any], target: str) -> Iterator[Run | str]:
    """Only what a device measured itself: the host is another machine."""
    tiers = document.get("tiers")
    tier = tiers.get("device") if isinstance(tiers, dict) else None
    if document.get("target") != target:
        yield f"{where} is left out: it is of {document.get('target')}"
    elif not isinstance(tier, dict) or not isinstance(tier.get("measurement"), dict):
        yield f"{where} is left out: nothing in it was measured on the device"
    else:
        yield _run(where, tier["measurement"], bool(tier.get("throttled")))


def _run(where: str, values: Mapping[str, Any], throttled: bool) -> Run:
    kinds: dict[str, Any] = {"device": str, "bundle_id": str, "seq_len": int, "threads": int, "p50_ms": (int, float)}
    odd = [name for name, kind in kinds.items() if not isinstance(values.get(name), kind)]
    if odd:
        raise DataError(f"{where}: its '{odd[0]}' is missing or odd", _AGAIN)
    if not isinstance(values.get("work"), dict):
        raise DataError(f"{where}: does not say what the bundle computes", _AGAIN)
    try:
        work = read_work(values["work"])
    except ArtifactError as error:
        raise DataError(f"{where}: {error.message}", error.hint) from None
    ms, sizes = float(values["p50_ms"]), (values["seq_len"], values["threads"])
    if not (0 < ms < float("inf") and min(sizes) > 0 and work.macs(values["seq_len"]) > 0):
        raise DataError(f"{where}: {ms:g} ms on {sizes[1]} threads for {sizes[0]} sub-words is no measurement", _AGAIN)
    slowed = _slowed(values) or ("throttled" if throttled else "")
    return Run(where, values["device"], values["bundle_id"], *sizes, work, ms, slowed, values)


def _slowed(values: Mapping[str, Any]) -> str:
    """What a Raspberry Pi says of its power and heat: flags of now, and those that came during the run."""
    before, after = (_flags(values.get(name)) for name in ("conditions", "after"))
    now = {flag for flag in before | after if not flag.endswith(_SINCE_START)}
    came = {flag.removesuffix(_SINCE_START) for flag in after - before if "conditions" in values}
    return ", ".join(sorted(now | came))


def _flags(conditions: Any) -> set[str]:
    flags = conditions.get("throttled") if isinstance(conditions, dict) else None
    return {str(flag) for flag in flags} if isinstance(flags, list) else set()


def _check_device(runs: Sequence[Run], profile: DeviceProfile) -> None:
    for run in runs:
        if profile.models and not run.device.startswith(profile.models):
            hint = f"Give measurements of a {profile.models[0]} alone, or name the device that it is with --target."
            raise DataError(f"{run.where}: measured on '{run.device}', which is no {profile.name}", hint)
        if not profile.models and run.device != runs[0].device:
            said = f"{run.where}: measured on '{run.device}', and {runs[0].where} on '{runs[0].device}'"
            raise DataError(said, "Give measurements of one device; each device has a profile of its own.")


def _check_once(runs: Sequence[Run]) -> None:
    for number, run in enumerate(runs):
        twin = next((other for other in runs[:number] if other.document == run.document), None)
        if twin is not None:
            raise DataError(f"{run.where}: the same measurement as {twin.where}", "Give each measurement once.")
