"""delivery: from a plan to a bundle that is built, measured per language, judged for its device, and reported."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from edgeafri import menu
from edgeafri.artifact import Artifact
from edgeafri.builder import pipeline
from edgeafri.builder.cache_key import code_digest
from edgeafri.builder.events import Finished, OnEvent
from edgeafri.builder.leftovers import tell_leftovers
from edgeafri.builder.lineage import reference_place
from edgeafri.builder.measurement_cache import RUNTIME_CODE, MeasurementCache, Question, Sentences
from edgeafri.builder.plan import BuildPlan, BuildRequest
from edgeafri.builder.teacher import head_of, labels_of
from edgeafri.bundle import CARD, GRAPH, WEIGHTS, read_config
from edgeafri.device.profile import DeviceProfile
from edgeafri.documents.build import BuildResult, BuildStep, ReportFiles, Sizes, TargetEstimate, TeacherSource
from edgeafri.documents.data_issues import DataIssues
from edgeafri.documents.measurement import Measurement
from edgeafri.documents.runtime_requests import BenchRequest
from edgeafri.latency.estimate import estimate
from edgeafri.report.checks import failed, judge
from edgeafri.util.files import Digests, json_text, storage, write_whole

_REPORT = {"html": "report.html", "md": "report.md", "json": "report.json", "card": "card.md"}
_REPORT_CODE = ("edgeafri.report.from_documents", "edgeafri.report.markdown", "edgeafri.report.page")


def deliver(plan: BuildPlan, digests: Digests, on_event: OnEvent) -> BuildResult:
    """Run the steps, measure the bundle, judge it and write the report; what was done before is reused."""
    request = plan.request
    with storage(request.work):
        cache = MeasurementCache(request.work, digests, on_event, request.fresh)
        issues = _data_issues(plan, cache)
        tell_leftovers(request.work, on_event)
        done = pipeline.run_jobs(plan.jobs, plan.teacher, request.work, digests, on_event)
        with pipeline.workplace(request.work):  # two measurements at once would disturb each other
            result = _measured(plan, done, issues, cache)
        checks = judge(plan.profile.budget, result, request.max_drop, request.max_worst_drop)
        result = replace(result, checks=checks, passed=not failed(checks))
        return replace(result, report=_write_report(result, request.work, digests))


def _data_issues(plan: BuildPlan, cache: MeasurementCache) -> DataIssues:
    """What is odd about the labelled data; labels that the teacher will not know are an error before any work."""
    if plan.dataset is None:
        return DataIssues(("no labelled data: quality was not measured",), {})
    learns = _reference_step(plan) is not None
    return cache.data_issues(plan.dataset, None if learns else labels_of(plan.teacher))


def _reference_step(plan: BuildPlan) -> int | None:
    """The step whose model the bundle is compared with; None for the teacher itself."""
    return reference_place([job.stage.name for job in plan.jobs], head_of(plan.teacher, plan.request.task))


def _measured(plan: BuildPlan, done: Sequence[Finished], issues: DataIssues, cache: MeasurementCache) -> BuildResult:
    request, profile = plan.request, plan.profile
    step, artifacts = _reference_step(plan), [item.artifact for item in done]
    chain = [plan.teacher, *artifacts] if step is None else artifacts[step:]
    reference, bundle = chain[0], chain[-1]
    quality = cache.quality(reference, bundle, plan.dataset, request.task)
    if quality is not None:
        quality = replace(quality, test_sentences_in_train=issues.leaked)
    sentences = Sentences(plan.languages, plan.dataset, request.text)
    return BuildResult(
        bundle=str(bundle.path),
        artifact_id=bundle.id,
        target=profile.name,
        task=request.task,
        languages=plan.languages,
        sample=request.sample,
        recipe=plan.recipe.name,
        teacher=_teacher(plan.teacher),
        steps=tuple(map(_step, done)),
        quality=quality,
        parity=cache.parity(chain, request.task, sentences),
        size=_sizes(reference, bundle),
        host=_host(cache, bundle, profile, request.runs),
        device=_device(bundle, profile),
        notes=(*plan.notes, *issues.notes, *(quality.notes() if quality else ()), *_stage_notes(done)),
        commands=_commands(request, bundle),
    )


def _teacher(teacher: Artifact) -> TeacherSource:
    return TeacherSource(id=teacher.id, folder=str(teacher.path.absolute()), languages=teacher.manifest.languages)


def _step(done: Finished) -> BuildStep:
    artifact = done.artifact
    return BuildStep(
        stage=done.stage,
        id=artifact.id,
        reused=done.reused,
        seconds=round(done.seconds, 2),
        facts=artifact.manifest.facts,
    )


def _sizes(reference: Artifact, bundle: Artifact) -> Sizes:
    """The weights of the model that the bundle is compared with, the bundle's graph with its weights, and all of it."""
    weights = [name for name in reference.manifest.files if name.endswith(".safetensors")]
    graph = [name for name in (GRAPH, WEIGHTS) if name in bundle.manifest.files]
    return Sizes(
        teacher_bytes=sum(reference.manifest.files[name].bytes for name in weights),
        model_bytes=sum(bundle.manifest.files[name].bytes for name in graph),
        bundle_bytes=bundle.bytes,
    )


