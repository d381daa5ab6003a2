"""`python -m edgeafri.stages`: measure a torch model as the runtime measures a bundle, compare models, bring models."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

from edgeafri.documents.measurement import Measurement
from edgeafri.documents.parity import LayerCosts, Parity
from edgeafri.documents.quality import ModelEvaluation
from edgeafri.documents.torch_requests import (
    BenchModelRequest,
    Conversion,
    ConvertRequest,
    DescribeModelRequest,
    Download,
    DownloadRequest,
    EvaluateModelRequest,
    LayersRequest,
    ModelDescription,
    ParityRequest,
)
from edgeafri.tasks import unit_of
from edgeafri.util.progress import Progress
from edgeafri.util.worker import reading, serve

if TYPE_CHECKING:  # each request imports what it needs: a download waits for no torch
    import torch

    from edgeafri.stages.export_torchscript import Scripted

_BATCH = 32


def read(path: Path, form: str | None = None) -> "torch.nn.Module | Scripted":
    """The torch model in a folder: in float32, where its config says so in torch's int8, or traced; or made `form`."""
    from edgeafri.stages.export_torchscript import SCRIPT, read_scripted
    from edgeafri.stages.models import checkpoint

    if form:
        from edgeafri.stages.comparison import in_memory

        return in_memory.read(path, form)
    if (path / SCRIPT).is_file():
        return read_scripted(path)
    if checkpoint.QUANTIZED not in checkpoint.read_config(path):
        return checkpoint.read_model(path)
    from edgeafri.stages.quantization.torch_dynamic import read_quantized

    return read_quantized(path)


def measure_quality(request: EvaluateModelRequest, progress: Progress) -> ModelEvaluation:
    """Quality per language of a torch model on a split of labelled data, by the metric of the request's task."""
    from edgeafri.data.dataset import Dataset
    from edgeafri.inference.evaluate import evaluate
    from edgeafri.inference.predict import Predictor
    from edgeafri.stages.comparison import in_memory
    from edgeafri.stages.models import checkpoint

    path, model, unit = request.model, read(request.model, request.form), unit_of(request.task)
    labels = checkpoint.labels_of(model.config)
    dataset = Dataset(request.data, request.languages, unit)
    dataset.check_labels(request.split, labels)
    encoder = checkpoint.read_encoder(path, unit)
    # In int8 the inputs of a batch share the scale of their activations: alone, a sentence owes nothing to others.
    alone = hasattr(model.config, checkpoint.QUANTIZED) or in_memory.shares_scales(request.form)
    predictor = Predictor(encoder, labels, checkpoint.forward(model), 1 if alone else _BATCH)
    return ModelEvaluation(quality=evaluate(predictor, dataset.splits(request.split), progress))


def measure_speed(request: BenchModelRequest, progress: Progress) -> Measurement:
    """Latency, load time and peak memory of a torch model, in float32, in torch's int8, traced, or made `form`.

    Logits come back to the CPU, so a GPU has finished when the clock stops.
    """
    import torch

    from edgeafri.benchmark.timing import TimedModel, bench, sentence_of
    from edgeafri.stages.comparison import in_memory
    from edgeafri.stages.export_torchscript import SCRIPT, check_whole
    from edgeafri.stages.models import checkpoint

    torch.set_num_threads(request.threads)
    path, form = request.model, request.form
    traced = (path / SCRIPT).is_file()
    if traced:
        check_whole(path)  # hashing is no part of the load time, and what was hashed is remembered
    began = time.perf_counter()
    tokenizer, model = checkpoint.read_tokenizer(path), read(path, form)
    load_ms = (time.perf_counter() - began) * 1000
    encoder = checkpoint.encoder(tokenizer, checkpoint.max_tokens(model.config))
    ids = sentence_of(request.seq_len, encoder, len(tokenizer))
    timed = TimedModel(
        bundle_id=request.id,
        runtime=f"{'torchscript' if traced else 'torch'} {torch.__version__}",
        threads=request.threads,
        precision=form or getattr(model.config, checkpoint.QUANTIZED, "float32"),
    )
    result = bench(timed, checkpoint.forward(model), ids, request.runs, request.warmup, load_ms)
    return in_memory.measurement_of(model, form, result) if form else result


def describe(request: DescribeModelRequest, progress: Progress) -> ModelDescription:
    """The longest input of a torch model, and what of this machine shapes how torch computes it."""
    import torch

    from edgeafri.stages.models import checkpoint
    from edgeafri.util.packages import version_of

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return ModelDescription(
        max_tokens=checkpoint.max_tokens(checkpoint.read_config(request.model)),
        gpu=gpu,
        cuda=torch.version.cuda if gpu else None,
        capability=".".join(map(str, torch.cuda.get_device_capability())) if gpu else None,
        torch=version_of("torch"),
        transformers=version_of("transformers"),
        bitsandbytes=version_of("bitsandbytes"),
    )


def measure_parity(request: ParityRequest, progress: Progress) -> Parity:
    """How far every artifact of a chain is from the one before it and from the first, on the same sentences."""
    from edgeafri.stages.comparison import parity

    return parity.measure_parity(request, progress)


def measure_layers(request: LayersRequest, progress: Progress) -> LayerCosts:
    """What every layer costs that one graph computes differently from another."""
    from edgeafri.stages.comparison import sensitivity

    return sensitivity.measure_layers(request, progress)


def convert(request: ConvertRequest, progress: Progress) -> Conversion:
    """Turn a pickled checkpoint into safetensors."""
    from edgeafri.stages.models.convert import convert as convert_checkpoint

    return convert_checkpoint(request.source, request.out)


def download(request: DownloadRequest, progress: Progress) -> Download:
    """Bring a model from the hub."""
    from edgeafri.stages.models.download import download as download_model

    return download_model(request.name, request.offline)


if __name__ == "__main__":
    serve(
        "the torch side",
        {
            "evaluate": reading(EvaluateModelRequest, measure_quality),
            "bench": reading(BenchModelRequest, measure_speed),
            "describe": reading(DescribeModelRequest, describe),
            "parity": reading(ParityRequest, measure_parity),
            "layers": reading(LayersRequest, measure_layers),
            "convert": reading(ConvertRequest, convert),
            "download": reading(DownloadRequest, download),
        },
    )
