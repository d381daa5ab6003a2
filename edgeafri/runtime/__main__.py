"""`python -m edgeafri.runtime`: one request on stdin, one JSON document on stdout.

What only one request needs is imported for it: everything that is loaded counts in the peak memory of `edgeafri bench`.
"""

from dataclasses import replace

from edgeafri.artifact import MANIFEST
from edgeafri.benchmark.memory import sampled_memory
from edgeafri.benchmark.timing import TimedModel, bench, sentence_of, time_around_model
from edgeafri.bundle import Golden, read_golden
from edgeafri.data.text import words_of
from edgeafri.documents.answers import LogitsAnswer, MarksAnswer, RunAnswer, TextEntities, TextLabel, VerifyAnswer
from edgeafri.documents.measurement import Measurement
from edgeafri.documents.quality import BundleEvaluation
from edgeafri.documents.runtime_requests import (
    BenchRequest,
    EvaluateRequest,
    LogitsRequest,
    MarksRequest,
    RunRequest,
    VerifyRequest,
)
from edgeafri.inference.session import int8_arithmetic
from edgeafri.runtime.engine import Engine, label_texts, open_engine
from edgeafri.tasks import task
from edgeafri.util.progress import Progress
from edgeafri.util.worker import reading, serve

_CHUNK = 256


def run(request: RunRequest, progress: Progress) -> RunAnswer:
    """Label raw texts."""
    engine = open_engine(request.bundle, request.threads)
    results: list[TextEntities | TextLabel] = []
    for start in range(0, len(request.texts), _CHUNK):
        results += label_texts(engine, request.texts[start : start + _CHUNK])
        progress(len(results), len(request.texts))
    return RunAnswer(engine.artifact.id, engine.config.sample, tuple(results))


def verify(request: VerifyRequest, progress: Progress) -> VerifyAnswer:
    """Hash every file again, then replay the golden sentences: ids and labels must be equal."""
    engine = open_engine(request.bundle, request.threads, fresh=True)
    golden = read_golden(engine.artifact.path)
    differences = tuple(text for sentence in golden for text in _differences(engine, sentence))
    return VerifyAnswer(
        bundle_id=engine.artifact.id,
        sample=engine.config.sample,
        files=len(engine.artifact.manifest.files),
        not_in_manifest=_not_in_manifest(engine),
        golden={code: sum(item.language == code for item in golden) for code in engine.config.languages},
        differences=differences,
        int8_arithmetic=int8_arithmetic(),
        passed=not differences,
    )


def measure_quality(request: EvaluateRequest, progress: Progress) -> BundleEvaluation:
    """Quality per language on a split of labelled data, by the metric of the bundle's task."""
    from edgeafri.data.dataset import Dataset
    from edgeafri.inference.evaluate import evaluate

    engine = open_engine(request.bundle, request.threads)
    dataset = Dataset(request.data, request.languages, engine.predictor.encoder.unit)
    dataset.check_labels(request.split, engine.config.labels)
    return BundleEvaluation(
        bundle_id=engine.artifact.id,
        sample=engine.config.sample,
        int8_arithmetic=int8_arithmetic(),
        metric=task(engine.config.task).metric,
        quality=evaluate(engine.predictor, dataset.splits(request.split), progress),
        notes=dataset.notes(request.split),
    )


def measure_speed(request: BenchRequest, progress: Progress) -> Measurement:
    """Latency of one sentence, the model apart from what goes around it, load time and peak memory of this process."""
    twin = request.isa == "avx2"  # compute as a processor without VNNI does
    with sampled_memory("load") as sampler:
        engine = open_engine(request.bundle, request.threads, twin=twin)
        sampler.enter("run")
        encoder = engine.predictor.encoder
        ids = sentence_of(request.seq_len, encoder, encoder.tokenizer.get_vocab_size())
        model, forward = _timed_model(engine, twin), engine.predictor.forward
        result = bench(model, forward, ids, request.runs, request.warmup, engine.load_ms)
    # Last, so that what it holds is not in the peak.
    tokenize_ms, decode_ms = time_around_model(engine.predictor, ids, request.runs)
    return replace(result, memory=sampler.samples, tokenize_ms=tokenize_ms, decode_ms=decode_ms)


def logits(request: LogitsRequest, progress: Progress) -> LogitsAnswer:
    """What a bundle computes for sentences, to compare machines."""
    from edgeafri.runtime.inspection import give_logits

    return give_logits(request, progress)


def marks(request: MarksRequest, progress: Progress) -> MarksAnswer:
    """Inferences between marks, for who counts their instructions."""
    from edgeafri.runtime.inspection import mark_inferences

    return mark_inferences(request, progress)


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


def _not_in_manifest(engine: Engine) -> tuple[str, ...]:
    known, folder = {*engine.artifact.manifest.files, MANIFEST}, engine.artifact.path
    found = (file.relative_to(folder).as_posix() for file in folder.rglob("*"))
    return tuple(sorted(name for name in found if name not in known))


def _differences(engine: Engine, golden: Golden) -> list[str]:
    words = words_of(golden.text, engine.predictor.encoder.unit)
    ids = [row.ids for row in engine.predictor.encoder.encode([words])]
    if ids != [golden.ids]:
        return [f"{golden.language}: other subword ids for '{golden.text}'"]
    labels = engine.predictor.label([words])[0].labels
    return [] if labels == golden.labels else [f"{golden.language}: other labels for '{golden.text}'"]


if __name__ == "__main__":
    serve(
        "the runtime",
        {
            "run": reading(RunRequest, run),
            "verify": reading(VerifyRequest, verify),
            "evaluate": reading(EvaluateRequest, measure_quality),
            "bench": reading(BenchRequest, measure_speed),
            "logits": reading(LogitsRequest, logits),
            "marks": reading(MarksRequest, marks),
        },
    )
