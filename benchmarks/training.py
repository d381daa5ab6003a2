"""CPU training beside transformers' own recipe: subwords per second of the finetune stage and of run_ner, in turns.

    python benchmarks/training.py --model DIR --data DIR [--lang all] [--sentences 1600] [--rounds 5] [--batch 16]

Each round trains both for one epoch on the same random sentences, each in a fresh process, with the same batch, float32
products, threads and spin; nothing is validated or saved. The recipe is transformers' run_ner.py
with its defaults: random order, dynamic padding, AutoModel's attention. A sentence's subwords count once, whoever cuts
it into how many inputs. Prints one JSON document. `padding` is the share of computed positions that hold nothing.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoModelForTokenClassification,
    AutoTokenizer,
    DataCollatorForTokenClassification,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from edgeafri.artifact import adopt
from edgeafri.benchmark.machine import device_name, machine_conditions
from edgeafri.data.dataset import Split, labels_of, languages_in, read_split
from edgeafri.menu.settings import FinetuneSettings
from edgeafri.stages import finetune
from edgeafri.stages.training.trainer import make_trainer
from edgeafri.util.files import Digests

SIDES = ("edgeafri", "run_ner")


def main() -> None:
    options = arguments()
    if options.side:
        print(json.dumps(measured(options)))
        return
    with tempfile.TemporaryDirectory() as sample:
        write_sample(options, Path(sample))
        rounds = [one_round(options, Path(sample), number) for number in range(options.rounds)]
    print(json.dumps(summary(rounds, options), indent=1))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, type=Path)
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--lang", default="all")
    parser.add_argument("--sentences", type=int, default=1600)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)  # one process of a round
    return parser.parse_args()


def write_sample(options: argparse.Namespace, out: Path) -> None:
    """The same random sentences for both sides, laid out as labelled data."""
    codes = languages_in(options.data) if options.lang == "all" else options.lang.split(",")
    found = [(code, item) for code in codes for item in read_split(options.data, code, "train").sentences]
    for code, sentence in random.Random(0).sample(found, min(options.sentences, len(found))):
        (out / code).mkdir(exist_ok=True)
        text = "".join(f"{word} {tag}\n" for word, tag in zip(sentence.words, sentence.tags, strict=True))
        for name in ("train", "dev"):
            with (out / code / f"{name}.txt").open("a", encoding="utf-8") as file:
                file.write(text + "\n")


def one_round(options: argparse.Namespace, sample: Path, number: int) -> dict[str, dict[str, Any]]:
    """Both sides once. Who goes first changes from round to round."""
    order = SIDES if number % 2 == 0 else SIDES[::-1]
    return {side: in_own_process(options, sample, side) for side in order}


def in_own_process(options: argparse.Namespace, sample: Path, side: str) -> dict[str, Any]:
    command = [sys.executable, __file__, "--side", side, "--model", str(options.model), "--data", str(sample)]
    done = subprocess.run(
        [*command, "--batch", str(options.batch)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        # Without the short spin the recipe starves on a busy machine (benchmarks/README.md), which would flatter us.
        env={"GOMP_SPINCOUNT": "2000", **os.environ},
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def measured(options: argparse.Namespace) -> dict[str, Any]:
    """One epoch of one side, timed from its first step to its last."""
    make = {"edgeafri": our_trainer, "run_ner": recipe_trainer}[options.side]
    splits = [read_split(options.data, code, "train") for code in languages_in(options.data)]
    with tempfile.TemporaryDirectory() as out:
        trainer = make(options, splits, Path(out))
        clock, counter = Clock(), Counter(trainer.data_collator)
        trainer.data_collator = counter
        trainer.add_callback(clock)
        trainer.train()
    return {
        "sub_words": sum(len(row["input_ids"]) for row in recipe_rows(options.model, splits, labels_of(splits))),
        "padding": round(1 - counter.real / counter.computed, 3),
        "wall_s": sum(clock.parts.values()),
        "cpu_s": clock.cpu_s,
        "parts_s": clock.parts,
        "threads": torch.get_num_threads(),
        "onednn": clock.onednn,
    }


def our_trainer(options: argparse.Namespace, splits: Sequence[Split], out: Path) -> Trainer:
    """The stage's own, without the validation and saving of every epoch."""
    codes = tuple(split.language for split in splits)
    settings = replace(FinetuneSettings(), languages=codes, data=options.data, epochs=1, batch=options.batch)
    setup = finetune.prepare(adopt(options.model, "torch", "ner", codes, Digests()), settings)
    trainer = make_trainer(setup.model, setup.training, settings, out)
    trainer.args.eval_strategy = trainer.args.save_strategy = "no"
    trainer.args.load_best_model_at_end = False
    return trainer


