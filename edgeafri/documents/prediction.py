"""What `edgeafri calibrate --csv` prints: how well a few rows of a table of latencies predict the other rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from edgeafri.documents.base import Document

SCHEMA = 1


@dataclass(frozen=True)
class ErrorSpread(Document):
    """A relative error over many draws: its median and 90th percentile."""

    median: float
    p90: float


@dataclass(frozen=True)
class Coverage(Document):
    """The `level` that an interval claims, and the share of rows inside it: mean and 10th percentile over the draws.

    The interval goes from the prediction divided by `factor` to the prediction times it.
    """

    level: float
    covered: float
    covered_p10: float
    factor: float


@dataclass(frozen=True)
class TableFit(Document):
    """A fit on all rows of the table, with its leave-one-out errors; `left_out` says why a column was not used."""

    constants: Mapping[str, float]
    left_out: Mapping[str, str]
    median_error: float
    p90_error: float
    level: float | None
    factor: float


@dataclass(frozen=True, kw_only=True)
class Prediction(Document):
    """Fits on `points` rows, drawn `draws` times, each of which predicts all other rows. Errors are relative."""

    schema: int = SCHEMA
    kind: Literal["prediction"] = "prediction"
    command: str = ""
    rows: int
    draws: int
    points: int
    seed: int
    median_error: ErrorSpread
    p90_error: ErrorSpread
    interval: Coverage
    all_rows: TableFit
