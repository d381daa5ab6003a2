"""The whole job in Python: from a fine-tuned model to a bundle that was measured per language and judged."""

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ParamSpec, TypeVar

from edgeafri.api.arguments import ALL, StrPath, codes_of, no_language, number_of, path_of, paths_of, word_of
from edgeafri.api.bundles import Bundle, load
from edgeafri.api.console import events_shown
from edgeafri.api.reports import Report
from edgeafri.builder.events import OnEvent
from edgeafri.builder.plan import BuildRequest
from edgeafri.builder.recipe import Change
from edgeafri.builder.teacher import SAMPLE
from edgeafri.documents.build import BuildResult, PlannedStep
from edgeafri.documents.checks import Check
from edgeafri.documents.html import table_html
from edgeafri.util.files import Digests

P = ParamSpec("P")
R = TypeVar("R")
Arguments = tuple[BuildRequest, OnEvent | None]
Work = Callable[[BuildRequest, OnEvent | None], R]


@dataclass(frozen=True)
class LanguageResult:
    """One language of a build: F1 of teacher and bundle in points, what was lost, and its 95 % interval."""

    teacher: float
    bundle: float
    drop: float
    low: float
    high: float


@dataclass(frozen=True)
class Plan:
    """What a build would do: every step with its settings, and which of them are there already."""

    steps: tuple[PlannedStep, ...]
    notes: tuple[str, ...]

    def _repr_html_(self) -> str:
        rows = [(step.stage, "reused" if step.reused else "to do", step.folder) for step in self.steps]
        return table_html([("step", "", "folder"), *rows])


@dataclass(frozen=True)
class Build:
    """A finished build. `document.to_json()` is what `edgeafri build --json` prints."""

    document: BuildResult

    @cached_property
    def bundle(self) -> Bundle:
        """The bundle, ready to predict."""
        return load(self.document.bundle)

    @property
    def passed(self) -> bool:
        """Whether no check is over its limit."""
        return self.document.passed

    @property
    def checks(self) -> tuple[Check, ...]:
        """Every number that was held against its limit."""
        return self.document.checks

    @cached_property
    def quality(self) -> Mapping[str, LanguageResult]:
        """Quality by language code, and of 'avg', their mean; empty where there was no labelled data."""
        found = self.document.quality
        if found is None:
            return {}
        return {
            code: LanguageResult(found.teacher[code], found.bundle[code], drop.value, drop.low, drop.high)
            for code, drop in found.drop.items()
        }

    @cached_property
    def report(self) -> Report:
        """The report of this build as a page, Markdown and JSON; `report.show()` opens it."""
        from edgeafri.report.from_documents import of_build

        return Report((of_build(self.document),))

    def _repr_html_(self) -> str:
        checks = [(item.name, *self._check_cells(item)) for item in self.checks]
        rows = [
            (
                code,
                f"{item.teacher:.2f}",
                f"{item.bundle:.2f}",
                f"{item.drop:.2f}",
                f"{item.low:.2f} to {item.high:.2f}",
            )
            for code, item in self.quality.items()
        ]
        quality = table_html([("language", "teacher", "bundle", "lost", "95 % interval"), *rows]) if rows else ""
        return table_html([("check", "measured", "limit", "passed"), *checks]) + quality + self.bundle._repr_html_()

    def _check_cells(self, item: Check) -> tuple[str, str, str]:
        from edgeafri.report.checks import limit, measured, outcome

        return measured(item), limit(item), outcome(item)


