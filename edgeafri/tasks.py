"""The task table: what each task labels, which head it needs and which metric judges it."""

from dataclasses import dataclass
from typing import Literal

from edgeafri.errors import UsageError
from edgeafri.settings import did_you_mean


@dataclass(frozen=True)
class Task:
    """One row. `head` is the suffix of the transformers architecture, `export` the task's name in optimum."""

    name: str
    about: str
    head: str
    export: str
    unit: Literal["word", "text"]
    metric: str


TASKS = (
    Task(
        name="ner",
        about="named entities: PER, ORG, LOC, DATE in running text",
        head="ForTokenClassification",
        export="token-classification",
        unit="word",
        metric="entity F1",
    ),
)


def task(name: str) -> Task:
    """The task of that name; UsageError with a suggestion when there is none."""
    for row in TASKS:
        if row.name == name:
            return row
    raise UsageError(f"unknown task '{name}'", did_you_mean(name, [row.name for row in TASKS]))


def task_of(architecture: str) -> Task | None:
    """The task whose head a transformers architecture carries; None for a bare encoder."""
    return next((row for row in TASKS if architecture.endswith(row.head)), None)
