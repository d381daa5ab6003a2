"""Weights in fewer bits (Awobade et al. 2024, Tables 3 and 4): quality, size and time of each method beside theirs."""

from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

from edgeafri.artifact import Artifact
from edgeafri.documents.quality import AVERAGE
from edgeafri.documents.table import Cells, Column, Table
from edgeafri.studies import papers
from edgeafri.studies.levels import OTHER_TEACHER, drop_of, notes_on_paper, worst_of
from edgeafri.studies.methods import ComparedMethod, MethodResult, choose_methods, conditions, measure_methods
from edgeafri.studies.parts import StudyPart
from edgeafri.studies.workbench import Workbench
from edgeafri.tasks import task

_STUDIED = ("fp32", "torch-dynamic", "llm-int8", "ort-int8-per-tensor", "ort-int8")
_IN_FLOAT32 = ("fp32", "fp32-gpu")


def tables(bench: Workbench, teacher: Artifact, part: StudyPart) -> list[Table]:
    """The compression study's part: the paper's three methods, ONNX Runtime's dynamic int8, and ours."""
    return compare_methods(bench.only(part.languages, bench.request.seeds), teacher, choose_methods(_STUDIED))


def compare_methods(bench: Workbench, model: Artifact, methods: Sequence[ComparedMethod]) -> list[Table]:
    """Measure these methods of keeping a model's weights, the times in turns, and put them beside the paper's."""
    found, machine = measure_methods(bench, model, methods)
    cost = cost_table(found)
    about = conditions(machine)
    return [
        quality_table(found, bench.request.languages, bench.task),
        replace(cost, notes=(about, *cost.notes)),
    ]


def quality_table(found: Sequence[MethodResult], languages: Sequence[str], name: str = "ner") -> Table:
    """Table 3: a row per method, F1 per language, what it lost against the first, and the paper's average."""
    published = {item.method.name: _paper_f1(item.method, languages) for item in found if name == "ner"}
    rows = [{**_quality_row(item, found[0], languages), "paper": published.get(item.method.name)} for item in found]
    columns = (*_METHOD, *(Column(code, code) for code in languages), *_QUALITY)
    metric = task(name).metric
    notes = (
        f"{metric[0].upper()}{metric[1:]} on test, in points: torch models in torch, bundles through the runtime. "
        "lost: against fp32 on the same sentences, with its paired bootstrap interval (95 %). One model: no seeds to "
        "spread over.",
        "Where inputs of a batch share scales or outliers (int8), sentences are read one by one.",
        "Bundles in int8 have one scale per tensor of activations. Outliers: the channels that reach far beyond the "
        "others on raw text, or without any on dev; where none does, all are in int8.",
        *(("paper: its average over the same languages.", OTHER_TEACHER) if name == "ner" else ()),
        *notes_on_paper("quantization"),
    )
    return Table("quantization", "Quantized after fine-tuning", columns, tuple(rows), notes)


def cost_table(found: Sequence[MethodResult]) -> Table:
    """Table 4: the size of the weights, the time of a sentence and memory, what is saved, and the paper's."""
    lengths = tuple(found[0].times)
    rows = [_cost_row(item, found) for item in found]
    on_gpu = _GPU if any("gpu_mb" in row for row in rows) else ()
    columns = (*_METHOD, *_SIZE, *(column for length in lengths for column in _times(length)), _RSS, *on_gpu, *_PAPER)
    notes = (
        f"Times: one sentence of {' or '.join(map(str, lengths))} subwords, one thread, all in turns in processes of "
        "their own, the median of the rounds' p50; a GPU has finished when the clock stops. less time: than float32 at "
        "the same place, CPU or GPU. Memory: the most that the process held, reading and making the model included.",
        "weights: the file that holds them; of a form that no file holds, what it would take. torch's dynamic int8 "
        "keeps the embeddings in float32, LLM.int8() in float16 (its scales in float32, all else in float16).",
        "LLM.int8(): outlier threshold 6.0, through bitsandbytes; on a CPU what is not int8 is computed in float32.",
        "paper: its reductions in section 3.6 and the mean of Table 4, on a machine of its own.",
    )
    return Table("quantization-cost", "Quantized: size, time and memory", columns, tuple(rows), notes)


def _quality_row(item: MethodResult, first: MethodResult, languages: Sequence[str]) -> Cells:
    if item.not_run:
        return _head(item)
    found = {code: item.quality[code].f1 for code in languages}
    row: Cells = {**_head(item), **found, AVERAGE: fmean(found.values())}
    if item is first:
        return row
    lost = drop_of(first.quality, item.quality, languages)
    worst, points = worst_of([first.quality], [item.quality], languages)
    return {**row, "lost": lost.value, "low": lost.low, "high": lost.high, "worst": worst, "worst_lost": points}


def _cost_row(item: MethodResult, found: Sequence[MethodResult]) -> Cells:
    row = {**_head(item), **_paper_cost(item.method)}
    if item.not_run:
        return row
    row |= {"mb": item.mb, "rss_mb": max(times.peak_rss_mb for times in item.times.values())}
    if item is not found[0]:
        row["smaller"] = 100 * (1 - item.mb / found[0].mb)
    base = next((other for other in found if other.method.name in _IN_FLOAT32 and other.where == item.where), None)
    for length, times in item.times.items():
        row |= {f"p50_ms_{length}": times.p50_ms, f"cpu_ms_{length}": times.cpu_ms}
        if base is not None and item is not base:
            row[f"faster_{length}"] = 100 * (1 - times.p50_ms / base.times[length].p50_ms)
    on_gpu = [times.peak_gpu_mb for times in item.times.values() if times.peak_gpu_mb is not None]
    return {**row, "gpu_mb": max(on_gpu)} if on_gpu else row


def _head(item: MethodResult) -> Cells:
    about = f"not run: {item.not_run}" if item.not_run else item.method.about
    return {"method": item.method.name, "about": about, "where": item.where or None}


def _paper_f1(method: ComparedMethod, languages: Sequence[str]) -> float | None:
    found = [row.f1 for row in papers.quantization() if row.method == method.paper]
    return fmean(found[0][code] for code in languages) if found and set(languages) <= found[0].keys() else None


def _paper_cost(method: ComparedMethod) -> Cells:
    for row in papers.quantization():
        if row.method == method.paper:
            return {
                "paper_smaller": row.size_reduction_percent,
                "paper_faster": row.time_reduction_percent,
                "paper_ms": fmean(row.inference_ms.values()),
            }
    return {}


def _times(length: int) -> tuple[Column, ...]:
    return (
        Column(f"p50_ms_{length}", f"p50, {length}", "ms"),
        Column(f"cpu_ms_{length}", f"processor, {length}", "ms"),
        Column(f"faster_{length}", f"less time, {length}", "%", 1),
    )


_METHOD = (Column("method", "method"), Column("about", "what"), Column("where", "where"))
_QUALITY = (
    Column(AVERAGE, "avg"),
    Column("lost", "lost"),
    Column("low", "from"),
    Column("high", "to"),
    Column("worst", "lost most"),
    Column("worst_lost", "its loss"),
    Column("paper", "paper: avg"),
)
_SIZE = (Column("mb", "weights", "MB"), Column("smaller", "smaller", "%", 1))
_RSS = Column("rss_mb", "peak memory", "MB", 0)
_GPU = (Column("gpu_mb", "peak on the GPU", "MB", 0),)
_PAPER = (
    Column("paper_smaller", "paper: smaller", "%", 1),
    Column("paper_ms", "paper: time", "ms", 1),
    Column("paper_faster", "paper: less time", "%", 1),
)
