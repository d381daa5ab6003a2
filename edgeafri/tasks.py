"""The task table: what each task labels, which head it needs and by which metric it is evaluated."""

from dataclasses import dataclass
from typing import Literal

from edgeafri.errors import UsageError
from edgeafri.settings import did_you_mean


@dataclass(frozen=True)
class Task:
    """One row. `head` is the suffix of the transformers architecture, `export` the task's name in optimum.

    `unit` is what has a label: every word, the whole text, or every hidden token.
    """

    name: str
    about: str
    head: str
    export: str
    unit: Literal["word", "text", "token"]
    metric: str

    @property
    def for_device(self) -> bool:
        """Whether a bundle can be made for it; what is left is a step of training on raw text."""
        return self.unit != "token"


TASKS = (
    Task(
        name="ner",
        about="named entities: PER, ORG, LOC, DATE in running text",
        head="ForTokenClassification",
        export="token-classification",
        unit="word",
        metric="entity F1",
    ),
    Task(
        name="sentiment",
        about="the tone of a text: negative, neutral, positive",
        head="ForSequenceClassification",
        export="text-classification",
        unit="text",
        metric="macro F1",
    ),
    Task(
        name="topic",
        about="what an article is about, from its headline and its beginning",
        head="ForSequenceClassification",
        export="text-classification",
        unit="text",
        metric="macro F1",
    ),
    Task(
        name="mask",
        about="hidden subwords of raw text: how encoders learn a language; a step on the way, not for a device",
        head="ForMaskedLM",
        export="fill-mask",
        unit="token",
        metric="accuracy",
    ),
)


def task(name: str) -> Task:
    """The task of that name; UsageError with a suggestion when there is none."""
    for row in TASKS:
        if row.name == name:
            return row
    raise UsageError(f"unknown task '{name}'", did_you_mean(name, [row.name for row in TASKS]))


def unit_of(name: str) -> Literal["word", "text"]:
    """What has a label in a task's data, and with it how the data is laid out; words where raw text is all there is."""
    return "text" if task(name).unit == "text" else "word"


def tasks_of(architecture: str) -> tuple[Task, ...]:
    """The tasks whose head a transformers architecture carries; none for a bare encoder."""
    return tuple(row for row in TASKS if architecture.endswith(row.head))
