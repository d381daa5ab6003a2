"""How long one sentence should take on a device: an interval, from what a bundle computes and the device can do."""

from collections.abc import Mapping
from typing import NamedTuple

from edgeafri.device.calibration import Constants
from edgeafri.device.profile import DeviceProfile
from edgeafri.documents.estimate import Estimate
from edgeafri.errors import UsageError
from edgeafri.latency.roofline import Work, milliseconds, read_work, unknowns

UNCALIBRATED = "uncalibrated"
SAME_CORE = "same core calibrated"
# Four boards with a Cortex-A53 on ncnn's benchmark page (vision_transformer), by their clocks: about 10 % apart, and
# one (Allwinner H616) 2.1 times as slow as the others.
_BOARDS_APART = 1.1
_SLOWEST_BOARD = 2.1
_BOARDS = (
    "Measured on {device}, scaled by the clocks. Published boards of one core were about 10 % apart, one 2.1 times as "
    "slow as the others; the interval reaches that far and claims no probability."
)


class _Interval(NamedTuple):
    """An estimate without the bundle's sizes: its ends and what is expected, in milliseconds, and its basis."""

    low: float | None
    high: float | None
    basis: str
    notes: list[str]
    expected: float | None = None
    level: float | None = None


class _Prediction(NamedTuple):
    """What a calibration predicts, by which constants, and what to know of it."""

    constants: Constants
    milliseconds: float
    notes: list[str]


def estimate(facts: Mapping[str, object], profile: DeviceProfile, seq_len: int, threads: int) -> Estimate:
    """The latency of a bundle with these manifest facts at `seq_len` subwords, from the best basis there is.

    A calibration of this device comes first, then one of a device with the same core, then the profile: there, low is
    the larger of the fastest arithmetic and reading the weights, high the sum of slow arithmetic and slow reading (a
    roofline; Williams, Waterman, Patterson 2009). ArtifactError when a fact is missing, UsageError when the device has
    fewer cores than `threads`.
    """
    work = read_work(facts)
    _check(profile, seq_len, threads)
    plain = _uncalibrated(work, profile, seq_len, threads)
    found = _of_this_device(work, profile, seq_len, threads, plain)
    found = found or _of_the_same_core(work, profile, seq_len, threads) or plain
    return Estimate(
        _rounded(found.low),
        _rounded(found.high),
        found.basis,
        (*found.notes, *_unused(work, profile, threads, found.basis)),
        _rounded(found.expected),
        found.level,
        work.macs(seq_len),
        work.bytes_moved(seq_len),
        work.weight_bytes,
        round(work.weight_bytes / seq_len + work.embedding_row_bytes, 1),
        work.activation_bytes(seq_len),
    )


def predicted_ms(constants: Constants, work: Work, seq_len: int, in_float: Constants | None = None) -> float | None:
    """Milliseconds by a calibration; None when it counts layers or bytes that this bundle does not state.

    `in_float` are the constants of float32, for what is in float32 beside layers of fewer bits.
    """
    if (constants.ms_per_layer and work.layers is None) or (
        constants.ms_per_megabyte and work.activation_bytes(seq_len) is None
    ):
        return None
    float_macs = work.float_macs(seq_len)
    return (
        constants.ms_per_million_macs * (work.macs(seq_len) - float_macs) / 1e6
        + (in_float or constants).ms_per_million_macs * float_macs / 1e6
        + constants.ms_per_megabyte * work.bytes_moved(seq_len) / 1e6
        + constants.ms_per_layer * (work.layers or 0)
    )


def _check(profile: DeviceProfile, seq_len: int, threads: int) -> None:
    cores = sum(cluster.count for cluster in profile.cores)
    if not 1 <= threads <= cores:
        raise UsageError(f"{threads} threads: {profile.name} has {cores} cores", f"Use 1 to {cores} threads.")
    if seq_len < 1:
        raise UsageError(f"a sentence of {seq_len} subwords", "Use a length of 1 and up.")


def _uncalibrated(work: Work, profile: DeviceProfile, seq_len: int, threads: int) -> _Interval:
    low, high = milliseconds(work, profile, seq_len, threads)
    return _Interval(low, high, UNCALIBRATED, unknowns(work, profile, threads))


