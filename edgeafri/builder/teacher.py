"""The teacher: a local folder, a model on the hub, or the embedded sample, as an artifact to start from."""

import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgeafri.artifact import Artifact, adopt
from edgeafri.builder import pipeline
from edgeafri.builder.events import Noted, OnEvent, Started
from edgeafri.builder.jobs import plan_jobs
from edgeafri.builder.recipe import Step
from edgeafri.documents.base import Document
from edgeafri.documents.torch_requests import Conversion, ConvertRequest, Download, DownloadRequest
from edgeafri.errors import ModelError, UsageError
from edgeafri.runners.local import TORCH, call_worker
from edgeafri.tasks import tasks_of
from edgeafri.util.files import Digests, cache_folder, storage

SAMPLE, SAMPLE_TASK = "sample", "ner"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")
_SAMPLE_STEPS = (
    Step("scratch", {"vocabulary": 600, "layers": 2, "hidden": 96, "ffn": 192}),
    Step("finetune", {"epochs": 16, "learning_rate": 1.5e-3, "batch": 8, "max_length": 128, "dropout": 0.1}),
)


@dataclass(frozen=True)
class _Config(Document):
    """What a build reads of a model's config.json."""

    architectures: tuple[str, ...] = ()
    id2label: Mapping[str, str] = field(default_factory=dict)


def find_teacher(
    name: str, task: str, languages: Sequence[str], work: Path, offline: bool, digests: Digests, on_event: OnEvent
) -> Artifact:
    """The teacher of that name. Local folders are described where they are; nothing is written into them."""
    if name == SAMPLE:
        return sample_teacher(digests, on_event)
    folder = _local(name)
    if folder.is_dir():
        return adopt(folder, "torch", task, languages, digests)
    if not _HUB_ID.fullmatch(name):
        raise ModelError(f"{name}: no such model folder", "Give a folder, a hub id such as org/name, or 'sample'.")
    return adopt(_downloaded(name, work, offline, on_event), "torch", task, languages, digests)


def sample_corpus() -> Path:
    """The folder of the embedded sample's corpus, generated on first use."""
    from edgeafri.sample import corpus

    folder = cache_folder() / f"sample-{corpus.digest()[:12]}"
    if not folder.is_dir():
        partial = folder.with_name(f"{folder.name}.partial")
        with storage(cache_folder()):
            shutil.rmtree(partial, ignore_errors=True)
            corpus.write_corpus(partial)
            partial.rename(folder)
    return folder


def sample_teacher(digests: Digests, on_event: OnEvent) -> Artifact:
    """The sample's teacher, trained on first use in about a minute and kept in the user's cache."""
    from edgeafri.data.dataset import languages_in

    corpus = sample_corpus()
    languages = languages_in(corpus)
    source = adopt(corpus, "corpus", SAMPLE_TASK, languages, digests)
    given = {"task": SAMPLE_TASK, "languages": languages, "data": corpus}
    jobs = plan_jobs(_SAMPLE_STEPS, "corpus", given)
    return pipeline.run_jobs(jobs, source, cache_folder() / "sample-teacher", digests, on_event)[-1].artifact


def check_head(name: str, task: str) -> None:
    """UsageError when a local teacher's head is another task's: said before data is looked for in the wrong layout."""
    folder = _local(name)
    if (folder / "config.json").is_file():
        _has_head(folder, task)


def head_of(teacher: Artifact, task: str) -> bool:
    """Whether a teacher carries a trained head for the task. UsageError when it carries another task's.

    A masked-LM head is no task's for a device: such a teacher is an encoder to fine-tune.
    """
    return _has_head(teacher.path, task)


def labels_of(teacher: Artifact) -> tuple[str, ...]:
    """The labels that a teacher's head knows, in order."""
    labels = {int(index): label for index, label in _Config.from_json(config_of(teacher)).id2label.items()}
    return tuple(labels[index] for index in sorted(labels))


def config_of(teacher: Artifact) -> dict[str, Any]:  # Any: what a configuration holds depends on the model's class
    """config.json of a torch folder. ModelError when it is not readable."""
    return _config_in(teacher.path)


def _local(name: str) -> Path:
    return Path(os.path.expanduser(name))  # noqa: PTH111  # Path.expanduser raises for an unknown user


def _has_head(folder: Path, task: str) -> bool:
    named = _Config.from_json(_config_in(folder), f"{folder}/config.json").architectures
    found = [row.name for row in tasks_of(named[0] if named else "") if row.for_device]
    if found and task not in found:
        hint = f"Use {' or '.join(f'--task {name}' for name in found)}."
        raise UsageError(f"{folder}: its head is for {' or '.join(found)}, not for {task}", hint)
    return bool(found)


def _config_in(folder: Path) -> dict[str, Any]:  # Any: as in config_of
    try:
        return dict(json.loads((folder / "config.json").read_text("utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise ModelError(f"{folder}/config.json: cannot be read ({error})", "Copy the model again.") from None


def _downloaded(name: str, work: Path, offline: bool, on_event: OnEvent) -> Path:
    """A hub model on disk, in safetensors. Its download, and a conversion if it is published as a pickle, are said."""
    with storage(work):
        work.mkdir(parents=True, exist_ok=True)
    on_event(Started(f"download {name}"))
    offline = offline or os.environ.get("HF_HUB_OFFLINE", "0") not in ("", "0")
    request, environment = DownloadRequest(name=name, offline=offline), {"HF_HUB_OFFLINE": "1" if offline else "0"}
    found = Download.from_json(call_worker(TORCH, request, log=work / "build.log", environment=environment))
    on_event(Noted(f"download {name}", f"revision {found.revision}"))
    return _converted(name, found, work, on_event) if found.pickled else found.folder


def _converted(name: str, found: Download, work: Path, on_event: OnEvent) -> Path:
    """The pickled weights of a download as safetensors, converted once."""
    converted = work / f"converted-{name.replace('/', '--')}-{found.revision[:12]}"
    if not converted.is_dir():
        on_event(Started("convert"))
        request = ConvertRequest(source=found.folder, out=converted)
        made = Conversion.from_json(call_worker(TORCH, request, log=work / "build.log"))
        on_event(Noted("convert", f"pickled weights to safetensors, {made.parameters:,} parameters"))
    return converted
