"""What the papers published: figures as data, each with its source, to stand beside those measured here.

The files are in `published/`, as printed; F1, precision and recall come from here in points, 0 to 100.
"""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

FOLDER = Path(__file__).parent / "published"
Strategy = Literal["task-agnostic", "task-specific"]
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


@dataclass(frozen=True)
class GridRow:
    """A distilled student: a row of Table 1. `average` is as printed."""

    strategy: Strategy
    teacher: str
    layers: int
    heads: int
    million_parameters: float
    f1: Mapping[str, float]
    average: float


@dataclass(frozen=True)
class Teacher:
    """A teacher of Table 2."""

    name: str
    layers: int
    heads: int
    million_parameters: float
    f1: Mapping[str, float]
    average: float


@dataclass(frozen=True)
class BestStudent:
    """A student of Table 2, the strategy as its column says: for the base teacher it is the other one in Table 1."""

    strategy: Strategy
    teacher: str
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
    found = _figures()["sources"][subject]
    return Publication(found["paper"], found["url"], found["where"], tuple(found["notes"]))


def comet() -> Comet:
    """Teacher and student of AfroXLMR-Comet."""
    part = _figures()["comet"]
    teacher, student = (
        CometModel(**{**part[name], "f1": _by_language(part, part[name]["f1"])}) for name in ("teacher", "student")
    )
    return Comet(teacher, student)


def distillation() -> tuple[GridRow, ...]:
    """The distillation grid, Table 1: 2 strategies, 2 teachers, 4 or 6 layers, 4 or 6 heads."""
    return tuple(_grid_row(dict(row)) for row in _rows("distillation"))


def teachers() -> tuple[Teacher, ...]:
    """The fine-tuned teachers, Table 2."""
    part = _figures()["teachers"]
    return tuple(Teacher(**{**row, "f1": _by_language(part, row["f1"])}) for row in part["rows"])


def best_students() -> tuple[BestStudent, ...]:
    """The best student of each teacher and strategy, Table 2."""
    part = _figures()["best_students"]
    return tuple(BestStudent(**{**row, "f1": _by_language(part, row["f1"])}) for row in part["rows"])


def quantization() -> tuple[QuantizationRow, ...]:
    """Baseline, dynamic int8 and LLM.int8(), Tables 3 and 4."""
    part = _figures()["quantization"]
    per_language = ("f1", "inference_ms")
    return tuple(
        QuantizationRow(**{**row, **{name: _by_language(part, row[name]) for name in per_language}})
        for row in part["rows"]
    )


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
        for row in _rows(f"pruning_{when}")
    )


def maft() -> tuple[MaftModel, ...]:
    """XLM-R in three sizes and the three AfroXLMR models, on MasakhaNER."""
    part = _figures()["maft"]
    return tuple(MaftModel(**{**row, "f1": _by_language(part, row["f1"])}) for row in part["rows"])


def mini_model() -> tuple[MiniMethod, ...]:
    """The standard method and the two through a mini-model."""
    return tuple(MiniMethod(**row) for row in _figures()["mini-model"]["rows"])


@cache
def _figures() -> Any:
    import yaml

    return yaml.safe_load((FOLDER / "papers.yaml").read_text("utf-8"))


def _rows(name: str) -> Iterable[dict[str, str]]:
    return csv.DictReader((FOLDER / f"{name}.csv").read_text("utf-8").splitlines())


def _by_language(part: Mapping[str, Any], figures: Sequence[float]) -> dict[str, float]:
    return dict(zip(part["languages"], figures, strict=True))


def _grid_row(row: dict[str, str]) -> GridRow:
    """What is left of a row when its named columns are taken are the languages."""
    strategy: Any = row.pop("strategy")
    teacher, layers, heads = row.pop("teacher"), int(row.pop("layers")), int(row.pop("heads"))
    size, average = float(row.pop("million_parameters")), float(row.pop("average"))
    return GridRow(strategy, teacher, layers, heads, size, {code: float(f1) for code, f1 in row.items()}, average)


def _number(printed: str) -> float | None:
    return float(printed) if printed else None


def _points(printed: str) -> float | None:
    """The paper prints hundredths of 1; rounding takes away what multiplying leaves behind the comma."""
    return round(100 * float(printed), 1) if printed else None
