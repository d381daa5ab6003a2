"""Reports in Python: what builds, profiles and measurements found, on one page that a notebook or a browser shows."""

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from edgeafri.api.arguments import StrPath, paths_of
from edgeafri.documents.base import Json
from edgeafri.report.entry import Entry


@dataclass(frozen=True)
class Report:
    """One page about one or several bundles, as HTML that needs no network, as Markdown and as JSON."""

    entries: Sequence[Entry]

    @property
    def html(self) -> str:
        """The whole page."""
        from edgeafri.report.page import to_html

        return to_html(self.entries)

    @property
    def markdown(self) -> str:
        """The same as text."""
        from edgeafri.report.markdown import to_markdown

        return to_markdown(self.entries)

    def to_json(self) -> Json:
        """The same for programs."""
        from edgeafri.report.as_json import to_json

        return to_json(self.entries)

    def show(self) -> "Report":
        """Show the page: in a notebook below the cell, else in the browser, from a temporary file."""
        if "ipykernel" not in sys.modules:
            import webbrowser

            with tempfile.NamedTemporaryFile("w", suffix=".html", delete=False, encoding="utf-8") as file:
                file.write(self.html)
            webbrowser.open(Path(file.name).as_uri())
        return self

    def _repr_html_(self) -> str:
        return f'<iframe srcdoc="{escape(self.html)}" style="width:100%;height:40em;border:0"></iframe>'


def make_report(*results: StrPath, target: str | None = None) -> Report:
    """The report of work folders of builds, and of JSON files of build, profile, farm and benchmark.

    What several documents say of one bundle stands together; several bundles stand side by side. All are of one task
    and one device; `target` chooses where they are of several.
    """
    from edgeafri.report.sources import read_entries

    return Report(read_entries(paths_of(results, "results", needed=True), target))
