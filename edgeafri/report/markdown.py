"""markdown: the report in plain text."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from edgeafri.documents.table import escaped, markdown_table, one_line
from edgeafri.report.checks import WORDS, limit, measured, verdict
from edgeafri.report.entry import Counts, Curve, Entry, Machine
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


def counted_in_all(entries: Sequence[Entry]) -> list[tuple[str, Counts]]:
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


def _checks(checks: Sequence[Mapping[str, Any]]) -> str:
    rows = [[item["name"], measured(item), limit(item), WORDS[item.get("passed")]] for item in checks]
    return markdown_table([["check", "measured", "at most", ""], *rows]) if rows else ""


def _quality_title(quality: Mapping[str, Any] | None) -> str:
    known = quality or {}
    return f"Quality: {escaped(known.get('metric') or '')} on {escaped(known.get('split') or '')}"


def _quality(quality: Mapping[str, Any] | None) -> str:
    rows, leaks = [], ""
    for row in language_rows(quality):
        interval = UNKNOWN if row["low"] is None else f"{points(row['low'])} to {points(row['high'])}"
        name = f"{row['lang']} (worst)" if row["worst"] else row["lang"]
        rows.append([name, *(points(row[key]) for key in ("teacher", "bundle", "drop")), interval])
        if row["leaked"]:
            leaks += f"\n\n{escaped(row['lang'])}: {row['leaked']} test {counted_in(quality)} also stand in train."
    return markdown_table([["language", "teacher", "bundle", "drop", "95 %"], *rows]) + leaks if rows else ""


def _parity(parity: Mapping[str, Any] | None) -> str:
    return f"{escaped(parity_words(parity))}.\n\n" + markdown_table(parity_rows(parity)) if parity else ""


def _sizes(entry: Entry) -> str:
    parts = []
    if entry.size:
        names = (key for key, value in entry.size.items() if value is not None)
        parts.append(
            markdown_table([["", ""], *([key.removesuffix("_bytes"), megabytes(entry.size[key])] for key in names)])
        )
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


def _counts(counted: Sequence[tuple[str, Counts]]) -> str:
    return markdown_table(count_rows(counted)) if counted else ""


def _memory(curves: Sequence[Curve]) -> str:
    rows = []
    for curve in curves:
        peaks = {phase: max(held for _, held in samples) for phase, samples in curve.phases.items()}
        most = UNKNOWN if curve.limit is None else f"{number(curve.limit)} MB"
        rows += [[curve.where, phase, f"{number(peak)} MB", most] for phase, peak in peaks.items()]
    return markdown_table([["where", "phase", "most", "limit"], *rows]) if rows else ""


def _machines(machines: Sequence[Machine]) -> str:
    return "\n\n".join(markdown_table([[machine.where, ""], *machine.facts]) for machine in machines)


def _steps(steps: Sequence[Mapping[str, Any]]) -> str:
    return markdown_table([["stage", "id", "s", "facts"], *map(_step_row, steps)]) if steps else ""


def _step_row(step: Mapping[str, Any]) -> list[str]:
    seconds = "reused" if step.get("reused") else number(step.get("seconds"))
    return [str(step["stage"]), str(step.get("id", "")), seconds, text_of(step.get("facts") or {})]
