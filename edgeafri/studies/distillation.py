"""The distillation grid (Awobade et al. 2024, Tables 1 and 2): small students of several shapes, taught in two ways.

Task-agnostic: a masked-LM teacher teaches a student on raw text, and the student is fine-tuned. Task-specific: the
fine-tuned teacher teaches that student on the task. Beside them what the paper does not have: students that start from
the fine-tuned teacher's own layers, taught by it, and for comparison the same from the labels alone, without a teacher.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeafri.artifact import Artifact
from edgeafri.builder.events import OnEvent
from edgeafri.builder.teacher import labels_of
from edgeafri.data.dataset import languages_in
from edgeafri.documents.base import Document
from edgeafri.documents.quality import AVERAGE, Drop, Quality
from edgeafri.documents.table import Cells, Column, Spread, Table, spread
from edgeafri.inference.comparison import counts_of
from edgeafri.inference.metrics import average_drop, drop
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

TASK = "ner"
AGNOSTIC, SPECIFIC = "task-agnostic", "task-specific"
ALONE, DIRECT = "labels alone", "task-specific, from the teacher's layers"


@dataclass(frozen=True, kw_only=True)
class StudentSize(Document):
    """How many layers a student has, and how many attention heads in each."""

    layers: int
    heads: int


@dataclass(frozen=True, kw_only=True)
class DistillationGrid(Document):
    """The shapes of the students, and the settings of what they are made with.

    `student` is how any student learns the task, `specific` what is added where a teacher helps.
    """

    shapes: tuple[StudentSize, ...]
    masked_teacher: Settings
    agnostic: Settings
    student: Settings
    specific: Settings


@dataclass(frozen=True)
class StudentGroup:
    """The students of one strategy and one shape, one for each seed."""

    strategy: str
    shape: StudentSize
    million_parameters: float
    graph_mb: float
    quality: tuple[Quality, ...]


def run(request: StudyRequest, digests: Digests, on_event: OnEvent) -> StudyPage:
    """The grid's tables, from a fine-tuned teacher."""
    grid = read_grid(DistillationGrid, "distillation", request.grid)
    return StudyPage(tables(Workbench(request, TASK, digests, on_event), grid))


def tables(bench: Workbench, grid: DistillationGrid) -> tuple[Table, ...]:
    """Make every student with every seed, measure all through the runtime, and put them beside the paper's figures."""
    request, teacher = bench.request, bench.fine_tuned("distillation")
    bench.check_data(labels_of(teacher))
    whole = bench.bundle(teacher, request.languages)
    known = bench.quality(whole, request.languages)
    students = [taught for shape in grid.shapes for taught in _taught(bench, teacher, shape, grid)]
    first = ("teacher", parameters(teacher) / 1e6, weights_mb(whole), known)
    return quality_table(request, first, students), gain_table(request, students), paper_table()


def languages_of(data: Path) -> tuple[str, ...]:
    """All languages of the data."""
    return languages_in(data)


def quality_table(
    request: StudyRequest, teacher: tuple[str, float, float, Quality], students: Sequence[StudentGroup]
) -> Table:
    """A row per student: F1 per language and on average over the seeds; the teacher first."""
    name, size, file, known = teacher
    cells = _f1((known,), request.languages)
    rows: list[Cells] = [{"strategy": name, "parameters": size, "graph_mb": file, **cells}]
    whole = cells[AVERAGE].mean
    for student in students:
        cells = _f1(student.quality, request.languages)
        measures: Cells = {"parameters": student.million_parameters, "graph_mb": student.graph_mb}
        kept = 100 * cells[AVERAGE].mean / whole if whole else None
        rows.append({**_named(student), **measures, **cells, "kept": kept})
    notes = (
        "Entity F1 on test, in points, of float32 bundles through the runtime; mean and standard deviation over "
        f"the seeds {', '.join(str(seed) for seed in request.seeds)}.",
        "labels alone: no teacher. It starts from the fine-tuned teacher's layers and sees the same data as the row "
        "below it; the task-agnostic and task-specific rows start from a masked-LM teacher's layers, as in the paper.",
    )
    columns = (*_HEAD, *(Column(code, code) for code in request.languages), *_TAIL)
    return Table("distillation-grid", "Students", columns, tuple(rows), notes)


