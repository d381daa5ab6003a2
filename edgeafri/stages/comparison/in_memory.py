"""Forms of a float model that no folder holds: a worker makes them as it reads the model, to compare with."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from edgeafri.documents.measurement import InMemoryMeasurement, Measurement
from edgeafri.errors import MissingPackage
from edgeafri.stages.comparison import llm_int8
from edgeafri.stages.models import checkpoint

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_LLM = ("llm-int8", "llm-int8-embeddings")


def read(path: Path, form: str) -> "PreTrainedModel":
    """The float model in a folder, in one of FORMS. MissingPackage for what this machine cannot compute."""
    return FORMS[form](checkpoint.read_model(path))


def shares_scales(form: str | None) -> bool:
    """Whether the logits of a sentence depend on the others in its batch, by the columns that hold their outliers."""
    return form in _LLM


def device_of(model: "PreTrainedModel") -> str:
    """CPU, or the name of the GPU that a model is on."""
    return str(torch.cuda.get_device_name(model.device)) if model.device.type == "cuda" else "CPU"


def measurement_of(model: "PreTrainedModel", form: str, taken: Measurement) -> InMemoryMeasurement:
    """A measurement, and where the model was computed, what its weights take in a file, and the GPU's memory."""
    on_gpu = model.device.type == "cuda"
    return InMemoryMeasurement(
        **vars(taken),
        where=device_of(model),
        weight_bytes=llm_int8.stored_bytes(model) if form in _LLM else checkpoint.weight_bytes(model),
        peak_gpu_mb=round(torch.cuda.max_memory_allocated(model.device) / 1e6, 1) if on_gpu else None,
    )


def _on_gpu(model: "PreTrainedModel") -> "PreTrainedModel":
    if not torch.cuda.is_available():
        hint = "Use a machine with an NVIDIA GPU and a CUDA build of torch, or leave the method out."
        raise MissingPackage("torch finds no GPU here", hint)
    return model.to("cuda")


FORMS: "Mapping[str, Callable[[PreTrainedModel], PreTrainedModel]]" = {
    "bf16": lambda model: model.bfloat16(),
    "fp32-gpu": _on_gpu,
    "fp16-gpu": lambda model: _on_gpu(model).half(),
    "llm-int8": llm_int8.convert,
    "llm-int8-embeddings": lambda model: llm_int8.convert(model, embeddings=True),
}
