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
    """One step, checked: its menu entry and its complete settings."""

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
        stage = menu.stage(step.stage)
        if stage.takes != kind:
            raise ConfigError(
                f"step '{stage.name}' takes {stage.takes}, but gets {kind} at this place",
                f"Put a step before it that gives {stage.takes}: {stages_giving(stage.takes)}.",
            )
        wanted = {field.name for field in fields(stage.settings) if field.metadata.get("given")}
        filled = {name: value for name, value in given.items() if name in wanted}
        jobs.append(Job(stage, _read_settings(stage, {**filled, **step.settings})))
        kind = stage.gives
    return tuple(jobs)


def stages_giving(kind: ArtifactKind) -> str:
    """The names of the stages that make an artifact of this kind, for messages."""
    return ", ".join(stage.name for stage in menu.MENU if stage.gives == kind)


def _read_settings(stage: menu.Stage, values: Mapping[str, object]) -> StageSettings:
    """A stage's settings, checked; a path that does not exist is found here and not when its step begins."""
    settings = read(stage.settings, values, stage.name)
    for field in fields(stage.settings):
        path = getattr(settings, field.name)
        if isinstance(path, Path) and not path.exists():
            what = "model" if field.metadata["names_model"] else "data"
            raise DataError(f"{path}: no such {what} folder", f"Check the path given for {stage.name}.{field.name}.")
    return settings
