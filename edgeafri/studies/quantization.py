"""The teacher in int8 (Awobade et al. 2024, Tables 3 and 4): torch's dynamic int8 and ours against torch float32."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from edgeafri.artifact import Artifact
from edgeafri.studies import papers
from edgeafri.studies.levels import AVERAGE, OTHER_TEACHER, drop_of, oddities, worst_of
from edgeafri.studies.parts import LLM_INT8, Part
from edgeafri.studies.study import Bench, Quality, fitting, weights_mb
from edgeafri.studies.table import Column, Table

_BASELINE, _DYNAMIC, _OURS, _LLM = "torch float32", "torch dynamic int8", "EdgeAfri int8 bundle", "LLM.int8()"
_SEQ_LEN = 128
_PAPERS: Mapping[str, str] = {_BASELINE: "baseline", _DYNAMIC: "dynamic", _LLM: "LLM.int8()"}


@dataclass(frozen=True)
class Method:
    """One way to keep the teacher's weights: its quality per language, the size of its weights, and its times."""

    name: str
    quality: Quality
    mb: float
    times: Mapping[str, float]


def tables(bench: Bench, teacher: Artifact, part: Part) -> list[Table]:
    """Measure all methods in turns and put them beside the paper's."""
    ours = bench.bundle(teacher, part.languages, int8=True)
    models = {_BASELINE: teacher, _DYNAMIC: bench.make("quantize-torch", teacher, {}), _OURS: ours}
    quality = {name: bench.quality(model, part.languages) for name, model in models.items()}
    length = fitting(ours, _SEQ_LEN)
    times = bench.speeds(models, length)
    methods = [Method(name, quality[name], weights_mb(model), times[name]) for name, model in models.items()]
    return [quality_table(methods, part.languages), cost_table(methods, length)]


def quality_table(methods: Sequence[Method], languages: Sequence[str]) -> Table:
    """Table 3: a row a method, F1 per language, what it lost against the first, and the paper's average."""
    rows = [_quality_row(method, methods[0], languages) for method in methods]
    rows.append({"method": f"{_LLM}: {LLM_INT8}", "paper": _paper_f1(_LLM, languages)})
    columns = (_METHOD, *(Column(code, code) for code in languages), *_QUALITY)
    notes = (
        "Entity F1 on test, in points: torch models in torch, the bundle through the runtime. lost: against torch "
        "float32 on the same sentences, with its paired bootstrap interval (95 %). One model: no seeds to spread over.",
        "paper: its average over the same languages.",
        OTHER_TEACHER,
        *oddities("quantization"),
    )
    return Table("quantization", "Quantized after fine-tuning", columns, tuple(rows), notes)


def cost_table(methods: Sequence[Method], length: int) -> Table:
    """Table 4: the size of the weights and the time of a sentence, their reductions, and the paper's."""
    rows = [_cost_row(method, methods[0]) for method in methods]
    rows.append({"method": f"{_LLM}: {LLM_INT8}", **_paper_cost(_LLM)})
    notes = (
        f"Times: one sentence of {length} sub-words, one thread, all in turns, the median of the rounds' p50.",
        "torch's int8 keeps the embeddings in float32; EdgeAfri's bundle has them in int8 too, and no vocabulary is "
        "trimmed here.",
        "paper: its reductions in section 3.6 and the mean of Table 4, on a machine of its own.",
    )
    return Table("quantization-cost", "Quantized: size and time", _COST, tuple(rows), notes)


def _quality_row(method: Method, first: Method, languages: Sequence[str]) -> dict[str, Any]:
    found = {code: float(method.quality[code]["f1"]) for code in languages}
    row: dict[str, Any] = {"method": method.name, **found, AVERAGE: fmean(found.values())}
    if method is not first:
        lost = drop_of(first.quality, method.quality, languages)
        worst, points = worst_of([first.quality], [method.quality], languages)
        row |= {"lost": lost.value, "low": lost.low, "high": lost.high, "worst": worst, "worst_lost": points}
    return {**row, "paper": _paper_f1(method.name, languages)}


def _cost_row(method: Method, first: Method) -> dict[str, Any]:
    row: dict[str, Any] = {"method": method.name, "mb": method.mb, **method.times, **_paper_cost(method.name)}
    if method is not first:
        row |= {"smaller": 100 * (1 - method.mb / first.mb)}
        row |= {"faster": 100 * (1 - method.times["p50_ms"] / first.times["p50_ms"])}
    return row


def _paper_f1(name: str, languages: Sequence[str]) -> float | None:
    found = [row.f1 for row in papers.quantization() if row.method == _PAPERS.get(name)]
    return fmean(found[0][code] for code in languages) if found and set(languages) <= found[0].keys() else None


def _paper_cost(name: str) -> dict[str, float | None]:
    for row in papers.quantization():
        if row.method == _PAPERS.get(name):
            return {
                "paper_smaller": row.size_reduction_percent,
                "paper_faster": row.time_reduction_percent,
                "paper_ms": fmean(row.inference_ms.values()),
            }
    return {}


_METHOD = Column("method", "method")
_QUALITY = (
    Column(AVERAGE, "avg"),
    Column("lost", "lost"),
    Column("low", "from"),
    Column("high", "to"),
    Column("worst", "lost most"),
    Column("worst_lost", "its loss"),
    Column("paper", "paper: avg"),
)
_COST = (
    _METHOD,
    Column("mb", "weights", "MB"),
    Column("smaller", "smaller", "%", 1),
    Column("p50_ms", "p50", "ms"),
    Column("cpu_ms", "processor", "ms"),
    Column("faster", "less time", "%", 1),
    Column("paper_smaller", "paper: smaller", "%", 1),
    Column("paper_ms", "paper: time", "ms", 1),
    Column("paper_faster", "paper: less time", "%", 1),
)
