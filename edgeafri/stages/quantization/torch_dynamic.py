"""torch_dynamic: PyTorch's own dynamic int8 of a model's linear layers, written and read without a pickle."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch.ao.nn.quantized.dynamic import Linear as Int8Linear
from torch.ao.quantization import quantize_dynamic

from edgeafri.errors import MissingPackage, ModelError
from edgeafri.stages.models import checkpoint

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

WEIGHTS = "model.safetensors"
SCHEME = "dynamic-int8"  # the value of checkpoint.QUANTIZED in config.json
_ENGINES = ("x86", "qnnpack", "onednn")  # the best for this processor is the first that torch supports
_AGAIN = "Copy the folder again from where it was made, or make it again: edgeafri quantize-torch MODEL --out DIR."


def quantize(model: "PreTrainedModel") -> "PreTrainedModel":
    """A copy of a float model with every nn.Linear in int8, by torch.ao.quantization.quantize_dynamic.

    One scale per matrix, symmetric; activations are quantized at run time, one scale for all inputs of a product. All
    else, embeddings and biases too, stays in float32: the "dynamic" rows of Awobade et al. (2024). torch calls this
    interface deprecated and 2.13 has it still; what torch recommends instead is another package.

    On x86 torch gives activations 7 bits (reduce_range), so that sums of products are exact without VNNI as well; the
    engine of ARM, qnnpack, gives them 8. Logits of two kinds of processors differ, therefore.
    """
    choose_engine()
    return quantize_dynamic(model, {torch.nn.Linear}, dtype=torch.qint8)


def write_quantized(model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerFast", out: Path) -> None:
    """Save what quantize() made: of every linear layer int8 `weight` with scale and zero point, all else as it is."""
    # Tied tensors are two names for one memory, which the format refuses.
    tensors = {name: tensor.clone() for name, tensor in model.state_dict().items() if isinstance(tensor, torch.Tensor)}
    for name, layer in int8_layers(model).items():
        matrix = layer.weight()
        tensors |= {
            f"{name}.weight": matrix.int_repr(),
            f"{name}.scale": torch.tensor(matrix.q_scale()),
            f"{name}.zero_point": torch.tensor(matrix.q_zero_point()),
        }
        if layer.bias() is not None:
            tensors[f"{name}.bias"] = layer.bias().detach().clone()
    save_file(tensors, out / WEIGHTS, {"format": "pt"})
    model.config.update({checkpoint.QUANTIZED: SCHEME})
    model.config.save_pretrained(out)
    tokenizer.save_pretrained(out)


def read_quantized(path: Path) -> "PreTrainedModel":
    """The model in a folder that this stage wrote, its matrices packed for the engine of this processor.

    Its logits are those of the freshly quantized model, bit for bit on the same processor. Raises ModelError for
    weights that are damaged, missing or of another shape. While it is read, memory holds the float matrices too.
    """
    scheme = checkpoint.read_config(path).get(checkpoint.QUANTIZED)
    if scheme != SCHEME:
        raise ModelError(f"{path}/config.json: '{checkpoint.QUANTIZED}' must be '{SCHEME}', got '{scheme}'", _AGAIN)
    tensors = _load(path)
    matrices = {name: _matrix(name, tensors, path) for name in _int8_names(tensors)}
    floats = {f"{name}.weight": matrix.dequantize() for name, matrix in matrices.items()}
    model = checkpoint.read_model(path, weights={**tensors, **floats})
    odd = sorted(matrices.keys() ^ _layers(model, torch.nn.Linear).keys())
    if odd:
        raise ModelError(f"{path}: {odd[0]}: linear layers must be in int8, and nothing else", _AGAIN)
    choose_engine()
    for name, matrix in matrices.items():
        model.set_submodule(name, _packed(matrix, model.get_submodule(name).bias))
    return model


def choose_engine() -> None:
    """Set what computes int8 here. Matrices are packed for the engine that is set in this process, and keep it."""
    supported = torch.backends.quantized.supported_engines
    engine = next((name for name in _ENGINES if name in supported), None)
    if engine is None:
        hint = "Install torch from its own wheels, which have an engine for x86-64 and ARM."
        raise MissingPackage("this build of torch computes no int8", hint)
    torch.backends.quantized.engine = engine


def int8_layers(model: torch.nn.Module) -> dict[str, Int8Linear]:
    """The linear layers of a model that are in int8, by name."""
    return _layers(model, Int8Linear)


def _layers(model: torch.nn.Module, kind: type[torch.nn.Module]) -> dict[str, torch.nn.Module]:
    return {name: part for name, part in model.named_modules() if type(part) is kind}


def _load(path: Path) -> dict[str, torch.Tensor]:
    try:
        tensors: dict[str, torch.Tensor] = load_file(path / WEIGHTS)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path}: the weights cannot be read ({error})", _AGAIN) from None
    return tensors


def _int8_names(tensors: Mapping[str, torch.Tensor]) -> list[str]:
    return [name.removesuffix(".weight") for name, tensor in tensors.items() if tensor.dtype == torch.int8]


def _matrix(name: str, tensors: dict[str, torch.Tensor], path: Path) -> torch.Tensor:
    """The int8 weight of a layer, taken out of the tensors together with its scale and zero point."""
    parts = [f"{name}.weight", f"{name}.scale", f"{name}.zero_point"]
    absent = [part for part in parts if part not in tensors]
    if absent:
        raise ModelError(f"{path}: {absent[0]} is missing", _AGAIN)
    codes, scale, zero = (tensors.pop(part) for part in parts)
    if scale.numel() != 1 or not 0 < scale.item() < float("inf"):
        raise ModelError(f"{path}: {name}.scale must be one number above 0", _AGAIN)
    if zero.numel() != 1 or not -128 <= zero.item() <= 127:
        raise ModelError(f"{path}: {name}.zero_point must be one number that int8 holds", _AGAIN)
    # The public way, torch.quantize_per_tensor(), rounds floats; this takes the int8 codes as they are.
    return torch._make_per_tensor_quantized_tensor(codes, scale.item(), int(zero.item()))


def _packed(matrix: torch.Tensor, bias: torch.Tensor | None) -> Int8Linear:
    layer = Int8Linear(matrix.shape[1], matrix.shape[0], bias is not None)
    layer.set_weight_bias(matrix, bias)
    return layer.eval()
