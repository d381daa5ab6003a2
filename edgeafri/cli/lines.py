"""What a build says in plain lines: one per stage, then the tables. Numbers carry their units."""

from collections.abc import Iterable, Sequence

import click

from edgeafri.builder.events import Event, Finished, Noted
from edgeafri.documents.checks import Check
from edgeafri.documents.outliers import OutlierChannel
from edgeafri.documents.parity import LayerCost, Parity
from edgeafri.documents.quality import QualityComparison
from edgeafri.documents.table import text_table
from edgeafri.menu import facts_of
from edgeafri.report.checks import reach, verdict
from edgeafri.report.outliers import channel_rows
from edgeafri.report.tables import gap_cells, parity_rows, parity_words

_VERDICT = {True: "ok", False: "OVER", None: "?"}


def echo_ended(event: Event, err: bool = False) -> None:
    """Print a line for what ended; on stderr where stdout is for JSON."""
    if isinstance(event, (Finished, Noted)):
        click.echo(event_line(event), err=err)


def event_line(event: Finished | Noted) -> str:
    """What ended, what came of it, and how long it took."""
    took = "reused" if event.reused else f"{event.seconds:.1f} s" if event.seconds else ""
    text = facts_of(event.artifact.manifest).line() if isinstance(event, Finished) else event.text
    return f"{event.stage:<18} {text:<66} {took:>8}".rstrip()


def quality_table(quality: QualityComparison) -> str:
    """One row per language: teacher, bundle, and the points lost with their 95 % interval."""
    rows = [("language", "teacher", "bundle", "lost", "95 % interval")]
    worst = quality.worst.lang if quality.worst and len(quality.drop) > 2 else None
    for code, lost in quality.drop.items():
        before, after = quality.teacher[code], quality.bundle[code]
        interval = f"{lost.low:+.2f} to {lost.high:+.2f}" + ("  worst" if code == worst else "")
        rows.append((code, f"{before:.2f}", f"{after:.2f}", f"{lost.value:+.2f}", interval))
    return f"{quality.metric} on {quality.split}, in points\n" + text_table(rows)


def parity_table(parity: Parity) -> str:
    """One row per step: how far its answers are from those of the step before it, and its F1 where that is known."""
    return f"{parity_words(parity)}\n{text_table(parity_rows(parity))}"


def layers_table(layers: Iterable[LayerCost]) -> str:
    """One row per layer: its own error, and what that does to the answers; F1 lost is that of the worst language."""
    rows = [("layer", "own error", "max diff", "mean diff", "labels changed", "F1 lost")]
    for item in layers:
        lost = f"{item.lost[item.worst]:+.2f} {item.worst}" if item.worst else ""
        own = "NaN" if item.local_error is None else f"{100 * item.local_error:.2g} %"
        rows.append((item.layer, own, *gap_cells(item), lost))
    return text_table(rows)


def channels_table(channels: Sequence[OutlierChannel]) -> str:
    """One row per channel that is in float32: where it stands, how far it reaches, and its share of the harm."""
    return text_table(channel_rows(channels))


def checks_table(checks: Sequence[Check]) -> str:
    """One row per check: what was measured, the limit, and the verdict in a word; the verdict on all of them last."""
    header = ("check", "measured", "limit", "unit", "")
    rows = [(item.name, _known(item), f"{item.limit:g}", item.unit, _outcome(item)) for item in checks]
    return f"{text_table([header, *rows])}\n{'. '.join(verdict(checks))}"


def _outcome(item: Check) -> str:
    return f"{_VERDICT[item.passed]} {reach(item)}".rstrip()


def _known(item: Check) -> str:
    """A number, the interval it lies in, or that it is not known."""
    if item.measured is not None:
        return f"{item.measured:.2f}"
    if item.high is not None:
        return f"{item.low or 0:.0f} to {item.high:.0f}"
    return "not known" if item.low is None else f"from {item.low:.0f}"
