"""training: the one loop of every stage that learns, on transformers' Trainer.

Batches hold rows of like length, so that little time goes into padding. Every epoch is judged, or every so many steps,
and the best one is kept. A killed run goes on from its last judgement. A loss that is no number ends it.
"""

import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Sampler
from transformers import (
    EarlyStoppingCallback,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerState,
    TrainingArguments,
)

from edgeafri.errors import TrainingError
from edgeafri.menu.settings import Learning
from edgeafri.stages.training import distributed
from edgeafri.stages.training.examples import Collator, Rows
from edgeafri.stages.training.sparsity import Growth, HoldZeros, share_of_zeros
from edgeafri.util.files import write_whole
from edgeafri.util.progress import Progress

Batch = Mapping[str, torch.Tensor]
Loss = Callable[[Any, Batch], torch.Tensor]
Judge = Callable[[Any], dict[str, float]]
SCORE = "score"  # what a judge's answer must hold: the higher the better
_GROUPED = 50  # batches whose rows are sorted by length together
_TIMED = 6  # batches that a forecast measures
_WORTH = 1.1  # how much faster bfloat16 must be to be chosen
_PRECISION = "precision.txt"


@dataclass(frozen=True)
class Course:
    """One training: what is learnt from, what is to fall, who says which epoch was best, and how zeros grow, if so.

    With `single` every batch is of one language. With `judge_steps` that many steps take the place of an epoch.
    """

    rows: Rows
    pad: int
    loss: Loss
    judge: Judge
    growth: Growth | None = None
    single: bool = False
    judge_steps: int | None = None

    def order(self, settings: Learning) -> "Order":
        """In which order its rows are read."""
        return Order(self.rows, settings.batch, settings.sampling, settings.seed, self.single)


def train(
    model: Any, course: Course, settings: Learning, checkpoints: Path, progress: Progress
) -> list[dict[str, float]]:
    """Train `model` in place and leave the weights of its best epoch in it; the judge's answers, an epoch each.

    `checkpoints` holds the last and the best epoch, optimizer included. TrainingError for a loss that is no number.
    Every process of a team calls this with a copy of the model of its own; the copies stay equal.
    """
    trainer = make_trainer(model, course, settings, checkpoints)
    trainer.add_callback(_Ticks(progress))
    if _holds(model, course, settings):
        trainer.add_callback(HoldZeros(model, course.growth))
    if course.judge_steps is not None:
        trainer.add_callback(_JudgeLast())
    last = _last_checkpoint(checkpoints)
    if settings.patience is not None:
        trainer.add_callback(EarlyStoppingCallback(settings.patience))
        if last and _out_of_patience(last, settings.patience):
            trainer.args.num_train_epochs = 0  # killed after its end; Trainer would learn one epoch more
    trainer.train(resume_from_checkpoint=last)
    model.eval()
    return _judged(trainer.state)


