"""markdown: the report in plain text."""

from collections.abc import Iterable, Sequence

from edgeafri.documents.build import BuildStep
from edgeafri.documents.checks import Check
from edgeafri.documents.outliers import Outliers
from edgeafri.documents.parity import Parity
from edgeafri.documents.quality import QualityComparison
from edgeafri.documents.table import escaped, markdown_table, one_line
from edgeafri.report.checks import limit, measured, outcome, verdict
from edgeafri.report.entry import EmulatedCounts, Entry, Machine, MemoryCurve
from edgeafri.report.outliers import outlier_part
from edgeafri.report.tables import (
    TIMING_HEAD,
    count_rows,
    counted_in,
    group_rows,
    language_rows,
    overview_notes,
    overview_rows,
    parity_rows,
    parity_words,
    timing_row,
    title_of,
)
from edgeafri.report.words import UNKNOWN, megabytes, number, points, text_of

SAMPLE = "Built from the embedded sample; not a real model."


def to_markdown(entries: Sequence[Entry]) -> str:
    """One bundle's report; of several, what they have side by side, and then each."""
    if len(entries) == 1:
        return _joined([_heading(entries[0], "# "), *sections(entries[0], "## ")])
    task, target = entries[0].task, entries[0].target
    title = f"# {len(entries)} bundles: {escaped(task or UNKNOWN)} for {escaped(target or UNKNOWN)}"
    parts = [title, markdown_table(overview_rows(entries))]
    parts += [f"- {note}" for note in overview_notes(entries)]
    if counted := counted_in_all(entries):
        parts.append("## Instructions\n\n" + _counts(counted))
    for place, entry in enumerate(entries, 1):
        parts += [_heading(entry, f"## {place}. {escaped(title_of(entry))}: "), *sections(entry, "### ")]
    return _joined(parts)


def sections(entry: Entry, level: str) -> list[str]:
    """The sections of one bundle, those left out that nothing is known of."""
    parts = [
        ("Checks", _checks(entry.checks)),
        (_quality_title(entry.quality), _quality(entry.quality)),
        ("Parity, step by step", _parity(entry.parity)),
        ("Outlier channels", _outliers(entry.outliers)),
        ("Size", _sizes(entry)),
        ("Latency by tier", _timings(entry)),
        ("Instructions", _counts([(item.cpu, item) for item in entry.counts])),
        ("Memory over time", _memory(entry.curves)),
        ("Measured on", _machines(entry.machines)),
        ("Steps", _steps(entry.steps)),
        ("Repeat it", "\n".join(f"    {one_line(item)}" for item in entry.commands)),
        ("Notes", "\n".join(f"- {escaped(item)}" for item in entry.notes)),
    ]
    return [f"{level}{title}\n\n{text}" for title, text in parts if text]


def counted_in_all(entries: Sequence[Entry]) -> list[tuple[str, EmulatedCounts]]:
    """The counts of all bundles, each named by its bundle's number and the processor."""
    return [(f"{place}: {item.cpu}", item) for place, entry in enumerate(entries, 1) for item in entry.counts]


def to_card(sealed: str, entry: Entry) -> str:
    """A bundle's card with what was found out after it was sealed: quality, checks and latency."""
    found = [part for part in sections(entry, "## ") if part.startswith(("## Quality", "## Checks", "## Latency"))]
    return _joined([sealed.strip(), *found])


def _joined(parts: Iterable[str]) -> str:
    return "\n\n".join(parts) + "\n"


def _heading(entry: Entry, mark: str) -> str:
    word, reason = verdict(entry.checks)
    title = f"{mark}{escaped(entry.task or UNKNOWN)} for {escaped(entry.target or UNKNOWN)}"
    lines = [title, f"**{word}.** {escaped(reason)}"]
    if entry.sample:
        lines.insert(1, f"> {SAMPLE}")
    languages = ", ".join(entry.languages)
    lines.append(escaped(f"Bundle `{entry.bundle}`, id `{entry.id}`, languages {languages or UNKNOWN}."))
    return "\n\n".join(lines)


def _checks(checks: Sequence[Check]) -> str:
    rows = [[item.name, measured(item), limit(item), outcome(item)] for item in checks]
    return markdown_table([["check", "measured", "at most", ""], *rows]) if rows else ""


def _quality_title(quality: QualityComparison | None) -> str:
    return f"Quality: {escaped(quality.metric)} on {escaped(quality.split)}" if quality else "Quality"


def _quality(quality: QualityComparison | None) -> str:
    rows, leaks = [], ""
    for row in language_rows(quality):
        interval = UNKNOWN if row.low is None else f"{points(row.low)} to {points(row.high)}"
        name = f"{row.name} (worst)" if row.worst else row.name
        rows.append([name, points(row.teacher), points(row.bundle), points(row.drop), interval])
        if row.leaked:
            leaks += f"\n\n{escaped(row.name)}: {row.leaked} test {counted_in(quality)} also stand in train."
    return markdown_table([["language", "teacher", "bundle", "drop", "95 %"], *rows]) + leaks if rows else ""


def _parity(parity: Parity | None) -> str:
    return f"{escaped(parity_words(parity))}.\n\n" + markdown_table(parity_rows(parity)) if parity else ""


def _outliers(found: Outliers | None) -> str:
    if found is None:
        return ""
    part = outlier_part(found)
    more = f"{part.more} more channels are in the JSON." if part.more else ""
    tables = [markdown_table(rows) for rows in (part.channels, part.trials) if rows]
    return "\n\n".join([escaped(" ".join(part.words)), *tables[:1], *([more] if more else []), *tables[1:]])


def _sizes(entry: Entry) -> str:
    parts = []
    if entry.size:
        size = entry.size
        named = (("teacher", size.teacher_bytes), ("model", size.model_bytes), ("bundle", size.bundle_bytes))
        rows = [[name, megabytes(found)] for name, found in named if found is not None]
        parts.append(markdown_table([["", ""], *rows]))
    if entry.groups:
        rows = [[name, megabytes(size), f"{share:.1f} %"] for name, size, share in group_rows(entry.groups)]
        parts.append(markdown_table([["in the bundle", "size", "share"], *rows]))
    return "\n\n".join(parts)


def _timings(entry: Entry) -> str:
    if not entry.timings:
        return ""
    warnings = [f"- {timing.tier}: {escaped(item)}" for timing in entry.timings for item in timing.warnings]
    table = markdown_table([TIMING_HEAD, *map(timing_row, entry.timings)])
    return "\n\n".join([table, "\n".join(warnings)]) if warnings else table


def _counts(counted: Sequence[tuple[str, EmulatedCounts]]) -> str:
    return markdown_table(count_rows(counted)) if counted else ""


def _memory(curves: Sequence[MemoryCurve]) -> str:
    rows = []
    for curve in curves:
        peaks = {phase: max(held for _, held in samples) for phase, samples in curve.phases.items()}
        most = UNKNOWN if curve.limit is None else f"{number(curve.limit)} MB"
        rows += [[curve.where, phase, f"{number(peak)} MB", most] for phase, peak in peaks.items()]
    return markdown_table([["where", "phase", "most", "limit"], *rows]) if rows else ""


def _machines(machines: Sequence[Machine]) -> str:
    return "\n\n".join(markdown_table([[machine.where, ""], *machine.facts]) for machine in machines)


def _steps(steps: Sequence[BuildStep]) -> str:
    return markdown_table([["stage", "id", "s", "facts"], *map(_step_row, steps)]) if steps else ""


def _step_row(step: BuildStep) -> list[str]:
    return [step.stage, step.id, "reused" if step.reused else number(step.seconds), text_of(step.facts or {})]
