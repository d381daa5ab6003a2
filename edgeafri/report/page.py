"""page: the report as one HTML page that needs nothing else, no script and no network."""

from collections.abc import Sequence
from dataclasses import dataclass

from edgeafri.report import figures, tables
from edgeafri.report.axes import Scale
from edgeafri.report.checks import verdict
from edgeafri.report.entry import Entry
from edgeafri.report.markdown import SAMPLE, counted_in_all
from edgeafri.report.outliers import OutlierPart, outlier_part
from edgeafri.report.template import render


def to_html(entries: Sequence[Entry]) -> str:
    """The page of one bundle or of several. MissingPackage when jinja2 is not installed."""
    return render(
        "report.html.j2",
        entries=[_drawn(entry) for entry in entries],
        first=entries[0],
        overview=tables.overview_rows(entries),
        overview_notes=tables.overview_notes(entries),
        paretos=figures.pareto_figures(entries),
        counts=tables.count_rows(counted_in_all(entries)) if len(entries) > 1 and counted_in_all(entries) else [],
        sample_words=SAMPLE,
        frame=figures.FRAME,
    )


@dataclass(frozen=True)
class _Bundle:
    """An entry with what the template draws of it."""

    entry: Entry
    title: str
    verdict: str
    reason: str
    bars: list[figures.CheckBar]
    rows: list[tables.LanguageRow]
    scale: Scale
    counted: str
    parity: list[tables.Cells]
    parity_words: str
    outliers: OutlierPart | None
    segments: list[figures.Segment]
    groups: list[tuple[str, int, float]]
    timings: list[figures.TimingBar]
    latency_limit: float | None
    counts: list[tables.Cells]
    memory: list[figures.MemoryFigure]


def _drawn(entry: Entry) -> _Bundle:
    word, reason = verdict(entry.checks)
    rows = tables.language_rows(entry.quality)
    most = next((item.limit for item in entry.checks if item.name == "latency"), None)
    return _Bundle(
        entry=entry,
        title=tables.title_of(entry),
        verdict=word,
        reason=reason,
        bars=[figures.check_bar(item) for item in entry.checks],
        rows=rows,
        scale=figures.scale(rows),
        counted=tables.counted_in(entry.quality),
        parity=tables.parity_rows(entry.parity) if entry.parity else [],
        parity_words=tables.parity_words(entry.parity) if entry.parity else "",
        outliers=outlier_part(entry.outliers) if entry.outliers else None,
        segments=figures.segments(entry.groups) if entry.groups else [],
        groups=tables.group_rows(entry.groups) if entry.groups else [],
        timings=figures.timing_bars(entry.timings, most),
        latency_limit=most,
        counts=tables.count_rows([(item.cpu, item) for item in entry.counts]) if entry.counts else [],
        memory=[figures.memory_figure(curve) for curve in entry.curves],
    )
