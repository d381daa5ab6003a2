"""One model at several sparsities: what it lost at each, per language and on average, beside the paper's figures."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from edgeafri.artifact import Artifact
from edgeafri.documents.quality import AVERAGE, Drop, Quality
from edgeafri.documents.study import ModelTimes
from edgeafri.documents.table import Cells, Column, Spread, Table, spread
from edgeafri.inference.comparison import counts_of
from edgeafri.inference.metrics import average_drop
from edgeafri.menu import facts_of
from edgeafri.menu.facts.training import PruneFacts
from edgeafri.studies import papers
from edgeafri.studies.papers import PruneRow
from edgeafri.studies.parts import PartSettings
from edgeafri.studies.workbench import Workbench

OTHER_TEACHER = "Another teacher than the paper's: the shapes of curves are compared, not values."
_FIGURES = ("loss", "precision", "recall", "f1", "seconds")
Point = tuple[float, float]


@dataclass(frozen=True)
class Level:
    """The models of one sparsity, one for each seed: their bundles, their quality, how many weights of one are 0."""

    sparsity: float
    zeros: int
    bundles: tuple[Artifact, ...]
    quality: tuple[Quality, ...]


@dataclass(frozen=True)
class Sweep:
    """All levels of one experiment, the dense first, and the languages it was measured on."""

    levels: tuple[Level, ...]
    languages: tuple[str, ...]
    paper: papers.When | None = None


def sparsities(settings: PartSettings) -> tuple[float, ...]:
    """The levels of a part of the grid, in order, and the dense model that they are compared with."""
    return tuple(sorted({0.0, *map(float, settings.sparsity)}))


def pruned(bench: Workbench, model: Artifact, sparsity: float) -> Artifact:
    """The model with that share of its linear weights at zero; itself at 0. Nothing is trained."""
    return bench.make("prune", model, {"when": "after", "sparsity": sparsity}) if sparsity else model


def measure_level(
    bench: Workbench,
    sparsity: float,
    models: Sequence[Artifact],
    served: tuple[str, ...],
    tested: tuple[str, ...],
    data: Path | None = None,
) -> Level:
    """Models of one sparsity, bundled for the languages `served` and measured on those `tested`."""
    bundles = tuple(bench.bundle(model, served) for model in models)
    quality = tuple(bench.quality(bundle, tested, data) for bundle in bundles)
    return Level(sparsity, zeros_of(models[0]), bundles, quality)


def zeros_of(model: Artifact) -> int:
    """How many linear weights the stage that made a model left at zero; 0 where it says nothing of them."""
    facts = facts_of(model.manifest)
    return facts.zeros if isinstance(facts, PruneFacts) else 0


def percent(sparsity: float) -> float:
    """0.7 as 70, without what floating point leaves after the decimal point."""
    return round(100 * sparsity, 2)


def seeds_in_words(seeds: Sequence[int]) -> str:
    """What the figures of several seeds are."""
    if len(seeds) == 1:
        return f"Seed {seeds[0]}."
    return f"Mean and standard deviation over the seeds {', '.join(map(str, seeds))}."


def long_table(sweep: Sweep, name: str, title: str, notes: Sequence[str] = ()) -> Table:
    """A row per level and language, as the paper's Tables 8 and 9 have them, and one for the average."""
    published = {(row.sparsity, row.lang): row for row in papers.pruning(sweep.paper)} if sweep.paper else {}
    dense = sweep.levels[0]
    rows: list[Cells] = []
    for level in sweep.levels:
        for code in (*sweep.languages, AVERAGE):
            codes = sweep.languages if code == AVERAGE else (code,)
            head: Cells = {"sparsity": percent(level.sparsity), "lang": code, "pruned": level.zeros}
            cells = {key: _spread(level, codes, key) for key in _FIGURES}
            paper = _published(published.get((level.sparsity, code)))
            rows.append({**head, **cells, **_lost(dense, level, codes), **paper})
    columns = (*_LONG, *(_PAPER if sweep.paper else ()))
    return Table(name, title, columns, tuple(rows), tuple(notes), long=True)


def compact_table(
    sweep: Sweep,
    name: str,
    title: str,
    notes: Sequence[str] = (),
    times: Mapping[float, ModelTimes] | None = None,
) -> Table:
    """A row per level: F1 per language and on average, the points lost, the language that lost most, the paper's F1.

    `times` holds what a sentence takes by level.
    """
    rows = [_compact_row(sweep, level, (times or {}).get(level.sparsity)) for level in sweep.levels]
    columns = (*_LEVEL, *(Column(code, code) for code in sweep.languages), *_COMPACT)
    columns += (*(_TIMES if times else ()), *(_PAPER_AVERAGE if sweep.paper else ()))
    return Table(name, title, columns, tuple(rows), tuple(notes))


def f1(level: Level, languages: Sequence[str]) -> Spread:
    """Mean F1 over the languages, its mean and deviation over seeds."""
    return _spread(level, languages, "f1")


def line(sweep: Sweep, languages: Sequence[str]) -> list[Point]:
    """Sparsity in percent and F1, one point per level."""
    return [(percent(level.sparsity), f1(level, languages).mean) for level in sweep.levels]


