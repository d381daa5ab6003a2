"""checks: a number against its limit, every check of a build, and the verdict."""

from collections.abc import Iterable, Sequence

from edgeafri.device.profile import Budget
from edgeafri.documents.build import BuildResult
from edgeafri.documents.checks import Check
from edgeafri.documents.quality import AVERAGE, Drop, QualityComparison
from edgeafri.report.words import number, points, span

FITS, OVER, UNKNOWN, UNJUDGED = "Fits", "Does not fit", "Nothing over its limit", "Not judged"
WORDS = {True: "passed", False: "over", None: "not known"}


def check(
    name: str,
    limit: float,
    unit: str,
    measured: float | None = None,
    low: float | None = None,
    high: float | None = None,
) -> Check:
    """Hold a number, the interval it lies in, or both, against its limit.

    A measured number over its limit is over, however wide its interval: the width of an interval, which grows where
    there is little data, must not excuse a loss. A number within its limit passes where all of its interval does.
    """
    highest = measured if low is None and high is None else high
    passed = None
    if any(known is not None and known > limit for known in (measured, low)):
        passed = False
    elif highest is not None and highest <= limit:
        passed = True
    return Check(name, measured, limit, unit, passed, low, high)


def judged_again(item: Check) -> Check:
    """A check that an older version wrote, by today's rule, where its numbers say all that the rule needs."""
    if item.measured is None or item.low is None or item.high is None:
        return item
    return check(item.name, item.limit, item.unit, item.measured, item.low, item.high)


def judge(budget: Budget, result: BuildResult, max_drop: float, max_worst_drop: float) -> tuple[Check, ...]:
    """Every check of a build: its size, memory, latency and load time, and the points of F1 that it lost.

    A part that is None was not measured; its checks are not known. Peak memory on the device is that of the host: the
    same wheels under emulation took 115 MB for 114 in int8 and 133 for 141 in float32 (lab-ner).
    """
    return (*_budget_checks(budget, result), *_quality_checks(result.quality, max_drop, max_worst_drop))


def _budget_checks(budget: Budget, result: BuildResult) -> tuple[Check, ...]:
    size = result.size.bundle_bytes if result.size else None
    peak_mb = result.host.peak_rss_mb if result.host else None
    low_ms, high_ms = (result.device.low_ms, result.device.high_ms) if result.device else (None, None)
    return (
        check("bundle size", budget.bundle_mb.value, "MB", None if size is None else size / 1e6),
        check("peak memory", budget.peak_rss_mb.value, "MB", peak_mb),
        check("latency", budget.p95_ms.value, "ms", None, low_ms, high_ms),
        check("load time", budget.load_ms.value, "ms"),  # only the device itself can say
    )


def _quality_checks(quality: QualityComparison | None, max_drop: float, max_worst_drop: float) -> tuple[Check, Check]:
    known = quality or QualityComparison()
    worst, average = known.worst, known.drop.get(AVERAGE)
    lowest = known.drop.get(worst.lang) if worst else None
    name = f"worst drop, {worst.lang}" if worst else "worst drop"
    return (
        _drop_check("average drop", max_drop, average.value if average else None, average),
        _drop_check(name, max_worst_drop, worst.drop if worst else None, lowest),
    )


def _drop_check(name: str, limit: float, points_lost: float | None, drop: Drop | None) -> Check:
    low, high = (drop.low, drop.high) if drop else (None, None)
    return check(name, limit, "points", points_lost, low, high)


def failed(checks: Iterable[Check]) -> bool:
    """Whether anything is known to be over its limit."""
    return any(item.passed is False for item in checks)


def verdict(checks: Sequence[Check]) -> tuple[str, str]:
    """The verdict in words, and its reason."""
    over = [item.name for item in checks if item.passed is False]
    undecided = [item for item in checks if item.passed is None]
    if over:
        return OVER, f"Over the limit: {'; '.join(over)}."
    if not checks:
        return UNJUDGED, "Nothing was checked."
    if undecided:
        return UNKNOWN, f"Not decided yet: {'; '.join(map(_named, undecided))}."
    return FITS, f"All {len(checks)} checks passed."


def _named(item: Check) -> str:
    return f"{item.name} ({reach(item)})" if reach(item) else item.name


def outcome(item: Check) -> str:
    """What came of a check, in words."""
    return reach(item) or WORDS[item.passed]


def reach(item: Check) -> str:
    """That a number was measured within its limit and its interval ends over it; empty for every other check."""
    if item.passed is not None or item.measured is None or item.high is None:
        return ""
    return f"within the limit; the interval reaches to {_digits(item.high, item.unit)}"


def measured(item: Check) -> str:
    """What is known of a checked number: the value, its interval, or both."""
    known = item.low is not None or item.high is not None
    interval = span(item.low, item.high, item.unit)
    if item.measured is None:
        return f"{interval} {item.unit}" if known else "–"
    value = f"{_digits(item.measured, item.unit)} {item.unit}".strip()
    return f"{value} ({interval})" if known else value


def limit(item: Check) -> str:
    """A check's limit with its unit."""
    return f"{_digits(item.limit, item.unit)} {item.unit}".strip()


def _digits(value: float, unit: str) -> str:
    return points(value) if unit == "points" else number(value)
