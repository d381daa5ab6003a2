"""Where the time of CPU training goes: sub-words a second of the finetune stage, and the share of each part of a step.

    python benchmarks/training.py --model DIR --data DIR --lang swa [--steps 60] [--batch 16]

Prints one JSON document. `padding` is the share of computed positions that hold nothing, with batches grouped by length
as the stage does, and as they would be drawn at random.
"""

import argparse
import json
import random
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgeafri.dataset import labels_of, read_split
from edgeafri.measurement import device_name, machine_conditions
from edgeafri.stages import finetune
from edgeafri.stages import model as door
from edgeafri.stages.menu import Finetune


class Clock(finetune.TrainerCallback):
    """Adds up what each part of a step takes."""

    def __init__(self, steps: int) -> None:
        self.parts = {"data": 0.0, "forward and backward": 0.0, "optimizer": 0.0}
        self._last, self._steps = time.perf_counter(), steps

    def _add(self, part: str | None) -> None:
        now = time.perf_counter()
        if part:
            self.parts[part] += now - self._last
        self._last = now

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._add(None)

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._add("data")

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._add("forward and backward")

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._add("optimizer")
        control.should_training_stop = state.global_step >= self._steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, type=Path)
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--lang", required=True)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--batch", type=int, default=16)
    options = parser.parse_args()
    split = read_split(options.data, options.lang, "train")
    labels = labels_of([split])
    settings = replace(Finetune(), languages=(options.lang,), data=options.data, epochs=1, batch=options.batch)
    encoder = door.encoder(door.read_tokenizer(options.model), settings.max_length)
    rows = finetune.training_rows(encoder, split, labels)
    model = door.read_model(options.model, "XLMRobertaForTokenClassification", num_labels=len(labels))
    clock = Clock(options.steps)
    with tempfile.TemporaryDirectory() as out:
        trainer = finetune.make_trainer(model, encoder, rows, [split], settings, Path(out))
        trainer.add_callback(clock)
        trainer.args.eval_strategy = trainer.args.save_strategy = "no"
        trainer.args.load_best_model_at_end = False
        order = list(iter(trainer._get_train_sampler()))  # the order the stage trains in
        trainer.train()
    print(json.dumps(summary(rows, order, settings.batch, options.steps, clock.parts), indent=1))


def summary(rows: list[Any], order: list[int], batch: int, steps: int, parts: dict[str, float]) -> dict[str, Any]:
    lengths = [len(row["input_ids"]) for row in rows]
    shuffled = random.Random(0).sample(range(len(rows)), len(rows))
    done = min(steps * batch, len(rows))
    seconds = sum(parts.values())
    return {
        "sub_words_per_s": round(sum(lengths[index] for index in order[:done]) / seconds, 0),
        "seconds": round(seconds, 2),
        "share": {part: round(value / seconds, 3) for part, value in parts.items()},
        "padding": {"grouped": padding(lengths, order, batch), "random": padding(lengths, shuffled, batch)},
        "conditions": {
            "device": device_name(),
            "torch_threads": finetune.torch.get_num_threads(),
            **machine_conditions(),
        },
    }


def padding(lengths: list[int], order: list[int], batch: int) -> float:
    groups = [[lengths[index] for index in order[start : start + batch]] for start in range(0, len(order), batch)]
    computed = sum(max(group) * len(group) for group in groups)
    return round(1 - sum(lengths) / computed, 3)


if __name__ == "__main__":
    main()
