"""The AfroXLMR-Comet study (arXiv 2502.18020): a sentiment teacher and a student of Comet's proportions.

The teacher's masked-LM answers and its last attention map teach the student on raw text. Then both are fine-tuned, on
all languages together and after that on each language alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgeafri.artifact import Artifact
from edgeafri.build.events import OnEvent
from edgeafri.build.teacher import config_of
from edgeafri.documents.quality import LanguageQuality, Quality
from edgeafri.documents.table import Column, Table
from edgeafri.inference.metrics import drop
from edgeafri.studies import papers
from edgeafri.studies.page import StudyPage
from edgeafri.studies.workbench import StudyRequest, Workbench, masked_teacher, parameters, read_grid, weights_mb
from edgeafri.util.files import Digests

TASK = "sentiment"
_SEQ_LEN = 128  # the source's length of an input


@dataclass(frozen=True)
class Side:
    """Teacher or student: what the languages share, and per language its bundle and quality."""

    model: Artifact
    bundles: Mapping[str, Artifact]
    quality: Quality


def run(request: StudyRequest, digests: Digests, on_event: OnEvent) -> StudyPage:
    """Make both sides, measure them through the runtime, and put them beside the paper's figures."""
    grid, bench = read_grid("comet", request.grid), Workbench(request, TASK, digests, on_event)
    bench.check_data(None)
    masked = masked_teacher(bench, grid["masked teacher"])
    student = bench.make("distill", masked, grid["distill"], mode="attention", **shape(config_of(masked)))
    teacher, pupil = (_side(bench, model, grid, who) for model, who in ((masked, "teacher"), (student, "student")))
    alone = {code: _alone(bench, pupil.model, grid, "student", code) for code in request.languages}
    small = {code: bench.bundle(model, (code,), int8=True) for code, model in alone.items()}
    int8 = {code: bench.quality(bundle, (code,))[code] for code, bundle in small.items()}
    first = request.languages[0]
    speed = bench.speeds({"teacher": teacher.bundles[first], "student": pupil.bundles[first]}, _SEQ_LEN)
    sizes = size_table(teacher, pupil, small[first], speed, first)
    return StudyPage((quality_table(request, teacher.quality, pupil.quality, int8), sizes))


def languages_of(data: Path) -> tuple[str, ...]:
    """The source's languages."""
    return tuple(papers.comet().teacher.f1)


