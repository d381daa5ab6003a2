"""A study's workbench: models made and measured through the pipeline; what was done once is not done again."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from edgeafri.artifact import Artifact
from edgeafri.build import pipeline
from edgeafri.build.events import Noted, OnEvent
from edgeafri.build.jobs import plan_jobs
from edgeafri.build.measurement_cache import MeasurementCache
from edgeafri.build.recipe import Step
from edgeafri.build.teacher import config_of, find_teacher, head_of
from edgeafri.bundle import read_config
from edgeafri.data.dataset import SPLITS, Dataset, text_files
from edgeafri.data.languages import language
from edgeafri.documents.quality import Quality
from edgeafri.errors import ModelError, UsageError
from edgeafri.runners.local import RUNTIME, TORCH, call_worker
from edgeafri.settings import did_you_mean
from edgeafri.tasks import unit_of
from edgeafri.util.files import Digests, storage
from edgeafri.util.progress import Progress

FOLDER = Path(__file__).parent / "grids"
_ROUNDS, _RUNS = 5, 20  # models are timed in turns: so many fresh processes each, so many sentences in each
_MEDIANS = (
    "p50_ms",
    "cpu_ms",
    "peak_rss_mb",
    "peak_gpu_mb",
    "weight_bytes",
)  # kept of a measurement, where it has them
_WEIGHTS = (".safetensors", ".pt", ".onnx", ".data")  # the last beside an .onnx
Settings = Mapping[str, Any]


@dataclass(frozen=True)
class StudyRequest:
    """What was asked of a study. `grid` names how large it is: an entry of grids/<study>.yaml.

    `teacher` is "" where the study makes its own model; `unseen` are languages that a given one never saw.
    `few_shot_data` are unseen languages to learn from a few sentences of, `ood_data` those to test on alone.
    """

    teacher: str
    data: Path
    text: Path | None
    languages: tuple[str, ...]
    grid: str
    seeds: tuple[int, ...]
    work: Path
    out: Path
    command: str
    few_shot_data: Path | None = None
    ood_data: Path | None = None
    unseen: tuple[str, ...] = ()


class Workbench:
    """Makes and measures artifacts below one work folder."""

    def __init__(self, request: StudyRequest, task: str, digests: Digests, on_event: OnEvent) -> None:
        self.request, self.task, self._digests, self._on_event = request, task, digests, on_event
        self._cache = MeasurementCache(request.work, digests, on_event, fresh=False)
        # A missing file is told now, not hours later.
        Dataset(request.data, request.languages, unit_of(task)).files(*SPLITS)
        for code in request.languages:
            language(code)
        if request.text is not None:
            text_files(request.text, request.languages)
        with storage(request.out):  # so is a folder that cannot be written
            request.out.mkdir(parents=True, exist_ok=True)

    def only(self, languages: tuple[str, ...], seeds: tuple[int, ...]) -> "Workbench":
        """The same workbench for a part of a study that has its own languages and seeds."""
        return Workbench(
            replace(self.request, languages=languages, seeds=seeds), self.task, self._digests, self._on_event
        )

    def teacher(self) -> Artifact:
        """The teacher that the request names."""
        request = self.request
        return find_teacher(
            request.teacher, self.task, request.languages, request.work, True, self._digests, self._on_event
        )

    def fine_tuned(self, study: str) -> Artifact:
        """The teacher, which has learnt the task; ModelError when it has not."""
        teacher, request = self.teacher(), self.request
        if not head_of(teacher, self.task):
            learning = f"--data {request.data} --languages {','.join(request.languages)}"
            hint = f"Fine-tune it first: edgeafri finetune {request.teacher} {learning} --out TEACHER"
            raise ModelError(f"study {study}: {request.teacher} has no head for {self.task}", hint)
        return teacher

    def check_data(self, labels: Sequence[str] | None) -> None:
        """Read all labelled data once, so that what is wrong in it is told now, not hours later.

        `labels` are those of the fine-tuned teacher; None when the labels are learnt from the data.
        """
        self._cache.data_issues(self.request.data, self.request.languages, self.task, labels)

    def make(self, stage: str, source: Artifact, settings: Settings, **more: Any) -> Artifact:
        """What a stage makes of a source. Languages, task, data and text are the request's where none are given."""
        request = self.request
        given = {"task": self.task, "languages": request.languages, "data": request.data, "text": request.text}
        jobs = plan_jobs([Step(stage, {**settings, **more})], source.kind, given)
        return pipeline.run_jobs(jobs, source, request.work, self._digests, self._on_event)[-1].artifact

    def bundle(
        self, model: Artifact, languages: Sequence[str], int8: bool = False, settings: Settings | None = None
    ) -> Artifact:
        """A torch model as a bundle, its weights in float32 as they are, in int8, or quantized by these settings."""
        quantize = (Step("quantize", settings or {}),) if int8 or settings else ()
        steps = (Step("export-onnx"), Step("optimize"), *quantize, Step("bundle"))
        jobs = plan_jobs(steps, "torch", {"languages": tuple(languages)})
        return pipeline.run_jobs(jobs, model, self.request.work, self._digests, self._on_event)[-1].artifact

    def quality(self, model: Artifact, languages: Sequence[str], data: Path | None = None, **more: Any) -> Quality:
        """Quality per language on test, of a bundle through the runtime, of a torch model through torch.

        `more` goes into the worker's request, as in timed().
        """
        return self._cache.evaluate(model, data or self.request.data, languages, self.task, **more)

    def speeds(self, models: Mapping[str, Artifact], seq_len: int) -> Mapping[str, Mapping[str, float]]:
        """p50_ms and cpu_ms of a sentence by the models' names, on one thread: medians over rounds, all in turns."""
        found = self.timed(models, seq_len)
        return {name: {key: times[key] for key in ("p50_ms", "cpu_ms")} for name, times in found.items()}

    def timed(
        self, models: Mapping[str, Artifact], seq_len: int, more: Mapping[str, Settings] | None = None
    ) -> Mapping[str, Mapping[str, Any]]:
        """What a sentence takes by the models' names, on one thread: medians over rounds, all in turns.

        `more` goes into the requests of the models that it names: the form in which a worker reads a torch model, and
        what that hangs on. Of each: p50_ms, cpu_ms, peak_rss_mb, `where` it was computed; of a form also weight_bytes
        and, on a GPU, peak_gpu_mb.
        """
        request = {"do": "bench", "seq_len": seq_len, "threads": 1, "runs": _RUNS, "warmup": 3}
        asked = {name: {**request, **(more or {}).get(name, {})} for name in models}

        def measure(progress: Progress) -> dict[str, dict[str, Any]]:
            rounds = []
            for done in range(_ROUNDS):
                rounds.append({name: _timed(model, asked[name]) for name, model in models.items()})
                progress(done + 1, _ROUNDS)
            return {name: _middle([found[name] for found in rounds]) for name in models}

        together = {**request, "models": {name: [model.id, asked[name]] for name, model in models.items()}}
        last = list(models.values())[-1]
        found: Mapping[str, Mapping[str, Any]] = self._cache.measure("bench in turns", last, together, measure)
        return found

    def described(self, model: Artifact) -> Mapping[str, Any]:
        """The longest input of a torch model, and what of this machine shapes how torch computes it."""
        found: Mapping[str, Any] = call_worker(TORCH, {"do": "describe", "model": str(model.path)}, log=self._cache.log)
        return found

    def say(self, what: str, text: str) -> None:
        """OnEvent the user something that is known before work begins."""
        self._on_event(Noted(what, text))


