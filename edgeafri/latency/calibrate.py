"""Calibration: measurements of bundles on one device become the constants that its estimates use."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TypeVar

import numpy as np

from edgeafri.device.calibration import SCHEMA, Calibration, Constants
from edgeafri.device.profile import DeviceProfile
from edgeafri.documents.base import Document
from edgeafri.documents.measurement import Measurement
from edgeafri.documents.profile import Profile
from edgeafri.errors import ArtifactError, DataError
from edgeafri.latency.fit import LAYERS, MACS, MEGABYTES, Numbers, fit
from edgeafri.latency.roofline import Work, read_work

_AGAIN = "Measure on the device with this version: edgeafri bench BUNDLE --json > FILE."
_SINCE_START = " has occurred"
_MEGA = 1e6
# Constants are of one kind of arithmetic. What outlier channels add in float32 is below this share of the MACs.
_MOST_FLOAT = 0.05
D = TypeVar("D", bound=Document)
JsonFile = tuple[str, object]  # the name of the file, and the JSON in it
Columns = dict[str, Numbers | None]


@dataclass(frozen=True)
class MeasuredBundle:
    """One measurement of one bundle, where it was read, and what slowed the device down, "" where nothing did."""

    where: str
    measurement: Measurement
    work: Work
    slowed: str

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one sentence."""
        return self.work.macs(self.measurement.seq_len)

    @property
    def bundle_and_length(self) -> tuple[str, int]:
        """Measurements with the same value repeat each other."""
        return self.measurement.bundle_id, self.measurement.seq_len

    @property
    def is_mixed(self) -> bool:
        """Whether much of it is in float32 beside layers of fewer bits."""
        return self.work.weight_bits < 32 and self.work.float_share > _MOST_FLOAT


def calibrate(profile: DeviceProfile, files: Iterable[JsonFile]) -> Calibration:
    """The constants of a device from files with measurements, lists of them, profiles and farms.

    Each pair of weight bits and threads has constants of its own. Runs of one bundle at one length count once, by their
    median. Left out, with a note, are runs that heat or a weak power supply slowed down, runs of mixed precision, and
    runs of other devices in documents that name their device. DataError when a measurement is of another device, is
    given twice or cannot be used, and when none is left.
    """
    found = [item for where, value in files for item in _measured(where, value, profile.name)]
    runs = [item for item in found if isinstance(item, MeasuredBundle)]
    _check_device(runs, profile)
    _check_once(runs)
    notes = [item for item in found if isinstance(item, str)]
    notes += [f"{run.where} is left out: the device was slowed down ({run.slowed})" for run in runs if run.slowed]
    notes += [_mixed_note(run) for run in runs if run.is_mixed and not run.slowed]
    kept = [run for run in runs if not (run.slowed or run.is_mixed)]
    if not kept:
        raise DataError("; ".join([f"no measurement of {profile.name} to calibrate with", *notes]), _AGAIN)
    groups, first = _groups(kept), profile.cores[0]
    return Calibration(
        schema=SCHEMA,
        device=profile.name,
        core=first.type if max(run.measurement.threads for run in kept) <= first.count else "",
        ghz=first.ghz.value if first.ghz is not None else None,
        measured_on=", ".join(sorted({run.measurement.device for run in kept})),
        constants=tuple(_constants(group) for group in groups),
        notes=(*notes, *(note for group in groups for note in _group_notes(group))),
    )


def _mixed_note(run: MeasuredBundle) -> str:
    bits, share = run.work.weight_bits, 100 * run.work.float_share
    reason = f"{share:.0f} % of its linear layers' MACs are in float32, the others in {bits} bits"
    return f"{run.where} is left out: {reason}"


def _groups(runs: Sequence[MeasuredBundle]) -> list[list[MeasuredBundle]]:
    """The runs by the bits of their weights and their threads, most first."""
    groups = defaultdict(list)
    for run in runs:
        groups[run.work.weight_bits, run.measurement.threads].append(run)
    return [groups[key] for key in sorted(groups, reverse=True)]


def _constants(runs: Sequence[MeasuredBundle]) -> Constants:
    points = _points(runs)
    fitted = fit(_columns(points), np.array([point.measurement.p50_ms for point in points], dtype=np.float64))
    per_mac, per_megabyte, per_layer = fitted.constants
    return Constants(
        weight_bits=runs[0].work.weight_bits,
        threads=runs[0].measurement.threads,
        runs=len(points),
        bundles=len({point.measurement.bundle_id for point in points}),
        ms_per_million_macs=per_mac,
        ms_per_megabyte=per_megabyte,
        ms_per_layer=per_layer,
        left_out=fitted.left_out,
        median_error=fitted.error(0.5),
        p90_error=fitted.error(0.9),
        level=fitted.level,
        factor=fitted.factor,
        fewest_macs=min(point.macs for point in points),
        most_macs=max(point.macs for point in points),
    )


