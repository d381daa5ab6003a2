"""The tiers of a profile as a table: a row a figure, a column a bundle."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from edgeafri.documents.table import text_table

Facts = Mapping[str, Any]
_UNKNOWN = "not known"
_CLASSES = {
    "total": "instructions",
    "fmla": "of them FMLA",
    "smull_smlal": "SMULL and SMLAL",
    "umull_umlal": "UMULL and UMLAL",
    "sdot": "SDOT",
    "udot": "UDOT",
    "loads": "loads",
    "stores": "stores",
}


def tiers_table(documents: Sequence[Facts]) -> str:
    """Every figure of every tier that was asked for, of one or more bundles on one device."""
    tiers = [document["tiers"] for document in documents]
    rows = [
        (f"{tier:<9} {what}", *(cell(found[tier]) for found in tiers), "")
        for tier, what, cell in _FIGURES
        if tiers[0][tier] is not None
    ]
    names = [document["bundle"].rstrip("/").rsplit("/", 1)[-1] for document in documents]
    kept = [row for row in rows if any(row[1:])]
    return text_table([("tier", *names, ""), *kept])


def _estimate(found: Facts) -> str:
    if found["low_ms"] is None and found["high_ms"] is None:
        return _UNKNOWN
    low, high = (_UNKNOWN if found[end] is None else f"{found[end]:.0f}" for end in ("low_ms", "high_ms"))
    return f"{low} to {high} ms"


def _expected(found: Facts) -> str:
    return "" if found.get("expected_ms") is None else f"{found['expected_ms']:.0f} ms"


def _timed(found: Facts) -> str:
    measurement = found["measurement"]
    return f"{measurement['p50_ms']:.1f}, {measurement['p95_ms']:.1f} ms"


def _of_measurement(key: str, unit: str) -> Callable[[Facts], str]:
    return lambda found: f"{found['measurement'][key]:.1f} {unit}"


def _ceiling(found: Facts) -> str:
    under = found["ceiling"]
    if under is None:
        return _UNKNOWN
    return f"{'runs' if under['survived'] else 'does not run'} in {under['limit_mb']:g} MB"


def _counted(key: str) -> Callable[[Facts], str]:
    def cell(found: Facts) -> str:
        count = found["instructions"].get(key)
        return "" if count is None else f"{count / 1e6:.1f} M"

    return cell


def _parity(found: Facts) -> str:
    parity = found.get("parity")
    return "" if parity is None else f"{parity['flips']} of {parity['words']}"


def _interval(found: Facts) -> str:
    if found.get("p50_interval_ms") is None:
        return _UNKNOWN
    low, high = found["p50_interval_ms"]
    return f"{low:.1f} to {high:.1f} ms{'' if found['settled'] else ', not settled'}"


_FIGURES: tuple[tuple[str, str, Callable[[Facts], str]], ...] = (
    ("estimate", "latency", _estimate),
    ("estimate", "expected", _expected),
    ("estimate", "multiply-accumulates", lambda found: f"{found['macs'] / 1e6:.0f} M"),
    ("estimate", "bytes moved", lambda found: f"{found['bytes_moved'] / 1e6:.1f} MB"),
    ("host", "p50, p95", _timed),
    ("host", "processor time", _of_measurement("cpu_ms", "ms")),
    ("host", "load", _of_measurement("load_ms", "ms")),
    ("host", "peak memory", _of_measurement("peak_rss_mb", "MB")),
    ("host", "free memory", _ceiling),
    *(("emulated", what, _counted(key)) for key, what in _CLASSES.items()),
    ("emulated", "peak memory", lambda found: f"{found['peak_rss_mb']:.1f} MB"),
    ("emulated", "labels changed", _parity),
    ("device", "p50, p95", _timed),
    ("device", "p50, 95 % interval", _interval),
    ("device", "load", _of_measurement("load_ms", "ms")),
    ("device", "peak memory", _of_measurement("peak_rss_mb", "MB")),
)
