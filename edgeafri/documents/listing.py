"""What `edgeafri stages --json` prints: the stages, what they take and give, and their settings."""

from dataclasses import dataclass

from edgeafri.documents.base import Document, Json


@dataclass(frozen=True, kw_only=True)
class SettingEntry(Document):
    """A setting of a stage, named as on the command line."""

    name: str
    about: str
    default: Json


@dataclass(frozen=True, kw_only=True)
class StageEntry(Document):
    """A stage: the kinds of artifact that it takes and gives, what it does, and its settings."""

    name: str
    takes: str
    gives: str
    about: str
    settings: tuple[SettingEntry, ...]
