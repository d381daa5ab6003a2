"""measurement_cache: what was measured of which artifact, on which data, on which machine; kept and reused.

A measurement's key covers the artifact, the request, the files that are read, the machine, the versions of the
libraries, and the code that computes it: all that the module which computes it imports.
"""

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from edgeafri.artifact import Artifact
from edgeafri.benchmark.machine import machine_id
from edgeafri.builder.cache_key import code_digest, versions
from edgeafri.builder.events import Noted, OnEvent, Progressed, Started
from edgeafri.documents.base import Document, Json, plain
from edgeafri.documents.data_issues import DataIssues
from edgeafri.documents.parity import LayerCost, LayerCosts, Parity
from edgeafri.documents.quality import ModelEvaluation, Quality, QualityComparison
from edgeafri.documents.runtime_requests import EvaluateRequest
from edgeafri.documents.study import ModelForm
from edgeafri.documents.torch_requests import ComparedStep, EvaluateModelRequest, LayersRequest, ParityRequest
from edgeafri.errors import DataError
from edgeafri.menu import facts_of
from edgeafri.runners.local import RUNTIME, TORCH, call_worker
from edgeafri.util.files import Digests, json_text, write_whole
from edgeafri.util.progress import Progress

if TYPE_CHECKING:  # data is read where it is needed, so that a typo is told before anything is loaded
    from edgeafri.data.dataset import Dataset

SPLIT = "test"
COMPARED, BISECTED = 64, 32  # sentences per language on which artifacts, and then single layers, are compared
D = TypeVar("D", bound=Document)
# What answers a question: a worker's process, and in this one what reads labelled data and what compares two qualities.
RUNTIME_CODE, TORCH_CODE = (f"{RUNTIME}.__main__",), (f"{TORCH}.__main__",)
_DATASET, _COMPARISON = ("edgeafri.data.dataset",), ("edgeafri.inference.comparison",)


@dataclass(frozen=True)
class Question:
    """What is to be measured of an artifact. `title` is shown while it runs, its first word names the file.

    `modules` are the full names of the modules that compute the answer: their code, and all that it imports, is part of
    the key. Where a worker answers, its module is the first, and `request` is what it is sent. Of a request all counts
    but its paths: where a model or a folder lies changes no answer. `files` is what is read beside the artifact, and
    counts by content; `form` is what a torch model is brought into, and what that needs of the machine.
    """

    title: str
    artifact: Artifact
    modules: tuple[str, ...]
    request: Document
    files: tuple[Path, ...] = ()
    form: Document | None = None


@dataclass(frozen=True)
class _CompareRequest(Document):
    """Compare the quality of an artifact with that of the artifact `reference`."""

    task: str
    languages: tuple[str, ...]
    reference: str


@dataclass(frozen=True)
class Sentences:
    """The sentences on which models are compared: dev of the labelled data, else raw text, one file per language."""

    languages: tuple[str, ...]
    dataset: "Dataset | None"
    text: Path | None

    @property
    def files(self) -> tuple[Path, ...]:
        """What is read. DataError for a language without its file."""
        from edgeafri.data.dataset import text_files

        if self.dataset is not None:
            return tuple(self.dataset.files("dev"))
        return tuple(text_files(self.text, self.languages).values()) if self.text is not None else ()

    @property
    def data(self) -> Path | None:
        """The folder of labelled data; it goes first, as it says what is right too."""
        return self.dataset.root if self.dataset is not None else None

    @property
    def raw_text(self) -> Path | None:
        """The folder of raw text, where there is no labelled data."""
        return self.text if self.dataset is None else None


