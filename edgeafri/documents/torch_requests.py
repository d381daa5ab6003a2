"""What the torch side can be asked to do with a model's folder, and what it answers where no other document says it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edgeafri.documents.base import Document, omitted_when_none


@dataclass(frozen=True, kw_only=True)
class EvaluateModelRequest(Document):
    """Quality per language on a split of labelled data; answered by a ModelEvaluation.

    `form` is one of stages.comparison.in_memory.FORMS, which the model is brought into; None leaves it as it is.
    """

    do: Literal["evaluate"] = "evaluate"
    task: str
    data: Path
    languages: tuple[str, ...]
    split: str
    model: Path
    form: str | None = omitted_when_none()


@dataclass(frozen=True, kw_only=True)
class BenchModelRequest(Document):
    """Time sentences of `seq_len` subwords; answered by a Measurement, of a `form` by an InMemoryMeasurement.

    `id` is the artifact's, which the measurement names.
    """

    do: Literal["bench"] = "bench"
    model: Path
    id: str
    seq_len: int
    threads: int
    runs: int
    warmup: int
    form: str | None = omitted_when_none()


@dataclass(frozen=True, kw_only=True)
class DescribeModelRequest(Document):
    """What shapes how a model is computed here; answered by a ModelDescription."""

    do: Literal["describe"] = "describe"
    model: Path


@dataclass(frozen=True, kw_only=True)
class ModelDescription(Document):
    """The longest input of a model in subwords, and what of this machine shapes how torch computes it.

    `gpu` is the name of the GPU, `cuda` and `capability` are its versions; None without one. The others are versions
    of packages, None where they are not installed.
    """

    max_tokens: int
    gpu: str | None
    cuda: str | None
    capability: str | None
    torch: str | None
    transformers: str | None
    bitsandbytes: str | None


@dataclass(frozen=True, kw_only=True)
class ComparedStep(Document):
    """An artifact of a chain that is compared; `another_model` as in ParityRow."""

    stage: str
    id: str
    kind: str
    another_model: bool


@dataclass(frozen=True, kw_only=True)
class ParityRequest(Document):
    """Compare the artifacts in `folders`, one after another; answered by a Parity.

    They label at most `sentences` of each language: dev of labelled `data`, else lines of raw `text`.
    """

    do: Literal["parity"] = "parity"
    task: str
    languages: tuple[str, ...]
    split: str = "dev"
    data: Path | None = omitted_when_none()
    text: Path | None = omitted_when_none()
    sentences: int | None
    folders: tuple[Path, ...]
    steps: tuple[ComparedStep, ...]


@dataclass(frozen=True, kw_only=True)
class LayersRequest(Document):
    """What each layer costs that the graph `after` computes differently from `before`; answered by LayerCosts.

    `source` is the id of the artifact `before`; the rest as in ParityRequest.
    """

    do: Literal["layers"] = "layers"
    task: str
    languages: tuple[str, ...]
    split: str = "dev"
    data: Path | None = omitted_when_none()
    text: Path | None = omitted_when_none()
    sentences: int | None
    before: Path
    after: Path
    source: str


@dataclass(frozen=True, kw_only=True)
class ConvertRequest(Document):
    """Write the weights of a pickled checkpoint as safetensors into a new folder; answered by a Conversion."""

    do: Literal["convert"] = "convert"
    source: Path
    out: Path


@dataclass(frozen=True, kw_only=True)
class Conversion(Document):
    """What was converted; `edgeafri convert --json` prints it with the folder `out`."""

    tensors: int
    parameters: int
    out: str | None = omitted_when_none()


@dataclass(frozen=True, kw_only=True)
class DownloadRequest(Document):
    """Bring a model from the hub; answered by a Download."""

    do: Literal["download"] = "download"
    name: str
    offline: bool


@dataclass(frozen=True, kw_only=True)
class Download(Document):
    """The snapshot folder of a hub model, its revision, and whether its weights came only as a pickle."""

    folder: Path
    revision: str
    pickled: bool
