"""Ways to store a model's weights side by side, and the papers' tables made again: tables and plots as values."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from html import escape
from pathlib import Path

from edgeafri.api.arguments import ALL, StrPath, codes_of, path_of
from edgeafri.api.console import events_shown
from edgeafri.builder.events import OnEvent
from edgeafri.documents.table import Table, to_markdown
from edgeafri.report.plot import to_svg
from edgeafri.studies import page as pages
from edgeafri.studies.workbench import StudyRequest
from edgeafri.util.files import Digests


@dataclass(frozen=True)
class Study:
    """The tables and plots of a study, in the order in which they are read."""

    page: pages.StudyPage
    title: str
    command: str

    @property
    def tables(self) -> tuple[Table, ...]:
        """The tables; `to_json()` of each is what the command prints."""
        return self.page.tables

    @property
    def markdown(self) -> str:
        """All tables as text."""
        return "\n".join(to_markdown(table) for table in self.tables)

    def write(self, out: StrPath) -> Path:
        """Write one Markdown page, a CSV and a JSON file per table, an SVG file per plot. Returns the page."""
        return pages.write(self.page, path_of(out, "out"), self.title, [self.command] if self.command else [])

    def _repr_html_(self) -> str:
        plots = "".join(to_svg(plot) for plot in self.page.plots)
        return f"<pre>{escape(self.markdown)}</pre>{plots}"


def compare(
    model: StrPath,
    data: StrPath,
    *,
    methods: str | Iterable[str] | None = None,
    languages: str | Iterable[str] = ALL,
    text: StrPath | None = None,
    work: StrPath = "edgeafri-work",
    out: StrPath | None = None,
    command: str = "",
    on_event: OnEvent | None = None,
) -> Study:
    """Measure a fine-tuned model with its weights stored in several ways: torch, PyTorch's int8, LLM.int8(), bundles.

    `methods` are names, all when None; float32 is always there. What this machine cannot run is a row with the reason.
    `text` is raw text to calibrate int8 bundles on; without it, dev is. With `out` the tables are written there too.

    >>> edgeafri.compare("my-ner", "masakhaner", languages=["swa"], methods=["fp32", "ort-int8"]).tables
    """
    from edgeafri.studies import comparison
    from edgeafri.studies.methods import NAMES

    named = codes_of(languages)
    folder = path_of(work, "work")
    request = StudyRequest(
        teacher=str(path_of(model, "model")),
        data=path_of(data, "data"),
        text=None if text is None else path_of(text, "text"),
        languages=() if named == (ALL,) else named,
        grid="",
        seeds=(),
        work=folder,
        out=folder if out is None else path_of(out, "out"),
        command=command,
    )
    names = NAMES if methods is None else codes_of(methods, "methods")
    title = f"Weights in fewer bits: {request.teacher}"
    return _done(lambda digests, shown: comparison.run(request, names, digests, shown), title, request, out, on_event)


def run_study(
    run: "Callable[[StudyRequest, Digests, OnEvent], pages.StudyPage]",
    title: str,
    request: StudyRequest,
    on_event: OnEvent | None = None,
) -> Study:
    """Run a study of edgeafri.studies and write its page; what is finished below `request.work` is not done again."""
    return _done(lambda digests, shown: run(request, digests, shown), title, request, request.out, on_event)


def _done(
    work: Callable[[Digests, OnEvent], pages.StudyPage],
    title: str,
    request: StudyRequest,
    out: StrPath | None,
    on_event: OnEvent | None,
) -> Study:
    with Digests() as digests, events_shown(on_event) as shown:
        study = Study(work(digests, shown), title, request.command)
    if out is not None:
        study.write(out)
    return study
