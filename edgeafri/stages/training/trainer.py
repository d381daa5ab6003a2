"""transformers' Trainer with our loss, validation and sampler, and without those of its habits that change results."""

import math
import os
from pathlib import Path

import torch
from transformers import (
    PreTrainedModel,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.trainer_utils import TrainOutput

from edgeafri.errors import TrainingError
from edgeafri.menu.settings import LearningSettings
from edgeafri.stages.training import distributed
from edgeafri.stages.training.examples import Batch, Collator
from edgeafri.stages.training.resume import chosen_precision, last_checkpoint
from edgeafri.stages.training.sampler import LanguageSampler
from edgeafri.stages.training.sparsity import HoldZeros, share_of_zeros
from edgeafri.stages.training.speed import float32_by_onednn
from edgeafri.stages.training.training_task import SCORE, TrainingTask
from edgeafri.util.progress import Progress


def make_trainer(
    model: PreTrainedModel, training: TrainingTask, settings: LearningSettings, checkpoints: Path
) -> "TaskTrainer":
    """A Trainer for one training task, which changes `model` in place and keeps its checkpoints in that folder."""
    bfloat16 = chosen_precision(model, training, settings, checkpoints) == "bfloat16"
    arguments = _arguments(settings, training, checkpoints, bfloat16)
    # One process per GPU: with more than one GPU in sight, Trainer would split every batch over all of them by threads.
    arguments._n_gpu = min(1, arguments.n_gpu)
    # TrainingArguments leaves its precision in this variable for the whole process: validation and every later training
    # would read it. On a processor nothing needs it, as the loss itself is computed under autocast.
    os.environ["ACCELERATE_MIXED_PRECISION"] = "bf16" if bfloat16 and not arguments.use_cpu else "no"
    # Trainer refuses to validate without a data set for it; ours is never read, as `validate` has its own data.
    data = {"train_dataset": training.examples, "eval_dataset": training.examples}
    trainer = TaskTrainer(model, arguments, data_collator=Collator(training.pad_id), **data)
    trainer.remove_callback(PrinterCallback)  # it prints to stdout, where results stand
    trainer.training, trainer.sampler = training, training.sampler(settings)
    if holds_zeros(model, training, settings):
        trainer.add_callback(HoldZeros(model, training.sparsity_schedule))
    if training.validation_steps is not None:
        trainer.add_callback(_ValidateLast())
    return trainer


def holds_zeros(model: PreTrainedModel, training: TrainingTask, settings: LearningSettings) -> bool:
    """Whether zeros stay zero: the settings ask for it and the model has some, or training makes them on the way."""
    return training.sparsity_schedule is not None or (settings.zeros == "keep" and share_of_zeros(model) > 0)


class TaskTrainer(Trainer):
    """Trainer with the loss, the validation and the sampler of a training task. No step follows a NaN loss."""

    control: TrainerControl
    training: TrainingTask
    sampler: LanguageSampler

    def _get_train_sampler(self, *_: object) -> LanguageSampler:
        return self.sampler

    def train(self, *args: object, **named: object) -> TrainOutput:
        with float32_by_onednn():
            return super().train(*args, **named)

    def compute_loss(self, model: torch.nn.Module, inputs: Batch, *_: object, **__: object) -> torch.Tensor:
        # On a GPU, accelerate puts autocast around the forward of the whole model only; a loss may call its parts.
        with torch.autocast(inputs["input_ids"].device.type, torch.bfloat16, enabled=self.args.bf16):
            loss = distributed.average_gradients(model, self.training.loss, inputs)
        if not torch.isfinite(loss):
            raise self._not_finite(loss.item(), self.state.global_step + 1)
        return loss

    def evaluate(self, *_: object, **__: object) -> dict[str, float]:
        self.model.eval()
        distributed.check_equal(self.model)
        metrics = {f"eval_{name}": value for name, value in self.training.validate(self.model).items()}
        if self.training.validation_steps is not None:
            metrics["eval_step"] = self.state.global_step
        wrong = [value for value in metrics.values() if not math.isfinite(value)]
        if wrong:  # the loss of the last step was finite, but not its gradient: the weights must not be saved
            raise self._not_finite(wrong[0], self.state.global_step)
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _not_finite(self, loss: float, step: int) -> TrainingError:
        last = last_checkpoint(Path(self.args.output_dir))
        saved = f"The last good epoch is in {last}." if last else "No epoch had ended before."
        message = f"the loss is {loss} at step {step} of {self.state.max_steps}"
        return TrainingError(message, f"{saved} Lower the learning rate, or raise the warm-up.")


class ReportProgress(TrainerCallback):
    """Tells a Progress the step and the number of steps, after every step."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        self._progress(state.global_step, state.max_steps)


class _ValidateLast(TrainerCallback):
    """Validates after the last step too, where steps are counted: Trainer does so by itself only with epochs."""

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        control.should_evaluate |= state.global_step >= state.max_steps


def _arguments(settings: LearningSettings, training: TrainingTask, out: Path, bfloat16: bool) -> TrainingArguments:
    when = "epoch" if training.validation_steps is None else "steps"
    return TrainingArguments(
        output_dir=str(out),
        num_train_epochs=settings.epochs,
        learning_rate=settings.learning_rate,
        warmup_ratio=settings.warmup,
        per_device_train_batch_size=settings.batch,
        gradient_accumulation_steps=settings.accumulate,
        accelerator_config={"split_batches": True},  # a batch is shared by all processes: a step is the same for any
        seed=settings.seed,
        bf16=bfloat16,
        # Without it, Trainer refuses bfloat16 and several processes on a machine without a GPU.
        use_cpu=(bfloat16 or distributed.size() > 1) and not torch.cuda.is_available(),
        eval_strategy=when,
        save_strategy=when,
        eval_steps=training.validation_steps,
        save_steps=training.validation_steps or 0,
        save_total_limit=2,
        load_best_model_at_end=True,
        metric_for_best_model=f"eval_{SCORE}",
        greater_is_better=True,
        logging_strategy="epoch",
        logging_nan_inf_filter=False,
        report_to=[],
        disable_tqdm=True,
        dataloader_pin_memory=False,
        remove_unused_columns=False,  # it goes by the arguments of model.forward, which our losses do not call
        ddp_find_unused_parameters=False,
        restore_callback_states_from_checkpoint=settings.patience is not None,
    )
