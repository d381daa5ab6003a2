"""plan: what a build is asked for, and everything that can be checked of it before any work."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from edgeafri import menu
from edgeafri.artifact import Artifact, is_artifact
from edgeafri.builder.cache_key import step_folders
from edgeafri.builder.events import OnEvent
from edgeafri.builder.jobs import Job, plan_jobs
from edgeafri.builder.recipe import Change, Recipe, Step, override, read_recipe
from edgeafri.builder.teacher import SAMPLE, SAMPLE_TASK, check_head, find_teacher, head_of, sample_corpus
from edgeafri.data.languages import language
from edgeafri.device.profile import DeviceProfile, read_profile
from edgeafri.documents.base import Json, plain
from edgeafri.documents.build import PlannedStep
from edgeafri.errors import ConfigError, UsageError
from edgeafri.tasks import TASKS, task, unit_of
from edgeafri.util.files import Digests

if TYPE_CHECKING:  # data is read where it is needed, so that a typo is told before anything is loaded
    from edgeafri.data.dataset import Dataset, Unit

ALL = "all"


@dataclass(frozen=True)
class BuildRequest:
    """What the user asked for. `data` is a folder, 'sample' or None; `languages` are codes, or ('all',)."""

    target: str
    teacher: str = SAMPLE
    task: str = "ner"
    data: str | None = SAMPLE
    text: Path | None = None
    languages: tuple[str, ...] = (ALL,)
    recipe: str | None = None
    changes: tuple[Change, ...] = ()
    work: Path = Path("edgeafri-work")
    profiles: tuple[Path, ...] = ()
    offline: bool = False
    fresh: bool = False
    max_drop: float = 1.0
    max_worst_drop: float = 2.0
    runs: int = 30
    command: str = ""

    @property
    def sample(self) -> bool:
        """Whether a part of the embedded sample is used: then the numbers say nothing about a real model."""
        return SAMPLE in (self.teacher, self.data)


@dataclass(frozen=True)
class BuildPlan:
    """A request whose names, settings, languages and data were all found to exist, before any work.

    `jobs` are the steps to run on `teacher`, in order.
    """

    request: BuildRequest
    profile: DeviceProfile
    recipe: Recipe
    dataset: "Dataset | None"
    languages: tuple[str, ...]
    teacher: Artifact
    jobs: tuple[Job, ...]
    notes: tuple[str, ...] = ()


def plan_build(request: BuildRequest, digests: Digests, on_event: OnEvent) -> BuildPlan:
    """Check everything that can be known before work starts. The sample's teacher is made here if it is not yet."""
    _check_limits(request)
    _check_task(request)
    profile = read_profile(request.target, request.profiles)
    recipe = read_recipe(request.recipe or _own_recipe(request, profile))
    _check_ends(plan_jobs(override(_with_finetune(recipe), request.changes), "torch", {}))
    check_head(request.teacher, request.task)
    dataset, languages = _data_and_languages(request)
    teacher = find_teacher(request.teacher, request.task, languages, request.work, request.offline, digests, on_event)
    headless = not head_of(teacher, request.task)
    steps = override(_with_finetune(recipe) if headless else recipe.steps, request.changes)
    jobs = plan_jobs(steps, "torch", _shared_settings(request, profile, dataset, languages))
    _check_can_learn(jobs, dataset)
    notes = (f"the teacher has no head for {request.task}: finetune goes first",) if headless else ()
    return BuildPlan(request, profile, recipe, dataset, languages, teacher, jobs, notes)


def dry_run(plan: BuildPlan, digests: Digests) -> tuple[PlannedStep, ...]:
    """Every step of the plan with its settings, and whether its result is there already."""
    folders = [plan.request.work / name for name in step_folders(plan.jobs, plan.teacher, digests)]
    return tuple(
        PlannedStep(job.stage.name, str(folder), is_artifact(folder), _values_of(job))
        for job, folder in zip(plan.jobs, folders, strict=True)
    )


def _check_limits(request: BuildRequest) -> None:
    for name, value in (("--max-drop", request.max_drop), ("--max-worst-drop", request.max_worst_drop)):
        if not 0 <= value <= 100:
            raise UsageError(f"{name}: {value} is not a number of points", "Use a number from 0 to 100.")


