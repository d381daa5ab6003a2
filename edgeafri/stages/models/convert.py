"""convert: a published pytorch_model.bin becomes safetensors. Not a stage: the one place that opens a pickle.

torch reads it with weights_only=True, which builds tensors and nothing else, in a process of its own.
"""

import pickle
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file

from edgeafri.documents.torch_requests import Conversion
from edgeafri.errors import ModelError, StorageError
from edgeafri.stages.models.checkpoint import read_config
from edgeafri.util.files import WatchedDisk, partial_folder

_CARRIED = ("*.json", "*.model", "*.txt")
_ENTRY = "pytorch_model.bin"


def convert(source: Path, out: Path) -> Conversion:
    """Write `source`'s weights as safetensors into the new folder `out`, with its configuration and tokenizer files."""
    read_config(source)
    shards = sorted(source.glob("pytorch_model*.bin"))
    if not shards:
        hint = (
            "Give a folder that holds config.json and pytorch_model.bin. A folder with safetensors needs no conversion."
        )
        raise ModelError(f"{source}: no {_ENTRY} there", hint)
    if out.exists():
        raise StorageError(f"{out}: already there", "Choose another --out, or remove it first.")
    weights = {name: tensor for shard in shards for name, tensor in _read(shard).items()}
    partial = partial_folder(out)
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    # Tied tensors share memory, which safetensors refuses: each gets its own copy, and loading ties them again.
    with WatchedDisk(partial):
        save_file(
            {name: tensor.clone().contiguous() for name, tensor in weights.items()},
            partial / "model.safetensors",
            {"format": "pt"},
        )
    for file in (file for pattern in _CARRIED for file in source.glob(pattern)):
        if not file.name.endswith(".index.json"):
            shutil.copyfile(file, partial / file.name)
    partial.rename(out)
    return Conversion(tensors=len(weights), parameters=sum(tensor.numel() for tensor in weights.values()))


def _read(shard: Path) -> dict[str, torch.Tensor]:
    try:
        values = torch.load(shard, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError):
        # What torch says here names the switch that would let the file's code run; it is not passed on.
        hint = "It holds more than tensors, or is damaged. Download it again, as safetensors if its authors offer that."
        raise ModelError(f"{shard}: refused, it cannot be read as plain weights", hint) from None
    if not isinstance(values, dict) or not all(isinstance(value, torch.Tensor) for value in values.values()):
        raise ModelError(f"{shard}: not a plain table of weights", "Give the file that save_pretrained() wrote.")
    return values
