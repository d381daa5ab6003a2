"""The main job: from a teacher to a bundle that is built, measured per language, and judged for a device."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeafri import menu, report
from edgeafri.artifact import Artifact, is_artifact
from edgeafri.build import pipeline
from edgeafri.build.cache_key import step_folders
from edgeafri.build.events import Finished, OnEvent
from edgeafri.build.jobs import Job, plan_jobs
from edgeafri.build.lineage import reference_place
from edgeafri.build.measurement_cache import SPLITS, MeasurementCache
from edgeafri.build.recipe import Recipe, Step, override, read_recipe
from edgeafri.build.teacher import SAMPLE, SAMPLE_TASK, check_head, find_teacher, head_of, labels_of, sample_corpus
from edgeafri.bundle import CARD, GRAPH, WEIGHTS
from edgeafri.data.languages import language
from edgeafri.device.profile import DeviceProfile, read_profile
from edgeafri.documents.data_issues import DataIssues
from edgeafri.errors import ConfigError, UsageError
from edgeafri.latency.estimate import estimate
from edgeafri.runners.local import RUNTIME, call_worker
from edgeafri.tasks import TASKS, task, unit_of
from edgeafri.util.files import Digests, json_text, storage, write_whole

if TYPE_CHECKING:  # data is read where it is needed, so that a typo is told before anything is loaded
    from edgeafri.data.dataset import Unit

ALL = "all"
Document = dict[str, Any]


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
    assignments: tuple[str, ...] = ()
    work: Path = Path("edgeafri-work")
    profiles: tuple[Path, ...] = ()
    offline: bool = False
    fresh: bool = False
    max_drop: float = 1.0
    max_worst_drop: float = 2.0
    runs: int = 30
    command: str = ""


@dataclass(frozen=True)
class BuildPlan:
    """A request whose names, settings, languages and labels were all found to exist, before any work."""

    request: BuildRequest
    profile: DeviceProfile
    recipe: Recipe
    steps: tuple[Step, ...]
    data: Path | None
    languages: tuple[str, ...]
    teacher: Artifact
    jobs: tuple[Job, ...]
    notes: tuple[str, ...]

    @property
    def sample(self) -> bool:
        return SAMPLE in (self.request.teacher, self.request.data)


def plan_build(request: BuildRequest, digests: Digests, on_event: OnEvent) -> BuildPlan:
    """Check everything that can be known before work starts. The sample's teacher is made here if it is not yet."""
    _check_gates(request)
    _check_task(request)
    profile = read_profile(request.target, request.profiles)
    recipe = read_recipe(request.recipe or _own_recipe(request, profile))
    teaches = any(menu.stage(step.stage).teaches_task for step in recipe.steps)
    learning = recipe.steps if teaches else (Step("finetune"), *recipe.steps)
    _check_ends(plan_jobs(override(learning, request.assignments), "torch", {}))
    check_head(request.teacher, request.task)
    data, languages = _data_and_languages(request)
    source = find_teacher(request.teacher, request.task, languages, request.work, request.offline, digests, on_event)
    headless = not head_of(source, request.task)
    steps = override(learning if headless else recipe.steps, request.assignments)
    given: dict[str, Any] = {"task": request.task, "languages": languages, "data": data, "text": request.text}
    given |= {
        "isa": profile.isa,
        "threads": profile.threads,
        "free_mb": profile.memory.free and profile.memory.free.value,
    }
    sample = SAMPLE in (request.teacher, request.data)
    jobs = plan_jobs(steps, "torch", {**given, "sample": sample})
    notes = [f"the teacher has no head for {request.task}: finetune goes first"] if headless else []
    learners = [job.stage.name for job in jobs if job.learns]
    if data is None and learners:
        raise UsageError(
            f"there is no labelled data for {learners[0]} to learn from",
            "Add --data DIR with a train and a dev file for every language.",
        )
    return BuildPlan(request, profile, recipe, steps, data, languages, source, jobs, tuple(notes))


def _own_recipe(request: BuildRequest, profile: DeviceProfile) -> str:
    """The device's recipe for this request: one that trains a student needs data of the user's own to learn from."""
    own_data = request.data is not None and SAMPLE not in (request.teacher, request.data)
    return profile.recipe_with_data or profile.recipe if own_data else profile.recipe


def dry_run(plan: BuildPlan, digests: Digests) -> list[dict[str, Any]]:
    """The plan: every step with its settings, and whether its result is there already."""
    folders = step_folders(plan.jobs, plan.teacher, digests)
    work = plan.request.work
    return [
        {
            "stage": job.stage.name,
            "folder": str(work / folder),
            "reused": is_artifact(work / folder),
            "settings": _shown(job),
        }
        for job, folder in zip(plan.jobs, folders, strict=True)
    ]