def recipe_trainer(options: argparse.Namespace, splits: Sequence[Split], out: Path) -> Trainer:
    """What run_ner builds from the same batch, learning rate and seed; all else is the library's default."""
    labels, ours = labels_of(splits), FinetuneSettings()
    settings = TrainingArguments(
        output_dir=str(out),
        num_train_epochs=1,
        per_device_train_batch_size=options.batch,
        learning_rate=ours.learning_rate,
        seed=ours.seed,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
    )
    return Trainer(
        model=AutoModelForTokenClassification.from_pretrained(options.model, num_labels=len(labels)),
        args=settings,
        train_dataset=recipe_rows(options.model, splits, labels),
        data_collator=DataCollatorForTokenClassification(AutoTokenizer.from_pretrained(options.model)),
    )


def recipe_rows(model: Path, splits: Sequence[Split], labels: Sequence[str]) -> list[dict[str, list[int]]]:
    """Sentences as one input each, cut at the model's end, with the label at a word's first subword."""
    tokenizer = AutoTokenizer.from_pretrained(model)
    index = {label: number for number, label in enumerate(labels)}
    sentences = [sentence for split in splits for sentence in split.sentences]
    encoded = tokenizer([list(sentence.words) for sentence in sentences], truncation=True, is_split_into_words=True)
    tags = [[index[tag] for tag in sentence.tags] for sentence in sentences]
    return [
        {name: encoded[name][row] for name in ("input_ids", "attention_mask")}
        | {"labels": targets(encoded.word_ids(row), own)}
        for row, own in enumerate(tags)
    ]


def targets(words: Sequence[int | None], tags: Sequence[int]) -> list[int]:
    before = [None, *words[:-1]]
    return [-100 if word is None or word == last else tags[word] for word, last in zip(words, before, strict=True)]


class Clock(TrainerCallback):
    """Adds up what each part of a step takes, and the processor time of all; whether products were oneDNN's."""

    def __init__(self) -> None:
        self.parts = {"data": 0.0, "forward and backward": 0.0, "optimizer": 0.0}
        self.cpu_s = self._last = 0.0
        self.onednn = False

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.onednn = torch.backends.mkldnn.matmul.fp32_precision != "none"
        self._last, self.cpu_s = time.perf_counter(), -time.process_time()

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._add("data")

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._add("forward and backward")

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._add("optimizer")

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.cpu_s += time.process_time()

    def _add(self, part: str) -> None:
        now = time.perf_counter()
        self.parts[part] += now - self._last
        self._last = now


class Counter:
    """A collator that counts the positions of its batches."""

    def __init__(self, collate: Any) -> None:
        self._collate, self.real, self.computed = collate, 0, 0

    def __call__(self, items: Any) -> Any:
        batch = self._collate(items)
        self.real += int(batch["attention_mask"].sum())
        self.computed += batch["attention_mask"].numel()
        return batch


def summary(rounds: list[dict[str, dict[str, Any]]], options: argparse.Namespace) -> dict[str, Any]:
    ratios = {name: [item["run_ner"][name] / item["edgeafri"][name] for item in rounds] for name in ("wall_s", "cpu_s")}
    return {
        "times_as_fast": {name: spread(found) for name, found in ratios.items()},
        **{side: of_side([item[side] for item in rounds]) for side in SIDES},
        "sentences": options.sentences,
        "lang": options.lang,
        "batch": options.batch,
        "rounds": options.rounds,
        "conditions": {"device": device_name(), "torch": torch.__version__, **machine_conditions().to_json()},
    }


def spread(ratios: list[float]) -> dict[str, Any]:
    return {"median": round(statistics.median(ratios), 2), "range": [round(min(ratios), 2), round(max(ratios), 2)]}


def of_side(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians over the rounds."""
    sub_words, parts = rounds[0]["sub_words"], rounds[0]["parts_s"]
    return {
        "sub_words": sub_words,
        "sub_words_per_s": round(statistics.median(sub_words / item["wall_s"] for item in rounds)),
        "sub_words_per_cpu_s": round(statistics.median(sub_words / item["cpu_s"] for item in rounds)),
        "share": {
            name: round(statistics.median(item["parts_s"][name] / item["wall_s"] for item in rounds), 3)
            for name in parts
        },
        "padding": rounds[0]["padding"],
        "threads": rounds[0]["threads"],
        "onednn": rounds[0]["onednn"],
    }


if __name__ == "__main__":
    main()
