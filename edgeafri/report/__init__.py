"""The verdict on a bundle, and what is known of it, in one form: from builds, profiles and measurements to a page."""

from collections.abc import Sequence

from edgeafri.documents.base import Json, plain
from edgeafri.documents.checks import Check
from edgeafri.report.checks import check, failed, judge, measured, verdict
from edgeafri.report.entry import Entry
from edgeafri.report.from_documents import of_build
from edgeafri.report.markdown import to_card, to_markdown
from edgeafri.report.page import to_html
from edgeafri.report.sources import read_entries
from edgeafri.report.tables import gap_cells, parity_rows, parity_words
from edgeafri.report.words import number

SCHEMA = 1
__all__ = [
    "Check",
    "Entry",
    "check",
    "failed",
    "gap_cells",
    "judge",
    "measured",
    "number",
    "of_build",
    "parity_rows",
    "parity_words",
    "read_entries",
    "to_card",
    "to_html",
    "to_json",
    "to_markdown",
    "verdict",
]


def to_json(entries: Sequence[Entry]) -> dict[str, Json]:
    """The report as one document of plain data: every bundle with its verdict."""
    bundles = [{"verdict": verdict(entry.checks)[0], **entry.to_json()} for entry in entries]
    shared = {"task": entries[0].task, "target": entries[0].target}
    return {"schema": SCHEMA, "kind": "report", **shared, "bundles": plain(bundles)}
