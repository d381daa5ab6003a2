"""A number held against its limit."""

from dataclasses import dataclass

from edgeafri.documents.base import Document


@dataclass(frozen=True)
class Check(Document):
    """A number to hold against its limit. `passed` is None when it is unknown, or when its interval holds the limit."""

    name: str
    measured: float | None
    limit: float
    unit: str
    passed: bool | None
    low: float | None = None
    high: float | None = None
