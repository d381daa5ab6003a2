"""The MAFT study (Alabi et al. 2022): vocabulary reduction times adaptation, measured per language on MasakhaNER.

An encoder that never saw some of the languages gets a smaller vocabulary or keeps its own, and is adapted to all of the
languages or not. Every one of these is fine-tuned on all languages together. What adaptation brings to languages that
the encoder knew already is memory and more training; to the unseen ones it is adaptation, so the two are kept apart.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean

import numpy as np

from edgeafri.artifact import Artifact, adopt
from edgeafri.builder.events import OnEvent
from edgeafri.builder.teacher import config_of, head_of
from edgeafri.data.dataset import languages_in, text_files
from edgeafri.documents.base import Document
from edgeafri.documents.quality import Drop, Quality
from edgeafri.documents.table import Cell, Cells, Column, Table, spread
from edgeafri.errors import ModelError, UsageError
from edgeafri.inference.comparison import counts_of
from edgeafri.inference.metrics import MatchCounts, average_drop
from edgeafri.menu.facts.conversion import TrimFacts
from edgeafri.menu.facts.training import AdaptMaftFacts, BeforeAfter
from edgeafri.studies import papers
from edgeafri.studies.page import StudyPage
from edgeafri.studies.workbench import (
    Settings,
    StudyRequest,
    Workbench,
    in_words,
    parameters,
    read_grid,
    weights_mb,
)
from edgeafri.util.files import Digests

TASK = "ner"
FULL = "full"  # the encoder's own vocabulary, beside those that the grid names


@dataclass(frozen=True, kw_only=True)
class MaftGrid(Document):
    """Settings of the steps, and of the vocabularies by name; `unseen` and `beside` are for an encoder of its own.

    `encoder` is None in a grid that makes none.
    """

    seeds: tuple[int, ...] | None = None
    unseen: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    encoder: Settings | None = None
    pretraining: Settings = field(default_factory=dict)
    vocabularies: Mapping[str, Settings]
    adaptation: Settings
    learning: Settings


@dataclass(frozen=True, kw_only=True)
class VocabularySize(Document):
    """What of an encoder's config.json says how many subwords it knows."""

    vocab_size: int


@dataclass(frozen=True)
class Cover:
    """How a vocabulary cuts text of a language that its choice did not count; None where there was no such text.

    Subwords per word, the share of them that are unknown, and of a smaller vocabulary the share that is kept.
    """

    fertility: float | None
    unknown: float | None
    coverage: float | None = None


@dataclass(frozen=True)
class SeenLanguages:
    """Which of the study's languages the encoder saw, which it did not, and what it saw beside them.

    `beside` is None for a teacher: only its owner could say.
    """

    seen: tuple[str, ...]
    unseen: tuple[str, ...]
    beside: tuple[str, ...] | None


@dataclass(frozen=True)
class Tuned:
    """An encoder fine-tuned with every seed: its size as a bundle, and its quality, one for each seed."""

    million_parameters: float
    graph_mb: float
    quality: tuple[Quality, ...]


@dataclass(frozen=True)
class Variant:
    """One vocabulary: the encoder as it came and adapted, fine-tuned both.

    By language, as far as known: `cover` holds what `trim` counted, `perplexity` what it was on held-out lines before
    and after adaptation.
    """

    name: str
    subwords: int
    cover: Mapping[str, Cover]
    perplexity: Mapping[str, BeforeAfter]
    plain: Tuned
    adapted: Tuned


def run(request: StudyRequest, digests: Digests, on_event: OnEvent) -> StudyPage:
    """Make the encoder if none is given, reduce, adapt and fine-tune it, and put it beside the paper's figures."""
    grid = read_grid(MaftGrid, "maft", request.grid)
    known = seen_languages(request, grid)
    if grid.seeds is not None:
        request = replace(request, seeds=grid.seeds)
    bench = Workbench(request, TASK, digests, on_event)
    bench.check_data(None)
    encoder = _teacher(bench) if request.teacher else _pretrained(bench, grid, known, digests)
    cuts = {name: bench.make("trim", encoder, settings) for name, settings in grid.vocabularies.items()}
    counted = {name: TrimFacts.from_json(cut.manifest.facts) for name, cut in cuts.items()}
    covers = {FULL: _cover_before(next(iter(counted.values())))}
    covers |= {name: _cover(facts) for name, facts in counted.items()}
    variants = [_variant(bench, grid, name, plain, covers[name]) for name, plain in {FULL: encoder, **cuts}.items()]
    return StudyPage(
        (
            quality_table(request, known, variants),
            gain_table(known, variants),
            loss_table(known, variants),
            perplexity_table(known, variants),
            cover_table(known, variants),
            paper_table(),
            steps_table(request, grid),
        )
    )


