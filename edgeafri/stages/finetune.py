"""finetune: train a task head on a pretrained encoder; the best epoch is chosen on dev.

Sentences are cut into windows and read at the first subword of every word, by the same code that labels text on the
device; of whole texts the beginning is read.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from edgeafri.artifact import Artifact
from edgeafri.errors import DataError, UsageError
from edgeafri.menu.facts.training import FinetuneFacts
from edgeafri.menu.settings import FinetuneSettings
from edgeafri.stages.models import checkpoint
from edgeafri.stages.training import validation
from edgeafri.stages.training.examples import IGNORED, Example, Examples, labelled_examples
from edgeafri.stages.training.forecast import forecast_training
from edgeafri.stages.training.loop import train
from edgeafri.stages.training.resume import used_precision
from edgeafri.stages.training.sparsity import SparsitySchedule
from edgeafri.stages.training.training_task import TrainingTask, Validate
from edgeafri.tasks import task
from edgeafri.util.progress import Progress


@dataclass(frozen=True)
class FinetuneSetup:
    """All that a fine-tuning needs, read and checked."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    training: TrainingTask
    sentences: int

    def with_zeros(self, schedule: SparsitySchedule, validate: Validate) -> "FinetuneSetup":
        """The same, but weights become zero on the way, and another validation compares epochs."""
        training = replace(self.training, sparsity_schedule=schedule, validate=validate)
        return replace(self, training=training)


def run(source: Artifact, settings: FinetuneSettings, out: Path, progress: Progress) -> FinetuneFacts:
    """Train on every language's train split together; choose the epoch with the best mean F1 on dev."""
    setup = prepare(source, settings)
    history = train(setup.model, setup.training, settings, out / "checkpoints", progress)
    checkpoint.write_model(setup.model, setup.tokenizer, out)
    precision = used_precision(out / "checkpoints")
    shutil.rmtree(out / "checkpoints", ignore_errors=True)
    reached = validation.dev_facts(history, settings.languages)
    return FinetuneFacts(train_sentences=setup.sentences, precision=precision, validation=reached)


def forecast(source: Artifact, settings: FinetuneSettings) -> str:
    """How long it will take on this machine."""
    setup = prepare(source, settings)
    return forecast_training(setup.model, setup.training, settings)


def prepare(source: Artifact, settings: FinetuneSettings) -> FinetuneSetup:
    """Read data and model. DataError or ModelError for what cannot be learnt from, before any work."""
    row = task(settings.task)
    if row.unit == "token":
        raise UsageError(f"finetune: '{row.name}' is learnt from raw text", "Use edgeafri adapt-maft --text DIR.")
    data = validation.dataset_of("finetune", settings, row.unit)
    learnt, dev, found = data.splits("train"), data.splits("dev"), data.labels("train", "dev")
    if row.unit == "text" and len(found) < 2:
        raise DataError(
            f"finetune: all texts have the label '{found[0]}'", "Add texts with another label to learn from."
        )
    labels = own_labels(source.path, row.head, found)
    tokenizer = checkpoint.read_tokenizer(source.path)
    model = checkpoint.with_head(source.path, row.head, labels, settings.seed, settings.dropout)
    if settings.frozen == "embeddings":
        model.base_model.embeddings.requires_grad_(False)
    encoder = checkpoint.encoder(tokenizer, min(settings.max_length, checkpoint.max_tokens(model.config)), row.unit)
    examples = [item for split in learnt for item in labelled_examples(encoder, split, labels) if item.positions]
    loss = validation.hard_loss(class_weights(examples, len(labels)) if settings.class_weights == "balanced" else None)
    training = TrainingTask(Examples(examples), encoder.frame.pad, loss, validation.on_labels(encoder, labels, dev))
    return FinetuneSetup(model, tokenizer, training, sum(len(split.sentences) for split in learnt))


def own_labels(path: Path, head: str, found: tuple[str, ...]) -> tuple[str, ...]:
    """The labels of the new head: the model's own, if it has such a head with all that were found; it is kept then."""
    known = checkpoint.own_architecture(path).endswith(head)
    own = checkpoint.labels_of({"id2label": {}, **checkpoint.read_config(path)}) if known else ()
    return own if set(found) <= set(own) else found


def class_weights(examples: Sequence[Example], labels: int) -> torch.Tensor:
    """n / (labels * n_label) per label (labels,), as scikit-learn balances; 0 for a label that train does not have."""
    targets = torch.tensor([target for example in examples for target in example.targets if target != IGNORED])
    counts = torch.bincount(targets, minlength=labels)
    return torch.where(counts > 0, len(targets) / (labels * counts.clamp(min=1)), 0.0)
