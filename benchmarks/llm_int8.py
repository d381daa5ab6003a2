"""LLM.int8() through bitsandbytes against torch in float32 and 16 bits, on a GPU where there is one and on the CPU.

    python benchmarks/llm_int8.py MODEL --data DIR --lang swa,hau --out benchmarks/results/llm-int8.json

Two models: yours, whose F1 per language on test is measured too, and one of AfriBERTa-large's shape with random weights
(10 layers, 768 wide, 6 heads, 3,072 feed-forward units, 70,006 subwords), for speed and size alone. Needs torch,
transformers (4.57 or 5), bitsandbytes and this package: pip install '.[gpu]'. One thread, sentences of 32 and 128
subwords, fresh processes in turns, medians over the rounds. What a machine cannot run is listed with the reason.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from edgeafri.benchmark.machine import device_name, machine_conditions
from edgeafri.errors import MissingPackage
from edgeafri.runners.local import TORCH, call_worker
from edgeafri.util.files import json_text

FORMS = ("fp32", "bf16", "fp32-gpu", "fp16-gpu", "llm-int8", "llm-int8-embeddings")
LENGTHS = (32, 128)
SHAPE = {
    "num_hidden_layers": 10,
    "hidden_size": 768,
    "num_attention_heads": 6,
    "intermediate_size": 3072,
    "vocab_size": 70_006,
    "max_position_embeddings": 514,
    "type_vocab_size": 1,
    "num_labels": 9,
}
FIGURES = ("p50_ms", "cpu_ms", "load_ms", "peak_rss_mb", "peak_gpu_mb", "weight_bytes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", help="labelled data; without it, quality is not measured")
    parser.add_argument("--lang", default="", help="languages of the data, separated by commas")
    parser.add_argument("--task", default="ner")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        shape = random_model(Path(folder))
        found = {
            "the model": speeds(options.model, options.rounds),
            "AfriBERTa-large's shape": speeds(shape, options.rounds),
        }
    document = {"conditions": conditions(options), "speed": found, "quality": quality(options)}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json_text(document), "utf-8")
    print(json.dumps(document, indent=1, ensure_ascii=False))


def random_model(folder: Path) -> Path:
    """A model of SHAPE with random weights, and a tokenizer with as many words."""
    import torch
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast, XLMRobertaConfig, XLMRobertaForTokenClassification

    torch.manual_seed(0)
    XLMRobertaForTokenClassification(XLMRobertaConfig(**SHAPE)).save_pretrained(folder)
    start, padding, end, unknown = marks = ("<s>", "<pad>", "</s>", "<unk>")
    words = {word: index for index, word in enumerate(marks)}
    words |= {f"w{index}": index for index in range(len(words), SHAPE["vocab_size"])}
    named = {"cls_token": start, "pad_token": padding, "sep_token": end, "unk_token": unknown}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token=unknown))
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **named).save_pretrained(folder)
    return folder


def speeds(model: Path, rounds: int) -> dict[str, Any]:
    """By length and form: the medians of what fresh processes measured, or why a form was not run."""
    return {f"{length} sub-words": _in_turns(model, length, rounds) for length in LENGTHS}


def quality(options: argparse.Namespace) -> dict[str, Any]:
    """Per form the model's F1 per language and on average, and the points lost on average with their interval."""
    if not options.data:
        return {"not run": "no --data"}
    languages = options.lang.split(",")
    request = {"do": "evaluate", "model": str(options.model), "data": options.data, "split": "test"}
    request |= {"languages": languages, "task": options.task}
    found = {form: _tried({**request, "form": _form(form)}) for form in FORMS}
    first = found["fp32"]["quality"]
    return {form: _points(answer, first, languages) for form, answer in found.items()}


def conditions(options: argparse.Namespace) -> dict[str, Any]:
    """The machine, its GPU, the versions, and the command."""
    return {
        "command": " ".join(["python", *sys.argv]),
        "processor": device_name(),
        **machine_conditions().to_json(),
        **call_worker(TORCH, {"do": "describe", "model": str(options.model)}),
        "threads": 1,
        "rounds": options.rounds,
    }


def _in_turns(model: Path, length: int, rounds: int) -> dict[str, Any]:
    request = {"do": "bench", "model": str(model), "id": "", "threads": 1, "runs": 20, "warmup": 5, "seq_len": length}
    found: dict[str, list[dict[str, Any]]] = {form: [] for form in FORMS}
    for done in range(rounds):
        for form, answers in found.items():
            if not any("not run" in answer for answer in answers):
                answers.append(_tried({**request, "form": _form(form)}))
        print(f"{model.name}: {length} subwords: round {done + 1} of {rounds}", file=sys.stderr)
    middle = {form: _middle(answers) for form, answers in found.items()}
    middle["fp32"]["weight_bytes"] = sum(file.stat().st_size for file in model.glob("*.safetensors"))
    return middle


def _form(form: str) -> str | None:
    """The worker reads float32 as it is."""
    return None if form == "fp32" else form


def _tried(request: dict[str, Any]) -> dict[str, Any]:
    try:
        return dict(call_worker(TORCH, request))
    except MissingPackage as error:
        return {"not run": error.message}


def _middle(answers: Sequence[dict[str, Any]]) -> dict[str, Any]:
    if "not run" in answers[-1]:
        return answers[-1]
    middle = {key: median(answer[key] for answer in answers) for key in FIGURES if key in answers[0]}
    return {"where": answers[0].get("where", "CPU"), **middle, "p50_ms of every round": [a["p50_ms"] for a in answers]}


def _points(answer: dict[str, Any], first: dict[str, Any], languages: Sequence[str]) -> dict[str, Any]:
    import numpy as np

    from edgeafri.inference.metrics import average_drop

    if "not run" in answer:
        return answer
    f1 = {code: round(answer["quality"][code]["f1"], 2) for code in languages}
    counts = [{code: np.array(side[code]["counts"]) for code in languages} for side in (first, answer["quality"])]
    lost = average_drop(*counts)
    figures = {name: round(getattr(lost, name), 2) for name in ("value", "low", "high")}
    return {"f1": f1, "average": round(sum(f1.values()) / len(f1), 2), "lost": figures}


if __name__ == "__main__":
    main()
