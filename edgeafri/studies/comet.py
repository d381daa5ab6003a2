"""The AfroXLMR-Comet study (arXiv 2502.18020): a sentiment teacher and a student of Comet's proportions.

The teacher's masked-LM answers and its last attention map teach the student on raw text. Then both are fine-tuned, on
all languages together and after that on each language alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgeafri.artifact import Artifact
from edgeafri.builder.events import OnEvent
from edgeafri.builder.teacher import config_of
from edgeafri.documents.base import Document
from edgeafri.documents.quality import LanguageQuality, Quality
from edgeafri.documents.study import ModelTimes
from edgeafri.documents.table import Cells, Column, Table
from edgeafri.inference.metrics import drop
from edgeafri.studies import papers
from edgeafri.studies.page import StudyPage
from edgeafri.studies.workbench import (
    Settings,
    StudyRequest,
    Workbench,
    masked_teacher,
    parameters,
    read_grid,
    weights_mb,
)
from edgeafri.util.files import Digests

TASK = "sentiment"
_SEQ_LEN = 128  # the source's length of an input


@dataclass(frozen=True, kw_only=True)
class CometGrid(Document):
    """Settings of the steps, by the model that they make: on all languages together, then on each language alone."""

    masked_teacher: Settings
    distill: Settings
    teacher_together: Settings
    teacher_alone: Settings
    student_together: Settings
    student_alone: Settings


@dataclass(frozen=True, kw_only=True)
class EncoderSizes(Document):
    """What of an encoder's config.json says how large it is."""

    num_hidden_layers: int
    hidden_size: int
    num_attention_heads: int
    intermediate_size: int


@dataclass(frozen=True)
class Side:
    """Teacher or student: the model of all languages together; per language its own model, its bundle and quality."""

    together: Artifact
    models: Mapping[str, Artifact]
    bundles: Mapping[str, Artifact]
    quality: Quality


def run(request: StudyRequest, digests: Digests, on_event: OnEvent) -> StudyPage:
    """Make both sides, measure them through the runtime, and put them beside the paper's figures."""
    grid, bench = read_grid(CometGrid, "comet", request.grid), Workbench(request, TASK, digests, on_event)
    bench.check_data(None)
    masked = masked_teacher(bench, grid.masked_teacher)
    sizes = student_sizes(EncoderSizes.from_json(config_of(masked), f"{request.teacher}: config.json"))
    small = bench.make("distill", masked, grid.distill, mode="attention", **sizes)
    teacher = _side(bench, masked, grid.teacher_together, grid.teacher_alone)
    student = _side(bench, small, grid.student_together, grid.student_alone)
    int8 = {code: bench.bundle(model, (code,), int8=True) for code, model in student.models.items()}
    quality = {code: bench.quality(bundle, (code,))[code] for code, bundle in int8.items()}
    first = request.languages[0]
    times = bench.timed({"teacher": teacher.bundles[first], "student": student.bundles[first]}, _SEQ_LEN)
    return StudyPage(
        (
            quality_table(request, teacher.quality, student.quality, quality),
            size_table(teacher, student, int8[first], times, first),
        )
    )


def languages_of(data: Path) -> tuple[str, ...]:
    """The source's languages."""
    return tuple(papers.comet().teacher.f1)


def student_sizes(teacher: EncoderSizes) -> dict[str, int]:
    """Comet's proportions for a teacher: its share of layers, width, heads and feed-forward width.

    Rounded down, so that the student is as small a part as in the source; the width to a multiple of the heads.
    """
    large, small = papers.comet().teacher, papers.comet().student
    heads = max(1, teacher.num_attention_heads * small.heads // large.heads)
    hidden = teacher.hidden_size * small.hidden // large.hidden
    return {
        "layers": max(1, teacher.num_hidden_layers * small.layers // large.layers),
        "hidden": max(heads, hidden - hidden % heads),
        "heads": heads,
        "ffn": max(1, teacher.intermediate_size * small.feed_forward // large.feed_forward),
    }


def quality_table(request: StudyRequest, teacher: Quality, student: Quality, int8: Quality) -> Table:
    """A row per language: both sides, the points lost with their interval, the share kept, the paper's figures."""
    rows = [_row(code, teacher[code], student[code], int8[code]) for code in request.languages]
    notes = (
        "Macro F1 on test, in points, of float32 bundles through the runtime; the paper states F1 without its kind.",
        "lost: teacher minus student on the same texts, with its paired bootstrap interval (95 %).",
        "Another teacher than the paper's: shares are compared, not values.",
    )
    return Table("comet-quality", "F1 per language", _QUALITY, (*rows, _averages(rows)), notes)


def size_table(teacher: Side, student: Side, int8: Artifact, times: Mapping[str, ModelTimes], code: str) -> Table:
    """Parameters, file and time of both sides, and the paper's."""
    before, after = parameters(teacher.together), parameters(student.together)
    size = [weights_mb(bundle) for bundle in (teacher.bundles[code], student.bundles[code], int8)]
    faster = times["teacher"].p50_ms / times["student"].p50_ms
    small: Cells = {"parameters": after / 1e6, "fewer": 100 * (1 - after / before)}
    rows: tuple[Cells, ...] = (
        {"model": "teacher", "parameters": before / 1e6, "file_mb": size[0], **_times(times["teacher"])},
        {"model": "student", **small, "file_mb": size[1], **_times(times["student"]), "ratio": faster},
        {"model": "student, int8", **small, "file_mb": size[2]},
        *_paper_sizes(),
    )
    notes = (
        f"Times: one sentence of {_SEQ_LEN} subwords, one thread, both in turns, the median of the rounds' p50.",
        "Parameters are those of the fine-tuned models, their heads included.",
    )
    return Table("comet-size", "Size and time", _SIZE, rows, notes)


def _times(found: ModelTimes) -> Cells:
    return {"p50_ms": found.p50_ms, "cpu_ms": found.cpu_ms}


def _paper_sizes() -> tuple[Cells, Cells]:
    teacher, student = papers.comet().teacher, papers.comet().student
    fewer = 100 * (1 - student.million_parameters / teacher.million_parameters)
    large: Cells = {"model": "paper: teacher", "parameters": teacher.million_parameters, "p50_ms": teacher.inference_ms}
    small: Cells = {"model": "paper: student", "parameters": student.million_parameters, "fewer": fewer}
    return large, {**small, "p50_ms": student.inference_ms, "ratio": teacher.inference_ms / student.inference_ms}


def _side(bench: Workbench, encoder: Artifact, together: Settings, alone: Settings) -> Side:
    model = bench.make("finetune", encoder, together)
    codes = bench.request.languages
    models = {code: bench.make("finetune", model, alone, languages=(code,)) for code in codes}
    bundles = {code: bench.bundle(own, (code,)) for code, own in models.items()}
    quality = {code: bench.quality(bundle, (code,))[code] for code, bundle in bundles.items()}
    return Side(model, models, bundles, quality)


def _row(code: str, teacher: LanguageQuality, student: LanguageQuality, int8: LanguageQuality) -> Cells:
    published = {"teacher": papers.comet().teacher.f1.get(code), "student": papers.comet().student.f1.get(code)}
    lost = drop(np.array(teacher.counts), np.array(student.counts))
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


def _averages(rows: Sequence[Cells]) -> Cells:
    """The means over the languages for which a figure is known."""
    names = ("teacher", "student", "kept", "int8", "paper_teacher", "paper_student", "paper_kept")
    known = {name: [cell for row in rows if isinstance(cell := row[name], (int, float))] for name in names}
    return {"lang": "avg", **{name: sum(found) / len(found) for name, found in known.items() if found}}


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
