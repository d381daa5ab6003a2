"""Speed of adapt-maft: subwords per second in float32 and bfloat16, batches mixed and of a single language, in turns.

    python benchmarks/maft.py --model DIR --text DIR --lang swa,hau,yor [--steps 60] [--rounds 5]

All text is stored once, in a process of its own: how fast, how large, and how much memory that takes. Each round then
trains every side for the same number of steps of the same batch size, each in a fresh process and after a warm-up;
nothing is judged or saved. Sub-words are those of the inputs, start and end included, padding not. Writes one JSON
document.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

from edgeafri.benchmark.machine import device_name, machine_conditions
from edgeafri.menu.settings import AdaptMaftSettings
from edgeafri.stages import adapt_maft
from edgeafri.stages.models import checkpoint
from edgeafri.stages.training.examples import Batch
from edgeafri.stages.training.token_store import RawText, TokenStore, open_store
from edgeafri.stages.training.trainer import make_trainer
from edgeafri.util.files import json_text
from edgeafri.util.progress import silent

SIDES = {
    f"{precision} {mixing}": {"precision": precision, "mixing": mixing}
    for precision in ("float32", "bfloat16")
    for mixing in ("mixed", "single")
}
WARM_UP = 5  # steps that are not counted


def main() -> None:
    options = arguments()
    if options.side:
        print(json.dumps(storing(options) if options.side == "store" else training(options)))
        return
    with tempfile.TemporaryDirectory() as work:
        store = in_own_process(options, "store", work)
        rounds = []
        for number in range(options.rounds):
            # Who goes first changes from round to round.
            order = list(SIDES) if number % 2 == 0 else list(SIDES)[::-1]
            rounds.append({side: in_own_process(options, side, work) for side in order})
    document = json_text(summary(store, rounds, options))
    options.out.write_text(document, "utf-8")
    print(document)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, type=Path)
    parser.add_argument("--text", required=True, type=Path)
    parser.add_argument("--lang", required=True)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "maft-speed.json")
    parser.add_argument("--side", choices=["store", *SIDES], help=argparse.SUPPRESS)  # one process of a round
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def in_own_process(options: argparse.Namespace, side: str, work: str) -> dict[str, Any]:
    given = {name: getattr(options, name) for name in ("model", "text", "lang", "batch", "steps")}
    words = [word for name, value in given.items() for word in (f"--{name}", str(value))]
    command = [sys.executable, __file__, "--side", side, "--work", work, *words]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def settings_of(options: argparse.Namespace, **changed: Any) -> AdaptMaftSettings:
    plain = AdaptMaftSettings(tuple(options.lang.split(",")), text=options.text, batch=options.batch)
    return replace(plain, **changed)


def store_of(options: argparse.Namespace) -> TokenStore:
    settings, config = settings_of(options), checkpoint.read_config(options.model)
    encoder = checkpoint.encoder(
        checkpoint.read_tokenizer(options.model), min(settings.max_length, checkpoint.max_tokens(config))
    )
    return open_store(options.work / "tokens", RawText(options.text, settings.languages, None, encoder), silent)


def storing(options: argparse.Namespace) -> dict[str, Any]:
    """Write the store, and what that took: the peak of memory before it is that of the libraries alone."""
    checkpoint.read_tokenizer(options.model)
    before, wall, cpu = peak_mb(), time.perf_counter(), time.process_time()
    store = store_of(options)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    sub_words = sum(own["sub_words"] for own in store.counts.values())
    files = [file for file in (options.work / "tokens").rglob("*") if file.is_file()]
    return {
        "inputs": sum(own["inputs"] for own in store.counts.values()),
        "sub_words": sub_words,
        "bytes_a_sub_word": round(sum(file.stat().st_size for file in files) / sub_words, 2),
        "sub_words_per_s": round(sub_words / wall),
        "sub_words_per_cpu_s": round(sub_words / cpu),
        "peak_mb_before": round(before, 1),
        "peak_mb": round(peak_mb(), 1),
    }


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def training(options: argparse.Namespace) -> dict[str, Any]:
    """Some steps of one side, timed from the end of the warm-up to the last."""
    settings = settings_of(options, epochs=1000, **SIDES[options.side])
    setup = adapt_maft.prepare(options.model, settings, store_of(options))
    clock = Clock(setup.training.loss)
    with tempfile.TemporaryDirectory() as out:
        trainer = make_trainer(setup.model, replace(setup.training, loss=clock.loss), settings, Path(out))
        trainer.args.eval_strategy = trainer.args.save_strategy = "no"
        trainer.args.load_best_model_at_end = False
        trainer.args.max_steps = WARM_UP + options.steps
        trainer.add_callback(clock)
        trainer.train()
    return {**clock.found, "threads": torch.get_num_threads()}


class Clock(TrainerCallback):
    """Wall and processor time of the steps after the warm-up, and the subwords and positions that they computed."""

    def __init__(self, loss: Any) -> None:
        self._loss, self.found = loss, {"sub_words": 0, "positions": 0, "wall_s": 0.0, "cpu_s": 0.0}

    def loss(self, model: Any, batch: Batch) -> torch.Tensor:
        self.found["sub_words"] += int(batch["attention_mask"].sum())
        self.found["positions"] += batch["attention_mask"].numel()
        found: torch.Tensor = self._loss(model, batch)
        return found

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        now = {"wall_s": time.perf_counter(), "cpu_s": time.process_time()}
        if state.global_step == WARM_UP:
            self.found |= {"sub_words": 0, "positions": 0, **{name: -value for name, value in now.items()}}
        if state.global_step == state.max_steps:
            self.found |= {name: self.found[name] + value for name, value in now.items()}


def summary(
    store: dict[str, Any], rounds: list[dict[str, dict[str, Any]]], options: argparse.Namespace
) -> dict[str, Any]:
    return {
        "command": " ".join(["python benchmarks/maft.py", *map(str, sys.argv[1:])]),
        "store": store,
        "training": {side: of_side([item[side] for item in rounds]) for side in SIDES},
        "times_as_fast_as_float32_mixed": {side: ratios(rounds, side) for side in list(SIDES)[1:]},
        "steps": options.steps,
        "warm_up_steps": WARM_UP,
        "batch": options.batch,
        "rounds": options.rounds,
        "conditions": {"device": device_name(), "torch": torch.__version__, **machine_conditions().to_json()},
    }


def of_side(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians over the rounds."""
    return {
        "sub_words": rounds[0]["sub_words"],
        "sub_words_per_s": round(statistics.median(item["sub_words"] / item["wall_s"] for item in rounds)),
        "sub_words_per_cpu_s": round(statistics.median(item["sub_words"] / item["cpu_s"] for item in rounds)),
        "padding": round(1 - rounds[0]["sub_words"] / rounds[0]["positions"], 3),
        "threads": rounds[0]["threads"],
    }


def ratios(rounds: list[dict[str, dict[str, Any]]], side: str) -> dict[str, Any]:
    """By wall and by processor time, sides compared within a round."""
    found = {}
    for name in ("wall_s", "cpu_s"):
        speeds = [{key: item[key]["sub_words"] / item[key][name] for key in (side, "float32 mixed")} for item in rounds]
        each = [speed[side] / speed["float32 mixed"] for speed in speeds]
        found[name] = {"median": round(statistics.median(each), 2), "range": [round(min(each), 2), round(max(each), 2)]}
    return found


if __name__ == "__main__":
    main()
