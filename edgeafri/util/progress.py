"""Progress: how far something is, told as (done, total) as often as one likes."""

from collections.abc import Callable

Tick = Callable[[int, int], None]
Step = Callable[[str], Tick]
"""Told what begins; what it gives back is told how far that is."""


def silent(done: int, total: int) -> None:
    """A tick that nobody hears."""


def quiet(what: str) -> Tick:
    """A step that nobody hears of."""
    return silent