def epochs_of(course: Course, settings: Learning, history: Sequence[Mapping[str, float]]) -> Fraction:
    """How many epochs a training had, to its last judgement."""
    if course.judge_steps is None:
        return Fraction(len(history))
    batches = -(-len(course.order(settings)) // settings.batch)
    return Fraction(int(history[-1]["step"]), -(-batches // settings.accumulate))


def make_trainer(model: Any, course: Course, settings: Learning, checkpoints: Path) -> "_Trainer":
    """A Trainer for one course."""
    bfloat16 = _chosen_precision(model, course, settings, checkpoints) == "bfloat16"
    arguments = _arguments(settings, course, checkpoints, bfloat16)
    arguments._n_gpu = min(1, arguments.n_gpu)  # one process a GPU: Trainer would let this one thread drive them all
    # transformers leaves bf16 here for the judge, and for every later training of this process. On a processor it
    # needs no such word.
    os.environ["ACCELERATE_MIXED_PRECISION"] = "bf16" if bfloat16 and not arguments.use_cpu else "no"
    # Trainer refuses to judge epochs without a data set of its own for it; the judge has what it needs.
    data = {"train_dataset": course.rows, "eval_dataset": course.rows}
    trainer = _Trainer(model, arguments, data_collator=Collator(course.pad), **data)
    trainer.remove_callback(PrinterCallback)  # the library does not print
    trainer.course, trainer.order = course, course.order(settings)
    return trainer


def expected(model: Any, course: Course, settings: Learning, size: tuple[int, int] | None = None) -> str:
    """How long a training will take here, measured on a few batches of it.

    `size` is how many inputs and sub-words an epoch has, where the course holds a sample of them only.
    """
    inputs, sub_words = size or (len(course.rows), int(course.rows.lengths.sum()))
    bfloat16 = _faster_precision(model, course, settings) == "bfloat16"
    first, again = seconds_a_sub_word(model, course, settings, bfloat16)
    seconds = sub_words * (settings.epochs * again + max(0.0, first - again))
    rows = f"{inputs:,} inputs x {settings.epochs} epochs"
    said = (
        f"about {duration(seconds)} on this machine: {rows}, {sub_words * settings.epochs / 1e6:.1f} million sub-words"
    )
    return f"{said}, {1 / again:,.0f} sub-words/s" + _said_of_zeros(model, course, settings)


def _holds(model: Any, course: Course, settings: Learning) -> bool:
    """Whether zeros stay zero: asked for, and some are there; or they are made while it learns."""
    return course.growth is not None or (settings.zeros == "keep" and share_of_zeros(model) > 0)


def _said_of_zeros(model: Any, course: Course, settings: Learning) -> str:
    """What will become of a pruned model's zeros; nothing for a dense one."""
    share = 100 * share_of_zeros(model)
    if not share:
        return ""
    if _holds(model, course, settings):
        return f"; the {share:.1f} % zeros of its linear layers are held"
    return f"; WARNING: the {share:.1f} % zeros of its linear layers are not held, it will be dense again"


def seconds_a_sub_word(model: Any, course: Course, settings: Learning, bfloat16: bool = False) -> tuple[float, float]:
    """What one sub-word costs in training here, seen for the first time and again: medians over a few batches.

    The first time pays for what is asked only once, such as a teacher whose answers are kept.
    """
    order = list(islice(course.order(settings), settings.batch * _GROUPED))
    size = settings.batch * max(1, len(order) // settings.batch // _TIMED)
    collate = Collator(course.pad)
    found = []
    model.to(distributed.device()).train()
    for start in range(0, len(order), size)[:_TIMED]:
        batch = collate([course.rows[index] for index in order[start : start + settings.batch]])
        size_here = int(batch["attention_mask"].sum())
        with float32_by_onednn():
            found.append([_timed(model, course, batch, bfloat16) / size_here for _ in range(2)])
    model.eval()
    first, again = np.median(found, axis=0)
    return float(first), float(again)


def _timed(model: Any, course: Course, batch: Batch, bfloat16: bool) -> float:
    where = distributed.device()
    began = time.perf_counter()
    with torch.autocast(where.type, torch.bfloat16, enabled=bfloat16):
        course.loss(model, {name: values.to(where) for name, values in batch.items()}).backward()
    if where.type == "cuda":
        torch.cuda.synchronize(where)
    taken = time.perf_counter() - began
    model.zero_grad()
    return taken


@contextmanager
def float32_by_onednn() -> Iterator[None]:
    """Float32 products by oneDNN while it lasts: MKL gives AMD processors less than half their speed.

    The setting only allows oneDNN to round to bfloat16. On x86 without AMX it then takes float32 kernels; with AMX, or
    on ARM, it would round, so there nothing is changed. benchmarks/README.md has the ratio.
    """
    products = getattr(torch.backends.mkldnn, "matmul", None)
    if products is None or not torch.cpu._is_avx512_supported() or torch.cpu._is_amx_tile_supported():
        yield
        return
    before = products.fp32_precision
    products.fp32_precision = "bf16"
    try:
        yield
    finally:
        products.fp32_precision = before


def duration(expected: float) -> str:
    """Seconds as people say them."""
    if expected < 90:
        return f"{max(expected, 1):.0f} s"
    return f"{expected / 60:.0f} min" if expected < 5400 else f"{expected / 3600:.1f} h"


class Order(Sampler[int]):
    """The rows of an epoch: every language as often as its share to the power alpha says, like lengths together.

    With q_i ~ p_i ** alpha (Conneau et al. 2020, section 3) an epoch has as many rows as there are; a language drawn
    more often than it has rows begins anew. With `single` a batch is of one language, batches of all languages come in
    random order, and a language's last batch is filled with rows of its own. The order hangs on seed and epoch alone,
    so a resumed run sees the same.
    """

    def __init__(self, rows: Rows, batch: int, alpha: float, seed: int, single: bool = False) -> None:
        self._rows, self._batch, self._alpha, self._seed, self._single = rows, batch, alpha, seed, single

    def set_epoch(self, epoch: int) -> None:
        """What the data loader calls before an epoch."""
        self._rows.epoch = epoch

    def __len__(self) -> int:
        if not self._single:
            return len(self._rows)
        wanted = drawn_counts(self._rows.outline.languages, self._alpha)
        return int((-(-wanted // self._batch)).sum()) * self._batch

    def __iter__(self) -> Iterator[int]:
        random = np.random.default_rng((self._seed, self._rows.epoch))
        parts = drawn_rows(self._rows.outline.languages, self._alpha, random)
        for group in self._by_language(parts, random) if self._single else self._mixed(parts, random):
            yield from group.ravel().tolist()

    def _mixed(self, parts: Sequence[NDArray[np.int64]], random: np.random.Generator) -> Iterator[NDArray[np.int64]]:
        drawn = random.permutation(np.concatenate(parts))
        whole = len(drawn) - len(drawn) % self._batch  # the short batch stays last
        for batches in self._batches(drawn[:whole]):
            yield random.permutation(batches)
        yield drawn[whole:]

    def _by_language(
        self, parts: Sequence[NDArray[np.int64]], random: np.random.Generator
    ) -> Iterator[NDArray[np.int64]]:
        found: list[NDArray[np.int64]] = []
        for part in parts:
            whole = -(-len(part) // self._batch) * self._batch
            found += self._batches(np.resize(random.permutation(part), whole))
        batches = np.concatenate(found)
        random.shuffle(batches)
        yield from np.array_split(batches, max(1, len(batches) // _GROUPED))

    def _batches(self, drawn: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
        """Groups of batches, of shape (batches, rows): rows of like length together, the shortest first."""
        size = self._batch * _GROUPED
        for start in range(0, len(drawn), size):
            group = drawn[start : start + size]
            yield group[np.argsort(self._rows.lengths[group], kind="stable")].reshape(-1, self._batch)


def drawn_counts(languages: NDArray[Any], alpha: float) -> NDArray[np.int64]:
    """How many rows of every language an epoch has, by their numbers; as many as there are rows."""
    return _apportioned(np.bincount(languages).astype(float) ** alpha, len(languages))


def drawn_rows(languages: NDArray[Any], alpha: float, random: np.random.Generator) -> list[NDArray[np.int64]]:
    """Numbers of rows, a part a language: all its rows as often as they fit, and the rest of them at random."""
    parts = []
    for number, count in enumerate(drawn_counts(languages, alpha).tolist()):
        own = np.flatnonzero(languages == number)
        again, rest = divmod(count, len(own))
        parts.append(np.concatenate([*[own] * again, random.permutation(own)[:rest]]))
    return parts


def _apportioned(shares: NDArray[np.float64], total: int) -> NDArray[np.int64]:
    """Whole numbers in proportion to `shares` that add up to `total`: the largest remainders are rounded up."""
    exact = shares / shares.sum() * total
    found: NDArray[np.int64] = np.floor(exact).astype(np.int64)
    found[np.argsort(found - exact, kind="stable")[: total - int(found.sum())]] += 1
    return found


class _Trainer(Trainer):
    """Trainer with our loss, our judge, our order, and no step after a loss that is no number."""

    control: Any
    course: Course
    order: Order

    def _get_train_sampler(self, *_: Any) -> Order:
        return self.order

    def train(self, *args: Any, **named: Any) -> Any:
        with float32_by_onednn():
            return super().train(*args, **named)

    def compute_loss(self, model: Any, inputs: Batch, *_: Any, **__: Any) -> torch.Tensor:
        # On a GPU, accelerate shortens a model's forward alone, and a loss may call the model's parts.
        with torch.autocast(inputs["input_ids"].device.type, torch.bfloat16, enabled=self.args.bf16):
            loss = distributed.averaging(model, self.course.loss, inputs)
        if not torch.isfinite(loss):
            raise self._no_number(loss.item(), self.state.global_step + 1)
        return loss

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        self.model.eval()
        distributed.check_equal(self.model)
        metrics = {f"eval_{name}": value for name, value in self.course.judge(self.model).items()}
        if self.course.judge_steps is not None:
            metrics["eval_step"] = self.state.global_step
        wrong = [value for value in metrics.values() if not math.isfinite(value)]
        if wrong:  # the last step had a loss, but no gradient: its weights must not be saved
            raise self._no_number(wrong[0], self.state.global_step)
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _no_number(self, loss: float, step: int) -> TrainingError:
        last = _last_checkpoint(Path(self.args.output_dir))
        kept = f"The last good epoch is kept in {last}." if last else "No epoch had ended before."
        message = f"the loss is {loss} at step {step} of {self.state.max_steps}"
        return TrainingError(message, f"{kept} Lower the learning rate, or raise the warm-up.")


class _Ticks(TrainerCallback):
    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._progress(state.global_step, state.max_steps)


class _JudgeLast(TrainerCallback):
    """Where steps are counted, the last one is judged too; after epochs it always is."""

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        control.should_evaluate |= state.global_step >= state.max_steps


def _arguments(settings: Learning, course: Course, out: Path, bfloat16: bool) -> TrainingArguments:
    when = "epoch" if course.judge_steps is None else "steps"
    return TrainingArguments(
        output_dir=str(out),
        num_train_epochs=settings.epochs,
        learning_rate=settings.learning_rate,
        warmup_ratio=settings.warmup,
        per_device_train_batch_size=settings.batch,
        gradient_accumulation_steps=settings.accumulate,
        accelerator_config={"split_batches": True},  # a batch is shared by a team, so a step is the same for any team
        seed=settings.seed,
        bf16=bfloat16,
        # Without it, bfloat16 and teams are refused on a machine without GPU.
        use_cpu=(bfloat16 or distributed.size() > 1) and not torch.cuda.is_available(),
        eval_strategy=when,
        save_strategy=when,
        eval_steps=course.judge_steps,
        save_steps=course.judge_steps or 0,
        save_total_limit=2,
        load_best_model_at_end=True,
        metric_for_best_model=f"eval_{SCORE}",
        greater_is_better=True,
        logging_strategy="epoch",
        logging_nan_inf_filter=False,
        report_to=[],
        disable_tqdm=True,
        dataloader_pin_memory=False,
        remove_unused_columns=False,
        ddp_find_unused_parameters=False,
        restore_callback_states_from_checkpoint=settings.patience is not None,
    )


def used_precision(checkpoints: Path) -> str:
    """The precision that a training chose, as long as its checkpoints are there."""
    return (checkpoints / _PRECISION).read_text("utf-8")


def _chosen_precision(model: Any, course: Course, settings: Learning, checkpoints: Path) -> str:
    """The precision of a training: chosen once, so that a resumed run goes on in the same."""
    if distributed.rank() == 0 and not (checkpoints / _PRECISION).is_file():
        checkpoints.mkdir(parents=True, exist_ok=True)
        write_whole(checkpoints / _PRECISION, _faster_precision(model, course, settings))
    distributed.wait()
    return used_precision(checkpoints)


def _faster_precision(model: Any, course: Course, settings: Learning) -> str:
    """What was asked for; `auto` is bfloat16 where the processor multiplies it and a few batches are faster with it."""
    if settings.precision != "auto":
        return settings.precision
    on_processor = distributed.device().type == "cpu"
    if on_processor and not (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()):
        return "float32"
    plain, short = (seconds_a_sub_word(model, course, settings, kind)[1] for kind in (False, True))
    return "bfloat16" if short < plain / _WORTH else "float32"


def _judged(state: TrainerState) -> list[dict[str, float]]:
    """What the judge said, an epoch each."""
    return [
        {name.removeprefix("eval_"): value for name, value in entry.items() if name.startswith("eval_")}
        for entry in state.log_history
        if f"eval_{SCORE}" in entry
    ]


def _out_of_patience(checkpoint: str, patience: int) -> bool:
    """Whether the run that left this checkpoint had ended."""
    state = TrainerState.load_from_json(f"{checkpoint}/trainer_state.json")
    scores = [entry[SCORE] for entry in _judged(state)]
    return len(scores) - scores.index(max(scores)) > patience


def _last_checkpoint(folder: Path) -> str | None:
    wanted = ("trainer_state.json", "model.safetensors", "optimizer.pt", "scheduler.pt")
    finished = [path for path in folder.glob("checkpoint-*") if all((path / name).is_file() for name in wanted)]
    return str(max(finished, key=lambda path: int(path.name.split("-")[1]))) if finished else None