def _of_this_device(
    work: Work, profile: DeviceProfile, seq_len: int, threads: int, plain: _Interval
) -> _Interval | None:
    known = _predicted(work, profile, seq_len, threads, profile.name)
    if known is None:
        return None
    constants, expected, notes = known
    if constants.factor is None or constants.median_error is None:
        # One run gives no error, so no interval: the profile's is kept, wider where the prediction lies outside.
        low = None if plain.low is None else min(plain.low, expected)
        high = None if plain.high is None else max(plain.high, expected)
        notes.append("A single run gives no error: the ends are those without calibration.")
        return _Interval(low, high, "calibrated on this device: 1 run, error not known", notes + plain.notes, expected)
    basis = f"calibrated on this device: {constants.runs} runs, median error {100 * constants.median_error:.1f} %"
    notes.append(f"The interval holds a run with a probability of {100 * (constants.level or 0):.0f} %.")
    if constants.bundles < constants.runs:
        bundles = "one bundle" if constants.bundles == 1 else f"{constants.bundles} bundles"
        notes.append(f"The runs are of {bundles} at several lengths; a bundle unlike them may be further off.")
    return _Interval(expected / constants.factor, expected * constants.factor, basis, notes, expected, constants.level)


def _of_the_same_core(work: Work, profile: DeviceProfile, seq_len: int, threads: int) -> _Interval | None:
    """The prediction for another device with the same core, by the clocks."""
    first = profile.cores[0]
    for other in profile.calibrations:
        known = _predicted(work, profile, seq_len, threads, other.device) if other.core == first.type else None
        factor = known.constants.factor if known else None
        if known is None or factor is None or first.ghz is None or other.ghz is None or threads > first.count:
            continue
        expected = known.milliseconds * other.ghz / first.ghz.value
        notes = [_BOARDS.format(device=other.device), *known.notes]
        return _Interval(
            expected / factor / _BOARDS_APART, expected * factor * _SLOWEST_BOARD, SAME_CORE, notes, expected
        )
    return None


def _predicted(work: Work, profile: DeviceProfile, seq_len: int, threads: int, device: str) -> _Prediction | None:
    """What the calibration of a device predicts for such weights and threads; None where it has no such constants."""
    found = [item for known in profile.calibrations if known.device == device for item in known.constants]
    by_bits = {item.weight_bits: item for item in reversed(found) if item.threads == threads}
    constants, in_float = by_bits.get(work.weight_bits), by_bits.get(32)
    expected = None if constants is None else predicted_ms(constants, work, seq_len, in_float)
    if constants is None or expected is None:
        return None
    notes = [*_range_notes(constants, work.macs(seq_len)), *_float_notes(work, threads, in_float)]
    return _Prediction(constants, expected, notes)


def _range_notes(constants: Constants, macs: int) -> list[str]:
    if constants.fewest_macs <= macs <= constants.most_macs:
        return []
    span = f"{constants.fewest_macs / 1e6:,.0f} to {constants.most_macs / 1e6:,.0f} million MACs"
    return [f"{macs / 1e6:,.0f} million MACs lie outside of what was measured ({span}), so the error may be larger."]


def _float_notes(work: Work, threads: int, in_float: Constants | None) -> list[str]:
    """A note where layers in float32 are timed like those of fewer bits, as nothing else was measured."""
    if in_float is not None or not work.float_macs_per_token:
        return []
    return [
        f"{100 * work.float_share:.1f} % of the linear layers' MACs are in float32 and timed as those of "
        f"{work.weight_bits}-bit weights: no calibration is for 32-bit weights on {_threads(threads)}."
    ]


def _unused(work: Work, profile: DeviceProfile, threads: int, basis: str) -> list[str]:
    """A note where this device has a calibration, but none for such a bundle."""
    own = [item for known in profile.calibrations if known.device == profile.name for item in known.constants]
    if not own or basis.startswith("calibrated"):
        return []
    named = ", ".join(f"{item.weight_bits}-bit weights on {_threads(item.threads)}" for item in own)
    mine = f"{work.weight_bits}-bit weights on {_threads(threads)}"
    if any((item.weight_bits, item.threads) == (work.weight_bits, threads) for item in own):
        return [
            "The calibration counts layers or activations, and this bundle of an older version does not state them."
        ]
    return [f"The calibration of {profile.name} is for {named}, not for {mine}."]


def _threads(count: int) -> str:
    return f"{count} thread{'s' if count > 1 else ''}"


def _rounded(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else round(milliseconds, 1)
