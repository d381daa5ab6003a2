"""turns: several models timed in turns, so that what slows the machine down for a while slows all of them alike."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from edgeafri.artifact import Artifact
from edgeafri.documents.base import Document, Json
from edgeafri.documents.study import ModelTimes
from edgeafri.runners.local import RUNTIME, TORCH, call_worker
from edgeafri.util.progress import Progress

ROUNDS = 5  # so many fresh processes for each model


@dataclass(frozen=True)
class TimesInTurns(Document):
    """The times of several models by their names."""

    models: Mapping[str, ModelTimes]


def time_in_turns(
    models: Mapping[str, Artifact], requests: Mapping[str, Mapping[str, Json]], progress: Progress
) -> TimesInTurns:
    """Time every model once per round, each in a fresh process, with its own request to the worker."""
    rounds = []
    for done in range(ROUNDS):
        rounds.append({name: _timed(model, requests[name]) for name, model in models.items()})
        progress(done + 1, ROUNDS)
    return TimesInTurns({name: _medians([found[name] for found in rounds]) for name in models})


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


def _timed(model: Artifact, request: Mapping[str, Json]) -> ModelTimes:
    """One fresh process's measurement."""
    if model.kind == "bundle":
        return ModelTimes.from_json(call_worker(RUNTIME, {**request, "bundle": str(model.path)}))
    return ModelTimes.from_json(call_worker(TORCH, {**request, "model": str(model.path), "id": model.id}))
