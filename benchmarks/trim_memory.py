"""Peak memory and time of `edgeafri trim` on random weights in the shapes of AfriBERTa-large and XLM-R base.

    python benchmarks/trim_memory.py --tokenizer MODEL --text DIR [--lang swa,hau,yor] --out FILE

The vocabulary is that of MODEL, filled up with made-up pieces to the size of the shape. Peak memory is that of the
whole process, the interpreter with torch included, as the kernel counts it. Prints and writes one JSON document.
"""

import argparse
import json
import os
import random
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from edgeafri.benchmark.machine import machine_conditions

SHAPES = {"AfriBERTa-large": (70_006, 10, 6), "XLM-R base": (250_002, 12, 12)}
MODES = ("corpus", "scripts")
LETTERS = "abcdefghijklmnoprstuwyzẹọṣáàéèíìóòúù"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokenizer", required=True, type=Path)
    parser.add_argument("--text", required=True)
    parser.add_argument("--lang", default="swa,hau,yor")
    parser.add_argument("--out", required=True, type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        rows = [row for name in SHAPES for row in measured(name, Path(place), options)]
    command = shlex.join(["python", "benchmarks/trim_memory.py", *sys.argv[1:]])
    text = json.dumps({"command": command, "conditions": machine_conditions().to_json(), "rows": rows}, indent=1)
    options.out.write_text(text + "\n", "utf-8")
    print(text)


def measured(name: str, place: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    """A shape trimmed in every mode, each in a process of its own."""
    model = place / name.replace(" ", "-")
    build = [sys.executable, __file__, *sys.argv[1:]]
    subprocess.run(build, env={**os.environ, "TRIM_MEMORY_SHAPE": name, "TRIM_MEMORY_FOLDER": str(model)}, check=True)
    size = (model / "model.safetensors").stat().st_size / 1e6
    rows = []
    for mode in MODES:
        out = model / mode
        command = ["trim", str(model), "--out", str(out), "--languages", options.lang, "--text", options.text]
        began = time.monotonic()
        peak, cpu = usage([sys.executable, "-m", "edgeafri.cli", *command, "--keep", mode, "--prove", "--json"])
        manifest = json.loads((out / "manifest.json").read_text("utf-8"))
        rows.append(
            {
                "shape": name,
                "keep": mode,
                "model_mb": round(size, 1),
                "vocabulary_before": manifest["facts"]["vocabulary_before"],
                "vocabulary": manifest["facts"]["vocabulary"],
                "trimmed_mb": round((out / "model.safetensors").stat().st_size / 1e6, 1),
                "peak_mb": round(peak, 1),
                "times_the_model": round(peak / size, 2),
                "wall_s": round(time.monotonic() - began, 1),
                "cpu_s": round(cpu, 1),
            }
        )
    return rows


def usage(command: list[str]) -> tuple[float, float]:
    """Peak memory of a process in 10^6 bytes, and its processor time in seconds."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{shlex.join(command)}: exit status {os.waitstatus_to_exitcode(status)}")
    return used.ru_maxrss * 1024 / 1e6, used.ru_utime + used.ru_stime


def write_shape(name: str, source: Path, folder: Path) -> None:
    """A model of random weights and a tokenizer of the shape's size."""
    import torch
    from transformers import PreTrainedTokenizerFast, XLMRobertaConfig, XLMRobertaForTokenClassification

    vocabulary, layers, heads = SHAPES[name]
    tokenizer = PreTrainedTokenizerFast.from_pretrained(source)
    fast = json.loads(tokenizer.backend_tokenizer.to_str())
    fast["model"]["vocab"] = filled(fast["model"]["vocab"], vocabulary)
    for token in fast["added_tokens"]:
        token["id"] = [piece for piece, _ in fast["model"]["vocab"]].index(token["content"])
    folder.mkdir(parents=True)
    tokenizer.save_pretrained(folder)
    (folder / "tokenizer.json").write_text(json.dumps(fast, ensure_ascii=False), "utf-8")
    settings = json.loads((folder / "tokenizer_config.json").read_text("utf-8"))
    settings.pop("added_tokens_decoder", None)
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), "utf-8")
    torch.manual_seed(0)
    config = XLMRobertaConfig(
        vocab_size=vocabulary,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        max_position_embeddings=514,
        type_vocab_size=1,
        num_labels=9,
    )
    XLMRobertaForTokenClassification(config).save_pretrained(folder)


def filled(pieces: list[list[Any]], size: int) -> list[list[Any]]:
    """As many pieces, made-up ones of ever lower score before the last, which is the mask token."""
    *known, mask = pieces
    taken, score, draw = {piece for piece, _ in known}, known[-1][1], random.Random(0)
    while len(known) < size - 1:
        piece = draw.choice(["", "▁"]) + "".join(draw.choices(LETTERS, k=draw.randint(4, 12)))
        if piece not in taken:
            taken.add(piece)
            score -= 1e-5
            known.append([piece, score])
    return [*known, mask]


if __name__ == "__main__":
    if "TRIM_MEMORY_SHAPE" in os.environ:  # in a process of its own, so that its memory is not counted
        shape = os.environ["TRIM_MEMORY_SHAPE"]
        write_shape(shape, Path(sys.argv[sys.argv.index("--tokenizer") + 1]), Path(os.environ["TRIM_MEMORY_FOLDER"]))
    else:
        main()
