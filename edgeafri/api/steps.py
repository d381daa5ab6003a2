"""Every stage of the menu as a function: `edgeafri.trim(source, out, languages=['swa'], text='raw')`.

The keyword arguments are the fields of the stage's settings class, which is also the recipe's YAML, the command's
options and the cache key; signatures and help texts are made from it.
"""

import inspect
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from pathlib import Path

from edgeafri.api.arguments import StrPath, path_of
from edgeafri.api.console import events_shown
from edgeafri.builder.events import OnEvent
from edgeafri.documents.html import document_html
from edgeafri.errors import StorageError
from edgeafri.menu import Stage, facts_of, find
from edgeafri.menu.facts import Facts
from edgeafri.settings import types_of


@dataclass(frozen=True)
class StepResult:
    """What a stage made: the folder, its artifact id, and the stage's facts. Stands wherever a path does."""

    path: Path
    id: str
    stage: str
    facts: Facts

    def __fspath__(self) -> str:
        return str(self.path)

    def _repr_html_(self) -> str:
        return document_html(self.facts)


StageFunction = Callable[..., StepResult]


def stage_function(entry: Stage) -> StageFunction:
    """The function of a menu entry, with the signature and the help text of its settings."""

    def function(source: StrPath, out: StrPath, *, on_event: OnEvent | None = None, **settings: object) -> StepResult:
        return run_stage(entry, path_of(source, "source"), path_of(out, "out"), settings, on_event)

    function.__name__ = function.__qualname__ = entry.name.replace("-", "_")
    function.__doc__ = _help(entry)
    function.__signature__ = _signature(entry)  # type: ignore[attr-defined]  # inspect reads it from any function
    return function


def run_stage(
    entry: Stage, source: Path, out: Path, settings: dict[str, object], on_event: OnEvent | None = None
) -> StepResult:
    """Run one stage on a folder into a new folder. Settings that are None are left at their defaults."""
    from edgeafri.builder.jobs import plan_jobs
    from edgeafri.builder.pipeline import make_artifact, open_source
    from edgeafri.builder.recipe import Step
    from edgeafri.util.files import Digests

    if out.exists():  # before anything is read
        raise StorageError(f"{out}: already there", "Choose another folder, or remove it first.")
    given = {name: value for name, value in settings.items() if value is not None}
    with Digests() as digests, events_shown(on_event) as shown:
        (job,) = plan_jobs([Step(entry.name, given)], entry.takes, {})
        made = make_artifact(job, open_source(source, entry, digests), out, digests, shown).artifact
    return StepResult(out, made.id, entry.name, facts_of(made.manifest))


def _signature(entry: Stage) -> inspect.Signature:
    kinds = types_of(entry.settings)
    plain, named = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY
    parameters = [inspect.Parameter(name, plain, annotation=StrPath) for name in ("source", "out")]
    for field in fields(entry.settings):
        default = inspect.Parameter.empty if field.default is MISSING else field.default
        parameters.append(inspect.Parameter(field.name, named, default=default, annotation=kinds[field.name]))
    parameters.append(inspect.Parameter("on_event", named, default=None, annotation=OnEvent | None))
    return inspect.Signature(parameters, return_annotation=StepResult)


def _help(entry: Stage) -> str:
    settings = [f"    {field.name}: {field.metadata['about']}" for field in fields(entry.settings)]
    lines = [
        entry.about,
        "",
        f"`source` is a folder that holds {entry.takes}; the new folder `out` gets {entry.gives}.",
    ]
    return "\n".join([*lines, "", *settings])


def __getattr__(name: str) -> StageFunction:
    """`steps.trim` is the function of the menu's stage of that name; a new line in the menu needs nothing here."""
    # edgeafri.bundle is a module, so the stage that makes a bundle has another name.
    wanted = "bundle" if name == "make_bundle" else name.replace("_", "-")
    entry = find(wanted)
    if entry is None:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return stage_function(entry)
