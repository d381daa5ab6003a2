"""What is odd about labelled data."""

from collections.abc import Mapping
from dataclasses import dataclass

from edgeafri.documents.base import Document


@dataclass(frozen=True)
class DataIssues(Document):
    """What is odd, in words, and by language how many test sentences also stand in train."""

    notes: tuple[str, ...]
    leaked: Mapping[str, int]
