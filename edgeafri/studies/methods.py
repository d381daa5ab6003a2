"""The ways to keep a fine-tuned model's weights that are compared, one per line, and what was measured of each."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from edgeafri.artifact import Artifact
from edgeafri.benchmark.machine import machine_id
from edgeafri.documents.quality import Quality
from edgeafri.documents.study import ModelForm, ModelTimes
from edgeafri.documents.torch_requests import ModelDescription
from edgeafri.errors import DataError, MissingPackage, ModelError, UsageError, WorkerError
from edgeafri.settings import did_you_mean
from edgeafri.studies.workbench import Workbench, weights_mb

LENGTHS = (32, 128)  # subwords of the sentences that are timed
Make = Callable[[Workbench, Artifact], Artifact]


@dataclass(frozen=True)
class ComparedMethod:
    """How weights are kept. `form` is what a torch worker makes of the model as it reads it, "" where `make` made it.

    `paper` is its name in the compression study's Tables 3 and 4.
    """

    name: str
    about: str
    make: Make
    form: str = ""
    paper: str | None = None


@dataclass(frozen=True)
class MethodResult:
    """What a method came to: quality per language, MB of weights, and times by length; or why it was not run."""

    method: ComparedMethod
    quality: Quality = field(default_factory=dict)
    mb: float = 0.0
    times: Mapping[int, ModelTimes] = field(default_factory=dict)
    not_run: str = ""

    @property
    def where(self) -> str:
        """CPU, or the name of the GPU that it was computed on; "" where it was not run."""
        return next((times.where for times in self.times.values()), "")


def _itself(bench: Workbench, model: Artifact) -> Artifact:
    return model


def _made(stage: str, **settings: object) -> Make:
    return lambda bench, model: bench.make(stage, model, settings)


def _quantized(**settings: object) -> Make:
    return lambda bench, model: bench.bundle(model, bench.request.languages, settings=settings)


def _float_bundle(bench: Workbench, model: Artifact) -> Artifact:
    return bench.bundle(model, bench.request.languages)


METHODS = (
    ComparedMethod("fp32", "torch, float32", _itself, paper="baseline"),
    ComparedMethod("bf16", "torch, bfloat16", _itself, "bf16"),
    ComparedMethod("fp32-gpu", "torch, float32 on a GPU", _itself, "fp32-gpu"),
    ComparedMethod("fp16-gpu", "torch, float16 on a GPU", _itself, "fp16-gpu"),
    ComparedMethod("torch-dynamic", "torch, dynamic int8, linear layers", _made("quantize-torch"), paper="dynamic"),
    ComparedMethod("torchscript", "TorchScript, float32", _made("export-torchscript")),
    ComparedMethod("torchscript-int8", "TorchScript, dynamic int8", _made("export-torchscript", weights="int8")),
    ComparedMethod("llm-int8", "LLM.int8(), all linear layers, the head too", _itself, "llm-int8", "LLM.int8()"),
    ComparedMethod("llm-int8-embeddings", "LLM.int8(), and embeddings in int8", _itself, "llm-int8-embeddings"),
    ComparedMethod("ort-fp32", "EdgeAfri bundle, float32", _float_bundle),
    ComparedMethod(
        "ort-int8-per-tensor",
        "EdgeAfri bundle, dynamic int8 as in ONNX Runtime, embeddings too",
        _quantized(outliers="none"),
    ),
    ComparedMethod(
        "ort-int8",
        "EdgeAfri bundle, dynamic int8, outliers in float32, embeddings too",
        _quantized(outliers="auto"),
    ),
    ComparedMethod(
        "ort-static", "EdgeAfri bundle, static int8, outliers in float32, embeddings too", _quantized(form="static")
    ),
    ComparedMethod(
        "ort-int4", "EdgeAfri bundle, int4 in blocks, embeddings too", _quantized(form="weights", embeddings="int4")
    ),
)
NAMES = tuple(method.name for method in METHODS)


def choose_methods(names: Sequence[str]) -> tuple[ComparedMethod, ...]:
    """The methods of these names in the table's order, and fp32 first, which the others are compared with.

    UsageError for a name that is not there.
    """
    for name in names:
        if name not in NAMES:
            raise UsageError(f"--methods: there is no method '{name}'", did_you_mean(name, NAMES))
    return tuple(method for method in METHODS if method.name in (NAMES[0], *names))


def measure_methods(
    bench: Workbench, model: Artifact, methods: Sequence[ComparedMethod]
) -> tuple[list[MethodResult], ModelDescription]:
    """Every method's quality on the request's languages, then the times of all in turns; and the machine's conditions.

    A method that this machine cannot run is there with the reason. The first must run: ModelError, MissingPackage or
    WorkerError else.
    """
    machine = bench.machine(model)
    forms = {
        method.name: ModelForm(form=method.form, gpu=machine.gpu, bitsandbytes=machine.bitsandbytes)
        for method in methods
        if method.form
    }
    ready, absent = _evaluated(bench, model, methods, forms)
    made = {name: artifact for name, (artifact, _) in ready.items()}
    times = {length: bench.timed(made, length, forms) for length in _fitting(machine)}
    found = []
    for method in methods:
        name = method.name
        if name in absent:
            found.append(MethodResult(method, not_run=absent[name]))
        else:
            found.append(_measured(method, *ready[name], {length: took[name] for length, took in times.items()}))
    return found, machine


def conditions(machine: ModelDescription) -> str:
    """The machine of a comparison and the versions of what computed it, in a sentence."""
    gpu = f"{machine.gpu}, CUDA {machine.cuda}" if machine.gpu else "no GPU"
    versions = {"torch": machine.torch, "transformers": machine.transformers, "bitsandbytes": machine.bitsandbytes}
    named = (f"{name} {version}" for name, version in versions.items() if version)
    return f"Machine: {machine_id()}; {gpu}. Versions: {', '.join(named)}."


def _evaluated(
    bench: Workbench, model: Artifact, methods: Sequence[ComparedMethod], forms: Mapping[str, ModelForm]
) -> tuple[dict[str, tuple[Artifact, Quality]], dict[str, str]]:
    """By the methods' names, what each made and its quality; and why the others could not be run.

    All data was read before: a DataError here is a method's own, such as too little text to calibrate on.
    """
    ready, absent = {}, {}
    for method in methods:
        try:
            made = method.make(bench, model)
            ready[method.name] = (made, bench.quality(made, bench.request.languages, form=forms.get(method.name)))
        except (DataError, MissingPackage, ModelError, WorkerError) as error:
            if method is methods[0]:
                raise
            absent[method.name] = error.message
            bench.say(method.name, f"not run: {error.message}")
    return ready, absent


def _measured(
    method: ComparedMethod, made: Artifact, quality: Quality, times: Mapping[int, ModelTimes]
) -> MethodResult:
    stored = next(iter(times.values())).weight_bytes
    return MethodResult(method, quality, weights_mb(made) if stored is None else stored / 1e6, times)


def _fitting(machine: ModelDescription) -> tuple[int, ...]:
    """The lengths that are timed, none longer than the model can read."""
    return tuple(dict.fromkeys(min(length, machine.max_tokens) for length in LENGTHS))
