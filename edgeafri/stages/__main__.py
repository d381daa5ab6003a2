"""`python -m edgeafri.stages`: measure a torch model as the runtime measures a bundle, or convert a checkpoint."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgeafri.documents.quality import ModelEvaluation
from edgeafri.tasks import unit_of
from edgeafri.util.progress import Progress
from edgeafri.util.worker import serve

_BATCH = 32


def read(path: Path, form: str = "") -> Any:
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


def measure_quality(request: Mapping[str, Any], progress: Progress) -> ModelEvaluation:
    """Quality per language of a torch model on a split of labelled data, by the metric of the request's task."""
    from edgeafri.data.dataset import Dataset
    from edgeafri.inference.evaluate import evaluate
    from edgeafri.inference.predict import Predictor
    from edgeafri.stages.comparison import in_memory
    from edgeafri.stages.models import checkpoint

    path, form = Path(request["model"]), request.get("form", "")
    model = read(path, form)
    labels = checkpoint.labels_of(model.config.to_dict())
    unit = unit_of(request["task"])
    dataset, split = Dataset(Path(request["data"]), tuple(request["languages"]), unit), request["split"]
    dataset.check_labels(split, labels)
    encoder = checkpoint.encoder(checkpoint.read_tokenizer(path), checkpoint.max_tokens(model.config.to_dict()), unit)
    # In int8 the inputs of a batch share the scale of their activations: alone, a sentence owes nothing to others.
    batch = 1 if hasattr(model.config, checkpoint.QUANTIZED) or in_memory.shares_scales(form) else _BATCH
    predictor = Predictor(encoder, labels, checkpoint.forward(model), batch)
    return ModelEvaluation(quality=evaluate(predictor, dataset.splits(split), progress))


def measure_speed(request: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """Latency, load time and peak memory of a torch model, in float32, in torch's int8, traced, or made `form`.

    Logits come back to the CPU, so a GPU has finished when the clock stops.
    """
    import torch

    from edgeafri.benchmark.timing import TimedModel, bench, sentence_of
    from edgeafri.stages.comparison import in_memory
    from edgeafri.stages.export_torchscript import SCRIPT, check_whole
    from edgeafri.stages.models import checkpoint

    torch.set_num_threads(int(request["threads"]))
    path, form = Path(request["model"]), request.get("form", "")
    traced = (path / SCRIPT).is_file()
    if traced:
        check_whole(path)  # hashing is no part of the load time, and what was hashed is remembered
    began = time.perf_counter()
    tokenizer, model = checkpoint.read_tokenizer(path), read(path, form)
    load_ms = (time.perf_counter() - began) * 1000
    ids = sentence_of(
        int(request["seq_len"]),
        checkpoint.encoder(tokenizer, checkpoint.max_tokens(model.config.to_dict())),
        len(tokenizer),
    )
    timed = TimedModel(
        bundle_id=request["id"],
        runtime=f"{'torchscript' if traced else 'torch'} {torch.__version__}",
        threads=int(request["threads"]),
        precision=form or getattr(model.config, checkpoint.QUANTIZED, "float32"),
    )
    result = bench(timed, checkpoint.forward(model), ids, request["runs"], request["warmup"], load_ms)
    return (in_memory.measurement_of(model, form, result) if form else result).to_json()


def describe(request: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """The longest input of a torch model, and what of this machine shapes how torch computes it."""
    import torch

    from edgeafri.stages.models import checkpoint
    from edgeafri.util.packages import version_of

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "max_tokens": checkpoint.max_tokens(checkpoint.read_config(Path(request["model"]))),
        "gpu": gpu,
        "cuda": torch.version.cuda if gpu else None,
        "capability": ".".join(map(str, torch.cuda.get_device_capability())) if gpu else None,
        **{name: version_of(name) for name in ("torch", "transformers", "bitsandbytes")},
    }


def measure_parity(request: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """How far every artifact of a chain is from the one before it and from the first, on the same sentences."""
    from edgeafri.stages.comparison import parity

    return parity.measure_parity(request, progress)


def measure_layers(request: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """What every layer costs that one graph computes otherwise than another."""
    from edgeafri.stages.comparison import sensitivity

    return sensitivity.measure_layers(request, progress)


def convert(request: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """Turn a pickled checkpoint into safetensors."""
    from edgeafri.stages.models.convert import convert as convert_checkpoint

    return dict(convert_checkpoint(Path(request["source"]), Path(request["out"])))


def download(request: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """Bring a model from the hub."""
    from edgeafri.stages.models.download import download as download_model

    return download_model(request["name"], request["offline"])


if __name__ == "__main__":
    serve(
        "the torch side",
        {
            "evaluate": measure_quality,
            "bench": measure_speed,
            "describe": describe,
            "parity": measure_parity,
            "layers": measure_layers,
            "convert": convert,
            "download": download,
        },
    )
