"""events: what a build reports while it works. The caller passes a function that gets one event after another."""

from collections.abc import Callable
from dataclasses import dataclass

from edgeafri.artifact import Artifact


@dataclass(frozen=True)
class Started:
    """A stage begins."""

    stage: str


@dataclass(frozen=True)
class Progressed:
    """A stage is at `done` of `total`."""

    stage: str
    done: int
    total: int


@dataclass(frozen=True)
class Finished:
    """A stage's artifact is there; `seconds` is 0 when it was reused."""

    stage: str
    artifact: Artifact
    reused: bool
    seconds: float


@dataclass(frozen=True)
class Noted:
    """Something that is not a stage ended, such as a measurement; `text` says how."""

    stage: str
    text: str
    reused: bool = False
    seconds: float = 0.0


Event = Started | Progressed | Finished | Noted
OnEvent = Callable[[Event], None]
