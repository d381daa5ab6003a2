"""A float model with its linear layers in LLM.int8(), through bitsandbytes, and its embeddings on request.

Nothing of it is stored. A model is converted as it is read, in about a second; what bitsandbytes makes can be read by
bitsandbytes alone, it cannot write its 8-bit embeddings at all, and no stage makes anything of it. It is there to
compare with. Neither optimum nor onnx is needed, and transformers only to read the float model: 4.57 and 5 alike.
"""

import logging
import warnings
from types import ModuleType

import torch
from torch import nn

from edgeafri.errors import MissingPackage

THRESHOLD = 6.0  # an input this far from 0 is an outlier: section 3.2 of the paper
_HINT = "Install it: pip install 'edgeafri[gpu]'. It computes on NVIDIA GPUs, and slower on processors."


def convert(model: nn.Module, embeddings: bool = False) -> nn.Module:
    """The model with every nn.Linear in LLM.int8(), the head's too, on a GPU where there is one, else on the CPU.

    Weights have one scale per row and inputs one scale per token; columns of the input in which a number reaches
    THRESHOLD are multiplied in float (Dettmers et al. 2022, arXiv 2208.07339, section 3). With `embeddings`, the rows
    of all embedding tables are int8 with a scale each. All else is rounded to float16, as in the paper; on a CPU it is
    computed in float32. Changes `model`. MissingPackage where bitsandbytes is not installed or computes nothing.
    """
    library = _library()
    device = _device(library)
    model = model.half() if device == "cuda" else model.half().float()
    for name, part in list(model.named_modules()):
        if type(part) is nn.Linear:
            model.set_submodule(name, int8_linear(library, part, device))
        elif embeddings and type(part) is nn.Embedding:
            model.set_submodule(name, int8_embedding(library, part, device))
    return model.to(device).eval()


def int8_linear(library: ModuleType, layer: nn.Linear, device: str) -> nn.Module:
    """A linear layer as bitsandbytes computes it, its weights quantized on `device`, "cuda" or "cpu"."""
    new = library.nn.Linear8bitLt(
        layer.in_features,
        layer.out_features,
        layer.bias is not None,
        has_fp16_weights=False,
        threshold=THRESHOLD,
        device="meta",  # nothing is drawn for weights that are replaced at once
    )
    new.weight, new.bias = _int8(library, layer.weight), layer.bias
    return new.to(device).eval()


def int8_embedding(library: ModuleType, table: nn.Embedding, device: str) -> nn.Module:
    """An embedding table in int8 with one scale per row; it gives numbers of the type that the table had."""
    new = library.nn.Embedding8bit(*table.weight.shape, device="meta", dtype=table.weight.dtype)
    new.weight = _int8(library, table.weight)
    return new.to(device)


def stored_bytes(model: nn.Module) -> int:
    """What the weights of a converted model take in a file: int8 and one float32 scale per row, all else in float16."""
    return sum(
        weight.numel() + 4 * weight.shape[0] if weight.dtype is torch.int8 else 2 * weight.numel()
        for weight in model.parameters()
    )


def _int8(library: ModuleType, weight: nn.Parameter) -> nn.Parameter:
    new: nn.Parameter = library.nn.Int8Params(weight.data, requires_grad=False, has_fp16_weights=False)
    return new


def _library() -> ModuleType:
    try:
        import bitsandbytes
    except ModuleNotFoundError as error:
        raise MissingPackage(f"the package '{error.name}' is not installed", _HINT) from None
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        raise MissingPackage(f"bitsandbytes cannot be loaded ({_short(error)})", _HINT) from None
    # It warns at every product that an input is cast to float16 to be quantized, which is the method.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    library: ModuleType = bitsandbytes
    return library


def _device(library: ModuleType) -> str:
    """The GPU, else the CPU: the first on which a small layer can be computed."""
    refusals = []
    for device in ("cuda", "cpu") if torch.cuda.is_available() else ("cpu",):
        try:
            with torch.inference_mode():
                weight = torch.ones(16, 16, dtype=torch.float16)
                int8_linear(library, _linear(weight), device)(torch.ones(2, 16, dtype=torch.float16, device=device))
        except (RuntimeError, AttributeError, OSError) as error:  # an operation without a kernel is a RuntimeError
            refusals.append(f"{device}: {_short(error)}")
            continue
        if refusals:
            warnings.warn(f"LLM.int8() is computed on the CPU: {refusals[0]}", stacklevel=3)
        return device
    raise MissingPackage(
        f"bitsandbytes {library.__version__} computes no LLM.int8() here ({'; '.join(refusals)})", _HINT
    )


def _linear(weight: torch.Tensor) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    layer.weight = nn.Parameter(weight, requires_grad=False)
    return layer


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:160] or type(error).__name__
