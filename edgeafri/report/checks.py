"""checks: a number against its limit, every check of a build, and the verdict."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from edgeafri.device.profile import Budget
from edgeafri.documents.checks import Check
from edgeafri.report.words import number, points, span

Document = Mapping[str, Any]
FITS, OVER, UNKNOWN, UNJUDGED = "Fits", "Does not fit", "Nothing over its limit", "Not judged"
WORDS = {True: "passed", False: "over", None: "not known"}
_PARTS = ("quality", "size", "host", "device")


def check(
    name: str,
    limit: float,
    unit: str,
    measured: float | None = None,
    low: float | None = None,
    high: float | None = None,
) -> Check:
    """Hold a number, or the interval it lies in, against its limit."""
    if low is None and high is None:
        low_end = high_end = measured
    else:
        low_end, high_end = low, high
    passed = None
    if high_end is not None and high_end <= limit:
        passed = True
    elif low_end is not None and low_end > limit:
        passed = False
    return Check(name, measured, limit, unit, passed, low, high)


def judge(budget: Budget, document: Document, max_drop: float, max_worst_drop: float) -> tuple[Check, ...]:
    """Every check of a build: its size, host, device and quality, as in its document, against the budget and the gate.

    A part that is None was not measured; its checks are not known. Peak memory on the device is that of the host: the
    same wheels under emulation took 115 MB for 114 in int8 and 133 for 141 in float32 (lab-ner).
    """
    quality, size, host, device = (document.get(part) or {} for part in _PARTS)
    drops, worst = quality.get("drop") or {}, quality.get("worst") or {}
    average, lowest = drops.get("avg") or {}, drops.get(worst.get("lang")) or {}
    bundle_bytes = size.get("bundle_bytes")
    name = f"worst drop, {worst['lang']}" if worst else "worst drop"
    return (
        check("bundle size", budget.bundle_mb.value, "MB", None if bundle_bytes is None else bundle_bytes / 1e6),
        check("peak memory", budget.peak_rss_mb.value, "MB", host.get("peak_rss_mb")),
        check("latency", budget.p95_ms.value, "ms", device.get("p95_ms"), device.get("low_ms"), device.get("high_ms")),
        check("load time", budget.load_ms.value, "ms", device.get("load_ms")),
        check("average drop", max_drop, "points", average.get("value"), average.get("low"), average.get("high")),
        check(name, max_worst_drop, "points", worst.get("drop"), lowest.get("low"), lowest.get("high")),
    )


def failed(checks: Iterable[Check]) -> bool:
    """Whether anything is known to be over its limit."""
    return any(item.passed is False for item in checks)


def verdict(checks: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """The verdict in words and its reason, from the checks of a document."""
    over = [item["name"] for item in checks if item.get("passed") is False]
    unknown = [item["name"] for item in checks if item.get("passed") is None]
    if over:
        return OVER, f"Over the limit: {'; '.join(over)}."
    if not checks:
        return UNJUDGED, "Nothing was checked."
    if unknown:
        return UNKNOWN, f"Not decided yet: {'; '.join(unknown)}."
    return FITS, f"All {len(checks)} checks passed."


def measured(item: Mapping[str, Any]) -> str:
    """What is known of a checked number: the value, its interval, or both."""
    low, high, unit = item.get("low"), item.get("high"), item["unit"]
    known = low is not None or high is not None
    if item.get("measured") is None:
        return f"{span(low, high, unit)} {unit}" if known else "–"
    value = f"{_digits(item['measured'], unit)} {unit}".strip()
    return f"{value} ({span(low, high, unit)})" if known else value


def limit(item: Mapping[str, Any]) -> str:
    """A check's limit with its unit."""
    return f"{_digits(item['limit'], item['unit'])} {item['unit']}".strip()


def _digits(value: float | None, unit: str) -> str:
    return points(value) if unit == "points" else number(value)
