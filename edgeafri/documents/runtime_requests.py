"""What the runtime can be asked to do with a bundle, here or on a device. `threads` None is the bundle's own number."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edgeafri.documents.base import Document, omitted_when_none


@dataclass(frozen=True, kw_only=True)
class RunRequest(Document):
    """Label raw texts; answered by a RunAnswer."""

    do: Literal["run"] = "run"
    bundle: Path
    texts: tuple[str, ...]
    threads: int | None = None


@dataclass(frozen=True, kw_only=True)
class VerifyRequest(Document):
    """Hash every file again and replay the golden sentences; answered by a VerifyAnswer."""

    do: Literal["verify"] = "verify"
    bundle: Path
    threads: int | None = None


@dataclass(frozen=True, kw_only=True)
class EvaluateRequest(Document):
    """Quality per language on a split of labelled data; answered by a BundleEvaluation."""

    do: Literal["evaluate"] = "evaluate"
    bundle: Path
    data: Path
    split: str
    languages: tuple[str, ...]
    threads: int | None = None


@dataclass(frozen=True, kw_only=True)
class BenchRequest(Document):
    """Time sentences of `seq_len` subwords; answered by a Measurement.

    `isa` "avx2" has int8 multiplied as on a processor without VNNI.
    """

    do: Literal["bench"] = "bench"
    bundle: Path
    threads: int | None = None
    seq_len: int
    runs: int
    warmup: int
    isa: str | None = omitted_when_none()


@dataclass(frozen=True, kw_only=True)
class LogitsRequest(Document):
    """The logits of sentences, given as words; answered by a LogitsAnswer. `noise` is a seed: the graph is shaken."""

    do: Literal["logits"] = "logits"
    bundle: Path
    sentences: tuple[tuple[str, ...], ...]
    threads: int | None = None
    noise: int | None = omitted_when_none()


@dataclass(frozen=True, kw_only=True)
class MarksRequest(Document):
    """Inferences of one sentence of `seq_len` subwords, each between two marks; answered by a MarksAnswer."""

    do: Literal["marks"] = "marks"
    bundle: Path
    seq_len: int
    runs: int
    warmup: int
    threads: int | None = None
