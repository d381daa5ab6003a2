"""pipeline: makes or reuses one artifact after another, below a work folder.

A step's folder is named after its cache key. It is made as `.partial` and renamed when sealed, so a folder that looks
finished is finished, and a build that was killed goes on from its last finished step.
"""

import hashlib
import json
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import cast

from edgeafri import menu
from edgeafri.artifact import Artifact, Manifest, adopt, is_artifact, load_artifact, seal
from edgeafri.builder.cache_key import step_folders, versions
from edgeafri.builder.events import Finished, Noted, OnEvent, Progressed, Started
from edgeafri.builder.jobs import Job, stages_giving
from edgeafri.errors import ArtifactError, StorageError
from edgeafri.menu.facts import Facts
from edgeafri.settings import identity
from edgeafri.tasks import tasks_of
from edgeafri.util.files import Digests, WatchedDisk, cache_folder, partial_folder, storage, write_whole
from edgeafri.util.locks import alone
from edgeafri.util.output_capture import captured_output
from edgeafri.util.packages import needed_by

_KEY = "made-for.txt"  # in an unfinished folder: what it was to become


def run_jobs(
    jobs: Sequence[Job], source: Artifact, work: Path, digests: Digests, on_event: OnEvent
) -> tuple[Finished, ...]:
    """Run the jobs in order below `work`; every step is reused when its folder is there."""
    done: list[Finished] = []
    log = work / "build.log"
    with storage(work), workplace(work):
        named = list(zip(jobs, step_folders(jobs, source, digests), strict=True))
        to_learn = [job for job, folder in named if job.learns and not is_artifact(work / folder)]
        # What takes longest is said before anything starts, as far as it can be known from the source.
        if to_learn and source.kind == to_learn[0].stage.takes:
            announce(to_learn.pop(0), source, log, on_event)
        for job, folder in named:
            if job in to_learn:
                announce(job, source, log, on_event)
            on_event(Started(job.stage.name))
            done.append(run_job(job, source, work / folder, log, digests, on_event))
            on_event(done[-1])
            source = done[-1].artifact
    return tuple(done)


def run_job(job: Job, source: Artifact, target: Path, log: Path, digests: Digests, on_event: OnEvent) -> Finished:
    """Make or reuse one artifact at `target`; what libraries print goes to `log`."""
    if is_artifact(target):
        return Finished(job.stage.name, _reused(target, digests), reused=True, seconds=0.0)
    began = time.monotonic()
    (key,) = step_folders([job], source, digests)
    partial = _partial_folder(target, key if job.stage.resumable else None)
    with ExitStack() as undone:
        if not job.learns:  # only learning goes on from what was left
            undone.callback(shutil.rmtree, partial, ignore_errors=True)
        with captured_output(log), WatchedDisk(partial), needed_by(job.stage.name):
            method = menu.load_stage(job.stage.name)
            facts = method.run(
                source, job.settings, partial, lambda *progress: on_event(Progressed(job.stage.name, *progress))
            )
        (partial / _KEY).unlink(missing_ok=True)
        seal(partial, _manifest(job, source, facts, digests), digests)
        partial.rename(target)
        undone.pop_all()
    return Finished(job.stage.name, load_artifact(target, digests), reused=False, seconds=time.monotonic() - began)


def make_artifact(job: Job, source: Artifact, out: Path, digests: Digests, on_event: OnEvent) -> Finished:
    """Run one stage into a folder of the user's choice, which must not exist yet."""
    if out.exists():
        raise StorageError(f"{out}: already there", "Choose another --out, or remove it first.")
    with storage(out.parent):
        out.parent.mkdir(parents=True, exist_ok=True)
        cache_folder().mkdir(parents=True, exist_ok=True)
        log = cache_folder() / "stages.log"
        place = hashlib.sha256(str(out.absolute()).encode()).hexdigest()[:16]
        with alone(out, cache_folder() / f"{place}.lock", "--out"):
            if job.learns:
                announce(job, source, log, on_event)
            on_event(Started(job.stage.name))
            finished = run_job(job, source, out.absolute(), log, digests, on_event)
    on_event(finished)
    return finished


def open_source(path: Path, stage: menu.Stage, digests: Digests) -> Artifact:
    """A folder as the source of one stage: one of our artifacts, or a user's own, described where it is."""
    if is_artifact(path):
        found = load_artifact(path, digests)
        if found.kind == stage.takes:
            return found
        hint = f"Give a folder made by: {stages_giving(stage.takes)}."
        raise ArtifactError(f"{path}: holds {found.kind}; {stage.name} takes {stage.takes}", hint)
    if stage.takes in ("corpus", "torch"):
        return adopt(path, stage.takes, _task_in(path), (), digests)
    hint = f"Give a folder made by: {stages_giving(stage.takes)}."
    raise ArtifactError(f"{path}: not an EdgeAfri artifact of kind {stage.takes}", hint)


@contextmanager
def workplace(work: Path) -> Iterator[None]:
    """One build at a time in a work folder: a second one would race for the same partial folders."""
    work.mkdir(parents=True, exist_ok=True)
    with alone(work, work / ".lock", "--work"):
        yield


def _task_in(path: Path) -> str:
    """The task of the head that a user's model folder names, the first where several have that head; else ner."""
    try:
        named = json.loads((path / "config.json").read_text("utf-8"))["architectures"][0]
    except (OSError, ValueError, LookupError, TypeError):
        return "ner"  # a corpus; a model that cannot be read is found out, and said, where it is read
    return next((task.name for task in tasks_of(str(named))), "ner")


def _manifest(job: Job, source: Artifact, facts: Facts, digests: Digests) -> Manifest:
    settings = identity(job.settings, digests.of)
    return Manifest(
        kind=job.stage.gives,
        task=facts.task or job.settings.task or source.manifest.task,
        languages=job.settings.languages or source.manifest.languages,
        stage=job.stage.name,
        settings=settings,
        parent=source.id,
        versions=versions(),
        files={},
        facts=facts.to_json(),
    )


def announce(job: Job, source: Artifact, log: Path, on_event: OnEvent) -> None:
    """Say how long a stage that learns will take, before it starts."""
    on_event(Started(job.stage.name))
    with captured_output(log), needed_by(job.stage.name):
        text = cast("menu.LearningModule", menu.load_stage(job.stage.name)).forecast(source, job.settings)
    on_event(Noted(job.stage.name, text))


def _partial_folder(target: Path, key: str | None) -> Path:
    """Where an artifact is made: empty, or with what was left there for the same key, source and settings included."""
    partial = partial_folder(target)
    left = partial / _KEY
    if partial.exists() and not (key and left.is_file() and left.read_text("utf-8") == key):
        shutil.rmtree(partial)
    partial.mkdir(parents=True, exist_ok=True)
    if key:
        write_whole(left, key)
    return partial


def _reused(target: Path, digests: Digests) -> Artifact:
    try:
        return load_artifact(target, digests)
    except ArtifactError as error:
        hint = f"Remove {target} and build again: only this step and those after it are repeated."
        raise ArtifactError(error.message, hint) from None
