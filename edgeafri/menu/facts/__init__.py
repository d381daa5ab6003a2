"""What stages say of their work, declared once: a class for each stage, whose values go into the artifact's manifest.

A class says in one line what came of the stage, where there is something to say of every language also in a table, and
what a reader of the build's report must know. It is loaded when it is needed: the command line starts without it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from edgeafri.documents.base import Document, Json, plain


class Facts(Document):
    """The base of every stage's facts; a subclass is a frozen dataclass whose fields are the keys in the manifest.

    Only what is the same every time belongs here, so that equal work gives equal ids: no time, no path.
    """

    @property
    def task(self) -> str | None:
        """The task that the model was made for, where the stage decides that."""
        return None

    @property
    def another_model(self) -> bool:
        """Whether the stage was meant to change the answers of the model, and not to leave them alone."""
        return False

    def line(self) -> str:
        """The numbers that a person wants to see, in one line: every value that is a number or a word."""
        values = {name: value for name, value in self.to_json().items() if isinstance(value, (bool, int, float, str))}
        return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in values.items())

    def table(self) -> Sequence[Sequence[str]]:
        """A header and a row for each language, where there is something to say of each; else nothing."""
        return ()

    def notes(self) -> tuple[str, ...]:
        """What the report of a build should tell of this, in sentences."""
        return ()


@dataclass(frozen=True)
class Figures(Facts):
    """The facts of a stage that has no class of its own for them: names with values."""

    values: Mapping[str, Json]

    def to_json(self) -> dict[str, Json]:
        return {name: plain(value) for name, value in self.values.items()}

    @classmethod
    def from_json(cls, value: object, where: str = "") -> Self:
        return cls(dict(value) if isinstance(value, Mapping) else {})


def millions(before: int, after: int) -> str:
    """How many parameters there were and are."""
    return f"{before / 1e6:.1f} -> {after / 1e6:.1f} million parameters"
