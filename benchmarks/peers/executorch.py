"""ExecuTorch: XNNPACK's dynamic int8 of the linear layers, one program a length because its shapes are fixed.

Its quantizer writes one scale per tensor; XNNPACK then computes one per token (executorch, operators/quant_params.py:
num_nonbatch_dims is 1 where a linear layer follows).
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
    XNNPACKQuantizer,
    get_symmetric_quantization_config,
)
from executorch.exir import to_edge_transform_and_lower
from executorch.extension.pybindings import portable_lib
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
from transformers import AutoModelForTokenClassification

from edgeafri.bundle import read_config
from edgeafri.inference.predict import Forward, Ids, Logits

LENGTHS, SHIPPED = (32, 128, 256), 128  # what is shipped is one program; the others lie in a folder beside it


class Positioned(torch.nn.Module):
    """The model with positions as a constant and a mask of pairs as input: arithmetic on them would be quantized."""

    def __init__(self, model: Any, first: int, length: int) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("positions", torch.arange(first, first + length)[None])

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        given = {"input_ids": ids, "attention_mask": mask, "position_ids": self.positions}
        logits: torch.Tensor = self.model(**given).logits
        return logits


def make(variant: str, model: Path, inputs: Path, out: Path) -> Path:
    loaded = AutoModelForTokenClassification.from_pretrained(model, attn_implementation="eager").eval()
    limit = read_config(inputs).max_tokens
    first = loaded.config.max_position_embeddings - limit  # XLM-RoBERTa's positions start behind the padding's
    for length in sorted({*LENGTHS, limit}):
        file = program(out, length)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(lowered(Positioned(loaded, first, length), length))
    return out


def program(folder: Path, length: int) -> Path:
    return folder / ("" if length == SHIPPED else "other") / f"{length}.pte"


def lowered(model: torch.nn.Module, length: int) -> bytes:
    ids = torch.full((1, length), 5)
    inputs = (ids, torch.ones(1, length, length))
    quantizer = XNNPACKQuantizer().set_global(get_symmetric_quantization_config(is_per_channel=True, is_dynamic=True))
    prepared = prepare_pt2e(torch.export.export(model, inputs).module(), quantizer)
    prepared(*inputs)
    exported = torch.export.export(convert_pt2e(prepared), inputs)
    program = to_edge_transform_and_lower(exported, partitioner=[XnnpackPartitioner()]).to_executorch()
    return bytes(program.buffer)


def open_model(variant: str, folder: Path, threads: int) -> Forward:
    portable_lib._unsafe_reset_threadpool(threads)
    lengths = sorted(int(file.stem) for file in folder.rglob("*.pte"))
    opened: dict[int, Any] = {}

    def run(ids: Ids, mask: Ids) -> Logits:
        rows, length = ids.shape
        room = next(size for size in lengths if size >= length)
        if room not in opened:
            opened.clear()  # memory is that of one program
            opened[room] = portable_lib._load_for_executorch(str(program(folder, room)))
        padded = np.full((rows, room), 1, dtype=np.int64)
        padded[:, :length] = ids
        seen = np.zeros((1, room, room), dtype=np.float32)
        seen[..., :length] = 1
        given = [torch.from_numpy(array) for array in (padded, seen)]
        logits: Logits = opened[room].forward(given)[0].numpy()[:, :length]
        return logits

    return run
