"""axes: where numbers stand on the axes of a plot, and the round numbers beside them."""

import math
from collections.abc import Callable
from dataclasses import dataclass

Scale = Callable[[float], float]
_ROWS = ((1, 2, 5), (1, 3), (1,))  # numbers on a log scale, times powers of ten


@dataclass(frozen=True)
class Tick:
    """A number on an axis and where it stands."""

    place: float
    text: str


@dataclass(frozen=True)
class PlotArea:
    """A picture's size and the margins for the words at its axes, in SVG units."""

    width: int
    height: int
    left: int = 44
    right: int = 12
    top: int = 14
    bottom: int = 34
    ticks: int = 4  # about so many spaces between round numbers

    def x_axis(self, low: float, high: float) -> tuple[Scale, tuple[Tick, ...]]:
        """From numbers to places, from left to right, and the axis' ticks."""
        span = self.width - self.left - self.right
        return _axis(low, high, self.ticks, lambda share: round(self.left + share * span, 1))

    def y_axis(self, low: float, high: float) -> tuple[Scale, tuple[Tick, ...]]:
        """From numbers to places, from the bottom to the top, and the axis' ticks."""
        span = self.height - self.top - self.bottom
        return _axis(low, high, self.ticks, lambda share: round(self.height - self.bottom - share * span, 1))

    def y_log_axis(self, low: float, high: float) -> tuple[Scale, tuple[Tick, ...]]:
        """The same on a log scale from `low`, above 0, where what is smaller stands too."""
        span = self.height - self.top - self.bottom
        return _log_axis(low, high, 2 * self.ticks, lambda share: round(self.height - self.bottom - share * span, 1))

    def columns(self, count: int) -> tuple[float, ...]:
        """The middles of so many columns side by side."""
        width = (self.width - self.left - self.right) / max(count, 1)
        return tuple(round(self.left + (place + 0.5) * width, 1) for place in range(count))


def _axis(low: float, high: float, spaces: int, direction: Scale) -> tuple[Scale, tuple[Tick, ...]]:
    """The axis begins at the round number at or below `low` and ends at `high`."""
    step = _round_step((high - low) / spaces)
    bottom, top = math.floor(low / step) * step, high

    def place(value: float) -> float:
        return direction((value - bottom) / (top - bottom))

    count = math.floor((top - bottom) / step + 1e-9)
    values = [bottom + index * step for index in range(count + 1)]
    return place, tuple(Tick(place(value), f"{value:.6g}") for value in values)


def _log_axis(low: float, high: float, most: int, direction: Scale) -> tuple[Scale, tuple[Tick, ...]]:
    """Round numbers on it are the densest of a few rows that has at most so many of them."""
    bottom, top = math.log10(low), math.log10(max(high, 1.1 * low))

    def place(value: float) -> float:
        return direction((math.log10(max(value, low)) - bottom) / (top - bottom))

    powers = [10.0**power for power in range(math.floor(bottom), math.ceil(top) + 1)]
    rows = [[factor * power for power in powers for factor in row if low <= factor * power <= high] for row in _ROWS]
    values = next((row for row in rows if len(row) <= most), rows[-1])
    return place, tuple(Tick(place(value), f"{value:g}") for value in values)


def _round_step(rough: float) -> float:
    """The next of 1, 2, 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