def _check_task(request: BuildRequest) -> None:
    if not task(request.task).for_device:
        known = ", ".join(row.name for row in TASKS if row.for_device)
        hint = f"Choose one of {known}; a masked-LM teacher is fine-tuned for it first."
        raise UsageError(f"--task {request.task}: a step of training, not a task for a device", hint)
    if request.sample and request.task != SAMPLE_TASK:
        hint = f"Add --teacher MODEL and --data DIR of your own, or use --task {SAMPLE_TASK}."
        raise UsageError(f"the embedded sample is for {SAMPLE_TASK}, not for {request.task}", hint)


def _own_recipe(request: BuildRequest, profile: DeviceProfile) -> str:
    """The device's recipe for this request: one that trains a student needs data of the user's own to learn from."""
    own_data = request.data is not None and not request.sample
    return profile.recipe_with_data or profile.recipe if own_data else profile.recipe


def _with_finetune(recipe: Recipe) -> tuple[Step, ...]:
    """The steps for a teacher without a head: fine-tuning goes first, unless the recipe has a step that teaches."""
    teaches = any(menu.stage(step.stage).teaches_task for step in recipe.steps)
    return recipe.steps if teaches else (Step("finetune"), *recipe.steps)


def _check_ends(jobs: tuple[Job, ...]) -> None:
    """ConfigError when a step needs a head that one before it took, and when no bundle comes out at the end."""
    took_head = ""  # the stage that left no head
    for job in jobs:
        if job.stage.needs_head and took_head:
            message = f"step '{job.stage.name}' gets a model without a head: {took_head}, as it is set, leaves none"
            raise ConfigError(message, f"Put '- finetune' between the two, or change the settings of {took_head}.")
        if job.settings.leaves_head is not None:
            took_head = "" if job.settings.leaves_head else job.stage.name
    last = jobs[-1].stage
    if last.gives != "bundle":
        message = f"the recipe ends with '{last.name}', which gives no bundle"
        raise ConfigError(message, "Add '- bundle' as its last step.")


def _data_and_languages(request: BuildRequest) -> "tuple[Dataset | None, tuple[str, ...]]":
    """The labelled data and the languages, every file of theirs found to be there."""
    from edgeafri.data.dataset import SPLITS, Dataset, text_files

    root = sample_corpus() if request.data == SAMPLE else Path(request.data) if request.data else None
    unit = unit_of(request.task)
    languages = _all_languages(root, unit) if request.languages == (ALL,) else request.languages
    for code in languages:
        language(code)
    dataset = None if root is None else Dataset(root, languages, unit)
    if dataset is not None:
        dataset.files(*SPLITS)
    if request.text is not None:
        text_files(request.text, languages)
    return dataset, languages


def _all_languages(root: Path | None, unit: "Unit") -> tuple[str, ...]:
    from edgeafri.data.dataset import languages_in

    if root is None:
        raise UsageError("without labelled data, the languages must be named", "Add --lang swa,hau or --data DIR.")
    found = languages_in(root, unit)
    for name in found:
        try:
            language(name)
        except UsageError as error:
            hint = f"{error.hint} Or name the languages: --lang swa,hau."
            raise UsageError(f"{root / name}: the folder's name is no language code", hint) from None
    return found


def _shared_settings(
    request: BuildRequest, profile: DeviceProfile, dataset: "Dataset | None", languages: tuple[str, ...]
) -> dict[str, object]:
    """What belongs to the whole build; every step takes from it what it has a setting for."""
    return {
        "task": request.task,
        "languages": languages,
        "data": dataset and dataset.root,
        "text": request.text,
        "isa": profile.isa,
        "threads": profile.threads,
        "free_mb": profile.memory.free and profile.memory.free.value,
        "sample": request.sample,
        # The sample's model is too weak, and its dev too small, for a limit to mean anything.
        "worst_drop": None if dataset is None or request.sample else request.max_worst_drop,
    }


def _check_can_learn(jobs: tuple[Job, ...], dataset: "Dataset | None") -> None:
    learners = [job.stage.name for job in jobs if job.learns]
    if dataset is None and learners:
        message = f"there is no labelled data for {learners[0]} to learn from"
        raise UsageError(message, "Add --data DIR with a train and a dev file for every language.")


def _values_of(job: Job) -> dict[str, Json]:
    return {field.name: plain(getattr(job.settings, field.name)) for field in fields(job.settings)}