def masked_teacher(bench: Workbench, settings: Settings) -> Artifact:
    """The teacher with a masked-LM head: as it is if it has one, else its encoder trained on the raw text."""
    teacher = bench.teacher()
    if str(config_of(teacher)["architectures"][0]).endswith("ForMaskedLM"):
        return teacher
    return bench.make("adapt-maft", teacher, settings)


def weights_mb(model: Artifact) -> float:
    """The size of the files that hold a model's weights, in 10^6 bytes; of a bundle, its graph and all beside it."""
    files = model.manifest.files
    return sum(int(entry["bytes"]) for name, entry in files.items() if Path(name).suffix in _WEIGHTS) / 1e6


def fitting(bundle: Artifact, seq_len: int) -> int:
    """That many sub-words, or as many as a bundle's model can read."""
    return min(seq_len, read_config(bundle.path).max_tokens)


def parameters(model: Artifact) -> int:
    """How many numbers the weights of a torch artifact hold, from the heads of its safetensors files.

    A file begins with the length of a JSON text, 8 bytes, and that text names every tensor's shape
    (https://huggingface.co/docs/safetensors).
    """
    total = 0
    for file in sorted(model.path.glob("*.safetensors")):
        with file.open("rb") as opened:
            head = json.loads(opened.read(int.from_bytes(opened.read(8), "little")))
        total += sum(math.prod(entry["shape"]) for name, entry in head.items() if name != "__metadata__")
    return total


def read_grid(study: str, name: str) -> dict[str, Any]:
    """What a study does at one size: the settings of its stages by name. UsageError for a size there is not."""
    import yaml

    sizes: dict[str, Any] = yaml.safe_load((FOLDER / f"{study}.yaml").read_text("utf-8"))
    if name not in sizes:
        raise UsageError(f"study {study}: there is no grid '{name}'", did_you_mean(name, sizes))
    return dict(sizes[name])


def _middle(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The median of what several processes measured of one model."""
    first = found[0]
    middle = {key: median(item[key] for item in found) for key in _MEDIANS if key in first}
    return {"where": first.get("where", "CPU"), **middle}


def _timed(model: Artifact, request: Settings) -> Mapping[str, Any]:
    """One fresh process's measurement."""
    module, named = (
        (RUNTIME, {"bundle": str(model.path)})
        if model.kind == "bundle"
        else (TORCH, {"model": str(model.path), "id": model.id})
    )
    found: Mapping[str, Any] = call_worker(module, {**request, **named})
    return found
