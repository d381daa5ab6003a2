"""Magnitude pruning after, before and during fine-tuning (Awobade et al. 2024, Tables 8 and 9), level by level."""

from collections.abc import Mapping, Sequence
from typing import Literal

from edgeafri.artifact import Artifact
from edgeafri.documents.study import ModelTimes
from edgeafri.documents.table import Table
from edgeafri.report.plot import Plot
from edgeafri.studies.levels import (
    OTHER_TEACHER,
    Point,
    Sweep,
    compact_table,
    line,
    long_table,
    measure_level,
    notes_on_paper,
    paper_line,
    percent,
    pruned,
    seeds_in_words,
    sparsities,
)
from edgeafri.studies.parts import StudyPart
from edgeafri.studies.workbench import Workbench, readable_length

ENCODER_NOTE = (
    "The encoder fine-tuned here is the given teacher's, trained on raw text again. It has seen the labels once, in "
    "other training, so this is easier than in the paper, where the encoder never had."
)
When = Literal["before", "during"]
TRAINED: tuple[When, ...] = ("before", "during")
_SEQ_LEN = 128
_MANY = 5  # so many languages are not named in a plot's title
_X, _Y = "sparsity (%)", "F1 (points)"
_UNITS = "Entity F1 on test, in points, of float32 bundles through the runtime; avg: every language counts the same."
_ONE_MODEL = (
    "One model a level, pruned from the teacher given: there are no seeds to spread over. lost: against sparsity 0 on "
    "the same sentences, with its paired bootstrap interval (95 %)."
)
_ALIKE = (
    "Sparsity 0 is fine-tuned alike. lost: each seed against its own model at sparsity 0; of one seed, with the paired "
    "bootstrap interval (95 %)."
)


def after(bench: Workbench, teacher: Artifact, part: StudyPart) -> tuple[Sweep, list[Table | Plot]]:
    """The teacher with its smallest weights at zero: a long and a compact table, and plots of F1 and of time."""
    models = {sparsity: pruned(bench, teacher, sparsity) for sparsity in sparsities(part.settings)}
    codes = part.languages
    levels = tuple(measure_level(bench, sparsity, (model,), codes, codes) for sparsity, model in models.items())
    sweep = Sweep(levels, codes, "after")
    length = readable_length(levels[0].bundles[0], _SEQ_LEN)
    found = bench.timed({f"{level.sparsity:g}": level.bundles[0] for level in levels}, length)
    times = {level.sparsity: found[f"{level.sparsity:g}"] for level in levels}
    timed = (
        f"p50 and processor: one sentence of {length} subwords, one thread, all levels in turns, the median of the "
        "rounds. Zeros are stored and multiplied as any other number."
    )
    notes = (_UNITS, _ONE_MODEL, timed, OTHER_TEACHER, *notes_on_paper("pruning", without="Table 8"))
    page: list[Table | Plot] = [
        compact_table(sweep, "pruning-after", "Pruned after fine-tuning", notes, times),
        long_table(sweep, "pruning-after-all", "Pruned after fine-tuning, every figure of Table 9", notes),
        Plot(
            "pruning-after",
            "Pruned after fine-tuning",
            _X,
            _Y,
            {code: line(sweep, (code,)) for code in sweep.languages},
        ),
        Plot("pruning-time", "Time of a sentence", _X, "time (ms)", _time_lines(times), from_zero=True),
    ]
    return sweep, page


def trained(bench: Workbench, masked: Artifact, part: StudyPart, when: When) -> tuple[Sweep, list[Table | Plot]]:
    """An encoder pruned before it is fine-tuned, or while it is: all languages together, level by level, seed by seed.

    Sparsity 0 is plain fine-tuning with the same settings and seeds.
    """
    codes = part.languages
    levels = tuple(
        measure_level(
            bench, sparsity, [_trained(bench, masked, part, when, sparsity, seed) for seed in part.seeds], codes, codes
        )
        for sparsity in sparsities(part.settings)
    )
    sweep = Sweep(levels, codes, "before" if when == "before" else None)
    odd = notes_on_paper("pruning", without="Table 9") if when == "before" else ()
    notes = (_UNITS, seeds_in_words(part.seeds), _ALIKE, ENCODER_NOTE, OTHER_TEACHER, *odd)
    title = f"Pruned {when} fine-tuning"
    every = "every figure of Table 8" if when == "before" else "every figure"
    return sweep, [
        compact_table(sweep, f"pruning-{when}", title, notes),
        long_table(sweep, f"pruning-{when}-all", f"{title}, {every}", notes),
    ]


def comparison_plots(sweeps: Mapping[str, Sweep]) -> list[Plot]:
    """After, before and during in one plot, on the languages that all have, with the paper's averages over them."""
    if not sweeps:
        return []
    spoken = [sweep.languages for sweep in sweeps.values()]
    common = [code for code in spoken[0] if all(code in languages for languages in spoken)]
    if not common:
        return []
    series: dict[str, Sequence[Point]] = {name: line(sweep, common) for name, sweep in sweeps.items()}
    for sweep in sweeps.values():
        points = paper_line(sweep.paper, common) if sweep.paper else []
        series |= {f"paper: {sweep.paper}": points} if points else {}
    spoken_of = ", ".join(common) if len(common) < _MANY else f"{len(common)} languages"
    title = f"Pruned {', '.join(sweeps)} fine-tuning: mean of {spoken_of}"
    return [Plot("pruning-when", title, _X, _Y, series)]


def _trained(bench: Workbench, masked: Artifact, part: StudyPart, when: str, sparsity: float, seed: int) -> Artifact:
    more: dict[str, object] = {"languages": part.languages, "seed": seed}
    if sparsity == 0:
        return bench.make("finetune", masked, part.settings.learning, **more)
    return bench.make("prune", masked, part.settings.learning, when=when, sparsity=sparsity, **more)


def _time_lines(times: Mapping[float, ModelTimes]) -> dict[str, list[Point]]:
    return {
        "p50": [(percent(level), found.p50_ms) for level, found in times.items()],
        "processor": [(percent(level), found.cpu_ms) for level, found in times.items()],
    }
