"""Progress: how far something is, told as (done, total) as often as one likes."""

from collections.abc import Callable

Tick = Callable[[int, int], None]


def silent(done: int, total: int) -> None:
    """A tick that nobody hears."""