def deliver(plan: BuildPlan, digests: Digests, on_event: OnEvent) -> Document:
    """Build, measure, judge and write the report; returns the document that `build --json` prints."""
    request, profile = plan.request, plan.profile
    with storage(request.work):
        cache = MeasurementCache(request.work, digests, on_event, request.fresh)
        found = _found_in(plan, cache)
        done = pipeline.run_jobs(plan.jobs, plan.teacher, request.work, digests, on_event)
        with pipeline.workplace(request.work):  # two measurements at once would disturb each other
            document = _measured(plan, done, found, cache)
        checks = report.judge(profile.budget, document, request.max_drop, request.max_worst_drop)
        document["checks"] = [asdict(item) for item in checks]
        document["passed"] = not report.failed(checks)
        document["report"] = _write_report(document, request.work)
    return document


def _measured(plan: BuildPlan, done: Sequence[Finished], found: DataIssues, cache: MeasurementCache) -> Document:
    from edgeafri.inference.comparison import few_notes

    request, profile = plan.request, plan.profile
    bundle, step = done[-1].artifact, _reference_step(plan, [item.stage for item in done])
    reference = plan.teacher if step is None else done[step].artifact
    quality = cache.quality(reference, bundle, plan.data, plan.languages, request.task)
    if quality is not None:
        quality = replace(quality, test_sentences_in_train=found.leaked)
    chain = [reference, *(item.artifact for item in done[0 if step is None else step + 1 :])]
    return {
        "bundle": str(bundle.path),
        "artifact_id": bundle.id,
        "target": profile.name,
        "task": request.task,
        "languages": list(plan.languages),
        "sample": plan.sample,
        "recipe": plan.recipe.name,
        "teacher": _teacher(plan.teacher),
        "steps": [_step(item) for item in done],
        "quality": quality and quality.to_json(),
        "parity": cache.parity(chain, request.task, plan.languages, plan.data, request.text),
        "size": _sizes(reference, bundle),
        "host": _host(cache, bundle, profile, request.runs),
        "device": _device(bundle, profile),
        "notes": [
            *plan.notes,
            *found.notes,
            *(few_notes(quality) if quality else []),
            *(note for item in (done[-1], *done[:-1]) for note in menu.facts_of(item.artifact.manifest).notes()),
        ],
        "commands": _commands(request, bundle),
    }


def _check_gates(request: BuildRequest) -> None:
    for name, value in (("--max-drop", request.max_drop), ("--max-worst-drop", request.max_worst_drop)):
        if not 0 <= value <= 100:
            raise UsageError(f"{name}: {value} is not a number of points", "Use a number from 0 to 100.")


def _check_task(request: BuildRequest) -> None:
    if task(request.task).unit == "token":
        known = ", ".join(row.name for row in TASKS if row.unit != "token")
        hint = f"Choose one of {known}; a masked-LM teacher is fine-tuned for it first."
        raise UsageError(f"--task {request.task}: a step of training, not a task for a device", hint)
    if SAMPLE in (request.teacher, request.data) and request.task != SAMPLE_TASK:
        hint = f"Add --teacher MODEL and --data DIR of your own, or use --task {SAMPLE_TASK}."
        raise UsageError(f"the embedded sample is for {SAMPLE_TASK}, not for {request.task}", hint)


def _check_ends(jobs: Sequence[Job]) -> None:
    took_head = ""  # the stage that left no head
    for job in jobs:
        if job.stage.needs_head and took_head:
            message = f"step '{job.stage.name}' gets a model without a head: {took_head}, as it is set, leaves none"
            raise ConfigError(message, f"Put '- finetune' between the two, or change the settings of {took_head}.")
        if job.settings.leaves_head is not None:
            took_head = "" if job.settings.leaves_head else job.stage.name
    last = jobs[-1].stage
    if last.gives != "bundle":
        raise ConfigError(
            f"the recipe ends with '{last.name}', which gives no bundle", "Add '- bundle' as its last step."
        )


def _data_and_languages(request: BuildRequest) -> tuple[Path | None, tuple[str, ...]]:
    from edgeafri.data.dataset import Dataset, text_files

    data = sample_corpus() if request.data == SAMPLE else Path(request.data) if request.data else None
    asked = request.languages
    if asked == (ALL,) and data is None:
        raise UsageError("without labelled data, the languages must be named", "Add --lang swa,hau or --data DIR.")
    unit = unit_of(request.task)
    languages = _all_languages(data, unit) if asked == (ALL,) and data else asked
    for code in languages:
        language(code)
    if data is not None:
        Dataset(data, languages, unit).files(*SPLITS)
    if request.text is not None:
        text_files(request.text, languages)
    return data, languages


