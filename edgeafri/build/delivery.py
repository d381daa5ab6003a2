"""The main job: from a teacher to a bundle that is built, measured per language, and judged for a device."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeafri import report
from edgeafri.artifact import Artifact, is_artifact
from edgeafri.build import pipeline
from edgeafri.build.lineage import reference_place
from edgeafri.build.measurement_cache import SPLITS, Findings, Ledger, few_notes
from edgeafri.build.pipeline import Finished, Job, OnEvent
from edgeafri.build.recipe import Recipe, Step, override, read_recipe
from edgeafri.build.teacher import SAMPLE, SAMPLE_TASK, check_head, find_teacher, head_of, labels_of, sample_corpus
from edgeafri.bundle import CARD, GRAPH, WEIGHTS
from edgeafri.data.languages import language
from edgeafri.device.profile import DeviceProfile, read_profile
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
class Order:
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
class Checked:
    """An order whose names, settings, languages and labels were all found to exist, before any work."""

    order: Order
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
        return SAMPLE in (self.order.teacher, self.order.data)


def check(order: Order, digests: Digests, on_event: OnEvent) -> Checked:
    """Check everything that can be known before work starts. The sample's teacher is made here if it is not yet."""
    _check_gates(order)
    _check_task(order)
    profile = read_profile(order.target, order.profiles)
    recipe = read_recipe(order.recipe or _own_recipe(order, profile))
    named = {step.stage for step in recipe.steps}
    learning = recipe.steps if "finetune" in named else (Step("finetune"), *recipe.steps)
    _check_ends(pipeline.plan(override(learning, order.assignments), "torch", {}))
    check_head(order.teacher, order.task)
    data, languages = _data_and_languages(order)
    source = find_teacher(order.teacher, order.task, languages, order.work, order.offline, digests, on_event)
    headless = not head_of(source, order.task)
    steps = override(learning if headless else recipe.steps, order.assignments)
    given: dict[str, Any] = {"task": order.task, "languages": languages, "data": data, "text": order.text}
    given |= {
        "isa": profile.isa,
        "threads": profile.threads,
        "free_mb": profile.memory.free and profile.memory.free.value,
    }
    sample = SAMPLE in (order.teacher, order.data)
    jobs = pipeline.plan(steps, "torch", {**given, "sample": sample})
    notes = [f"the teacher has no head for {order.task}: finetune goes first"] if headless else []
    learners = [job.stage.name for job in jobs if job.learns]
    if data is None and learners:
        raise UsageError(
            f"there is no labelled data for {learners[0]} to learn from",
            "Add --data DIR with a train and a dev file for every language.",
        )
    return Checked(order, profile, recipe, steps, data, languages, source, jobs, tuple(notes))


def _own_recipe(order: Order, profile: DeviceProfile) -> str:
    """The device's recipe for this order: one that trains a student needs data of the user's own to learn from."""
    own_data = order.data is not None and SAMPLE not in (order.teacher, order.data)
    return profile.recipe_with_data or profile.recipe if own_data else profile.recipe


def dry_run(checked: Checked, digests: Digests) -> list[dict[str, Any]]:
    """The plan: every step with its settings, and whether its result is there already."""
    folders = pipeline.folders(checked.jobs, checked.teacher, digests)
    work = checked.order.work
    return [
        {
            "stage": job.stage.name,
            "folder": str(work / folder),
            "reused": is_artifact(work / folder),
            "settings": _shown(job),
        }
        for job, folder in zip(checked.jobs, folders, strict=True)
    ]


def deliver(checked: Checked, digests: Digests, on_event: OnEvent) -> Document:
    """Build, measure, judge and write the report; returns the document that `build --json` prints."""
    order, profile = checked.order, checked.profile
    with storage(order.work):
        ledger = Ledger(order.work, digests, on_event, order.fresh)
        found = _found_in(checked, ledger)
        done = pipeline.build(checked.jobs, checked.teacher, order.work, digests, on_event)
        with pipeline.workplace(order.work):  # two measurements at once would disturb each other
            document = _measured(checked, done, found, ledger)
        checks = report.judge(profile.budget, document, order.max_drop, order.max_worst_drop)
        document["checks"] = [asdict(item) for item in checks]
        document["passed"] = not report.failed(checks)
        document["report"] = _write_report(document, order.work)
    return document


def _measured(checked: Checked, done: Sequence[Finished], found: Findings, ledger: Ledger) -> Document:
    order, profile = checked.order, checked.profile
    bundle, step = done[-1].artifact, _reference_step(checked, [item.stage for item in done])
    reference = checked.teacher if step is None else done[step].artifact
    quality = ledger.quality(reference, bundle, checked.data, checked.languages, order.task)
    if quality is not None:
        quality["test_sentences_in_train"] = found.leaked
    chain = [reference, *(item.artifact for item in done[0 if step is None else step + 1 :])]
    return {
        "bundle": str(bundle.path),
        "artifact_id": bundle.id,
        "target": profile.name,
        "task": order.task,
        "languages": list(checked.languages),
        "sample": checked.sample,
        "recipe": checked.recipe.name,
        "teacher": _teacher(checked.teacher),
        "steps": [_step(item) for item in done],
        "quality": quality,
        "parity": ledger.parity(chain, order.task, checked.languages, checked.data, order.text),
        "size": _sizes(reference, bundle),
        "host": _host(ledger, bundle, profile, order.runs),
        "device": _device(bundle, profile),
        "notes": [
            *checked.notes,
            *found.notes,
            *few_notes(quality),
            *_golden_notes(bundle),
            *_zero_notes(done),
            *_form_notes(done),
        ],
        "commands": _commands(order, bundle),
    }


