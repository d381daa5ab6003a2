"""Resuming: what a training keeps in its folder of checkpoints, so that a killed run goes on as it had begun."""

from pathlib import Path

from transformers import PreTrainedModel, TrainerState

from edgeafri.menu.settings import LearningSettings
from edgeafri.stages.training import distributed
from edgeafri.stages.training.speed import faster_precision
from edgeafri.stages.training.training_task import SCORE, TrainingTask
from edgeafri.util.files import write_whole

_PRECISION = "precision.txt"
_COMPLETE = ("trainer_state.json", "model.safetensors", "optimizer.pt", "scheduler.pt")


def last_checkpoint(folder: Path) -> str | None:
    """The newest checkpoint that was written to its end."""
    finished = [path for path in folder.glob("checkpoint-*") if all((path / name).is_file() for name in _COMPLETE)]
    return str(max(finished, key=lambda path: int(path.name.split("-")[1]))) if finished else None


def out_of_patience(checkpoint: str, patience: int) -> bool:
    """Whether the run that left this checkpoint had already ended early."""
    scores = [entry[SCORE] for entry in history_of(TrainerState.load_from_json(f"{checkpoint}/trainer_state.json"))]
    return len(scores) - scores.index(max(scores)) > patience


def history_of(state: TrainerState) -> list[dict[str, float]]:
    """What every validation gave, in order."""
    return [
        {name.removeprefix("eval_"): value for name, value in entry.items() if name.startswith("eval_")}
        for entry in state.log_history
        if f"eval_{SCORE}" in entry
    ]


def used_precision(checkpoints: Path) -> str:
    """The precision that a training chose, while its checkpoints are there."""
    return (checkpoints / _PRECISION).read_text("utf-8")


def chosen_precision(
    model: PreTrainedModel, training: TrainingTask, settings: LearningSettings, checkpoints: Path
) -> str:
    """The precision of a training, chosen once: a resumed run would measure again, and could choose another."""
    if distributed.rank() == 0 and not (checkpoints / _PRECISION).is_file():
        checkpoints.mkdir(parents=True, exist_ok=True)
        write_whole(checkpoints / _PRECISION, faster_precision(model, training, settings))
    distributed.wait()
    return used_precision(checkpoints)
