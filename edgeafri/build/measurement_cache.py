"""measurement_cache: what was measured of which artifact, on which data, on which machine; kept and reused."""

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from edgeafri.artifact import Artifact
from edgeafri.benchmark.machine import machine_id
from edgeafri.build.cache_key import versions
from edgeafri.build.events import Noted, OnEvent, Progressed, Started
from edgeafri.documents.data_issues import DataIssues
from edgeafri.documents.quality import ModelEvaluation, Quality, QualityComparison
from edgeafri.menu import facts_of
from edgeafri.runners.local import RUNTIME, TORCH, call_worker
from edgeafri.tasks import unit_of
from edgeafri.util import import_closure as closure
from edgeafri.util.files import Digests, json_text, write_whole
from edgeafri.util.progress import Progress

SPLIT = "test"
SPLITS = ("train", "dev", SPLIT)
COMPARED, BISECTED = 64, 32  # sentences a language on which artifacts, and then single layers, are compared
# What computes a measurement: a worker process, or this module.
_COMPUTING = (f"{RUNTIME}.__main__", f"{TORCH}.__main__", __name__)
_READING = "edgeafri.data.dataset"
_PATHS = ("data", "text", "model", "bundle", "folders", "before", "after")  # they count by what they hold


class MeasurementCache:
    """Measurements below `work`, each made once for its artifact, data, code and machine; `fresh` makes them again."""

    def __init__(self, work: Path, digests: Digests, on_event: OnEvent, fresh: bool) -> None:
        self._folder, self._digests, self._on_event, self._fresh = work / "measurements", digests, on_event, fresh
        self.log = work / "build.log"

    def measure(
        self, what: str, artifact: Artifact, request: Mapping[str, Any], measure: Callable[[Progress], Any]
    ) -> Any:
        """The result of `measure`, or what is on file for the same artifact and request."""
        file = self._folder / f"{what.split()[0]}-{self._key(artifact, request)}.json"
        known = None if self._fresh else _on_file(file)
        if known is not None:
            self._on_event(Noted(what, "", reused=True))
            return known
        self._on_event(Started(what))
        began = time.monotonic()
        result = measure(lambda done, total: self._on_event(Progressed(what, done, total)))
        self._folder.mkdir(parents=True, exist_ok=True)
        write_whole(file, json_text(result))
        self._on_event(Noted(what, "", seconds=time.monotonic() - began))
        return result

    def quality(
        self, reference: Artifact, bundle: Artifact, data: Path | None, languages: Sequence[str], task: str
    ) -> QualityComparison | None:
        """The task's metric per language of teacher and bundle on the test split, and the drop with its interval."""
        from edgeafri.inference.comparison import compare

        if data is None:
            return None
        before = self.evaluate(reference, data, languages, task)
        after = self.evaluate(bundle, data, languages, task)
        pair = {**_evaluation(data, languages, task), "reference": reference.id}
        found = self.measure("compare", bundle, pair, lambda _: compare(before, after, task, SPLIT).to_json())
        return QualityComparison.from_json(found)

    def evaluate(self, model: Artifact, data: Path, languages: Sequence[str], task: str, **more: Any) -> Quality:
        """Quality per language on the test split: of a bundle through the runtime, of a torch model through torch.

        `more` goes into the request: the form that the worker makes of a torch model, and what that hangs on.
        """
        request = {**_evaluation(data, languages, task), **more}
        if model.kind == "bundle":
            return self._evaluated("evaluate bundle", model, RUNTIME, {**request, "bundle": str(model.path)})
        what = f"evaluate {more.get('form') or 'teacher'}" if model.kind == "torch" else f"evaluate {model.kind}"
        return self._evaluated(what, model, TORCH, {**request, "model": str(model.path)})

    def parity(
        self, chain: Sequence[Artifact], task: str, languages: Sequence[str], data: Path | None, text: Path | None
    ) -> dict[str, Any] | None:
        """How far every artifact of a chain is from the one before it and from the first, on the same sentences.

        They are dev of the labelled data, else raw text; None where there is neither.
        """
        if data is None and text is None:
            return None
        request = {**_questions("parity", task, languages, data, text), "sentences": COMPARED}
        request |= {"folders": [str(item.path) for item in chain], "steps": [_step_of(item) for item in chain]}
        return dict(
            self.measure("parity", chain[-1], request, lambda progress: call_worker(TORCH, request, progress, self.log))
        )

    def layers(
        self, before: Artifact, after: Artifact, languages: Sequence[str], data: Path | None, text: Path | None
    ) -> list[dict[str, Any]]:
        """What every layer costs by itself that the graph `after` computes otherwise than `before`, worst first."""
        request = {**_questions("layers", after.manifest.task, languages, data, text), "sentences": BISECTED}
        request |= {"before": str(before.path), "after": str(after.path), "source": before.id}
        answer = self.measure(
            "layers", after, request, lambda progress: call_worker(TORCH, request, progress, self.log)
        )
        return list(answer["layers"])

    def data_issues(self, data: Path, languages: Sequence[str], task: str, labels: Sequence[str] | None) -> DataIssues:
        """Read all splits once and say what is odd. The answer is kept for the same files and labels.

        DataError, before any work, when test has labels that the model will not know: it knows `labels`, or where it
        is still to be trained, those of train and dev.
        """
        from edgeafri.data.dataset import Dataset

        unit = unit_of(task)
        dataset = Dataset(data, tuple(languages), unit)
        files = dataset.files(*SPLITS)
        parts = [list(languages), unit, list(labels or ())]
        digests = [self._digests.of(file) for file in (*files, *closure.files_of(_READING))]
        key = hashlib.sha256(json.dumps([*digests, *parts]).encode()).hexdigest()[:16]
        file = self._folder / f"data-{key}.json"
        known = _on_file(file)
        if known is None:
            known = dataset.issues(labels).to_json()
            file.parent.mkdir(parents=True, exist_ok=True)
            write_whole(file, json_text(known))
        return DataIssues.from_json(known, str(file))

    def _evaluated(self, what: str, artifact: Artifact, module: str, request: Mapping[str, Any]) -> Quality:
        answer = self.measure(
            what, artifact, request, lambda progress: call_worker(module, request, progress, self.log)
        )
        return ModelEvaluation.from_json(answer).quality

    def _key(self, artifact: Artifact, request: Mapping[str, Any]) -> str:
        plain = {name: value for name, value in request.items() if name not in _PATHS}
        code = [self._digests.of(file) for file in closure.files_of(*_COMPUTING)]
        parts = [artifact.id, plain, self._data(request), code, machine_id(), versions()]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]

    def _data(self, request: Mapping[str, Any]) -> list[str]:
        from edgeafri.data.dataset import Dataset, text_files

        if "text" in request:
            return [self._digests.of(file) for file in text_files(Path(request["text"]), request["languages"]).values()]
        if "data" not in request:
            return []
        dataset = Dataset(Path(request["data"]), tuple(request["languages"]), unit_of(request["task"]))
        return [self._digests.of(file) for file in dataset.files(request["split"])]


def _evaluation(data: Path, languages: Sequence[str], task: str) -> dict[str, Any]:
    return {"do": "evaluate", "task": task, "data": str(data), "languages": list(languages), "split": SPLIT}


def _questions(what: str, task: str, languages: Sequence[str], data: Path | None, text: Path | None) -> dict[str, Any]:
    """Labelled data goes first, as it says what is right too."""
    asked = {"do": what, "task": task, "languages": list(languages), "split": "dev"}
    return {**asked, "text": str(text)} if data is None else {**asked, "data": str(data)}


def _step_of(artifact: Artifact) -> dict[str, Any]:
    """An artifact as a row of the table; `another_model` when the step was not meant to leave the answers alone."""
    manifest = artifact.manifest
    name, other = "teacher" if manifest.stage == "adopt" else manifest.stage, facts_of(manifest).another_model
    return {"stage": name, "id": artifact.id, "kind": artifact.kind, "another_model": other}


def _on_file(file: Path) -> Any:
    """What was written there; None where nothing readable is, so that it is made again."""
    try:
        return json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        return None
