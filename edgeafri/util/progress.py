"""Progress: how far something is, told as (done, total) as often as one likes."""

from collections.abc import Callable

Progress = Callable[[int, int], None]
StartProgress = Callable[[str], Progress]
"""Told what begins; what it gives back is told how far that is."""


def silent(done: int, total: int) -> None:
    """A progress that nobody hears."""


def quiet(what: str) -> Progress:
    """A step that nobody hears of."""
    return silent


def part_of(progress: Progress, place: int, of: int) -> Progress:
    """A progress of one of several parts that take about as long."""
    return lambda done, total: progress(place * total + done, of * total)
