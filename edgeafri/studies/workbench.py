"""A study's workbench: models made and measured through the pipeline; what was done once is not done again."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from edgeafri.artifact import Artifact
from edgeafri.builder import pipeline
from edgeafri.builder.events import Noted, OnEvent
from edgeafri.builder.jobs import plan_jobs
from edgeafri.builder.measurement_cache import RUNTIME_CODE, TORCH_CODE, MeasurementCache, Question
from edgeafri.builder.recipe import Step
from edgeafri.builder.teacher import config_of, find_teacher, head_of
from edgeafri.bundle import read_config
from edgeafri.data.dataset import SPLITS, Dataset, text_files
from edgeafri.data.languages import language
from edgeafri.documents.base import read_as
from edgeafri.documents.quality import Quality
from edgeafri.documents.study import ModelForm, ModelTimes
from edgeafri.documents.torch_requests import DescribeModelRequest, ModelDescription
from edgeafri.errors import ModelError, UsageError
from edgeafri.runners.local import TORCH, call_worker
from edgeafri.settings import did_you_mean
from edgeafri.studies import turns
from edgeafri.tasks import unit_of
from edgeafri.util.files import Digests, storage

FOLDER = Path(__file__).parent / "grids"
_WEIGHTS = (".safetensors", ".pt", ".onnx", ".data")  # the last beside an .onnx
Settings = Mapping[str, object]
"""Settings of a stage."""
G = TypeVar("G")


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
        self._cache.data_issues(self._dataset(self.request.data, self.request.languages), labels)

    def make(self, stage: str, source: Artifact, settings: Settings, **more: object) -> Artifact:
        """What a stage makes of a source. Languages, task, data and text are the request's where none are given."""
        request = self.request
        given = {"task": self.task, "languages": request.languages, "data": request.data, "text": request.text}
        jobs = plan_jobs([Step(stage, {**settings, **more})], source.kind, given)
        return pipeline.run_jobs(jobs, source, request.work, self._digests, self._on_event)[-1].artifact

    def bundle(
        self, model: Artifact, languages: Sequence[str], int8: bool = False, settings: Settings | None = None
    ) -> Artifact:
        """A torch model as a bundle, its weights in float32 as they are, in int8, or quantized by these settings.

        What quantizing measures, it measures on the request's text in `languages`, or where there is none on its data.
        """
        request = self.request
        quantize = (Step("quantize", settings or {}),) if int8 or settings else ()
        steps = (Step("export-onnx"), Step("optimize"), *quantize, Step("bundle"))
        given = {"languages": tuple(languages), "data": request.data, "text": request.text}
        jobs = plan_jobs(steps, "torch", given)
        return pipeline.run_jobs(jobs, model, request.work, self._digests, self._on_event)[-1].artifact

    def quality(
        self, model: Artifact, languages: Sequence[str], data: Path | None = None, form: ModelForm | None = None
    ) -> Quality:
        """Quality per language on test, of a bundle through the runtime, of a torch model through torch.

        `form` is what a torch model is brought into; None leaves it as it is.
        """
        dataset = self._dataset(data or self.request.data, languages)
        return self._cache.evaluate(model, dataset, self.task, form)

    def timed(
        self, models: Mapping[str, Artifact], seq_len: int, forms: Mapping[str, ModelForm] | None = None
    ) -> Mapping[str, ModelTimes]:
        """What a sentence of `seq_len` tokens takes, by the models' names, on one thread: medians over rounds.

        All models are timed in turns. `forms` are those of the models that it names, as in quality().
        """
        request = turns.turns_request(models, seq_len, forms or {})
        modules = (*RUNTIME_CODE, *TORCH_CODE, turns.__name__)
        question = Question("bench in turns", list(models.values())[-1], modules, request)
        found = self._cache.measure(question, turns.TimesInTurns, lambda progress: turns.time(request, progress))
        return found.models

    def _dataset(self, root: Path, languages: Sequence[str]) -> Dataset:
        return Dataset(root, tuple(languages), unit_of(self.task))

    def machine(self, model: Artifact) -> ModelDescription:
        """The longest input of a torch model, and what of this machine shapes how torch computes it."""
        return ModelDescription.from_json(
            call_worker(TORCH, DescribeModelRequest(model=model.path), log=self._cache.log)
        )

    def say(self, what: str, text: str) -> None:
        """Tell the user something that is known before work begins."""
        self._on_event(Noted(what, text))


def masked_teacher(bench: Workbench, settings: Settings) -> Artifact:
    """The teacher with a masked-LM head: as it is if it has one, else its encoder trained on the raw text."""
    teacher = bench.teacher()
    return teacher if architecture_of(teacher).endswith("ForMaskedLM") else bench.make("adapt-maft", teacher, settings)


def architecture_of(model: Artifact) -> str:
    """The class of transformers that a torch folder names first; "" where it names none."""
    return str((config_of(model).get("architectures") or [""])[0])


def weights_mb(model: Artifact) -> float:
    """The size of the files that hold a model's weights, in 10^6 bytes; of a bundle, its graph and all beside it."""
    files = model.manifest.files
    return sum(entry.bytes for name, entry in files.items() if Path(name).suffix in _WEIGHTS) / 1e6


def readable_length(bundle: Artifact, seq_len: int) -> int:
    """That many tokens, or as many as a bundle's model can read."""
    return min(seq_len, read_config(bundle.path).max_tokens)


def parameters(model: Artifact) -> int:
    """How many numbers the weights of a torch artifact hold, from the headers of its safetensors files.

    A file begins with the length of a JSON text, 8 bytes, and that text names every tensor's shape
    (https://huggingface.co/docs/safetensors).
    """
    total = 0
    for file in sorted(model.path.glob("*.safetensors")):
        with file.open("rb") as opened:
            header = json.loads(opened.read(int.from_bytes(opened.read(8), "little")))
        total += sum(math.prod(entry["shape"]) for name, entry in header.items() if name != "__metadata__")
    return total


def read_grid(kind: type[G], study: str, name: str) -> G:
    """What a study does at one size, as `kind`: the settings of its stages. UsageError for a size that is not there."""
    import yaml

    sizes = yaml.safe_load((FOLDER / f"{study}.yaml").read_text("utf-8"))
    if name not in sizes:
        raise UsageError(f"study {study}: there is no grid '{name}'", did_you_mean(name, sizes))
    return read_as(kind, sizes[name], f"{study}.yaml: {name}")


def in_words(settings: Settings) -> str:
    """Settings in one line, for a table."""
    return ", ".join(f"{name} {value}" for name, value in settings.items())
