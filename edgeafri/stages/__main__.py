"""`python -m edgeafri.stages`: measure a torch model as the runtime measures a bundle, or convert a checkpoint."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgeafri.progress import Tick
from edgeafri.tasks import unit_of
from edgeafri.worker import serve

_BATCH = 32


def read(path: Path) -> Any:
    """The torch model in a folder, in float32 or, where its config says so, in torch's int8."""
    from edgeafri.stages import model as door

    if door.QUANTIZED not in door.read_config(path):
        return door.read_model(path)
    from edgeafri.stages.quantize_torch import read_quantized

    return read_quantized(path)


def measure_quality(request: Mapping[str, Any], tick: Tick) -> dict[str, Any]:
    """Quality per language of a torch model on a split of labelled data, by the metric of the request's task."""
    from edgeafri.dataset import check_labels, read_split
    from edgeafri.evaluate import evaluate
    from edgeafri.predict import Predictor
    from edgeafri.stages import model as door

    path = Path(request["model"])
    model = read(path)
    labels = door.labels_of(model.config.to_dict())
    unit = unit_of(request["task"])
    splits = [read_split(Path(request["data"]), code, request["split"], unit) for code in request["languages"]]
    for split in splits:
        check_labels(split, labels)
    encoder = door.encoder(door.read_tokenizer(path), door.max_tokens(model.config.to_dict()), unit)
    # In int8 the inputs of a batch share the scale of their activations: alone, a sentence owes nothing to others.
    batch = 1 if hasattr(model.config, door.QUANTIZED) else _BATCH
    return {"quality": evaluate(Predictor(encoder, labels, door.forward(model), batch), splits, tick)}


def measure_speed(request: Mapping[str, Any], tick: Tick) -> dict[str, Any]:
    """Latency, load time and peak memory of a torch model, in float32 or in torch's int8."""
    import torch

    from edgeafri.probe import bench, sentence_of
    from edgeafri.stages import model as door

    torch.set_num_threads(int(request["threads"]))
    path = Path(request["model"])
    began = time.perf_counter()
    tokenizer, model = door.read_tokenizer(path), read(path)
    load_ms = (time.perf_counter() - began) * 1000
    ids = sentence_of(
        int(request["seq_len"]), door.encoder(tokenizer, door.max_tokens(model.config.to_dict())), len(tokenizer)
    )
    named = {"bundle_id": request["id"], "runtime": f"torch {torch.__version__}", "threads": int(request["threads"])}
    conditions = {"precision": getattr(model.config, door.QUANTIZED, "float32")}
    result = bench(door.forward(model), ids, request["runs"], request["warmup"], load_ms, named, conditions)
    return result.as_json()


def convert(request: Mapping[str, Any], tick: Tick) -> dict[str, Any]:
    """Turn a pickled checkpoint into safetensors."""
    from edgeafri.stages.convert import convert as convert_checkpoint

    return dict(convert_checkpoint(Path(request["source"]), Path(request["out"])))


def download(request: Mapping[str, Any], tick: Tick) -> dict[str, Any]:
    """Bring a model from the hub."""
    from edgeafri.stages.download import download as download_model

    return download_model(request["name"], request["offline"])


if __name__ == "__main__":
    serve(
        "the torch side",
        {"evaluate": measure_quality, "bench": measure_speed, "convert": convert, "download": download},
    )
