"""The parts of the compression study: which are run, over what, and why the others are not. Known before any work."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edgeafri.data.dataset import languages_in
from edgeafri.documents.base import Document
from edgeafri.documents.table import Cells, Column, Table
from edgeafri.studies.workbench import Settings, StudyRequest, in_words
from edgeafri.util.packages import version_of

_SHOWN = {
    "after": "pruning after fine-tuning (Table 9)",
    "before": "pruning before fine-tuning (Table 8)",
    "during": "pruning during fine-tuning",
    "distillation": "distillation grid (Tables 1 and 2)",
    "quantization": "quantization (Tables 3 and 4)",
    "few-shot": "few sentences of unseen languages",
    "zero-shot": "zero-shot between languages",
    "high-resource": "zero-shot on a high-resource language",
}
NAMES = tuple(_SHOWN)
_FROM_ENCODER = ("before", "during", "zero-shot")
_FROM_TEXT = (*_FROM_ENCODER, "distillation")  # they begin with masked-LM training on raw text


@dataclass(frozen=True, kw_only=True)
class PartSettings(Document):
    """An entry of the grid: levels of sparsity, languages and seeds where it has its own, and how it is fine-tuned.

    `k` is how many sentences of an unseen language are learnt from, `grid` names a grid of the distillation study.
    """

    sparsity: tuple[float, ...] = ()
    languages: tuple[str, ...] | None = None
    seeds: tuple[int, ...] | None = None
    learning: Settings = field(default_factory=dict)
    k: int = 0
    grid: str = ""


@dataclass(frozen=True, kw_only=True)
class CompressionGrid(Document):
    """The settings of every part, None for a part that is not run, and those of the masked-LM training before some."""

    masked_teacher: Settings
    after: PartSettings | None = None
    before: PartSettings | None = None
    during: PartSettings | None = None
    distillation: PartSettings | None = None
    quantization: PartSettings | None = None
    few_shot: PartSettings | None = None
    zero_shot: PartSettings | None = None
    high_resource: PartSettings | None = None

    def parts(self) -> dict[str, PartSettings | None]:
        """The settings by the names of the parts, in the order in which they are run."""
        return {
            "after": self.after,
            "before": self.before,
            "during": self.during,
            "distillation": self.distillation,
            "quantization": self.quantization,
            "few-shot": self.few_shot,
            "zero-shot": self.zero_shot,
            "high-resource": self.high_resource,
        }


@dataclass(frozen=True)
class StudyPart:
    """One part: its entry in the grid, its data, languages and seeds, and why it is not run, "" where it is.

    The languages are what is learnt and tested; of zero-shot the sources, of few-shot and high-resource those of their
    own data.
    """

    name: str
    data: Path
    settings: PartSettings = field(default_factory=PartSettings)
    languages: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    not_run: str = ""


def plan(request: StudyRequest, grid: CompressionGrid) -> dict[str, StudyPart]:
    """Every part by its name. DataError for a folder of unseen languages that holds none."""
    return {name: _part(request, name, settings) for name, settings in grid.parts().items()}


def overview(parts: Mapping[str, StudyPart], name: str, encoder: Settings) -> Table:
    """A row per part: run or not, and the settings it was run with; `encoder` are those of the masked-LM training."""
    rows = [_row(part) for part in parts.values()]
    rows.insert(1 + NAMES.index("quantization"), _llm_int8(parts["quantization"]))
    trained = [part for part in _FROM_ENCODER if not parts[part].not_run]
    note = f"The encoder of {', '.join(trained)} is trained on raw text first: {in_words(encoder)}."
    return Table("parts", f"Parts of the grid '{name}'", _COLUMNS, tuple(rows), (note,) if trained else ())


def _part(request: StudyRequest, name: str, settings: PartSettings | None) -> StudyPart:
    if settings is None:
        return StudyPart(name, request.data, not_run=f"the grid '{request.grid}' leaves it out")
    seeds = request.seeds if settings.seeds is None else settings.seeds
    if name in _FROM_TEXT and request.text is None:
        return StudyPart(name, request.data, settings, not_run="raw text absent (--text)")
    if name == "few-shot":
        return _unseen(name, request.few_shot_data, settings, seeds, "--few-shot-data")
    if name == "high-resource":
        return _unseen(name, request.ood_data, settings, seeds, "--ood-data")
    wanted = request.languages if settings.languages is None else settings.languages
    languages = tuple(code for code in request.languages if code in wanted)
    absent = "" if languages else f"it is for {', '.join(wanted)}, and none of these was asked for"
    return StudyPart(name, request.data, settings, languages, seeds, absent)


def _unseen(name: str, data: Path | None, settings: PartSettings, seeds: tuple[int, ...], option: str) -> StudyPart:
    if data is None:
        return StudyPart(name, Path(), settings, not_run=f"data absent ({option})")
    return StudyPart(name, data, settings, languages_in(data), seeds)


def _row(part: StudyPart) -> Cells:
    shown: Cells = {"part": _SHOWN[part.name]}
    if part.not_run:
        return {**shown, "state": f"not run: {part.not_run}"}
    settings = part.settings
    levels = ", ".join(f"{100 * level:g}" for level in settings.sparsity)
    named = {name: value for name, value in (("k", settings.k), ("grid", settings.grid)) if value}
    return {
        **shown,
        "state": "run",
        "languages": ", ".join(part.languages),
        "levels": levels or None,
        "seeds": ", ".join(map(str, part.seeds)) if part.name in _SEEDED else None,
        "settings": "; ".join(in_words(found) for found in (named, settings.learning) if found) or None,
    }


def _llm_int8(part: StudyPart) -> Cells:
    """LLM.int8() is a method of the quantization, and the only one with a package of its own."""
    needed = "" if version_of("bitsandbytes") else "bitsandbytes is not installed (pip install 'edgeafri[gpu]')"
    absent = part.not_run or needed
    return {"part": "LLM.int8() (Tables 3 and 4)", "state": f"not run: {absent}" if absent else "run"}


_SEEDED = ("before", "during", "distillation", "few-shot", "zero-shot")
_COLUMNS = (
    Column("part", "part"),
    Column("state", ""),
    Column("languages", "languages"),
    Column("levels", "sparsity", "%"),
    Column("seeds", "seeds"),
    Column("settings", "settings"),
)
