"""Fits: milliseconds from what models compute, move and pass through, and how far off such a prediction is."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

MACS, MEGABYTES, LAYERS = "million MACs", "megabytes", "layers"
COLUMNS = (MACS, MEGABYTES, LAYERS)
_ENOUGH = 10  # runs for more than one constant
_APART = 0.05  # a column is not used where less of it than this share is independent of the others
_LEVEL = 0.9
Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Fit:
    """Milliseconds of one of each of COLUMNS, 0 for those in `left_out`, which says why.

    `errors` are relative, each run predicted from all others. A new run lies between the prediction divided by
    `factor` and times it with a probability of `level`. Of a single run there are no errors and no interval.
    """

    constants: tuple[float, ...]
    left_out: dict[str, str]
    errors: tuple[float, ...]
    level: float | None
    factor: float | None

    def predict(self, columns: Mapping[str, Numbers | None]) -> Numbers:
        """Milliseconds for other runs, float64 of shape (runs,)."""
        used = [(constant, columns[name]) for constant, name in zip(self.constants, COLUMNS, strict=True)]
        parts = [constant * values for constant, values in used if constant and values is not None]
        return np.asarray(np.sum(parts, axis=0), dtype=np.float64)

    def error(self, share: float) -> float | None:
        """The error that this share of the runs stays below: 0.5 is the median. None with a single run."""
        return float(np.quantile(self.errors, share)) if self.errors else None


def fit(columns: Mapping[str, Numbers | None], times: Numbers) -> Fit:
    """Least squares of the relative errors, with no constant below zero.

    `columns` has an entry for each of COLUMNS, float64 of shape (runs,) and above zero, or None where it is not known
    of every run; `times` are the milliseconds, shape (runs,). Under ten runs MACs alone are used.

    The interval is a conformal one (Vovk et al. 2005; Lei et al. 2018) on the leave-one-out errors: of n + 1 runs the
    last is as likely as any other to be the worst, so n errors give a level of n / (n + 1). Each constant that was
    fitted takes one error away: five runs and one constant give 80 %, ten 90 %, which is the most that is claimed.
    """
    used, left_out = _identified(columns, times)
    rows = np.stack([columns[name] for name in used], axis=1) / times[:, None]  # type: ignore[misc]  # none is None
    gram, moment = rows.T @ rows, rows.sum(axis=0)
    found = dict(zip(used, _non_negative(gram, moment), strict=True))
    constants = tuple(found.get(name, 0.0) for name in COLUMNS)
    if len(times) < 2:
        return Fit(constants, left_out, (), None, None)
    shares = np.array([row @ _non_negative(gram - np.outer(row, row), moment - row) for row in rows])
    level, factor = _interval(np.abs(np.log(shares)), len(used))
    return Fit(constants, left_out, tuple(np.abs(shares - 1).tolist()), level, factor)


def _identified(columns: Mapping[str, Numbers | None], times: Numbers) -> tuple[list[str], dict[str, str]]:
    """The columns that so many runs can tell apart, and why each other one is left out."""
    used, left_out = [MACS], {}
    for name in COLUMNS[1:]:
        values = columns[name]
        if len(times) < _ENOUGH:
            left_out[name] = f"under {_ENOUGH} runs"
        elif values is None:
            left_out[name] = "not known of every run"
        elif np.ptp(values) <= 1e-9 * np.max(values):
            left_out[name] = "the same in every run"
        elif _explained([columns[known] for known in used], values, times):
            left_out[name] = f"goes with {' and '.join(used)}"
        else:
            used.append(name)
    return used, left_out


def _explained(known: Sequence[Numbers | None], values: Numbers, times: Numbers) -> bool:
    rows = np.stack([column for column in known if column is not None], axis=1) / times[:, None]
    target = values / times
    rest = target - rows @ np.linalg.lstsq(rows, target, rcond=None)[0]
    return bool(np.linalg.norm(rest) < _APART * np.linalg.norm(target))


def _non_negative(gram: Numbers, moment: Numbers) -> Numbers:
    """The constants with the smallest squares among those not below zero, from the normal equations.

    They are the plain solution for the columns that they use, so with three columns all uses can be tried.
    """
    size = len(moment)
    best, gain = np.zeros(size), 0.0
    for used in (list(some) for count in range(1, size + 1) for some in combinations(range(size), count)):
        solved = np.linalg.lstsq(gram[np.ix_(used, used)], moment[used], rcond=None)[0]
        if (solved >= 0).all() and solved @ moment[used] > gain:
            best, gain = np.zeros(size), float(solved @ moment[used])
            best[used] = solved
    return best


def _interval(distances: Numbers, fitted: int) -> tuple[float, float]:
    """The level that these errors give after `fitted` constants were fitted, and the factor that reaches it."""
    free = len(distances) - fitted
    outside = free - math.ceil((free + 1) * _LEVEL - 1e-9)
    level = _LEVEL if outside >= 0 else free / (free + 1)
    return level, float(np.exp(np.sort(distances)[len(distances) - 1 - max(outside, 0)]))
