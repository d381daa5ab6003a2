"""The parts of the compression study: which are run, over what, and why the others are not. Known before any work."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgeafri.data.dataset import languages_in
from edgeafri.documents.table import Column, Table
from edgeafri.studies.workbench import StudyRequest
from edgeafri.util.packages import version_of

NAMES = ("after", "before", "during", "distillation", "quantization", "few-shot", "zero-shot", "high-resource")
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
_FROM_ENCODER = ("before", "during", "zero-shot")
_FROM_TEXT = (*_FROM_ENCODER, "distillation")  # they begin with masked-LM training on raw text


@dataclass(frozen=True)
class Part:
    """One part: its entry in the grid, its data, languages and seeds, and why it is not run, "" where it is.

    The languages are what is learnt and tested; of zero-shot the sources, of few-shot and high-resource those of their
    own data.
    """

    name: str
    data: Path
    settings: Mapping[str, Any] = field(default_factory=dict)
    languages: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    absent: str = ""


def plan(request: StudyRequest, grid: Mapping[str, Any]) -> dict[str, Part]:
    """Every part by its name. DataError for a folder of unseen languages that holds none."""
    return {name: _part(request, name, grid) for name in NAMES}


def overview(parts: Mapping[str, Part], name: str, encoder: Mapping[str, Any]) -> Table:
    """A row a part: run or not, and the settings it was run with; `encoder` are those of the masked-LM training."""
    rows = [_row(part) for part in parts.values()]
    rows.insert(1 + NAMES.index("quantization"), _llm_int8(parts["quantization"]))
    trained = [part for part in _FROM_ENCODER if not parts[part].absent]
    note = f"The encoder of {', '.join(trained)} is trained on raw text first: {_listed(encoder)}."
    return Table("parts", f"Parts of the grid '{name}'", _COLUMNS, tuple(rows), (note,) if trained else ())


def _part(request: StudyRequest, name: str, grid: Mapping[str, Any]) -> Part:
    settings = grid.get(name)
    if settings is None:
        return Part(name, request.data, absent=f"the grid '{request.grid}' leaves it out")
    seeds = tuple(settings.get("seeds", request.seeds))
    if name in _FROM_TEXT and request.text is None:
        return Part(name, request.data, settings, absent="raw text absent (--text)")
    if name == "few-shot":
        return _unseen(name, request.few_shot_data, settings, seeds, "--few-shot-data")
    if name == "high-resource":
        return _unseen(name, request.ood_data, settings, seeds, "--ood-data")
    wanted = tuple(settings.get("languages", request.languages))
    languages = tuple(code for code in request.languages if code in wanted)
    absent = "" if languages else f"it is for {', '.join(wanted)}, and none of these was asked for"
    return Part(name, request.data, settings, languages, seeds, absent)


def _unseen(name: str, data: Path | None, settings: Mapping[str, Any], seeds: tuple[int, ...], option: str) -> Part:
    if data is None:
        return Part(name, Path(), settings, absent=f"data absent ({option})")
    return Part(name, data, settings, languages_in(data), seeds)


def _row(part: Part) -> dict[str, Any]:
    shown = {"part": _SHOWN[part.name]}
    if part.absent:
        return {**shown, "state": f"not run: {part.absent}"}
    settings = part.settings
    levels = ", ".join(f"{100 * float(level):g}" for level in settings.get("sparsity", ()))
    learning = _listed(settings.get("learning", {}))
    named = _listed({name: settings[name] for name in ("k", "grid") if name in settings})
    return {
        **shown,
        "state": "run",
        "languages": ", ".join(part.languages),
        "levels": levels or None,
        "seeds": ", ".join(map(str, part.seeds)) if part.name in _SEEDED else None,
        "settings": "; ".join(text for text in (named, learning) if text) or None,
    }


def _llm_int8(part: Part) -> dict[str, Any]:
    """LLM.int8() is a method of the quantization, and the only one with a package of its own."""
    needed = "" if version_of("bitsandbytes") else "bitsandbytes is not installed (pip install 'edgeafri[gpu]')"
    absent = part.absent or needed
    return {"part": "LLM.int8() (Tables 3 and 4)", "state": f"not run: {absent}" if absent else "run"}


def _listed(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.items())


_SEEDED = ("before", "during", "distillation", "few-shot", "zero-shot")
_COLUMNS = (
    Column("part", "part"),
    Column("state", ""),
    Column("languages", "languages"),
    Column("levels", "sparsity", "%"),
    Column("seeds", "seeds"),
    Column("settings", "settings"),
)
