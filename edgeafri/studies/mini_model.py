"""The mini-model study (Marchisio et al. 2023): new languages for an encoder, at a part of the cost.

An encoder reads the source languages and learns the task in them, its embeddings frozen. Every target language gets
embeddings of its own, learnt through the whole encoder or through a mini-model in it, at several budgets; the task's
head is kept. What it labels then is zero-shot, and with a few sentences of the target, few-shot.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from edgeafri.artifact import Artifact
from edgeafri.builder.events import OnEvent
from edgeafri.builder.teacher import config_of
from edgeafri.data.dataset import labels_of, languages_in, read_split, text_files
from edgeafri.documents.base import Document
from edgeafri.documents.table import Cells, Column, Spread, Table, spread
from edgeafri.errors import UsageError
from edgeafri.menu import facts_of
from edgeafri.menu.facts.training import AdaptMaftFacts, AdaptMiniFacts
from edgeafri.report.plot import Plot
from edgeafri.studies import papers
from edgeafri.studies.generalisation import check_few_shot, write_few
from edgeafri.studies.page import StudyPage
from edgeafri.studies.parts import PartSettings, StudyPart
from edgeafri.studies.workbench import Settings, StudyRequest, Workbench, masked_teacher, read_grid
from edgeafri.util.files import Digests

TASK = "ner"
STANDARD, JOINT, POST = "standard", "mini-joint", "mini-post"
_BEFORE = "not adapted"
_TERA = 1e12


@dataclass(frozen=True)
class Primary:
    """A masked LM that targets are added to, the same one with the task's head, and F1 on its source languages."""

    masked: Artifact
    tuned: Artifact
    source_f1: float


@dataclass(frozen=True)
class TargetVocabulary:
    """A tokenizer's size, and how it cuts a target's raw text: subwords per word, and the share that are unknown."""

    size: int
    fertility: float
    unknown: float


@dataclass(frozen=True)
class Adapted:
    """One target by one method with one budget, and its F1. Without an adaptation: the encoder as it was."""

    target: str
    method: str
    epochs: int
    vocabulary: TargetVocabulary
    zero_shot: float
    few_shot: Spread
    flops: int | None = None
    perplexity: float | None = None


@dataclass(frozen=True, kw_only=True)
class MiniModelGrid(Document):
    """Settings of the steps. `budgets` are the epochs of an adaptation, one after the other."""

    pretraining: Settings
    new_layers: Settings
    learning: Settings
    adaptation: Settings
    budgets: tuple[int, ...]
    few_shot: PartSettings


@dataclass(frozen=True, kw_only=True)
class EncoderDepth(Document):
    """What of an encoder's config.json says how deep it is."""

    num_hidden_layers: int


def run(request: StudyRequest, digests: Digests, on_event: OnEvent) -> StudyPage:
    """Make the primaries, adapt them to every target, and measure all through the runtime."""
    grid = read_grid(MiniModelGrid, "mini-model", request.grid)
    few = checked(request, grid)
    bench = Workbench(request, TASK, digests, on_event)
    bench.check_data(None)
    depth = mini_depth(EncoderDepth.from_json(config_of(bench.teacher()), f"{request.teacher}: config.json"))
    plain = masked_teacher(bench, grid.pretraining)
    joint = bench.make("adapt-maft", bench.teacher(), grid.pretraining, second_head=depth["second_head"])
    post = bench.make("adapt-maft", plain, grid.new_layers, **depth)
    own = _primary(bench, plain, grid.learning)
    primaries = {
        STANDARD: own,
        JOINT: _primary(bench, joint, grid.learning),
        POST: Primary(post, own.tuned, own.source_f1),
    }
    found = [item for target in few.languages for item in _target(bench, primaries, target, grid, few)]
    return StudyPage((quality_table(request, few, found), *plots(found), cost_table(primaries, depth), paper_table()))


def languages_of(data: Path) -> tuple[str, ...]:
    """The source languages: all of the data."""
    return languages_in(data)


