"""The tiers of a profile as a table: a row per figure, a column per bundle."""

from collections.abc import Iterator, Sequence

from edgeafri.documents.device_run import DeviceRun
from edgeafri.documents.emulated_run import EmulatedRun
from edgeafri.documents.estimate import Estimate
from edgeafri.documents.host_run import HostRun
from edgeafri.documents.profile import Profile
from edgeafri.documents.table import text_table

Row = tuple[str, str, str]  # tier, figure, and its value with the unit, "" where there is none
_UNKNOWN = "not known"


def tiers_table(profiles: Sequence[Profile]) -> str:
    """Every figure of every tier that was asked for, of one or more bundles on one device."""
    columns = [list(_figures(profile)) for profile in profiles]
    rows = [(f"{own[0][0]:<9} {own[0][1]}", *(value for _, _, value in own), "") for own in zip(*columns, strict=True)]
    names = [profile.bundle.rstrip("/").rsplit("/", 1)[-1] for profile in profiles]
    return text_table([("tier", *names, ""), *(row for row in rows if any(row[1:]))])


def _figures(profile: Profile) -> Iterator[Row]:
    tiers = profile.tiers
    if tiers.estimate:
        yield from _of_estimate(tiers.estimate)
    if tiers.host:
        yield from _of_host(tiers.host)
    if tiers.emulated:
        yield from _of_emulated(tiers.emulated)
    if tiers.device:
        yield from _of_device(tiers.device)


def _of_estimate(found: Estimate) -> Iterator[Row]:
    yield "estimate", "latency", _span(found.low_ms, found.high_ms)
    yield "estimate", "expected", "" if found.expected_ms is None else f"{found.expected_ms:.0f} ms"
    yield "estimate", "multiply-accumulates", f"{found.macs / 1e6:.0f} M"
    yield "estimate", "bytes moved", f"{found.bytes_moved / 1e6:.1f} MB"


def _of_host(found: HostRun) -> Iterator[Row]:
    measured, limited = found.measurement, found.ceiling
    yield "host", "p50, p95", f"{measured.p50_ms:.1f}, {measured.p95_ms:.1f} ms"
    yield "host", "processor time", _number(measured.cpu_ms, "ms")
    yield "host", "load", _number(measured.load_ms, "ms")
    yield "host", "peak memory", _number(measured.peak_rss_mb, "MB")
    ran = limited and ("runs" if limited.survived else "does not run")
    yield "host", "free memory", f"{ran} in {limited.limit_mb:g} MB" if limited else _UNKNOWN


def _of_emulated(found: EmulatedRun) -> Iterator[Row]:
    counts = found.instructions
    named = {
        "instructions": counts.total,
        "of them FMLA": counts.fmla,
        "SMULL and SMLAL": counts.smull_smlal,
        "UMULL and UMLAL": counts.umull_umlal,
        "SDOT": counts.sdot,
        "UDOT": counts.udot,
        "loads": counts.loads,
        "stores": counts.stores,
    }
    yield from (("emulated", what, "" if count is None else f"{count / 1e6:.1f} M") for what, count in named.items())
    yield "emulated", "peak memory", _number(found.peak_rss_mb, "MB")
    yield "emulated", "labels changed", f"{found.parity.flips} of {found.parity.words}"


def _of_device(found: DeviceRun) -> Iterator[Row]:
    measured = found.measurement
    yield "device", "p50, p95", f"{measured.p50_ms:.1f}, {measured.p95_ms:.1f} ms"
    yield "device", "p50, 95 % interval", _interval(found)
    yield "device", "load", _number(measured.load_ms, "ms")
    yield "device", "peak memory", _number(measured.peak_rss_mb, "MB")


def _span(low: float | None, high: float | None) -> str:
    if low is None and high is None:
        return _UNKNOWN
    ends = (_UNKNOWN if end is None else f"{end:.0f}" for end in (low, high))
    return f"{' to '.join(ends)} ms"


def _number(value: float | None, unit: str) -> str:
    return _UNKNOWN if value is None else f"{value:.1f} {unit}"


def _interval(found: DeviceRun) -> str:
    if found.p50_interval_ms is None:
        return _UNKNOWN
    low, high = found.p50_interval_ms
    return f"{low:.1f} to {high:.1f} ms{'' if found.settled else ', not settled'}"
