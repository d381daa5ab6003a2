"""A training task: what a model learns from, the loss that is to fall, and how epochs are compared."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import torch
from transformers import PreTrainedModel

from edgeafri.menu.settings import LearningSettings
from edgeafri.stages.training.examples import Batch, Examples
from edgeafri.stages.training.sampler import LanguageSampler
from edgeafri.stages.training.sparsity import SparsitySchedule

Loss = Callable[[PreTrainedModel, Batch], torch.Tensor]
Validate = Callable[[PreTrainedModel], dict[str, float]]
SCORE = "score"  # what every validation must give: the higher the better
History = Sequence[Mapping[str, float]]  # what every validation of a training gave, in order


@dataclass(frozen=True)
class TrainingTask:
    """One training. `validate` compares epochs; `sparsity_schedule` makes weights zero on the way, if there is one.

    With `one_language_per_batch` no batch mixes languages. With `validation_steps` the training is validated and saved
    every so many steps instead of every epoch.
    """

    examples: Examples
    pad_id: int
    loss: Loss
    validate: Validate
    sparsity_schedule: SparsitySchedule | None = None
    one_language_per_batch: bool = False
    validation_steps: int | None = None

    def sampler(self, settings: LearningSettings) -> LanguageSampler:
        """The order in which examples are read."""
        by_language = self.one_language_per_batch
        return LanguageSampler(self.examples, settings.batch, settings.sampling, settings.seed, by_language)


def epochs_of(training: TrainingTask, settings: LearningSettings, history: History) -> Fraction:
    """How many epochs a training had, up to its last validation."""
    if training.validation_steps is None:
        return Fraction(len(history))
    batches = -(-len(training.sampler(settings)) // settings.batch)
    return Fraction(int(history[-1]["step"]), -(-batches // settings.accumulate))
