"""The loop: how every stage trains. The best epoch is kept, a killed run goes on, and a NaN loss ends the training."""

from pathlib import Path

from transformers import EarlyStoppingCallback, PreTrainedModel

from edgeafri.menu.settings import LearningSettings
from edgeafri.stages.training.resume import history_of, last_checkpoint, out_of_patience
from edgeafri.stages.training.trainer import ReportProgress, make_trainer
from edgeafri.stages.training.training_task import TrainingTask
from edgeafri.util.progress import Progress


def train(
    model: PreTrainedModel, training: TrainingTask, settings: LearningSettings, checkpoints: Path, progress: Progress
) -> list[dict[str, float]]:
    """Train `model` in place and leave the weights of its best epoch in it; returns what every validation gave.

    `checkpoints` holds the last and the best epoch, optimizer included, from which a killed run goes on. TrainingError
    for a NaN loss. In a distributed training every process calls this with its own copy of the model, and the copies
    stay equal.
    """
    trainer = make_trainer(model, training, settings, checkpoints)
    trainer.add_callback(ReportProgress(progress))
    last = last_checkpoint(checkpoints)
    if settings.patience is not None:
        trainer.add_callback(EarlyStoppingCallback(settings.patience))
        if last and out_of_patience(last, settings.patience):
            trainer.args.num_train_epochs = 0  # killed after it had ended early; Trainer would train one epoch more
    trainer.train(resume_from_checkpoint=last)
    model.eval()
    return history_of(trainer.state)