def languages_of(data: Path) -> tuple[str, ...]:
    """All languages of the data."""
    return languages_in(data)


def seen_languages(request: StudyRequest, grid: MaftGrid) -> SeenLanguages:
    """What the encoder saw, told before any work. UsageError where adaptation would have nothing to show.

    Without a teacher the grid says which languages the study's own encoder does without.
    """
    if request.teacher and not request.unseen:
        hint = "Add --unseen lug,luo: the languages that it was never trained on. Only then is adaptation measured."
        raise UsageError(f"study maft: what {request.teacher} never saw is not known", hint)
    if not request.teacher and grid.encoder is None:
        hint = "Add --teacher ENCODER and --unseen CODES, or use --grid lab."
        raise UsageError(f"study maft: the grid '{request.grid}' makes no encoder of its own", hint)
    unknown = [code for code in request.unseen if code not in request.languages]
    if unknown:
        hint = f"The languages are {', '.join(request.languages)}."
        raise UsageError(f"study maft: --unseen names {unknown[0]}, which the study is not asked for", hint)
    named = request.unseen or grid.unseen
    unseen = tuple(code for code in request.languages if code in named)
    seen = tuple(code for code in request.languages if code not in named)
    if not seen or not unseen:
        hint = "Change --lang or --unseen: of the languages some must be seen, and some must not."
        raise UsageError(
            f"study maft: of {', '.join(request.languages)}, unseen are {', '.join(unseen) or 'none'}", hint
        )
    beside = None if request.teacher else tuple(code for code in grid.beside if code not in request.languages)
    return SeenLanguages(seen, unseen, beside)


def quality_table(request: StudyRequest, known: SeenLanguages, variants: Sequence[Variant]) -> Table:
    """A row per vocabulary, adapted or not: its size, F1 per language, and the means of seen and unseen languages."""
    rows = [
        {
            "vocabulary": variant.name,
            "adapted": shown,
            "sub_words": variant.subwords,
            "parameters": tuned.million_parameters,
            "graph_mb": tuned.graph_mb,
            **_f1(tuned.quality, known),
        }
        for variant in variants
        for shown, tuned in (("no", variant.plain), ("yes", variant.adapted))
    ]
    notes = (
        "Entity F1 on test, in points, of float32 bundles through the runtime; mean and standard deviation over "
        f"the seeds {', '.join(map(str, request.seeds))}.",
        *seen_in_words(known),
        "Vocabulary is reduced before adaptation. Every encoder is fine-tuned on all languages together; the paper "
        "fine-tunes on each language alone.",
        "An adapted encoder has also read more text of the languages that it knew.",
    )
    columns = (*_HEAD, *(Column(code, code) for code in (*known.seen, *known.unseen)), *_MEANS)
    return Table("maft-quality", "F1 per language", columns, tuple(rows), notes)


def gain_table(known: SeenLanguages, variants: Sequence[Variant]) -> Table:
    """A row per language: the F1 that adaptation brings, for every vocabulary, with its interval."""
    pairs = {item.name: (item.plain, item.adapted) for item in variants}
    notes = (
        "F1 points of the adapted encoder over the same one as it was, on the same sentences, with the paired "
        "bootstrap interval (95 %). Counts of all seeds are taken together.",
        "For the means every language is resampled on its own.",
    )
    return _differences("maft-gain", "What adaptation brings", known, pairs, notes)


def loss_table(known: SeenLanguages, variants: Sequence[Variant]) -> Table:
    """A row per language: the F1 of a reduced vocabulary beside that of the whole, adapted and not."""
    whole, *cut = variants
    pairs = {}
    for item in cut:
        pairs[item.name] = (whole.plain, item.plain)
        pairs[f"{item.name}, adapted"] = (whole.adapted, item.adapted)
    notes = (
        "F1 points of a reduced vocabulary over the full one, both adapted or both not: below zero is a loss. "
        "Intervals as above.",
    )
    return _differences("maft-reduction", "What the smaller vocabulary costs", known, pairs, notes)


def perplexity_table(known: SeenLanguages, variants: Sequence[Variant]) -> Table:
    """A row per language: the masked-LM perplexity on held-out lines, before and after adaptation."""
    cells = [(item, when) for item in variants for when in ("before", "after")]
    columns = [Column(f"{item.name}_{when}", f"{item.name}: {when}", digits=1) for item, when in cells]
    rows = [
        {f"{item.name}_{when}": _perplexity(item, code, when) for item, when in cells}
        for code in (*known.seen, *known.unseen)
    ]
    notes = (
        "Perplexity of masked subwords on lines that are not learnt from; the same lines and places before and after.",
        "It is comparable within one vocabulary only: fewer subwords to choose from, or shorter ones, are easier.",
    )
    return Table("maft-perplexity", "Held-out perplexity", (*_LANGUAGE, *columns), _named(known, rows), notes)