def gain_table(request: StudyRequest, students: Sequence[StudentGroup]) -> Table:
    """What a teacher adds: each student against the one of its shape that had none, paired, first seed."""
    alone = {item.shape: item.quality[0] for item in students if item.strategy == ALONE}
    rows: list[Cells] = []
    for student in (item for item in students if item.strategy != ALONE):
        ours, theirs = student.quality[0], alone[student.shape]
        for code in (*request.languages, AVERAGE):
            codes = request.languages if code == AVERAGE else (code,)
            found = _gain(theirs, ours, codes)
            gain: Cells = {"gain": -found.value, "low": -found.high, "high": -found.low}
            rows.append({**_named(student), "lang": code, **gain})
    seed = request.seeds[0]
    note = f"F1 points over the student of that shape from labels alone, paired bootstrap interval (95 %), seed {seed}."
    columns = (*_HEAD[:3], Column("lang", "language"), *_GAIN)
    return Table("distillation-gain", "What the teacher adds", columns, tuple(rows), (note,))


def paper_table() -> Table:
    """The paper's Table 1 and its teachers, in the same layout."""
    teachers = {item.teacher: item for item in papers.teachers()}
    rows = [_paper_row(item) for item in teachers.values()]
    rows += [
        {**_paper_row(item), "kept": 100 * item.average / teachers[item.teacher].average}
        for item in papers.distillation()
    ]
    codes = next(iter(teachers.values())).f1
    columns = (_HEAD[0], Column("teacher", "teacher"), *_HEAD[1:4], *(Column(code, code) for code in codes), *_TAIL)
    source = papers.source("distillation")
    notes = (f"{source.paper}, {source.url}, {source.where}.", *source.notes)
    return Table("distillation-paper", "The paper's figures", columns, tuple(rows), notes)


def _paper_row(item: papers.DistilledModel) -> Cells:
    shape: Cells = {"layers": item.layers, "heads": item.heads, "parameters": item.million_parameters}
    return {"strategy": item.strategy, "teacher": item.teacher, **shape, **item.f1, AVERAGE: item.average}


def _named(student: StudentGroup) -> Cells:
    return {"strategy": student.strategy, "layers": student.shape.layers, "heads": student.shape.heads}


def _taught(bench: Workbench, teacher: Artifact, shape: StudentSize, grid: DistillationGrid) -> Iterator[StudentGroup]:
    """The strategies at one shape. Task-specific students start where the agnostic ones were left."""
    masked, sizes = masked_teacher(bench, grid.masked_teacher), {"layers": shape.layers, "heads": shape.heads}
    agnostic = bench.make("distill", masked, grid.agnostic, mode="agnostic", **sizes)
    seeds = bench.request.seeds
    labels_alone = {"soft": 0.0, "hard": 1.0}
    for strategy, more in ((ALONE, labels_alone), (DIRECT, {})):
        settings = {**grid.student, **grid.specific, **more, "mode": "task", **sizes}
        yield _measured(bench, strategy, shape, [bench.make("distill", teacher, settings, seed=seed) for seed in seeds])
    tuned = [bench.make("finetune", agnostic, grid.student, seed=seed) for seed in seeds]
    yield _measured(bench, AGNOSTIC, shape, tuned)
    settings = {**grid.student, **grid.specific, "teacher": teacher.path, "mode": "task"}
    specific = [bench.make("distill", agnostic, settings, seed=seed) for seed in seeds]
    yield _measured(bench, SPECIFIC, shape, specific)


def _measured(bench: Workbench, strategy: str, shape: StudentSize, models: Sequence[Artifact]) -> StudentGroup:
    languages = bench.request.languages
    bundles = [bench.bundle(model, languages) for model in models]
    quality = tuple(bench.quality(bundle, languages) for bundle in bundles)
    size = parameters(models[0]) / 1e6
    return StudentGroup(strategy, shape, size, weights_mb(bundles[0]), quality)


def _f1(found: Sequence[Quality], languages: Sequence[str]) -> dict[str, Spread]:
    cells = {code: spread([quality[code].f1 for quality in found]) for code in languages}
    means = [sum(quality[code].f1 for code in languages) / len(languages) for quality in found]
    return {**cells, AVERAGE: spread(means)}


def _gain(reference: Quality, candidate: Quality, codes: Sequence[str]) -> Drop:
    before, after = counts_of(reference, codes), counts_of(candidate, codes)
    return drop(before[codes[0]], after[codes[0]]) if len(codes) == 1 else average_drop(before, after)


_HEAD = (
    Column("strategy", "strategy"),
    Column("layers", "layers"),
    Column("heads", "heads"),
    Column("parameters", "parameters", "million"),
    Column("graph_mb", "graph", "MB"),
)
_TAIL = (Column(AVERAGE, "avg"), Column("kept", "kept", "%", 1))
_GAIN = (Column("gain", "gain"), Column("low", "from"), Column("high", "to"))
