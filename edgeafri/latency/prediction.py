"""Prediction: how well a few rows of a table of measured latencies predict the other rows."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgeafri.errors import DataError, UsageError
from edgeafri.latency.fit import COLUMNS, LAYERS, MACS, MEGABYTES, Fit, Numbers, fit
from edgeafri.latency.formula import evaluate
from edgeafri.settings import did_you_mean
from edgeafri.util.progress import Progress, silent

_MEGA = 1e6
Table = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Source:
    """A CSV file with a head, and the formulas of its columns: MACs, bytes and layers of a model, its milliseconds."""

    csv: Path
    macs: str
    latency: str
    bytes: str | None = None
    layers: str | None = None


@dataclass(frozen=True)
class Draws:
    """How often how many rows are drawn to fit on, and the seed of it."""

    draws: int = 200
    points: int = 5
    seed: int = 0


def predict_rest(source: Source, draws: Draws, progress: Progress = silent) -> dict[str, Any]:
    """Fit on rows drawn at random and predict all others: errors, and how many fall into the interval that is printed.

    `median_error` and `p90_error` are relative errors on the rest, each as its median and 90th percentile over the
    draws. `interval` has the level that it claims, and the share of the rest that it covered: mean over the draws, and
    the tenth percentile. `all_rows` is a fit on the whole table, with its leave-one-out errors.
    """
    columns, times = read_columns(source)
    if not 2 <= draws.points < len(times):
        hint = f"Use 2 to {len(times) - 1} points, and a table with more rows than that."
        raise UsageError(f"{draws.points} points of a table with {len(times)} rows", hint)
    random = np.random.default_rng(draws.seed)
    found = []
    for done in range(draws.draws):
        progress(done, draws.draws)
        found.append(_draw(columns, times, random.choice(len(times), draws.points, replace=False)))
    progress(draws.draws, draws.draws)
    shares = np.array([drawn for drawn, _ in found])
    levels, factors = zip(*(interval for _, interval in found), strict=True)
    return {
        "rows": len(times),
        **asdict(draws),
        "median_error": _spread(shares[:, 0], 90),
        "p90_error": _spread(shares[:, 1], 90),
        "interval": {
            "level": round(levels[0], 4),
            "covered": round(float(shares[:, 2].mean()), 4),
            "covered_p10": round(float(np.percentile(shares[:, 2], 10)), 4),
            "factor": round(float(np.median(factors)), 4),
        },
        "all_rows": _described(fit(columns, times)),
    }


def read_columns(source: Source) -> tuple[dict[str, Numbers | None], Numbers]:
    """The columns of a fit and the milliseconds. DataError where a file, a row or a number is not what it should be."""
    table = _read(source.csv)
    columns = {
        MACS: _column(source.macs, table, source.csv) / _MEGA,
        MEGABYTES: None if source.bytes is None else _column(source.bytes, table, source.csv) / _MEGA,
        LAYERS: None if source.layers is None else _column(source.layers, table, source.csv),
    }
    return columns, _column(source.latency, table, source.csv)


def _draw(columns: Mapping[str, Numbers | None], times: Numbers, drawn: Any) -> tuple[Numbers, Any]:
    """Median and 90th percentile of the errors on the rows not drawn, their share in the interval; the interval."""
    rest = np.ones(len(times), dtype=bool)
    rest[drawn] = False
    fitted = fit(_rows(columns, drawn), times[drawn])
    shares = fitted.predict(_rows(columns, rest)) / times[rest]
    inside = np.abs(np.log(shares)) <= np.log(fitted.factor or 1.0)
    errors = np.abs(shares - 1)
    return np.array([np.median(errors), np.percentile(errors, 90), inside.mean()]), (fitted.level, fitted.factor)


def _rows(columns: Mapping[str, Numbers | None], rows: Any) -> dict[str, Numbers | None]:
    return {name: None if values is None else values[rows] for name, values in columns.items()}


def _spread(values: Numbers, percent: int) -> dict[str, float]:
    high = round(float(np.percentile(values, percent)), 4)
    return {"median": round(float(np.median(values)), 4), f"p{percent}": high}


def _described(fitted: Fit) -> dict[str, Any]:
    named = {f"ms per {name.removesuffix('s')}": value for name, value in zip(COLUMNS, fitted.constants, strict=True)}
    return {
        "constants": {name: float(f"{value:.6g}") for name, value in named.items()},
        "left_out": fitted.left_out,
        "median_error": round(fitted.error(0.5) or 0.0, 4),
        "p90_error": round(fitted.error(0.9) or 0.0, 4),
        "level": fitted.level,
        "factor": round(fitted.factor or 1.0, 4),
    }


def _read(file: Path) -> Table:
    hint = "Give a table in UTF-8 with commas, a line of names first."
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.DictReader(lines, strict=True)
            rows, names = list(reader), reader.fieldnames or []
    except FileNotFoundError:
        raise DataError(f"no file '{file}'", hint) from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{file}: not readable as a table ({error})", hint) from None
    uneven = [number for number, row in enumerate(rows, 2) if None in row or None in row.values()]
    if uneven:
        raise DataError(f"{file}, line {uneven[0]}: not as many values as names", hint)
    if not rows:
        raise DataError(f"{file}: no rows", hint)
    return {name: [row[name] for row in rows] for name in names}


def _column(formula: str, table: Table, file: Path) -> Numbers:
    if formula in table:  # a name may hold what a formula cannot
        values = _numbers(formula, table, file)
    else:
        with np.errstate(all="ignore"):
            found = evaluate(formula, lambda name: _numbers(name, table, file))
            values = np.broadcast_to(np.asarray(found, dtype=np.float64), (len(next(iter(table.values()))),))
    odd = np.flatnonzero(~(np.isfinite(values) & (values > 0)))
    if len(odd):
        where = f"{file}, line {odd[0] + 2}"
        raise DataError(
            f"{where}: '{formula}' is {values[odd[0]]:g}", "Only numbers above zero can be fitted; leave the row out."
        )
    return values


def _numbers(name: str, table: Table, file: Path) -> Numbers:
    if name not in table:
        raise UsageError(f"{file} has no column '{name}'", did_you_mean(name, table))
    try:
        return np.array([float(value) for value in table[name]])
    except ValueError:
        number, value = next((place, text) for place, text in enumerate(table[name], 2) if not _is_number(text))
        raise DataError(
            f"{file}, line {number}: '{name}' is no number: '{value}'", "Correct it, or leave the row out."
        ) from None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