def shape(teacher: Mapping[str, Any]) -> dict[str, int]:
    """Comet's proportions for a teacher's config.json: its share of layers, width, heads and feed-forward width.

    Rounded down, so that the student is as small a part as in the source; the width to a multiple of the heads.
    """
    large, small = papers.comet().teacher, papers.comet().student
    heads = max(1, teacher["num_attention_heads"] * small.heads // large.heads)
    hidden = teacher["hidden_size"] * small.hidden // large.hidden
    return {
        "layers": max(1, teacher["num_hidden_layers"] * small.layers // large.layers),
        "hidden": max(heads, hidden - hidden % heads),
        "heads": heads,
        "ffn": max(1, teacher["intermediate_size"] * small.feed_forward // large.feed_forward),
    }


def quality_table(request: StudyRequest, teacher: Quality, student: Quality, int8: Quality) -> Table:
    """A row a language: both sides, the points lost with their paired interval, the share kept; the paper's beside."""
    rows = [_row(code, teacher[code], student[code], int8[code]) for code in request.languages]
    names = ("teacher", "student", "kept", "int8", "paper_teacher", "paper_student", "paper_kept")
    known = {name: [row[name] for row in rows if row[name] is not None] for name in names}
    rows.append({"lang": "avg", **{name: sum(found) / len(found) for name, found in known.items() if found}})
    notes = (
        "Macro F1 on test, in points, of float32 bundles through the runtime; the paper states F1 without its kind.",
        "lost: teacher minus student on the same texts, with its paired bootstrap interval (95 %).",
        "Another teacher than the paper's: shares are compared, not values.",
    )
    return Table("comet-quality", "F1 per language", _QUALITY, tuple(rows), notes)


def size_table(
    teacher: Side, student: Side, int8: Artifact, speed: Mapping[str, Mapping[str, float]], code: str
) -> Table:
    """Parameters, file and time of both sides, and the paper's."""
    paper = papers.comet()
    before, after = parameters(teacher.model), parameters(student.model)
    size = [weights_mb(bundle) for bundle in (teacher.bundles[code], student.bundles[code], int8)]
    rows: tuple[dict[str, Any], ...] = (
        {"model": "teacher", "parameters": before / 1e6, "file_mb": size[0], **speed["teacher"]},
        {"model": "student", "parameters": after / 1e6, "fewer": 100 * (1 - after / before), "file_mb": size[1]}
        | dict(speed["student"])
        | {"ratio": speed["teacher"]["p50_ms"] / speed["student"]["p50_ms"]},
        {"model": "student, int8", "parameters": after / 1e6, "fewer": 100 * (1 - after / before), "file_mb": size[2]},
        {
            "model": "paper: teacher",
            "parameters": paper.teacher.million_parameters,
            "p50_ms": paper.teacher.inference_ms,
        },
        {
            "model": "paper: student",
            "parameters": paper.student.million_parameters,
            "fewer": 100 * (1 - paper.student.million_parameters / paper.teacher.million_parameters),
            "p50_ms": paper.student.inference_ms,
            "ratio": paper.teacher.inference_ms / paper.student.inference_ms,
        },
    )
    notes = (
        f"Times: one sentence of {_SEQ_LEN} sub-words, one thread, both in turns, the median of the rounds' p50.",
        "Parameters are those of the fine-tuned models, their heads included.",
    )
    return Table("comet-size", "Size and time", _SIZE, rows, notes)


def _side(bench: Workbench, encoder: Artifact, grid: Mapping[str, Any], who: str) -> Side:
    together = bench.make("finetune", encoder, grid[f"{who} together"])
    bundles = {
        code: bench.bundle(_alone(bench, together, grid, who, code), (code,)) for code in bench.request.languages
    }
    return Side(together, bundles, {code: bench.quality(bundle, (code,))[code] for code, bundle in bundles.items()})


def _alone(bench: Workbench, together: Artifact, grid: Mapping[str, Any], who: str, code: str) -> Artifact:
    return bench.make("finetune", together, grid[f"{who} alone"], languages=(code,))


def _row(code: str, teacher: LanguageQuality, student: LanguageQuality, int8: LanguageQuality) -> dict[str, Any]:
    paper = papers.comet()
    lost = drop(np.array(teacher.counts), np.array(student.counts))
    published = {side: model.f1.get(code) for side, model in (("teacher", paper.teacher), ("student", paper.student))}
    return {
        "lang": code,
        "teacher": teacher.f1,
        "student": student.f1,
        "kept": _share(student.f1, teacher.f1),
        "lost": lost.value,
        "low": lost.low,
        "high": lost.high,
        "int8": int8.f1,
        "paper_teacher": published["teacher"],
        "paper_student": published["student"],
        "paper_kept": _share(published["student"], published["teacher"]),
    }


def _share(part: float | None, whole: float | None) -> float | None:
    return 100 * part / whole if part is not None and whole else None


_QUALITY = (
    Column("lang", "language"),
    Column("teacher", "teacher"),
    Column("student", "student"),
    Column("kept", "kept", "%", 1),
    Column("lost", "lost"),
    Column("low", "from"),
    Column("high", "to"),
    Column("int8", "student, int8"),
    Column("paper_teacher", "paper: teacher", digits=1),
    Column("paper_student", "paper: student", digits=1),
    Column("paper_kept", "paper: kept", "%", 1),
)
_SIZE = (
    Column("model", "model"),
    Column("parameters", "parameters", "million"),
    Column("fewer", "fewer", "%", 1),
    Column("file_mb", "graph", "MB"),
    Column("p50_ms", "p50", "ms"),
    Column("cpu_ms", "processor", "ms"),
    Column("ratio", "faster", "times", 1),
)
