"""PyTorch in eager mode: float32, and its own dynamic int8 of the linear layers."""

import shutil
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForTokenClassification

from edgeafri.inference.predict import Forward, Ids, Logits

WEIGHTS = "model.pt"


def make(variant: str, model: Path, inputs: Path, out: Path) -> Path:
    if variant == "fp32":
        out.mkdir(parents=True, exist_ok=True)
        for file in (model / "config.json", model / "model.safetensors"):
            shutil.copyfile(file, out / file.name)
        return out
    out.mkdir(parents=True, exist_ok=True)
    loaded = AutoModelForTokenClassification.from_pretrained(model).eval()
    torch.save(torch.ao.quantization.quantize_dynamic(loaded, {torch.nn.Linear}, torch.qint8), out / WEIGHTS)
    return out


def open_model(variant: str, folder: Path, threads: int) -> Forward:
    torch.set_num_threads(threads)
    if variant == "fp32":
        return forward(AutoModelForTokenClassification.from_pretrained(folder).eval())
    # The file was written above by this script, and a quantized module has no other form than a pickle.
    return forward(torch.load(folder / WEIGHTS, weights_only=False).eval())


def forward(model: Any) -> Forward:
    def run(ids: Ids, mask: Ids) -> Logits:
        with torch.inference_mode():
            found = model(input_ids=torch.from_numpy(ids), attention_mask=torch.from_numpy(mask)).logits
        logits: Logits = found.float().numpy()
        return logits

    return run
