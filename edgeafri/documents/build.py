"""What `edgeafri build` and `edgeafri why` print: the result of a build, the plan of one, and what each step cost."""

from collections.abc import Mapping
from dataclasses import dataclass

from edgeafri.documents.base import Document, Json, omitted_when_none
from edgeafri.documents.checks import Check
from edgeafri.documents.estimate import Estimate
from edgeafri.documents.measurement import Measurement
from edgeafri.documents.outliers import Outliers
from edgeafri.documents.parity import LayerCost, Parity
from edgeafri.documents.quality import QualityComparison


@dataclass(frozen=True)
class PlannedStep(Document):
    """One step of `edgeafri build --dry-run`: the folder of its result, and whether that is there already."""

    stage: str
    folder: str
    reused: bool
    settings: Mapping[str, Json]


@dataclass(frozen=True, kw_only=True)
class BuildStep(Document):
    """One step of a build. `seconds` is wall time, 0 when the result was reused; `facts` are those of its stage."""

    stage: str
    id: str = ""
    reused: bool = False
    seconds: float | None = None
    facts: Mapping[str, Json] | None = None


@dataclass(frozen=True, kw_only=True)
class TeacherSource(Document):
    """What a build began with, so that `edgeafri why` can find it again."""

    id: str = ""
    folder: str = ""
    languages: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Sizes(Document):
    """Bytes on disk: the teacher's weights, the bundle's graph with its weights, and the whole bundle."""

    teacher_bytes: int | None = omitted_when_none()
    model_bytes: int | None = omitted_when_none()
    bundle_bytes: int | None = None


@dataclass(frozen=True, kw_only=True)
class TargetEstimate(Estimate):
    """An estimate, and the sentence length in subwords and the number of threads that it is for."""

    seq_len: int | None = omitted_when_none()
    threads: int | None = omitted_when_none()


@dataclass(frozen=True, kw_only=True)
class ReportFiles(Document):
    """Where a build wrote its report, in each form."""

    html: str
    md: str
    json: str
    card: str


@dataclass(frozen=True, kw_only=True)
class BuildResult(Document):
    """What `edgeafri build --json` prints. A part that was not measured is None.

    `parity` and `quality` compare the bundle with the model that it stands for, `size` too. `host` was measured on this
    machine, `device` is estimated for the target. `passed` says that no check is over its limit; what
    could not be decided is in `checks`. `commands` repeat the build and use its bundle.
    """

    bundle: str = ""
    artifact_id: str
    target: str
    task: str
    languages: tuple[str, ...] = ()
    sample: bool = False
    recipe: str = ""
    teacher: TeacherSource | None = None
    steps: tuple[BuildStep, ...] = ()
    quality: QualityComparison | None = None
    parity: Parity | None = None
    size: Sizes | None = None
    host: Measurement | None = None
    device: TargetEstimate | None = None
    notes: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    checks: tuple[Check, ...] = ()
    passed: bool = True
    report: ReportFiles | None = omitted_when_none()


@dataclass(frozen=True, kw_only=True)
class Diagnosis(Document):
    """What `edgeafri why --json` prints: what every step changed, and what each layer of one step cost.

    `costliest` is None when no step changed anything. `layers` are those of the step `bisected`: of the steps that
    quantize and optimize, the one that cost most. `outliers` is what the step that quantized found of outlier channels,
    None where it did not look.
    """

    bundle: str
    artifact_id: str
    task: str
    metric: str
    languages: tuple[str, ...]
    parity: Parity | None
    costliest: str | None
    bisected: str | None
    layers: tuple[LayerCost, ...]
    outliers: Outliers | None = None
    notes: tuple[str, ...]