def _check_gates(order: Order) -> None:
    for name, value in (("--max-drop", order.max_drop), ("--max-worst-drop", order.max_worst_drop)):
        if not 0 <= value <= 100:
            raise UsageError(f"{name}: {value} is not a number of points", "Use a number from 0 to 100.")


def _check_task(order: Order) -> None:
    if task(order.task).unit == "sub-word":
        known = ", ".join(row.name for row in TASKS if row.unit != "sub-word")
        hint = f"Choose one of {known}; a masked-LM teacher is fine-tuned for it first."
        raise UsageError(f"--task {order.task}: a step of training, not a task for a device", hint)
    if SAMPLE in (order.teacher, order.data) and order.task != SAMPLE_TASK:
        hint = f"Add --teacher MODEL and --data DIR of your own, or use --task {SAMPLE_TASK}."
        raise UsageError(f"the embedded sample is for {SAMPLE_TASK}, not for {order.task}", hint)


def _check_ends(jobs: Sequence[Job]) -> None:
    headless = False
    for job in jobs:
        if job.stage.name == "export-onnx" and headless:
            message = "step 'export-onnx' gets a model without a head: distill in mode relation leaves none"
            raise ConfigError(message, "Put '- finetune' between the two, or use another mode.")
        if job.stage.name in ("finetune", "distill"):
            headless = getattr(job.settings, "mode", None) == "relation"
    last = jobs[-1].stage
    if last.gives != "bundle":
        raise ConfigError(
            f"the recipe ends with '{last.name}', which gives no bundle", "Add '- bundle' as its last step."
        )


def _data_and_languages(order: Order) -> tuple[Path | None, tuple[str, ...]]:
    from edgeafri.data.dataset import files_of, text_files

    data = sample_corpus() if order.data == SAMPLE else Path(order.data) if order.data else None
    asked = order.languages
    if asked == (ALL,) and data is None:
        raise UsageError("without labelled data, the languages must be named", "Add --lang swa,hau or --data DIR.")
    unit = unit_of(order.task)
    languages = _all_languages(data, unit) if asked == (ALL,) and data else asked
    for code in languages:
        language(code)
    if data is not None:
        files_of(data, languages, SPLITS, unit)
    if order.text is not None:
        text_files(order.text, languages)
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


def _found_in(checked: Checked, ledger: Ledger) -> Findings:
    """What is odd about the labelled data; labels that the teacher will not know are an error before any work."""
    if checked.data is None:
        return Findings(("no labelled data: quality was not measured",), {})
    learns = _reference_step(checked, [job.stage.name for job in checked.jobs]) is not None
    labels = None if learns else labels_of(checked.teacher)
    return ledger.findings(checked.data, checked.languages, checked.order.task, labels)


def _reference_step(checked: Checked, stages: Sequence[str]) -> int | None:
    """The step whose model the bundle is compared with; None for the teacher itself."""
    return reference_place(stages, head_of(checked.teacher, checked.order.task))


def _sizes(reference: Artifact, bundle: Artifact) -> dict[str, int]:
    weights = sum(
        int(item["bytes"]) for name, item in reference.manifest.files.items() if name.endswith(".safetensors")
    )
    graph = sum(int(bundle.manifest.files.get(name, {"bytes": 0})["bytes"]) for name in (GRAPH, WEIGHTS))
    return {"teacher_bytes": weights, "model_bytes": graph, "bundle_bytes": bundle.bytes}


def _host(ledger: Ledger, bundle: Artifact, profile: DeviceProfile, runs: int) -> Any:
    threads = min(profile.threads, os.cpu_count() or 1)
    longest = json.loads((bundle.path / "bundle.json").read_text("utf-8"))["max_tokens"]
    seq_len = min(profile.budget.seq_len, longest)
    request = {"do": "bench", "bundle": str(bundle.path), "threads": threads, "seq_len": seq_len}
    request |= {"runs": runs, "warmup": 5}
    return ledger.measured(
        "bench bundle", bundle, request, lambda progress: call_worker(RUNTIME, request, progress, ledger.log)
    )


def _device(bundle: Artifact, profile: DeviceProfile) -> dict[str, Any]:
    guess = estimate(bundle.manifest.facts, profile, profile.budget.seq_len, profile.threads)
    return {**asdict(guess), "seq_len": profile.budget.seq_len, "threads": profile.threads}


def _golden_notes(bundle: Artifact) -> list[str]:
    none = [code for code, count in bundle.manifest.facts["golden"].items() if not count]
    return (
        [f"no golden sentence of {', '.join(none)} is decided clearly enough to verify a device with"] if none else []
    )


def _zero_notes(done: Sequence[Finished]) -> list[str]:
    """What the zeros of a pruned step are worth: nothing by themselves. Later steps may change its model."""
    found = [item.artifact.manifest.facts for item in done if "sparse_bytes" in item.artifact.manifest.facts]
    return [
        f"prune left {100 * facts['sparsity']:.1f} % of the linear weights at zero. Zeros alone make nothing smaller "
        f"or faster: its {facts['dense_bytes'] / 1e6:.1f} MB in float32 would be {facts['sparse_bytes'] / 1e6:.1f} MB "
        "kept sparse, which onnxruntime does not read"
        for facts in found
    ]


def _form_notes(done: Sequence[Finished]) -> list[str]:
    """Why the linear layers have the form they have."""
    return [f"quantize: {item.artifact.manifest.facts['reason']}" for item in done if item.stage == "quantize"]


def _commands(order: Order, bundle: Artifact) -> list[str]:
    commands = [order.command] if order.command else []
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
