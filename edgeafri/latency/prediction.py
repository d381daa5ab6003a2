"""Prediction: how well a few rows of a table of measured latencies predict the other rows."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgeafri.documents.prediction import Coverage, ErrorSpread, Prediction, TableFit
from edgeafri.errors import DataError, UsageError
from edgeafri.latency.fit import COLUMNS, LAYERS, MACS, MEGABYTES, Fit, Numbers, fit
from edgeafri.latency.formula import evaluate
from edgeafri.settings import did_you_mean
from edgeafri.util.progress import Progress, silent

_MEGA = 1e6
Table = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class LatencyTable:
    """A CSV file with a header, and the formulas for the columns of a fit: MACs, bytes and layers, and milliseconds."""

    csv: Path
    macs: str
    latency: str
    bytes: str | None = None
    layers: str | None = None


@dataclass(frozen=True)
class Draws:
    """`points` rows are drawn to fit on, `draws` times, from the random numbers of `seed`."""

    draws: int = 200
    points: int = 5
    seed: int = 0


def predict_rest(source: LatencyTable, draws: Draws, progress: Progress = silent) -> Prediction:
    """Fit on rows drawn at random and predict all others: the errors, and how many rows fall into the interval.

    UsageError where the table has too few rows for so many points; DataError as read_columns raises it.
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
    return Prediction(
        rows=len(times),
        draws=draws.draws,
        points=draws.points,
        seed=draws.seed,
        median_error=_spread(shares[:, 0]),
        p90_error=_spread(shares[:, 1]),
        interval=Coverage(
            level=round(levels[0], 4),
            covered=round(float(shares[:, 2].mean()), 4),
            covered_p10=round(float(np.percentile(shares[:, 2], 10)), 4),
            factor=round(float(np.median(factors)), 4),
        ),
        all_rows=_described(fit(columns, times)),
    )


def read_columns(source: LatencyTable) -> tuple[dict[str, Numbers | None], Numbers]:
    """The columns of a fit and the milliseconds. DataError where a file, a row or a number is not what it should be."""
    table = _read(source.csv)
    columns = {
        MACS: _column(source.macs, table, source.csv) / _MEGA,
        MEGABYTES: None if source.bytes is None else _column(source.bytes, table, source.csv) / _MEGA,
        LAYERS: None if source.layers is None else _column(source.layers, table, source.csv),
    }
    return columns, _column(source.latency, table, source.csv)


def _draw(
    columns: Mapping[str, Numbers | None], times: Numbers, drawn: npt.NDArray[np.int64]
) -> tuple[Numbers, tuple[float, float]]:
    """Median and 90th percentile of the errors on the rows not drawn, their share in the interval; level and factor."""
    rest = np.ones(len(times), dtype=bool)
    rest[drawn] = False
    fitted = fit(_rows(columns, drawn), times[drawn])
    shares = fitted.predict(_rows(columns, rest)) / times[rest]
    inside = np.abs(np.log(shares)) <= np.log(fitted.factor or 1.0)
    errors = np.abs(shares - 1)
    return np.array([np.median(errors), np.percentile(errors, 90), inside.mean()]), (
        fitted.level or 0.0,
        fitted.factor or 1.0,
    )


def _rows(
    columns: Mapping[str, Numbers | None], rows: npt.NDArray[np.int64] | npt.NDArray[np.bool_]
) -> dict[str, Numbers | None]:
    return {name: None if values is None else values[rows] for name, values in columns.items()}


def _spread(values: Numbers) -> ErrorSpread:
    return ErrorSpread(round(float(np.median(values)), 4), round(float(np.percentile(values, 90)), 4))


def _described(fitted: Fit) -> TableFit:
    named = {f"ms per {name.removesuffix('s')}": value for name, value in zip(COLUMNS, fitted.constants, strict=True)}
    return TableFit(
        constants={name: float(f"{value:.6g}") for name, value in named.items()},
        left_out=fitted.left_out,
        median_error=round(fitted.error(0.5) or 0.0, 4),
        p90_error=round(fitted.error(0.9) or 0.0, 4),
        level=fitted.level,
        factor=round(fitted.factor or 1.0, 4),
    )


def _read(file: Path) -> Table:
    hint = "Give a CSV table in UTF-8: its first line is the header, and commas separate the values."
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
        raise DataError(f"{file}, line {uneven[0]}: not as many values as in the header", hint)
    if not rows:
        raise DataError(f"{file}: no rows", hint)
    return {name: [row[name] for row in rows] for name in names}


def _column(formula: str, table: Table, file: Path) -> Numbers:
    if formula in table:  # the name of a column may have characters that a formula cannot
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
            f"{file}, line {number}: '{name}' is not a number: '{value}'", "Correct it, or leave the row out."
        ) from None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
