"""Pruned models out of distribution: a few sentences of unseen languages, zero-shot, and a high-resource language."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

from edgeafri.artifact import Artifact
from edgeafri.builder.measurement_cache import SPLIT
from edgeafri.data.dataset import SPLITS, Sentence, check_labels, labels_of, read_split
from edgeafri.data.languages import language
from edgeafri.documents.quality import Quality
from edgeafri.documents.table import Cells, Column, Spread, Table, spread
from edgeafri.report.plot import Plot
from edgeafri.studies.levels import (
    Level,
    Sweep,
    compact_table,
    line,
    long_table,
    measure_level,
    percent,
    pruned,
    seeds_in_words,
    sparsities,
    zeros_of,
)
from edgeafri.studies.parts import StudyPart
from edgeafri.studies.pruning import ENCODER_NOTE
from edgeafri.studies.workbench import Workbench
from edgeafri.util.files import storage, write_whole

_IN_WORDS = "The paper reports this in words: near the known languages' F1, and fast downwards from 70 % sparsity."
_UNITS = "Entity F1 on test, in points, of float32 bundles through the runtime."


def check_few_shot(part: StudyPart, labels: Sequence[str]) -> None:
    """DataError or UsageError, before any work, for a language or a label that the teacher could not take up."""
    for code in part.languages:
        language(code)
        for name in SPLITS:
            check_labels(read_split(part.data, code, name), labels)


def check_high_resource(part: StudyPart, labels: Sequence[str]) -> None:
    """DataError, before any work, for a test split with a label that the teacher does not know."""
    for code in part.languages:
        check_labels(read_split(part.data, code, SPLIT), labels)


def check_zero_shot(part: StudyPart, targets: Sequence[str]) -> None:
    """DataError, before any work, for a test split with a label that a source language does not have."""
    tests = [read_split(part.data, code, SPLIT) for code in targets]
    for source in part.languages:
        labels = labels_of(read_split(part.data, source, name) for name in ("train", "dev"))
        for test in tests:
            check_labels(test, labels)


def few_shot(bench: Workbench, teacher: Artifact, part: StudyPart) -> list[Table | Plot]:
    """The pruned teacher fine-tuned on k sentences of one unseen language, its zeros held, level by level."""
    count, place = part.settings.k, bench.request.work / "few-shot"
    few = {code: write_few(part.data, code, count, place / f"{code}-{count}") for code in part.languages}
    sweep = Sweep(
        tuple(_few_shot_level(bench, teacher, part, few, at) for at in sparsities(part.settings)), part.languages
    )
    notes = (
        f"The teacher is pruned, then fine-tuned on {count} sentences of the language, spread over its train split; "
        f"the epoch is chosen on {count} of dev. The zeros stay. {seeds_in_words(part.seeds)}",
        _UNITS,
        _IN_WORDS,
    )
    title = f"Few-shot: {count} sentences of an unseen language"
    series = {code: line(sweep, (code,)) for code in sweep.languages}
    return [
        compact_table(sweep, "few-shot", title, notes),
        long_table(sweep, "few-shot-all", f"{title}, every figure", notes),
        Plot("few-shot", title, "sparsity (%)", "F1 (points)", series),
    ]


def high_resource(bench: Workbench, teacher: Artifact, part: StudyPart) -> list[Table | Plot]:
    """The pruned teachers on a language that they were never fine-tuned on."""
    levels = []
    for sparsity in sparsities(part.settings):
        model = pruned(bench, teacher, sparsity)
        levels.append(measure_level(bench, sparsity, (model,), bench.request.languages, part.languages, part.data))
    sweep = Sweep(tuple(levels), part.languages)
    notes = (
        "The pruned teachers as they are: nothing is learnt from the language, where the paper fine-tuned on it. One "
        "model a level, no seeds.",
        _UNITS,
    )
    title = "Zero-shot on a high-resource language"
    return [
        compact_table(sweep, "high-resource", title, notes),
        long_table(sweep, "high-resource-all", f"{title}, every figure", notes),
    ]


def zero_shot(bench: Workbench, masked: Artifact, part: StudyPart) -> list[Table | Plot]:
    """An encoder fine-tuned on one language alone and pruned after it, tested on every other: source x target."""
    sweeps = {source: _from_one(bench, masked, part, source) for source in part.languages}
    notes = (
        "A row is fine-tuned on its source alone, then pruned; the column of the source itself is what it was taught. "
        "others, best and worst leave the source out.",
        f"{seeds_in_words(part.seeds)} {_UNITS}",
        ENCODER_NOTE,
        "The paper reports this in words: F1 between 40 and 60 % holds to 50 % sparsity and falls at 70 %.",
    )
    title = "Zero-shot between languages"
    return [
        zero_shot_table(sweeps, bench.request.languages, "zero-shot", title, notes),
        zero_shot_pairs(sweeps, "zero-shot-all", f"{title}, every pair", notes),
    ]


def zero_shot_table(
    sweeps: Mapping[str, Sweep], languages: Sequence[str], name: str, title: str, notes: Sequence[str]
) -> Table:
    """A row per source and level: F1 on every language, and of those not taught the mean, the best and the worst."""
    rows = [_zero_shot_row(source, level, languages) for source, sweep in sweeps.items() for level in sweep.levels]
    columns = (*_SOURCE, *(Column(code, code) for code in languages), *_OTHERS)
    return Table(name, title, columns, tuple(rows), tuple(notes))


def zero_shot_pairs(sweeps: Mapping[str, Sweep], name: str, title: str, notes: Sequence[str]) -> Table:
    """A row per source, target and level."""
    rows: list[Cells] = [
        {"source": source, "target": target, "sparsity": percent(level.sparsity), "f1": _mean(level, target)}
        for source, sweep in sweeps.items()
        for level in sweep.levels
        for target in sweep.languages
        if target != source
    ]
    columns = (_SOURCE[0], Column("target", "target"), _SOURCE[1], Column("f1", "F1"))
    return Table(name, title, columns, tuple(rows), tuple(notes), long=True)


def write_few(data: Path, code: str, count: int, folder: Path) -> Path:
    """A data folder with `count` sentences of a language's train and dev splits, evenly spread, always the same."""
    with storage(folder):
        (folder / code).mkdir(parents=True, exist_ok=True)
        for name in ("train", "dev"):
            sentences = spread_over(read_split(data, code, name).sentences, count)
            write_whole(folder / code / f"{name}.txt", "\n".join(map(_conll, sentences)))
    return folder