def cover_table(known: SeenLanguages, variants: Sequence[Variant]) -> Table:
    """A row per language: subwords per word, unknown ones, and of the running subwords those that are kept."""
    cells = [
        (item, key)
        for item in variants
        for key in _COVER
        if any(getattr(found, key) is not None for found in item.cover.values())  # the whole vocabulary keeps nothing
    ]
    columns = [Column(f"{item.name}_{key}", f"{item.name}: {_COVER[key][0]}", _COVER[key][1]) for item, key in cells]
    rows = [
        {f"{item.name}_{key}": _times(getattr(item.cover.get(code), key, None), _COVER[key][2]) for item, key in cells}
        for code in (*known.seen, *known.unseen)
    ]
    notes = ("On sentences that the choice of the vocabulary did not count.",)
    return Table("maft-vocabulary", "The vocabularies", (*_LANGUAGE, *columns), _named(known, rows), notes)


def paper_table() -> Table:
    """The model card's table turned on its side, and what adaptation brings there."""
    models = {item.name: item for item in papers.maft()}
    rows: list[Cells] = [{"model": item.name, **item.f1, "avg": fmean(item.f1.values())} for item in models.values()]
    for item in models.values():
        if item.adapted_from:
            gain = {code: f1 - models[item.adapted_from].f1[code] for code, f1 in item.f1.items()}
            rows.append({"model": f"{item.name} over {item.adapted_from}", **gain, "avg": fmean(gain.values())})
    columns = (Column("model", "model"), *(Column(code, code, digits=1) for code in next(iter(models.values())).f1))
    source = papers.source("maft")
    notes = (f"{source.paper}, {source.url}, {source.where}.", *source.notes)
    return Table("maft-paper", "The paper's figures", (*columns, Column("avg", "avg", digits=1)), tuple(rows), notes)


def steps_table(request: StudyRequest, grid: MaftGrid) -> Table:
    """The settings of every step."""
    own = {} if request.teacher else {"encoder": grid.encoder or {}, "pretraining": grid.pretraining}
    steps = {**own, "adaptation": grid.adaptation, "learning": grid.learning}
    steps |= {f"vocabulary: {name}": settings for name, settings in grid.vocabularies.items()}
    rows = tuple({"step": name, "settings": in_words(settings)} for name, settings in steps.items())
    columns = (Column("step", "step"), Column("settings", "settings"))
    return Table("maft-steps", f"Settings of the grid '{request.grid}'", columns, rows)


def seen_in_words(known: SeenLanguages) -> tuple[str, ...]:
    """Which languages the encoder saw, in words."""
    seen, unseen = ", ".join(known.seen), ", ".join(known.unseen)
    if known.beside is None:
        return (f"The encoder was given: by its owner's word it never saw {unseen}, and it saw {seen}.",)
    beside = f", and beside them {', '.join(known.beside)}" if known.beside else ""
    return (
        f"The encoder was made by this study. It saw {seen}{beside}; neither its vocabulary nor its weights ever saw "
        f"{unseen}.",
    )


def _teacher(bench: Workbench) -> Artifact:
    """The encoder of the request. ModelError when it has learnt the task: only some variants would keep that."""
    teacher = bench.teacher()
    if head_of(teacher, TASK):
        raise ModelError(
            f"study maft: {bench.request.teacher} has learnt {TASK} already", "Give the encoder before that."
        )
    return teacher


def _pretrained(bench: Workbench, grid: MaftGrid, known: SeenLanguages, digests: Digests) -> Artifact:
    """An encoder of the study's own: vocabulary and weights learnt from raw text without the unseen languages."""
    languages, text = (*known.seen, *(known.beside or ())), bench.request.text
    if text is None:
        raise UsageError("study maft: --text is missing", "Add --text DIR, a folder with LANG.txt to learn from.")
    text_files(text, languages)
    corpus = adopt(text, "corpus", TASK, languages, digests)
    empty = bench.make("scratch", corpus, grid.encoder or {}, languages=languages)
    return bench.make("adapt-maft", empty, grid.pretraining, languages=languages)