class MeasurementCache:
    """Measurements below `work`, each made once for its question; with `fresh` they are made again."""

    def __init__(self, work: Path, digests: Digests, on_event: OnEvent, fresh: bool) -> None:
        self._folder, self._digests, self._on_event, self._fresh = work / "measurements", digests, on_event, fresh
        self.log, self._versions = work / "build.log", versions()

    def measure(self, question: Question, kind: type[D], compute: Callable[[Progress], D]) -> D:
        """The result of `compute`, or what is on file for the same question."""
        title = question.title
        file = self._folder / f"{title.split()[0]}-{self._key(question)}.json"
        known = None if self._fresh else _on_file(file, kind)
        if known is not None:
            self._on_event(Noted(title, "", reused=True))
            return known
        self._on_event(Started(title))
        began = time.monotonic()
        result = compute(lambda done, total: self._on_event(Progressed(title, done, total)))
        self._keep(file, result)
        self._on_event(Noted(title, "", seconds=time.monotonic() - began))
        return result

    def ask(self, question: Question, kind: type[D]) -> D:
        """The answer of a worker process, or what is on file for the same question."""
        request, worker = question.request, question.modules[0].removesuffix(".__main__")

        def compute(progress: Progress) -> D:
            return kind.from_json(call_worker(worker, request, progress, self.log), f"the answer of {worker}")

        return self.measure(question, kind, compute)

    def quality(
        self, reference: Artifact, bundle: Artifact, dataset: "Dataset | None", task: str
    ) -> QualityComparison | None:
        """The task's metric per language of both on the test split, and the drop with its interval."""
        if dataset is None:
            return None
        before, after = self.evaluate(reference, dataset, task), self.evaluate(bundle, dataset, task)
        request = _CompareRequest(task, dataset.languages, reference.id)
        question = Question("compare", bundle, _COMPARISON, request, tuple(dataset.files(SPLIT)))

        def compute(progress: Progress) -> QualityComparison:
            from edgeafri.inference.comparison import compare

            return compare(before, after, task, SPLIT)

        return self.measure(question, QualityComparison, compute)

    def evaluate(self, model: Artifact, dataset: "Dataset", task: str, form: ModelForm | None = None) -> Quality:
        """Quality per language on the test split: of a bundle through the runtime, of a torch model through torch.

        `form` is what a torch model is brought into.
        """
        data, languages, files = dataset.root, dataset.languages, tuple(dataset.files(SPLIT))
        if model.kind == "bundle":
            asked = EvaluateRequest(bundle=model.path, data=data, split=SPLIT, languages=languages)
            question = Question("evaluate bundle", model, RUNTIME_CODE, asked, files)
        else:
            title = f"evaluate {_kind_of(model, form)}"
            request = EvaluateModelRequest(
                task=task,
                data=data,
                languages=languages,
                split=SPLIT,
                model=model.path,
                form=form.form if form else None,
            )
            question = Question(title, model, TORCH_CODE, request, files, form)
        return self.ask(question, ModelEvaluation).quality

    def parity(self, chain: Sequence[Artifact], task: str, sentences: Sentences) -> Parity | None:
        """How far every artifact of a chain is from the one before it and from the first, on the same sentences."""
        if not sentences.files:
            return None
        request = ParityRequest(
            task=task,
            languages=sentences.languages,
            data=sentences.data,
            text=sentences.raw_text,
            sentences=COMPARED,
            folders=tuple(item.path for item in chain),
            steps=tuple(map(_step_of, chain)),
        )
        return self.ask(Question("parity", chain[-1], TORCH_CODE, request, sentences.files), Parity)

    def layers(self, before: Artifact, after: Artifact, sentences: Sentences) -> tuple[LayerCost, ...]:
        """What every layer costs by itself that the graph `after` computes differently from `before`, worst first."""
        request = LayersRequest(
            task=after.manifest.task,
            languages=sentences.languages,
            data=sentences.data,
            text=sentences.raw_text,
            sentences=BISECTED,
            before=before.path,
            after=after.path,
            source=before.id,
        )
        return self.ask(Question("layers", after, TORCH_CODE, request, sentences.files), LayerCosts).layers

    def data_issues(self, dataset: "Dataset", labels: Sequence[str] | None) -> DataIssues:
        """Read all splits once and say what is odd. The answer is kept for the same files and labels.

        DataError, before any work, as Dataset.issues raises it for `labels`.
        """
        from edgeafri.data.dataset import SPLITS

        parts: list[Json] = [list(dataset.languages), dataset.unit, labels and list(labels)]
        file = self._folder / f"data-{self._hash(parts, dataset.files(*SPLITS), _DATASET)}.json"
        found = _on_file(file, DataIssues)
        if found is None:
            found = dataset.issues(labels)
            self._keep(file, found)
        return found

    def _keep(self, file: Path, result: Document) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        write_whole(file, json_text(result.to_json()))

    def _key(self, question: Question) -> str:
        asked, form = _without_paths(question.request), plain(question.form)
        parts: list[Json] = [question.artifact.id, asked, form, machine_id(), self._versions]
        return self._hash(parts, question.files, question.modules)

    def _hash(self, parts: Sequence[Json], files: Sequence[Path], modules: tuple[str, ...]) -> str:
        """One short hash over plain values, the content of files, and the code of modules."""
        content = [self._digests.of(file) for file in files]
        whole = json.dumps([*parts, content, code_digest(self._digests, *modules)], sort_keys=True)
        return hashlib.sha256(whole.encode()).hexdigest()[:16]


def _without_paths(value: object) -> Json:
    """A request as JSON with None for every path in it."""
    if isinstance(value, Document):
        return {name: _without_paths(own) for name, own in vars(value).items()}
    if isinstance(value, Mapping):
        return {str(name): _without_paths(own) for name, own in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_paths(item) for item in value]
    return None if isinstance(value, Path) else plain(value)


def _kind_of(model: Artifact, form: ModelForm | None) -> str:
    if model.kind != "torch":
        return model.kind
    return form.form if form else "teacher"


def _step_of(artifact: Artifact) -> ComparedStep:
    """An artifact as a row of the table; `another_model` when the step was not meant to leave the answers alone."""
    manifest = artifact.manifest
    name = "teacher" if manifest.stage == "adopt" else manifest.stage
    other = facts_of(manifest).another_model
    return ComparedStep(stage=name, id=artifact.id, kind=artifact.kind, another_model=other)


def _on_file(file: Path, kind: type[D]) -> D | None:
    """What was written there; None where nothing readable is, so that it is made again."""
    try:
        return kind.from_json(json.loads(file.read_text("utf-8")), str(file))
    except (OSError, ValueError, DataError):
        return None
