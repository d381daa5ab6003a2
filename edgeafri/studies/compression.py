"""The compression study (Awobade et al. 2024, arXiv 2404.04759): pruning, distillation, quantization, generalisation.

A teacher fine-tuned for named entities is made smaller in every way that the paper tried, and measured per language.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from edgeafri.artifact import Artifact
from edgeafri.builder.events import OnEvent
from edgeafri.builder.teacher import labels_of
from edgeafri.data.dataset import languages_in
from edgeafri.documents.table import Table
from edgeafri.report.plot import Plot
from edgeafri.studies import distillation, generalisation, parts, pruning, quantization
from edgeafri.studies.distillation import DistillationGrid
from edgeafri.studies.page import StudyPage
from edgeafri.studies.parts import CompressionGrid, StudyPart
from edgeafri.studies.workbench import StudyRequest, Workbench, masked_teacher, read_grid
from edgeafri.util.files import Digests

TASK = "ner"


def run(request: StudyRequest, digests: Digests, on_event: OnEvent) -> StudyPage:
    """Check all data, say what is not run, then do part after part; what was made once is not made again."""
    grid, bench = read_grid(CompressionGrid, "compression", request.grid), Workbench(request, TASK, digests, on_event)
    teacher = bench.fine_tuned("compression")
    chosen = parts.plan(request, grid)
    wanted = {name: part for name, part in chosen.items() if not part.not_run}
    check(bench, teacher, wanted)
    for part in chosen.values():
        if part.not_run:
            bench.say(part.name, f"not run: {part.not_run}")
    encoder = partial(masked_teacher, bench, grid.masked_teacher)
    return StudyPage(
        (
            parts.overview(chosen, request.grid, grid.masked_teacher),
            *_pruned(bench, teacher, encoder, wanted),
            *_distilled(bench, wanted),
            *_quantized(bench, teacher, wanted),
            *_generalised(bench, teacher, encoder, wanted),
        )
    )


def languages_of(data: Path) -> tuple[str, ...]:
    """All languages of the data."""
    return languages_in(data)


def check(bench: Workbench, teacher: Artifact, wanted: Mapping[str, StudyPart]) -> None:
    """Read all labelled data once: what is wrong in it is told now, not hours later."""
    labels = labels_of(teacher)
    bench.check_data(labels)
    if part := wanted.get("few-shot"):
        generalisation.check_few_shot(part, labels)
    if part := wanted.get("high-resource"):
        generalisation.check_high_resource(part, labels)
    if part := wanted.get("zero-shot"):
        generalisation.check_zero_shot(part, bench.request.languages)


def _pruned(
    bench: Workbench, teacher: Artifact, encoder: Callable[[], Artifact], wanted: Mapping[str, StudyPart]
) -> list[Table | Plot]:
    """After, before and during fine-tuning, and the three in one plot."""
    sweeps, found = {}, []
    if part := wanted.get("after"):
        sweeps["after"], made = pruning.after(bench, teacher, part)
        found += made
    for when in pruning.TRAINED:
        if part := wanted.get(when):
            sweeps[when], made = pruning.trained(bench, encoder(), part, when)
            found += made
    return [*found, *pruning.comparison_plots(sweeps)]


def _distilled(bench: Workbench, wanted: Mapping[str, StudyPart]) -> tuple[Table, ...]:
    part = wanted.get("distillation")
    if part is None:
        return ()
    grid = read_grid(DistillationGrid, "distillation", part.settings.grid)
    found = distillation.tables(bench.only(part.languages, part.seeds), grid)
    return tuple(replace(table, title=f"Distilled: {table.title}") for table in found)


def _quantized(bench: Workbench, teacher: Artifact, wanted: Mapping[str, StudyPart]) -> list[Table]:
    part = wanted.get("quantization")
    return quantization.tables(bench, teacher, part) if part else []


def _generalised(
    bench: Workbench, teacher: Artifact, encoder: Callable[[], Artifact], wanted: Mapping[str, StudyPart]
) -> list[Table | Plot]:
    """Few-shot, zero-shot between languages, and zero-shot on a high-resource language."""
    found: list[Table | Plot] = []
    if part := wanted.get("few-shot"):
        found += generalisation.few_shot(bench, teacher, part)
    if part := wanted.get("zero-shot"):
        found += generalisation.zero_shot(bench, encoder(), part)
    if part := wanted.get("high-resource"):
        found += generalisation.high_resource(bench, teacher, part)
    return found
