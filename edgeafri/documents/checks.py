"""A number held against its limit."""

from dataclasses import dataclass

from edgeafri.documents.base import Document


@dataclass(frozen=True)
class Check(Document):
    """A number to hold against its limit; `low` and `high` are the ends of its interval.

    `passed` is False where the number, or all of its interval, is over the limit. It is None where the number is not
    known, and where the interval reaches over the limit and the number does not.
    """

    name: str
    measured: float | None
    limit: float
    unit: str
    passed: bool | None
    low: float | None = None
    high: float | None = None
