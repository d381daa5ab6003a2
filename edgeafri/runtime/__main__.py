"""`python -m edgeafri.runtime`: one request on stdin, one JSON document on stdout."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgeafri.artifact import MANIFEST
from edgeafri.benchmark.memory import sampled_memory
from edgeafri.benchmark.timing import TimedModel, bench, beside, sentence_of
from edgeafri.bundle import Golden, read_golden
from edgeafri.data.dataset import Dataset
from edgeafri.data.text import words_of
from edgeafri.documents.quality import BundleEvaluation
from edgeafri.inference.evaluate import evaluate
from edgeafri.inference.session import int8_arithmetic
from edgeafri.runtime.engine import Engine, answer, open_engine
from edgeafri.runtime.inspection import give_logits, mark_inferences
from edgeafri.tasks import task
from edgeafri.util.progress import Progress
from edgeafri.util.worker import serve

_CHUNK = 256


def run(request: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """Label raw texts."""
    engine = _engine(request)
    texts = list(request["texts"])
    results: list[dict[str, Any]] = []
    for start in range(0, len(texts), _CHUNK):
        results += answer(engine, texts[start : start + _CHUNK])
        progress(len(results), len(texts))
    return {"bundle_id": engine.artifact.id, "sample": engine.config.sample, "results": results}


def verify(request: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """Hash every file again, then replay the golden sentences: ids and labels must be equal."""
    engine = open_engine(Path(request["bundle"]), request.get("threads"), fresh=True)
    golden = read_golden(engine.artifact.path)
    differences = [text for sentence in golden for text in _differences(engine, sentence)]
    known = {*engine.artifact.manifest.files, MANIFEST}
    found = (file.relative_to(engine.artifact.path).as_posix() for file in engine.artifact.path.rglob("*"))
    per_language = {code: sum(item.language == code for item in golden) for code in engine.config.languages}
    return {
        "bundle_id": engine.artifact.id,
        "sample": engine.config.sample,
        "files": len(engine.artifact.manifest.files),
        "not_in_manifest": sorted(name for name in found if name not in known),
        "golden": per_language,
        "differences": differences,
        "int8_arithmetic": int8_arithmetic(),
        "passed": not differences,
    }


def measure_quality(request: Mapping[str, Any], progress: Progress) -> BundleEvaluation:
    """Quality per language on a split of labelled data, by the metric of the bundle's task."""
    engine = _engine(request)
    dataset = Dataset(Path(request["data"]), tuple(request["languages"]), engine.predictor.encoder.unit)
    dataset.check_labels(request["split"], engine.config.labels)
    return BundleEvaluation(
        bundle_id=engine.artifact.id,
        sample=engine.config.sample,
        int8_arithmetic=int8_arithmetic(),
        metric=task(engine.config.task).metric,
        quality=evaluate(engine.predictor, dataset.splits(request["split"]), progress),
        notes=dataset.notes(request["split"]),
    )


def measure_speed(request: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """Latency of one sentence, the model apart from what goes around it, load time and peak memory of this process."""
    with sampled_memory("load") as sampler:
        engine = _engine(request)
        sampler.enter("run")
        encoder, runs = engine.predictor.encoder, int(request["runs"])
        ids = sentence_of(int(request["seq_len"]), encoder, encoder.tokenizer.get_vocab_size())
        model = _timed_model(engine, _twin(request))
        result = bench(model, engine.predictor.forward, ids, runs, request["warmup"], engine.load_ms)
    # Last, so that what it holds is not in the peak.
    tokenize_ms, decode_ms = beside(engine.predictor, ids, runs)
    return replace(result, memory=sampler.samples, tokenize_ms=tokenize_ms, decode_ms=decode_ms).to_json()


def _timed_model(engine: Engine, twin: bool) -> TimedModel:
    """The bundle of a measurement: who it is, what runs it and how, and its manifest's numbers."""
    import onnxruntime

    facts = engine.artifact.manifest.facts
    return TimedModel(
        bundle_id=engine.artifact.id,
        runtime=f"onnxruntime {onnxruntime.__version__}",
        threads=engine.threads,
        work={name: value for name, value in facts.items() if type(value) in (int, float)},
        int8_arithmetic=int8_arithmetic(twin),
        spinning=False,
    )


def _engine(request: Mapping[str, Any]) -> Engine:
    return open_engine(Path(request["bundle"]), request.get("threads"), twin=_twin(request))


def _twin(request: Mapping[str, Any]) -> bool:
    """Whether to compute as a processor without VNNI does."""
    return bool(request.get("isa") == "avx2")


def _differences(engine: Engine, golden: Golden) -> list[str]:
    words = words_of(golden.text, engine.predictor.encoder.unit)
    ids = [row.ids for row in engine.predictor.encoder.rows([words])]
    if ids != [golden.ids]:
        return [f"{golden.language}: other sub-word ids for '{golden.text}'"]
    labels = engine.predictor.label([words])[0].labels
    return [] if labels == golden.labels else [f"{golden.language}: other labels for '{golden.text}'"]


if __name__ == "__main__":
    serve(
        "the runtime",
        {
            "run": run,
            "verify": verify,
            "evaluate": measure_quality,
            "bench": measure_speed,
            "logits": give_logits,
            "marks": mark_inferences,
        },
    )
