"""What the papers published: figures as data, each with its source, to stand beside those measured here.

The files are in `published/`, as printed; F1, precision and recall come from here in points, 0 to 100.
"""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar

from edgeafri.documents.base import read_as

T = TypeVar("T")
FOLDER = Path(__file__).parent / "published"
When = Literal["before", "after"]
Subject = Literal["comet", "distillation", "quantization", "pruning", "maft", "mini-model"]


@dataclass(frozen=True)
class Publication:
    """Where figures are from, and what is odd about them."""

    paper: str
    url: str
    where: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class CometModel:
    """Teacher or student of AfroXLMR-Comet. `f1` is per language, on AfriSenti."""

    layers: int
    hidden: int
    heads: int
    feed_forward: int
    million_parameters: float
    inference_ms: float
    f1: Mapping[str, float]


@dataclass(frozen=True)
class Comet:
    teacher: CometModel
    student: CometModel


@dataclass(frozen=True, kw_only=True)
class DistilledModel:
    """A fine-tuned teacher or a distilled student: a row of Table 1 or a column of Table 2. `average` is as printed.

    A teacher is its own `teacher`. Table 2 does not give the shapes of its students; its columns for the base teacher
    have each other's strategy.
    """

    strategy: Literal["teacher", "task-agnostic", "task-specific"]
    teacher: str
    layers: int | None = None
    heads: int | None = None
    million_parameters: float
    f1: Mapping[str, float]
    average: float


@dataclass(frozen=True)
class QuantizationRow:
    """A method of Tables 3 and 4 per language, and the reductions that the text prints; None for the baseline."""

    method: Literal["baseline", "dynamic", "LLM.int8()"]
    f1: Mapping[str, float]
    inference_ms: Mapping[str, float]
    size_reduction_percent: float | None
    time_reduction_percent: float | None


@dataclass(frozen=True)
class PruneRow:
    """A language at a sparsity, 0 to 1. None where the copy at hand cannot be read."""

    sparsity: float
    lang: str
    loss: float | None
    precision: float | None
    recall: float | None
    f1: float | None
    inference_s: float | None
    pruned_parameters: int


@dataclass(frozen=True)
class MaftModel:
    """A column of the AfroXLMR table: F1 on MasakhaNER, and the model that it was adapted from, if it was."""

    name: str
    adapted_from: str | None
    f1: Mapping[str, float]


@dataclass(frozen=True)
class MiniMethod:
    """A method of mini-model adaptation: its cost and its quality in percent of the standard method's."""

    method: str
    cost_percent: float | None
    kept_percent: float


def source(subject: Subject) -> Publication:
    """The paper, the tables and the oddities behind the figures of a subject."""
    return read_as(Publication, _figures()["sources"][subject], f"papers.yaml: {subject}")


def comet() -> Comet:
    """Teacher and student of AfroXLMR-Comet."""
    part = _figures()["comet"]
    sides = {side: _by_language(part["languages"], part[side]) for side in ("teacher", "student")}
    return read_as(Comet, sides, "papers.yaml: comet")


def distillation() -> tuple[DistilledModel, ...]:
    """The distillation grid, Table 1: 2 strategies, 2 teachers, 4 or 6 layers, 4 or 6 heads."""
    return tuple(_distilled(row) for row in _csv_rows("distillation"))


def teachers() -> tuple[DistilledModel, ...]:
    """The fine-tuned teachers, Table 2."""
    return _yaml_rows(DistilledModel, "teachers")


def best_students() -> tuple[DistilledModel, ...]:
    """The best student of each teacher and strategy, Table 2."""
    return _yaml_rows(DistilledModel, "best_students")


def quantization() -> tuple[QuantizationRow, ...]:
    """Baseline, dynamic int8 and LLM.int8(), Tables 3 and 4."""
    return _yaml_rows(QuantizationRow, "quantization")


def pruning(when: When) -> tuple[PruneRow, ...]:
    """AfriBERTa-large pruned before (Table 8) or after (Table 9) it is fine-tuned: 10 levels x 10 languages."""
    return tuple(
        PruneRow(
            sparsity=float(row["sparsity"]),
            lang=row["lang"],
            loss=_number(row["loss"]),
            precision=_points(row["precision"]),
            recall=_points(row["recall"]),
            f1=_points(row["f1"]),
            inference_s=_number(row["inference_s"]),
            pruned_parameters=int(row["pruned_parameters"]),
        )
        for row in _csv_rows(f"pruning_{when}")
    )


def maft() -> tuple[MaftModel, ...]:
    """XLM-R in three sizes and the three AfroXLMR models, on MasakhaNER."""
    return _yaml_rows(MaftModel, "maft")


def mini_model() -> tuple[MiniMethod, ...]:
    """The standard method and the two through a mini-model."""
    return _yaml_rows(MiniMethod, "mini-model")


@cache
def _figures() -> dict[str, Any]:  # Any: YAML as it stands, which read_as() gives its types
    import yaml

    return dict(yaml.safe_load((FOLDER / "papers.yaml").read_text("utf-8")))


def _yaml_rows(kind: type[T], name: str) -> tuple[T, ...]:
    part = _figures()[name]
    rows = (_by_language(part.get("languages", ()), row) for row in part["rows"])
    return tuple(read_as(kind, row, f"papers.yaml: {name}") for row in rows)


def _by_language(languages: Sequence[str], row: Mapping[str, object]) -> dict[str, object]:
    """A row with its lists of figures by language."""
    return {
        name: dict(zip(languages, value, strict=True)) if isinstance(value, list) else value
        for name, value in row.items()
    }


def _csv_rows(name: str) -> Iterable[dict[str, str]]:
    return csv.DictReader((FOLDER / f"{name}.csv").read_text("utf-8").splitlines())


def _distilled(row: Mapping[str, str]) -> DistilledModel:
    """What is left of a row without its named columns are the languages."""
    named = ("strategy", "teacher", "layers", "heads", "million_parameters", "average")
    return DistilledModel(
        strategy="task-agnostic" if row["strategy"] == "task-agnostic" else "task-specific",
        teacher=row["teacher"],
        layers=int(row["layers"]),
        heads=int(row["heads"]),
        million_parameters=float(row["million_parameters"]),
        f1={code: float(figure) for code, figure in row.items() if code not in named},
        average=float(row["average"]),
    )


def _number(printed: str) -> float | None:
    return float(printed) if printed else None


def _points(printed: str) -> float | None:
    """The paper prints hundredths of 1; rounding takes away what multiplying leaves after the decimal point."""
    return round(100 * float(printed), 1) if printed else None
