"""turns: several models timed in turns, so that what slows the machine down for a while slows all of them alike."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from edgeafri.artifact import Artifact
from edgeafri.documents.base import Document
from edgeafri.documents.runtime_requests import BenchRequest
from edgeafri.documents.study import ModelForm, ModelTimes
from edgeafri.documents.torch_requests import BenchModelRequest
from edgeafri.runners.local import RUNTIME, TORCH, call_worker
from edgeafri.util.progress import Progress

ROUNDS, RUNS = 5, 20  # so many fresh processes for each model, so many sentences in each


@dataclass(frozen=True)
class TurnsRequest(Document):
    """What is asked of every model, by its name; `ids` are those of the artifacts, `forms` of the models in another."""

    ids: Mapping[str, str]
    requests: Mapping[str, BenchRequest | BenchModelRequest]
    forms: Mapping[str, ModelForm]


@dataclass(frozen=True)
class TimesInTurns(Document):
    """The times of several models by their names."""

    models: Mapping[str, ModelTimes]


def turns_request(models: Mapping[str, Artifact], seq_len: int, forms: Mapping[str, ModelForm]) -> TurnsRequest:
    """Sentences of `seq_len` tokens on one thread: of a bundle in the runtime, of a torch model in torch."""
    requests = {name: _request(model, seq_len, forms.get(name)) for name, model in models.items()}
    return TurnsRequest({name: model.id for name, model in models.items()}, requests, forms)


def time(request: TurnsRequest, progress: Progress) -> TimesInTurns:
    """Time every model once per round, each in a fresh process; the medians over all rounds."""
    rounds = []
    for done in range(ROUNDS):
        rounds.append({name: _timed(own) for name, own in request.requests.items()})
        progress(done + 1, ROUNDS)
    return TimesInTurns({name: _medians([found[name] for found in rounds]) for name in request.requests})


def _request(model: Artifact, seq_len: int, form: ModelForm | None) -> BenchRequest | BenchModelRequest:
    if model.kind == "bundle":
        return BenchRequest(bundle=model.path, threads=1, seq_len=seq_len, runs=RUNS, warmup=3)
    named = form.form if form else None
    return BenchModelRequest(model=model.path, id=model.id, seq_len=seq_len, threads=1, runs=RUNS, warmup=3, form=named)


def _timed(request: BenchRequest | BenchModelRequest) -> ModelTimes:
    """One fresh process's measurement."""
    worker = RUNTIME if isinstance(request, BenchRequest) else TORCH
    return ModelTimes.from_json(call_worker(worker, request))


def _medians(found: Sequence[ModelTimes]) -> ModelTimes:
    """The medians of what several processes measured of one model."""
    return ModelTimes(
        where=found[0].where,
        p50_ms=median(item.p50_ms for item in found),
        cpu_ms=median(item.cpu_ms for item in found),
        peak_rss_mb=median(item.peak_rss_mb for item in found),
        peak_gpu_mb=_median_known([item.peak_gpu_mb for item in found]),
        weight_bytes=_median_known([item.weight_bytes for item in found]),
    )


def _median_known(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None
