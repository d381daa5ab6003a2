"""jobs: the steps of a recipe, checked before any work: its stages, their settings, and what each gives the next."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from edgeafri import menu
from edgeafri.artifact import ArtifactKind
from edgeafri.builder.recipe import Step
from edgeafri.errors import ConfigError, DataError
from edgeafri.menu.settings import StageSettings
from edgeafri.settings import read


@dataclass(frozen=True)
class Job:
    """One step, checked: its menu line and its complete settings."""

    stage: menu.Stage
    settings: StageSettings

    @property
    def learns(self) -> bool:
        """Whether it trains: then how long that takes is said beforehand."""
        return self.settings.learns


def plan_jobs(steps: Sequence[Step], kind: ArtifactKind, given: Mapping[str, object]) -> tuple[Job, ...]:
    """The steps as jobs, each stage and setting checked, and what it gives the next. Raises ConfigError or UsageError.

    `given` holds what belongs to the whole build (task, languages, data, text); a step's own settings go first.
    """
    jobs = []
    for step in steps:
        line = menu.stage(step.stage)
        if line.takes != kind:
            raise ConfigError(
                f"step '{line.name}' takes {line.takes}, but gets {kind} at this place",
                f"Put a step before it that gives {line.takes}: {stages_giving(line.takes)}.",
            )
        wanted = {field.name for field in fields(line.settings) if field.metadata.get("given")}
        filled = {name: value for name, value in given.items() if name in wanted}
        jobs.append(Job(line, _read_settings(line, {**filled, **step.settings})))
        kind = line.gives
    return tuple(jobs)


def stages_giving(kind: ArtifactKind) -> str:
    """The names of the stages that make an artifact of this kind, for messages."""
    return ", ".join(line.name for line in menu.MENU if line.gives == kind)


def _read_settings(line: menu.Stage, values: Mapping[str, object]) -> StageSettings:
    """A stage's settings, checked; a path that does not exist is found here and not when its step begins."""
    settings = read(line.settings, values, line.name)
    for field in fields(line.settings):
        path = getattr(settings, field.name)
        if isinstance(path, Path) and not path.exists():
            what = "model" if field.metadata["names_model"] else "data"
            raise DataError(f"{path}: no such {what} folder", f"Check the path given for {line.name}.{field.name}.")
    return settings
