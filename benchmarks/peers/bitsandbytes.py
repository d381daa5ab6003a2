"""bitsandbytes: LLM.int8 (outlier threshold 6.0) on the processor."""

from pathlib import Path

import torch
from transformers import AutoModelForTokenClassification, BitsAndBytesConfig

from benchmarks.peers.pytorch import forward
from edgeafri.inference.predict import Forward


def make(variant: str, model: Path, inputs: Path, out: Path) -> Path:
    settings = BitsAndBytesConfig(load_in_8bit=True, llm_int8_threshold=6.0)
    loaded = AutoModelForTokenClassification.from_pretrained(model, quantization_config=settings, device_map="cpu")
    loaded.save_pretrained(out)
    return out


def open_model(variant: str, folder: Path, threads: int) -> Forward:
    torch.set_num_threads(threads)
    return forward(AutoModelForTokenClassification.from_pretrained(folder, device_map="cpu").eval())
