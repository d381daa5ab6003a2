"""A forecast: how long a training will take on this machine, measured on a few of its batches."""

from transformers import PreTrainedModel

from edgeafri.menu.settings import LearningSettings
from edgeafri.stages.training.sparsity import share_of_zeros
from edgeafri.stages.training.speed import faster_precision, seconds_per_token
from edgeafri.stages.training.trainer import holds_zeros
from edgeafri.stages.training.training_task import TrainingTask


def forecast_training(
    model: PreTrainedModel, training: TrainingTask, settings: LearningSettings, size: tuple[int, int] | None = None
) -> str:
    """How long a training will take here, in one line.

    `size` is how many inputs and subwords an epoch has, where `training` holds only a sample of them.
    """
    inputs, tokens = size or (len(training.examples), int(training.examples.lengths.sum()))
    bfloat16 = faster_precision(model, training, settings) == "bfloat16"
    first, again = seconds_per_token(model, training, settings, bfloat16)
    seconds = tokens * (settings.epochs * again + max(0.0, first - again))
    all_tokens = tokens * settings.epochs
    return (
        f"about {duration(seconds)} on this machine: {inputs:,} inputs x {settings.epochs} epochs, "
        f"{all_tokens / 1e6:.1f} million subwords, {1 / again:,.0f} subwords/s" + _zeros_text(model, training, settings)
    )


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _zeros_text(model: PreTrainedModel, training: TrainingTask, settings: LearningSettings) -> str:
    """What becomes of the zeros of a pruned model; nothing for a dense one."""
    share = 100 * share_of_zeros(model)
    if not share:
        return ""
    if holds_zeros(model, training, settings):
        return f"; the {share:.1f} % zeros of its linear layers stay zero"
    return f"; WARNING: the {share:.1f} % zeros of its linear layers are trained too, the model will be dense again"