def _points(runs: Sequence[MeasuredBundle]) -> list[MeasuredBundle]:
    """One run for each bundle and length: the median run of those that repeat each other."""
    ordered = sorted(runs, key=lambda run: (run.bundle_and_length, run.measurement.p50_ms))
    same = [list(group) for _, group in groupby(ordered, key=lambda run: run.bundle_and_length)]
    return [group[(len(group) - 1) // 2] for group in same]


def _columns(points: Sequence[MeasuredBundle]) -> Columns:
    layers = [point.work.layers for point in points]
    known = all(point.work.activation_bytes(point.measurement.seq_len) is not None for point in points)
    moved = [point.work.bytes_moved(point.measurement.seq_len) / _MEGA for point in points]
    return {
        MACS: np.array([point.macs / _MEGA for point in points]),
        MEGABYTES: np.array(moved) if known else None,
        LAYERS: None if None in layers else np.array(layers, dtype=np.float64),
    }


def _group_notes(runs: Sequence[MeasuredBundle]) -> list[str]:
    """What a reader must know of these runs beside their constants."""
    count = runs[0].measurement.threads
    named = f"{runs[0].work.weight_bits}-bit weights on {'1 thread' if count == 1 else f'{count} threads'}"
    points, notes = _points(runs), []
    if len(points) < len(runs):
        notes.append(f"{named}: {len(runs)} runs of {len(points)} bundles and lengths; each counts once, by its median")
    if len({run.measurement.bundle_id for run in runs}) == 1:
        notes.append(f"{named}: only one bundle was measured, so the error on others is not known")
    return notes


def _measured(where: str, value: object, target: str) -> Iterator[MeasuredBundle | str]:
    """The measurements in a JSON value, and in words what in it is not of this device."""
    if isinstance(value, list):
        for number, item in enumerate(value, 1):
            yield from _measured(f"{where}, {number}", item, target)
    elif isinstance(value, dict) and "p50_ms" in value:
        yield _checked(where, _read(Measurement, value, where), throttled=False)
    elif isinstance(value, dict) and value.get("kind") == "profile":
        yield from _of_profile(where, _read(Profile, value, where), target)
    elif isinstance(value, dict) and any(isinstance(inner, (list, dict)) for inner in value.values()):
        profiles = list(_profiles(value))
        if not profiles:
            raise DataError(f"{where}: no measurement in it", _AGAIN)
        yield from _measured(where, profiles, target)
    else:
        raise DataError(f"{where}: no measurement", _AGAIN)


def _profiles(value: object) -> Iterator[Mapping[str, object]]:
    """The documents of `profile` inside another one, such as that of `farm`."""
    if isinstance(value, dict) and value.get("kind") == "profile":
        yield value
    elif isinstance(value, (dict, list)):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _profiles(inner)


def _read(kind: type[D], value: object, where: str) -> D:
    try:
        return kind.from_json(value, where)
    except DataError as error:
        raise DataError(error.message, _AGAIN) from None


def _of_profile(where: str, profile: Profile, target: str) -> Iterator[MeasuredBundle | str]:
    """Only what a device measured itself: the host is another machine."""
    run = profile.tiers.device
    if profile.target != target:
        yield f"{where} is left out: it is of {profile.target}"
    elif run is None:
        yield f"{where} is left out: nothing in it was measured on the device"
    else:
        yield _checked(where, run.measurement, run.throttled)


def _checked(where: str, found: Measurement, throttled: bool) -> MeasuredBundle:
    if found.work is None:
        raise DataError(f"{where}: does not say what the bundle computes", _AGAIN)
    try:
        work = read_work(found.work)
    except ArtifactError as error:
        raise DataError(f"{where}: {error.message}", error.hint) from None
    ms, length, threads = found.p50_ms, found.seq_len, found.threads
    if not (0 < ms < float("inf") and min(length, threads) > 0 and work.macs(length) > 0):
        raise DataError(f"{where}: {ms:g} ms on {threads} threads for {length} subwords is no measurement", _AGAIN)
    return MeasuredBundle(where, found, work, _slowed(found) or ("throttled" if throttled else ""))


def _slowed(found: Measurement) -> str:
    """What a Raspberry Pi's flags say of its power and heat: those of now, and those that came during the run."""
    before, after = set(found.conditions.throttled or ()), set((found.after.throttled if found.after else None) or ())
    now = {flag for flag in before | after if not flag.endswith(_SINCE_START)}
    came = {flag.removesuffix(_SINCE_START) for flag in after - before}
    return ", ".join(sorted(now | came))


def _check_device(runs: Sequence[MeasuredBundle], profile: DeviceProfile) -> None:
    for run in runs:
        device = run.measurement.device
        if profile.models and not device.startswith(profile.models):
            hint = f"Give only measurements of a {profile.models[0]}, or name the right device with --target."
            raise DataError(f"{run.where}: measured on '{device}', which is no {profile.name}", hint)
        if not profile.models and device != runs[0].measurement.device:
            first = f"{runs[0].where} on '{runs[0].measurement.device}'"
            message = f"{run.where}: measured on '{device}', and {first}"
            raise DataError(message, "Give measurements of one device; each device has a profile of its own.")


def _check_once(runs: Sequence[MeasuredBundle]) -> None:
    for number, run in enumerate(runs):
        twin = next((other for other in runs[:number] if other.measurement == run.measurement), None)
        if twin is not None:
            raise DataError(f"{run.where}: the same measurement as {twin.where}", "Give each measurement once.")
