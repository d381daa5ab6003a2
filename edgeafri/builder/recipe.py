"""Recipes: an ordered list of steps from a YAML file, and the overrides of one command line."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from edgeafri.errors import ConfigError, UsageError
from edgeafri.settings import did_you_mean

FOLDER = Path(__file__).parent / "recipes"


Change = tuple[str, object]
"""A setting of a step by its name, "stage.key", and the value that it gets."""
_EXAMPLE = "Example: --set quantize.weights=int8"


@dataclass(frozen=True)
class Step:
    """One stage by name, with the settings that differ from its defaults."""

    stage: str
    settings: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Recipe:
    name: str
    about: str
    steps: tuple[Step, ...]


def recipe_names() -> tuple[str, ...]:
    """The recipes that come with the package."""
    return tuple(sorted(file.stem for file in FOLDER.glob("*.yaml")))


def read_recipe(name: str) -> Recipe:
    """A recipe by its name, or from a YAML file of the user's."""
    file = Path(name) if name.endswith((".yaml", ".yml")) else FOLDER / f"{name}.yaml"
    if not file.is_file():
        raise UsageError(f"no recipe '{name}'", did_you_mean(name, recipe_names()) + " Or give a .yaml file.")
    values = _parsed(file)
    if not isinstance(values, Mapping) or not isinstance(values.get("steps"), list) or not values["steps"]:
        raise ConfigError(
            f"{file}: a recipe needs a list 'steps'", "See `edgeafri recipes faithful` for one that works."
        )
    unknown = sorted(str(key) for key in set(values) - {"about", "steps"})
    if unknown:
        raise ConfigError(f"{file}: unknown key '{unknown[0]}'", did_you_mean(unknown[0], ("about", "steps")))
    return Recipe(file.stem, str(values.get("about", "")), tuple(_step(item, str(file)) for item in values["steps"]))


def override(steps: Sequence[Step], changes: Iterable[Change]) -> tuple[Step, ...]:
    """The steps with the changes applied, in their order. UsageError for a step that is not there."""
    changed = list(steps)
    for name, value in changes:
        stage, key = _split(name)
        indices = [index for index, step in enumerate(changed) if step.stage == stage]
        if not indices:
            hint = did_you_mean(stage, [step.stage for step in changed])
            raise UsageError(f"{name}: this recipe has no step '{stage}'", hint)
        for index in indices:
            changed[index] = replace(changed[index], settings={**changed[index].settings, key: value})
    return tuple(changed)


def read_change(assignment: str) -> Change:
    """`stage.key=value`, as `--set` takes it. UsageError for another form."""
    name, equals, value = assignment.partition("=")
    if not equals:
        raise UsageError(f"--set {assignment}: not of the form stage.key=value", _EXAMPLE)
    return name, value


def _parsed(file: Path) -> object:
    import yaml

    try:
        found: object = yaml.safe_load(file.read_text("utf-8"))
        return found
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"{file}: not readable as YAML ({error})", "Check its indentation and encoding.") from None


def _step(item: object, where: str) -> Step:
    if isinstance(item, str):
        return Step(item)
    if isinstance(item, Mapping) and len(item) == 1:
        ((stage, settings),) = item.items()
        if settings is None or isinstance(settings, Mapping):
            return Step(str(stage), {str(key): value for key, value in (settings or {}).items()})
    raise ConfigError(f"{where}: not a step: {item!r}", "Write '- trim' or '- quantize: {weights: int8}'.")


def _split(name: str) -> tuple[str, str]:
    stage, _, key = name.partition(".")
    if not (stage and key):
        raise UsageError(f"{name}: not of the form stage.key", _EXAMPLE)
    return stage, key.replace("-", "_")