def _arguments(
    teacher: StrPath = SAMPLE,
    *,
    target: str,
    data: StrPath | None = None,
    text: StrPath | None = None,
    languages: str | Iterable[str] = ALL,
    task: str = "ner",
    recipe: StrPath | None = None,
    settings: Mapping[str, object] | Iterable[Change] = (),
    work: StrPath = "edgeafri-work",
    profiles: Sequence[StrPath] = (),
    max_drop: float = 1.0,
    max_worst_drop: float = 2.0,
    offline: bool = False,
    fresh: bool = False,
    command: str = "",
    on_event: OnEvent | None = None,
) -> Arguments:
    """The request of a build; these are the arguments of build() and plan_build()."""
    codes = codes_of(languages)
    if not codes:
        raise no_language()
    if data is None and str(teacher) == SAMPLE:
        data = SAMPLE
    request = BuildRequest(
        target=word_of(target, "target"),
        teacher=str(path_of(teacher, "teacher")),
        task=word_of(task, "task"),
        data=None if data is None else str(path_of(data, "data")),
        text=None if text is None else path_of(text, "text"),
        languages=codes,
        recipe=None if recipe is None else str(path_of(recipe, "recipe")),
        changes=_changes(settings),
        work=path_of(work, "work"),
        profiles=paths_of(profiles, "profiles"),
        offline=offline,
        fresh=fresh,
        max_drop=number_of(max_drop, "max_drop"),
        max_worst_drop=number_of(max_worst_drop, "max_worst_drop"),
        command=command,
    )
    return request, on_event


def _changes(settings: Mapping[str, object] | Iterable[Change]) -> tuple[Change, ...]:
    """{"quantize.embeddings": "float32"}, or {"quantize": {"embeddings": "float32"}}, as changes one after another."""
    changes: list[Change] = []
    for name, value in settings.items() if isinstance(settings, Mapping) else settings:
        if isinstance(value, Mapping) and "." not in name:
            changes += [(f"{name}.{key}", item) for key, item in value.items()]
        else:
            changes.append((name, value))
    return tuple(changes)


def _taking(arguments: Callable[P, Arguments]) -> Callable[[Work[R]], Callable[P, R]]:
    """A decorator: the function takes the arguments that make a request, and shows their signature."""

    def decorator(work: Work[R]) -> Callable[P, R]:
        def function(*given: P.args, **named: P.kwargs) -> R:
            return work(*arguments(*given, **named))

        signature = inspect.signature(arguments)
        returned = inspect.signature(work).return_annotation
        function.__signature__ = signature.replace(return_annotation=returned)  # type: ignore[attr-defined]
        function.__name__, function.__qualname__, function.__doc__ = work.__name__, work.__qualname__, work.__doc__
        return function

    return decorator


@_taking(_arguments)
def build(request: BuildRequest, on_event: OnEvent | None) -> Build:
    """Turn a fine-tuned model into a bundle for a device, measured per language and judged against its budget.

    teacher: a model folder, a Hub name such as 'org/name', or 'sample'
    target: the device to build for; `edgeafri.devices()` has their names
    data, text: labelled data; raw text, a folder with LANG.txt
    languages: ISO 639-3 codes, or 'all' of the data
    recipe: a recipe by name or a .yaml file; the device's own when None
    settings: changes of the recipe's settings, such as {"quantize.embeddings": "float32"}
    max_drop, max_worst_drop: points of F1 that may be lost on average, and in the worst language
    work: the folder of the steps; finished ones are reused, and `fresh` measures again
    on_event: told what begins and ends; a progress bar is shown when None

    >>> result = edgeafri.build("my-ner", target="rpi4", data="masakhaner", languages=["swa", "hau"])
    >>> result.quality["swa"].drop, result.bundle, result.passed
    """
    from edgeafri.builder.delivery import deliver
    from edgeafri.builder.plan import plan_build

    with Digests() as digests, events_shown(on_event) as shown:
        return Build(deliver(plan_build(request, digests, shown), digests, shown))


@_taking(_arguments)
def plan_build(request: BuildRequest, on_event: OnEvent | None) -> Plan:
    """What build() would do with the same arguments, everything checked and nothing done."""
    from edgeafri.builder import plan

    with Digests() as digests, events_shown(on_event) as shown:
        found = plan.plan_build(request, digests, shown)
        return Plan(plan.dry_run(found, digests), found.notes)