def notes_on_paper(subject: papers.Subject, without: str = "nothing") -> tuple[str, ...]:
    """The paper, and what is odd about its figures, but not what is odd about the table named in `without`."""
    source = papers.source(subject)
    return (
        f"Paper: {source.paper}, {source.url}, {source.where}.",
        *(note for note in source.notes if without not in note),
    )


def paper_line(when: papers.When, languages: Sequence[str]) -> list[Point]:
    """The paper's F1 on average over these languages, where all of them could be read."""
    levels = sorted({row.sparsity for row in papers.pruning(when)})
    found = ((percent(level), paper_f1(when, level, languages)) for level in levels)
    return [(level, mean) for level, mean in found if mean is not None]


def paper_f1(when: papers.When, sparsity: float, languages: Sequence[str]) -> float | None:
    """The paper's mean F1 at a level; None where one of the languages is missing."""
    known = {row.lang: row.f1 for row in papers.pruning(when) if row.sparsity == sparsity}
    values = [known.get(code) for code in languages]
    there = [value for value in values if value is not None]
    return fmean(there) if there and len(there) == len(values) else None


def drop_of(before: Quality, after: Quality, languages: Iterable[str]) -> Drop:
    """F1 points lost on average over the languages, with the paired bootstrap interval."""
    codes = tuple(languages)
    return average_drop(counts_of(before, codes), counts_of(after, codes))


def worst_of(before: Sequence[Quality], after: Sequence[Quality], languages: Sequence[str]) -> tuple[str, float]:
    """The language that lost most F1 points, and how many, on average over seeds."""
    losses = {
        code: fmean(
            _points(ours, (code,)) - _points(theirs, (code,)) for ours, theirs in zip(before, after, strict=True)
        )
        for code in languages
    }
    worst = max(losses, key=lambda code: losses[code])
    return worst, losses[worst]


def _compact_row(sweep: Sweep, level: Level, times: ModelTimes | None) -> Cells:
    dense = sweep.levels[0]
    row: Cells = {"sparsity": percent(level.sparsity), "pruned": level.zeros}
    row |= {code: f1(level, (code,)) for code in sweep.languages}
    row[AVERAGE] = f1(level, sweep.languages)
    if times is not None:
        row |= {"p50_ms": times.p50_ms, "cpu_ms": times.cpu_ms}
    if level is not dense:
        row["worst"], row["worst_lost"] = worst_of(dense.quality, level.quality, sweep.languages)
        row |= _lost(dense, level, sweep.languages)
    if sweep.paper:
        row["paper"] = paper_f1(sweep.paper, level.sparsity, sweep.languages)
    return row


def _lost(dense: Level, level: Level, codes: Sequence[str]) -> Cells:
    """Points lost against the dense model of the same seed; of a single model with its interval."""
    if level is dense:
        return {}
    pairs = list(zip(dense.quality, level.quality, strict=True))
    lost = {"lost": spread([_points(before, codes) - _points(after, codes) for before, after in pairs])}
    if len(pairs) > 1:
        return {**lost}
    found = drop_of(*pairs[0], codes)
    return {**lost, "low": found.low, "high": found.high}


def _spread(level: Level, codes: Sequence[str], key: str) -> Spread:
    return spread([fmean(float(getattr(quality[code], key)) for code in codes) for quality in level.quality])


def _points(quality: Quality, codes: Sequence[str]) -> float:
    return fmean(quality[code].f1 for code in codes)


def _published(row: PruneRow | None) -> Cells:
    if row is None:
        return {}
    return {
        "paper_loss": row.loss,
        "paper_precision": row.precision,
        "paper_recall": row.recall,
        "paper_f1": row.f1,
        "paper_seconds": row.inference_s,
        "paper_pruned": row.pruned_parameters,
    }


_LEVEL = (Column("sparsity", "sparsity", "%", 0), Column("pruned", "pruned weights"))
_LOST = (Column("lost", "lost"), Column("low", "from"), Column("high", "to"))
_WORST = (Column("worst", "lost most"), Column("worst_lost", "its loss"))
_COMPACT = (Column(AVERAGE, "avg"), *_LOST, *_WORST)
_TIMES = (Column("p50_ms", "p50", "ms"), Column("cpu_ms", "processor", "ms"))
_PAPER_AVERAGE = (Column("paper", "paper: avg", digits=1),)
_LONG = (
    _LEVEL[0],
    Column("lang", "language"),
    Column("loss", "loss", digits=4),
    Column("precision", "precision"),
    Column("recall", "recall"),
    Column("f1", "F1"),
    Column("seconds", "time", "s", 3),
    _LEVEL[1],
    *_LOST,
)
_PAPER = (
    Column("paper_loss", "paper: loss"),
    Column("paper_precision", "paper: precision"),
    Column("paper_recall", "paper: recall"),
    Column("paper_f1", "paper: F1"),
    Column("paper_seconds", "paper: time", "s"),
    Column("paper_pruned", "paper: pruned parameters"),
)
