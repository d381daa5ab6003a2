"""as_json: the report as one document of plain data."""

from collections.abc import Sequence

from edgeafri.documents.base import Json, plain
from edgeafri.report.checks import verdict
from edgeafri.report.entry import Entry

SCHEMA = 1


def to_json(entries: Sequence[Entry]) -> dict[str, Json]:
    """The report as one document of plain data: every bundle with its verdict."""
    bundles = [{"verdict": verdict(entry.checks)[0], **entry.to_json()} for entry in entries]
    shared = {"task": entries[0].task, "target": entries[0].target}
    return {"schema": SCHEMA, "kind": "report", **shared, "bundles": plain(bundles)}