def _cover(facts: TrimFacts) -> dict[str, Cover]:
    """What `trim` counted by language of the smaller vocabulary."""
    found = {code: own.held_out for code, own in facts.languages.items()}
    return {code: Cover(own.fertility, own.unknown, own.coverage) for code, own in found.items()}


def _cover_before(facts: TrimFacts) -> dict[str, Cover]:
    """What `trim` counted by language of the vocabulary that it cut."""
    found = {code: own.held_out for code, own in facts.languages.items()}
    return {code: Cover(own.fertility_before, own.unknown_before) for code, own in found.items()}


def _perplexity(variant: Variant, code: str, when: str) -> float | None:
    found = variant.perplexity.get(code)
    return None if found is None else found.before if when == "before" else found.after


def _variant(bench: Workbench, grid: MaftGrid, name: str, plain: Artifact, cover: Mapping[str, Cover]) -> Variant:
    adapted = bench.make("adapt-maft", plain, grid.adaptation)
    return Variant(
        name,
        subwords=VocabularySize.from_json(config_of(plain), "config.json").vocab_size,
        cover=cover,
        perplexity=AdaptMaftFacts.from_json(adapted.manifest.facts).perplexity,
        plain=_tuned(bench, plain, grid.learning),
        adapted=_tuned(bench, adapted, grid.learning),
    )


def _tuned(bench: Workbench, encoder: Artifact, learning: Settings) -> Tuned:
    languages = bench.request.languages
    models = [bench.make("finetune", encoder, learning, seed=seed) for seed in bench.request.seeds]
    bundles = [bench.bundle(model, languages) for model in models]
    quality = tuple(bench.quality(bundle, languages) for bundle in bundles)
    return Tuned(parameters(models[0]) / 1e6, weights_mb(bundles[0]), quality)


def _f1(quality: Sequence[Quality], known: SeenLanguages) -> Cells:
    groups = {"seen": known.seen, "unseen": known.unseen, **{code: (code,) for code in (*known.seen, *known.unseen)}}
    return {
        name: spread([fmean(found[code].f1 for code in codes) for found in quality]) for name, codes in groups.items()
    }


def _differences(
    name: str, title: str, known: SeenLanguages, pairs: Mapping[str, tuple[Tuned, Tuned]], notes: tuple[str, ...]
) -> Table:
    """A row per language and two for the means: F1 of the second over the first of every pair."""
    groups = {code: (code,) for code in (*known.seen, *known.unseen)}
    rows = []
    for shown, codes in {**groups, "mean of seen": known.seen, "mean of unseen": known.unseen}.items():
        row: Cells = {"lang": shown, "seen": _yes(codes[0] in known.seen)}
        for pair, (first, second) in pairs.items():
            lost = _lost(first.quality, second.quality, codes)
            row |= {pair: -lost.value, f"{pair}_low": -lost.high, f"{pair}_high": -lost.low}
        rows.append(row)
    columns = [
        column
        for pair in pairs
        for column in (Column(pair, pair), Column(f"{pair}_low", "from"), Column(f"{pair}_high", "to"))
    ]
    return Table(name, title, (*_LANGUAGE, *columns), tuple(rows), notes)


def _lost(first: Sequence[Quality], second: Sequence[Quality], codes: Sequence[str]) -> Drop:
    def summed(side: Sequence[Quality]) -> dict[str, MatchCounts]:
        found = [counts_of(quality, codes) for quality in side]
        return {code: np.sum([counts[code] for counts in found], axis=0) for code in codes}

    return average_drop(summed(first), summed(second))


def _times(value: float | None, factor: int) -> float | None:
    return None if value is None else value * factor


def _named(known: SeenLanguages, rows: Sequence[Mapping[str, Cell]]) -> tuple[Cells, ...]:
    """Rows in the order of the languages, with their names."""
    languages = (*known.seen, *known.unseen)
    return tuple(
        {"lang": code, "seen": _yes(code in known.seen), **row} for code, row in zip(languages, rows, strict=True)
    )


def _yes(true: bool) -> str:
    return "yes" if true else "no"


_HEAD = (
    Column("vocabulary", "vocabulary"),
    Column("adapted", "adapted"),
    Column("sub_words", "subwords"),
    Column("parameters", "parameters", "million"),
    Column("graph_mb", "graph", "MB"),
)
_MEANS = (Column("seen", "mean of seen"), Column("unseen", "mean of unseen"))
_LANGUAGE = (Column("lang", "language"), Column("seen", "seen by the encoder"))
# What trim counts by language: how it is called, its unit, and what it is multiplied by.
_COVER = {"fertility": ("subwords per word", "", 1), "unknown": ("unknown", "%", 100), "coverage": ("kept", "%", 100)}