def spread_over(sentences: Sequence[Sentence], count: int) -> list[Sentence]:
    """`count` of them at equal distances, or all."""
    size = len(sentences)
    return [sentences[number * size // count] for number in range(count)] if count < size else list(sentences)


def _conll(sentence: Sentence) -> str:
    # A word of nothing but zero-width characters is read as "", which cannot be written as it is.
    return "".join(f"{word or _INVISIBLE}\t{tag}\n" for word, tag in zip(sentence.words, sentence.tags, strict=True))


def _few_shot_level(
    bench: Workbench, teacher: Artifact, part: StudyPart, few: Mapping[str, Path], sparsity: float
) -> Level:
    start = pruned(bench, teacher, sparsity)
    tuned = [_tuned(bench, start, part, few, seed) for seed in part.seeds]
    bundles = tuple(bundle for models in tuned for bundle in models.values())
    quality = tuple(_each_on_its_own(bench, models, part.data) for models in tuned)
    return Level(sparsity, zeros_of(start), bundles, quality)


def _tuned(
    bench: Workbench, start: Artifact, part: StudyPart, few: Mapping[str, Path], seed: int
) -> dict[str, Artifact]:
    """A bundle for each language."""
    learning = part.settings.learning
    models = {
        code: bench.make("finetune", start, learning, languages=(code,), data=folder, seed=seed)
        for code, folder in few.items()
    }
    return {code: bench.bundle(model, (code,)) for code, model in models.items()}


def _each_on_its_own(bench: Workbench, bundles: Mapping[str, Artifact], data: Path) -> Quality:
    return {code: bench.quality(bundle, (code,), data)[code] for code, bundle in bundles.items()}


def _from_one(bench: Workbench, masked: Artifact, part: StudyPart, source: str) -> Sweep:
    codes, learning = bench.request.languages, part.settings.learning
    taught = [bench.make("finetune", masked, learning, languages=(source,), seed=seed) for seed in part.seeds]
    levels = (
        measure_level(bench, sparsity, [pruned(bench, model, sparsity) for model in taught], codes, codes)
        for sparsity in sparsities(part.settings)
    )
    return Sweep(tuple(levels), codes)


def _zero_shot_row(source: str, level: Level, languages: Sequence[str]) -> Cells:
    found = {code: _mean(level, code) for code in languages}
    others = [code for code in languages if code != source]
    row: Cells = {"source": source, "sparsity": percent(level.sparsity), **found}
    if not others:
        return row
    means = [fmean(quality[code].f1 for code in others) for quality in level.quality]
    best, worst = (choose(others, key=lambda code: found[code].mean) for choose in (max, min))
    return {**row, "others": spread(means), "best": best, "worst": worst}


def _mean(level: Level, code: str) -> Spread:
    return spread([quality[code].f1 for quality in level.quality])


_INVISIBLE = "\u200b"
_SOURCE = (Column("source", "source"), Column("sparsity", "sparsity", "%", 0))
_OTHERS = (Column("others", "others"), Column("best", "best"), Column("worst", "worst"))