def _all_languages(data: Path, unit: "Unit") -> tuple[str, ...]:
    from edgeafri.data.dataset import languages_in

    found = languages_in(data, unit)
    for name in found:
        try:
            language(name)
        except UsageError as error:
            hint = f"{error.hint} Or name the languages: --lang swa,hau."
            raise UsageError(f"{data / name}: the folder's name is no language code", hint) from None
    return found


def _found_in(plan: BuildPlan, cache: MeasurementCache) -> DataIssues:
    """What is odd about the labelled data; labels that the teacher will not know are an error before any work."""
    if plan.data is None:
        return DataIssues(("no labelled data: quality was not measured",), {})
    learns = _reference_step(plan, [job.stage.name for job in plan.jobs]) is not None
    labels = None if learns else labels_of(plan.teacher)
    return cache.data_issues(plan.data, plan.languages, plan.request.task, labels)


def _reference_step(plan: BuildPlan, stages: Sequence[str]) -> int | None:
    """The step whose model the bundle is compared with; None for the teacher itself."""
    return reference_place(stages, head_of(plan.teacher, plan.request.task))


def _sizes(reference: Artifact, bundle: Artifact) -> dict[str, int]:
    weights = sum(
        int(item["bytes"]) for name, item in reference.manifest.files.items() if name.endswith(".safetensors")
    )
    graph = sum(int(bundle.manifest.files.get(name, {"bytes": 0})["bytes"]) for name in (GRAPH, WEIGHTS))
    return {"teacher_bytes": weights, "model_bytes": graph, "bundle_bytes": bundle.bytes}


def _host(cache: MeasurementCache, bundle: Artifact, profile: DeviceProfile, runs: int) -> Any:
    threads = min(profile.threads, os.cpu_count() or 1)
    longest = json.loads((bundle.path / "bundle.json").read_text("utf-8"))["max_tokens"]
    seq_len = min(profile.budget.seq_len, longest)
    question = {"do": "bench", "bundle": str(bundle.path), "threads": threads, "seq_len": seq_len}
    question |= {"runs": runs, "warmup": 5}
    return cache.measure(
        "bench bundle", bundle, question, lambda progress: call_worker(RUNTIME, question, progress, cache.log)
    )


def _device(bundle: Artifact, profile: DeviceProfile) -> dict[str, Any]:
    guess = estimate(bundle.manifest.facts, profile, profile.budget.seq_len, profile.threads)
    return {**asdict(guess), "seq_len": profile.budget.seq_len, "threads": profile.threads}


def _commands(request: BuildRequest, bundle: Artifact) -> list[str]:
    commands = [request.command] if request.command else []
    return [
        *commands,
        f"edgeafri verify {bundle.path}",
        f'edgeafri run {bundle.path} "..."',
        f"edgeafri bench {bundle.path}",
    ]


def _teacher(teacher: Artifact) -> dict[str, Any]:
    """What `edgeafri why` finds the teacher by."""
    folder = str(teacher.path.absolute())
    return {"id": teacher.id, "folder": folder, "languages": list(teacher.manifest.languages)}


def _step(done: Finished) -> dict[str, Any]:
    facts = dict(done.artifact.manifest.facts)
    return {
        "stage": done.stage,
        "id": done.artifact.id,
        "reused": done.reused,
        "seconds": round(done.seconds, 2),
        "facts": facts,
    }


def _shown(job: Job) -> dict[str, Any]:
    return {name: str(value) if isinstance(value, Path) else value for name, value in asdict(job.settings).items()}


def _write_report(document: Mapping[str, Any], work: Path) -> dict[str, str]:
    folder = work / "reports" / f"{document['target']}-{document['artifact_id']}"
    folder.mkdir(parents=True, exist_ok=True)
    entry = report.of_build(document)
    sealed = (Path(document["bundle"]) / CARD).read_text("utf-8")  # a bundle's own card is older than its figures
    texts = {"report.json": json_text(document), "report.md": report.to_markdown([entry])}
    texts |= {"report.html": report.to_html([entry]), "card.md": report.to_card(sealed, entry)}
    for name, text in texts.items():
        write_whole(folder / name, text)
    return {kind: str(folder / f"report.{kind}") for kind in ("html", "md", "json")} | {"card": str(folder / "card.md")}