def mini_depth(encoder: EncoderDepth) -> dict[str, int]:
    """The source's proportions: the second head after a third of the layers, a new layer for every sixth of them."""
    layers = encoder.num_hidden_layers
    third = max(1, layers // 3)
    return {"second_head": third, "new_layers": max(1, layers // 2 - third)}


def checked(request: StudyRequest, grid: MiniModelGrid) -> StudyPart:
    """The targets and their data, checked before any work. UsageError or DataError for what cannot be."""
    if request.few_shot_data is None or request.text is None:
        hint = "Add --few-shot-data DIR: labelled data of languages that are not among the source languages."
        raise UsageError("study mini-model: no language to adapt to", hint)
    targets = languages_in(request.few_shot_data)
    both = [code for code in targets if code in request.languages]
    if both:
        hint = "Name the source languages with --lang, without it, or take it out of --few-shot-data."
        raise UsageError(f"study mini-model: {both[0]} is a source and a target language", hint)
    seeds = request.seeds if grid.few_shot.seeds is None else grid.few_shot.seeds
    part = StudyPart("few-shot", request.few_shot_data, grid.few_shot, targets, seeds)
    splits = (read_split(request.data, code, name) for code in request.languages for name in ("train", "dev"))
    check_few_shot(part, labels_of(splits))
    text_files(request.text, targets)
    return part


def quality_table(request: StudyRequest, few: StudyPart, found: Sequence[Adapted]) -> Table:
    """A row per target, method and budget: its cost, beside the standard's, and its quality, beside the standard's."""
    standard = {(item.target, item.epochs): item for item in found if item.method == STANDARD}
    rows = tuple(_row(item, standard.get((item.target, item.epochs))) for item in found)
    count = few.settings.k
    notes = (
        "cost: floating-point operations of the adaptation, forward and backward, the validation of its epochs not "
        "counted; of standard: against the standard method with as many epochs.",
        "perplexity: of masked subwords on lines held back, by the whole encoder with the new embeddings. subwords "
        "per word and unknown subwords: of the tokenizer that the row uses, on the target's raw text.",
        "Entity F1 on the target's test split, in points, of float32 bundles through the runtime. kept: zero-shot, "
        "against the standard method with as many epochs.",
        f"few-shot: fine-tuned on {count} sentences of the target's train split, embeddings and all, the epoch chosen "
        f"on {count} of dev. Seeds: {', '.join(map(str, few.seeds))}.",
        f"{_BEFORE}: the fine-tuned encoder with its own tokenizer.",
        f"Source languages: {', '.join(request.languages)}. Nothing of {', '.join(few.languages)} is learnt from in "
        f"this study before the adaptation. The encoder's tokenizer and weights come from {request.teacher}; what it "
        "saw before is for its owner to say.",
    )
    return Table("mini-model", "Quality against cost", _QUALITY, rows, notes)


def plots(found: Sequence[Adapted]) -> tuple[Plot, ...]:
    """F1 over cost, a line for each target and method."""
    adapted = [item for item in found if item.method != _BEFORE]
    names = dict.fromkeys((item.target, item.method) for item in adapted)
    parts = []
    for name, value in _F1.items():
        series = {
            f"{target}: {method}": [
                ((item.flops or 0) / _TERA, value(item))
                for item in adapted
                if (item.target, item.method) == (target, method)
            ]
            for target, method in names
        }
        parts.append(Plot(f"mini-model-{name}", f"{name} F1 against cost", "cost (10^12 operations)", "F1", series))
    return tuple(parts)


def cost_table(primaries: Mapping[str, Primary], depth: Mapping[str, int]) -> Table:
    """What was paid once, before any target: a row per primary, and one for the layers that mini-post adds to one."""
    rows: list[Cells] = []
    for method, primary in primaries.items():
        epochs, flops = _pretraining(primary.masked)
        row: Cells = {"for": method, "what": _WHAT[method].format(**depth), "epochs": epochs}
        rows.append({**row, "cost": _tera(flops), "source_f1": primary.source_f1})
    notes = (
        f"{POST} stands on the encoder of {STANDARD}: its cost comes on top of that. A teacher that is a masked LM is "
        f"taken as {STANDARD}'s encoder as it is, and costs nothing here.",
        "F1: mean over the source languages' test splits, of the encoder fine-tuned with its embeddings frozen.",
    )
    return Table("mini-model-pretraining", "What it takes before", _COST, tuple(rows), notes)


def paper_table() -> Table:
    """The paper's summary."""
    rows: tuple[Cells, ...] = tuple(
        {"method": item.method, "cost": item.cost_percent, "kept": item.kept_percent} for item in papers.mini_model()
    )
    source = papers.source("mini-model")
    notes = (f"{source.paper}, {source.url}, {source.where}.", *source.notes)
    columns = (Column("method", "method"), Column("cost", "of standard's cost", "%", 1), Column("kept", "kept", "%", 1))
    return Table("mini-model-paper", "The paper's figures", columns, rows, notes)


def _pretraining(masked: Artifact) -> tuple[int, int | None]:
    """Epochs and operations of a masked LM's training in this study; 0 and None where a model was taken as it was."""
    facts = facts_of(masked.manifest)
    if not isinstance(facts, AdaptMaftFacts):
        return 0, None
    return len(facts.validation.epochs or ()), facts.flops


def _primary(bench: Workbench, masked: Artifact, learning: Settings) -> Primary:
    languages = bench.request.languages
    tuned = bench.make("finetune", masked, learning, frozen="embeddings")
    quality = bench.quality(bench.bundle(tuned, languages), languages)
    return Primary(masked, tuned, fmean(quality[code].f1 for code in languages))


def _target(
    bench: Workbench, primaries: Mapping[str, Primary], target: str, grid: MiniModelGrid, few: StudyPart
) -> list[Adapted]:
    """One target: the encoder as it is, then every method with every budget."""
    found, old = [], None
    for method, primary in primaries.items():
        for epochs in grid.budgets:
            more = {"method": method, "epochs": epochs, "languages": (target,), "into": primary.tuned.path}
            model = bench.make("adapt-mini", primary.masked, {**grid.adaptation, **more})
            facts = AdaptMiniFacts.from_json(model.manifest.facts)
            old = old or TargetVocabulary(facts.vocabulary_before, facts.fertility_before, facts.unknown_before)
            new = TargetVocabulary(facts.vocabulary, facts.fertility, facts.unknown)
            scores = _scores(bench, model, target, few)
            found.append(Adapted(target, method, epochs, new, *scores, facts.flops, facts.perplexity))
    if old is None:
        raise UsageError("study mini-model: its grid has no budgets", "Name epochs in grids/mini-model.yaml.")
    as_it_was = Adapted(target, _BEFORE, 0, old, *_scores(bench, primaries[STANDARD].tuned, target, few))
    return [as_it_was, *found]


def _scores(bench: Workbench, model: Artifact, code: str, few: StudyPart) -> tuple[float, Spread]:
    """F1 zero-shot, and few-shot over the seeds."""
    count = few.settings.k
    folder = write_few(few.data, code, count, bench.request.work / "few-shot" / f"{code}-{count}")
    learning = few.settings.learning
    learnt = [bench.make("finetune", model, learning, languages=(code,), data=folder, seed=seed) for seed in few.seeds]
    zero, *shots = (_f1(bench, item, code, few.data) for item in (model, *learnt))
    return zero, spread(shots)


def _f1(bench: Workbench, model: Artifact, code: str, data: Path) -> float:
    return float(bench.quality(bench.bundle(model, (code,)), (code,), data)[code].f1)


def _row(item: Adapted, standard: Adapted | None) -> Cells:
    row: Cells = {
        "target": item.target,
        "method": item.method,
        "epochs": item.epochs,
        "cost": _tera(item.flops),
        "perplexity": item.perplexity,
        "vocabulary": item.vocabulary.size,
        "fertility": item.vocabulary.fertility,
        "unknown": 100 * item.vocabulary.unknown,
        "zero_shot": item.zero_shot,
        "few_shot": item.few_shot,
    }
    if standard is None:
        return row
    kept = 100 * item.zero_shot / standard.zero_shot if standard.zero_shot else None
    share = 100 * item.flops / standard.flops if item.flops and standard.flops else None
    return {**row, "share": share, "kept": kept}


def _tera(flops: int | None) -> float | None:
    return None if flops is None else flops / _TERA


def _zero_shot(item: Adapted) -> float:
    return item.zero_shot


def _few_shot(item: Adapted) -> float:
    return item.few_shot.mean


_F1: Mapping[str, Callable[[Adapted], float]] = {"zero-shot": _zero_shot, "few-shot": _few_shot}
_WHAT = {
    STANDARD: "the encoder",
    JOINT: "the encoder with a second head after layer {second_head}, learnt together",
    POST: "{new_layers} new above layer {second_head} and a second head, the encoder frozen",
}
_QUALITY = (
    Column("target", "target"),
    Column("method", "method"),
    Column("epochs", "epochs"),
    Column("cost", "cost", "10^12 operations"),
    Column("share", "of standard", "%", 1),
    Column("perplexity", "perplexity", digits=1),
    Column("vocabulary", "subwords"),
    Column("fertility", "subwords per word"),
    Column("unknown", "unknown", "%", 1),
    Column("zero_shot", "zero-shot F1"),
    Column("kept", "kept", "%", 1),
    Column("few_shot", "few-shot F1"),
)
_COST = (
    Column("for", "for"),
    Column("what", "what is learnt"),
    Column("epochs", "epochs"),
    Column("cost", "cost", "10^12 operations"),
    Column("source_f1", "F1 on the source languages"),
)
