"""The main job: from a teacher to a bundle that is built, measured per language, and judged for a device."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgeafri import pipeline, report
from edgeafri.artifact import Artifact, is_artifact
from edgeafri.bundle import GRAPH
from edgeafri.device import DeviceProfile, read_profile
from edgeafri.errors import UsageError
from edgeafri.estimate import estimate
from edgeafri.files import Digests, json_text, storage, write_whole
from edgeafri.languages import language
from edgeafri.ledger import Ledger, data_notes
from edgeafri.pipeline import Finished, Job, Tell
from edgeafri.recipe import Recipe, Step, override, read_recipe
from edgeafri.runners.local import RUNTIME, ask
from edgeafri.tasks import task
from edgeafri.teacher import SAMPLE, find_teacher, head_of, labels_of, sample_corpus

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


def check(order: Order, digests: Digests, tell: Tell) -> Checked:
    """Check everything that can be known before work starts. The sample's teacher is made here if it is not yet."""
    profile = read_profile(order.target, order.profiles)
    recipe = read_recipe(order.recipe or profile.recipe)
    task(order.task)
    steps = override(recipe.steps, order.assignments)
    pipeline.plan(steps, "torch", {})
    data, languages = _data_and_languages(order)
    source = find_teacher(order.teacher, order.task, languages, order.work, order.offline, digests, tell)
    notes = []
    if not head_of(source, order.task):
        steps = (Step("finetune"), *steps)
        notes.append(f"the teacher has no head for {order.task}: finetune goes first")
    given = {"task": order.task, "languages": languages, "data": data, "text": order.text}
    sample = SAMPLE in (order.teacher, order.data)
    jobs = pipeline.plan(steps, "torch", {**given, "sample": sample})
    return Checked(order, profile, recipe, steps, data, languages, source, jobs, tuple(notes))


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


def deliver(checked: Checked, digests: Digests, tell: Tell) -> Document:
    """Build, measure, judge and write the report; returns the document that `build --json` prints."""
    order, profile = checked.order, checked.profile
    with storage(order.work):
        found = _found_in(checked, digests)
        done = pipeline.build(checked.jobs, checked.teacher, order.work, digests, tell)
        bundle = done[-1].artifact
        reference = _reference(checked.teacher, done)
        ledger = Ledger(order.work, digests, tell, order.fresh)
        document: Document = {
            "bundle": str(bundle.path),
            "artifact_id": bundle.id,
            "target": profile.name,
            "task": order.task,
            "languages": list(checked.languages),
            "sample": checked.sample,
            "recipe": checked.recipe.name,
            "steps": [_step(item) for item in done],
            "quality": ledger.quality(reference, bundle, checked.data, checked.languages),
            "size": _sizes(reference, bundle),
            "host": _host(ledger, bundle, profile, order.runs),
            "device": _device(bundle, profile),
            "notes": [*checked.notes, *found, *_golden_notes(bundle)],
            "commands": _commands(order, bundle),
        }
        checks = report.judge(profile.budget, document, order.max_drop, order.max_worst_drop)
        document["checks"] = [asdict(item) for item in checks]
        document["report"] = _write_report(document, order.work)
    return document


def passed(document: Document) -> bool:
    """Whether no check failed. A check that could not be decided does not fail."""
    return all(item["passed"] is not False for item in document["checks"])


def _data_and_languages(order: Order) -> tuple[Path | None, tuple[str, ...]]:
    from edgeafri.dataset import languages_in

    data = sample_corpus() if order.data == SAMPLE else Path(order.data) if order.data else None
    asked = order.languages
    if asked == (ALL,):
        if data is None:
            raise UsageError("without labelled data, the languages must be named", "Add --lang swa,hau or --data DIR.")
        return data, languages_in(data)
    for code in asked:
        language(code)
    return data, asked


def _found_in(checked: Checked, digests: Digests) -> list[str]:
    """What is odd about the labelled data, said once; labels that the teacher lacks are an error before any work."""
    if checked.data is None:
        return ["no labelled data: quality was not measured"]
    labels = labels_of(checked.teacher) if head_of(checked.teacher, checked.order.task) else None
    return data_notes(checked.data, checked.languages, labels, checked.order.work, digests)


def _reference(source: Artifact, done: Sequence[Finished]) -> Artifact:
    """What the bundle is compared with: the last model before anything was made smaller."""
    return next((item.artifact for item in done if item.stage == "finetune"), source)


def _sizes(reference: Artifact, bundle: Artifact) -> dict[str, int]:
    weights = sum(
        int(item["bytes"]) for name, item in reference.manifest.files.items() if name.endswith(".safetensors")
    )
    graph = int(bundle.manifest.files[GRAPH]["bytes"])
    return {"teacher_bytes": weights, "model_bytes": graph, "bundle_bytes": bundle.bytes}


def _host(ledger: Ledger, bundle: Artifact, profile: DeviceProfile, runs: int) -> Any:
    threads = min(profile.threads, os.cpu_count() or 1)
    longest = json.loads((bundle.path / "bundle.json").read_text("utf-8"))["max_tokens"]
    seq_len = min(profile.budget.seq_len, longest)
    request = {"do": "bench", "bundle": str(bundle.path), "threads": threads, "seq_len": seq_len}
    request |= {"runs": runs, "warmup": 5}
    return ledger.measured("bench bundle", bundle, request, lambda tick: ask(RUNTIME, request, tick, ledger.log))


def _device(bundle: Artifact, profile: DeviceProfile) -> dict[str, Any]:
    guess = estimate(bundle.manifest.facts, profile, profile.budget.seq_len, profile.threads)
    return {**asdict(guess), "seq_len": profile.budget.seq_len, "threads": profile.threads}


def _golden_notes(bundle: Artifact) -> list[str]:
    none = [code for code, count in bundle.manifest.facts["golden"].items() if not count]
    return (
        [f"no golden sentence of {', '.join(none)} is decided clearly enough to verify a device with"] if none else []
    )


def _commands(order: Order, bundle: Artifact) -> list[str]:
    commands = [order.command] if order.command else []
    return [
        *commands,
        f"edgeafri verify {bundle.path}",
        f'edgeafri run {bundle.path} "..."',
        f"edgeafri bench {bundle.path}",
    ]


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
    write_whole(folder / "report.json", json_text(document))
    write_whole(folder / "report.md", report.to_markdown(document))
    write_whole(folder / "report.html", report.to_html(document))
    return {kind: str(folder / f"report.{kind}") for kind in ("html", "md", "json")}
