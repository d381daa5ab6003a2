"""Olive: conversion, transformer fusion and dynamic int8, as its own passes do them; onnxruntime runs the result."""

import shutil
from pathlib import Path

from benchmarks.peers import onnx_runtime
from edgeafri.inference.predict import Forward


def make(variant: str, model: Path, inputs: Path, out: Path) -> Path:
    from olive.workflows import run

    work = out.with_name(f"{out.name}-work")
    asked = {
        "input_model": {"type": "HfModel", "model_path": str(model), "task": "token-classification"},
        "passes": {
            "conversion": {"type": "OnnxConversion"},
            "fusion": {"type": "OrtTransformersOptimization", "model_type": "bert"},
            "int8": {"type": "OnnxDynamicQuantization"},
        },
        "cache_dir": str(work / "cache"),
        "output_dir": str(work / "out"),
        "log_severity_level": 2,
    }
    run(asked)
    out.mkdir(parents=True, exist_ok=True)
    for file in sorted((work / "out").rglob("*.onnx*")):
        shutil.copyfile(file, out / file.name)
    return out


def open_model(variant: str, folder: Path, threads: int) -> Forward:
    return onnx_runtime.open_model(variant, folder, threads)