def _host(cache: MeasurementCache, bundle: Artifact, profile: DeviceProfile, runs: int) -> Measurement:
    """The bundle timed on this machine, with the target's threads and sentence length as far as they go here."""
    threads = min(profile.threads, os.cpu_count() or 1)
    seq_len = min(profile.budget.seq_len, read_config(bundle.path).max_tokens)
    request = BenchRequest(bundle=bundle.path, threads=threads, seq_len=seq_len, runs=runs, warmup=5)
    return cache.ask(Question("bench bundle", bundle, RUNTIME_CODE, request), Measurement)


def _device(bundle: Artifact, profile: DeviceProfile) -> TargetEstimate:
    seq_len, threads = profile.budget.seq_len, profile.threads
    found = estimate(bundle.manifest.facts, profile, seq_len, threads)
    return TargetEstimate(**vars(found), seq_len=seq_len, threads=threads)


def _stage_notes(done: Sequence[Finished]) -> list[str]:
    """What a reader must know of the steps, the bundle's own first."""
    manifests = [item.artifact.manifest for item in (done[-1], *done[:-1])]
    return [note for manifest in manifests for note in menu.facts_of(manifest).notes()]


def _commands(request: BuildRequest, bundle: Artifact) -> tuple[str, ...]:
    """The command of the build, and those that use its bundle."""
    own = (request.command,) if request.command else ()
    path = bundle.path
    return (*own, f"edgeafri verify {path}", f'edgeafri run {path} "..."', f"edgeafri bench {path}")


def _write_report(result: BuildResult, work: Path, digests: Digests) -> ReportFiles:
    """The report in every form. One that is there of the same result, made by the same code, stays as it is."""
    folder = work / "reports" / f"{result.target}-{result.artifact_id}"
    folder.mkdir(parents=True, exist_ok=True)
    written = ReportFiles(**{form: str(folder / name) for form, name in _REPORT.items()})
    text = json_text(result.to_json())
    key = hashlib.sha256(f"{text} {code_digest(digests, *_REPORT_CODE)}".encode()).hexdigest()
    known, files = folder / ".made-from.txt", [folder / name for name in _REPORT.values()]
    if known.is_file() and known.read_text("utf-8") == _sealed(key, files, digests):
        return written
    for name, content in {"report.json": text, **_pages(result)}.items():
        write_whole(folder / name, content)
    write_whole(known, _sealed(key, files, digests))
    return written


def _pages(result: BuildResult) -> dict[str, str]:
    """The report for people, by file name."""
    from edgeafri.report.from_documents import of_build
    from edgeafri.report.markdown import to_card, to_markdown
    from edgeafri.report.page import to_html

    entry = of_build(result)
    sealed = (Path(result.bundle) / CARD).read_text("utf-8")  # a bundle's own card is older than its figures
    return {"report.md": to_markdown([entry]), "report.html": to_html([entry]), "card.md": to_card(sealed, entry)}


def _sealed(key: str, files: Sequence[Path], digests: Digests) -> str:
    """What a report was made from, and what its files hold, so that a changed one is made again."""
    return " ".join([key, *(digests.of(file) if file.is_file() else "missing" for file in files)])
