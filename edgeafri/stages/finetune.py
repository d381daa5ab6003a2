"""finetune: a task head on a pretrained encoder, the best epoch chosen on dev.

Sentences are cut into windows and read at a word's first sub-word, by the same code that labels text on the device; of
whole texts the beginning is read.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from edgeafri.artifact import Artifact
from edgeafri.data.dataset import labels_of
from edgeafri.errors import DataError, UsageError
from edgeafri.menu.settings import Finetune
from edgeafri.stages.models import checkpoint
from edgeafri.stages.training import validation
from edgeafri.stages.training.examples import IGNORED, Row, Rows, labelled_rows
from edgeafri.stages.training.loop import Course, expected, train, used_precision
from edgeafri.tasks import task
from edgeafri.util.progress import Progress


@dataclass(frozen=True)
class Prepared:
    """All that a training needs, read and checked."""

    model: Any
    tokenizer: Any
    course: Course
    sentences: int

    def with_course(self, **changes: Any) -> "Prepared":
        """The same with another course."""
        return replace(self, course=replace(self.course, **changes))


def run(source: Artifact, settings: Finetune, out: Path, progress: Progress) -> Mapping[str, Any]:
    """Train on every language's train split together; choose the epoch with the best mean F1 on dev."""
    ready = prepare(source, settings)
    history = train(ready.model, ready.course, settings, out / "checkpoints", progress)
    checkpoint.write_model(ready.model, ready.tokenizer, out)
    facts = {"train_sentences": ready.sentences, "precision": used_precision(out / "checkpoints")}
    shutil.rmtree(out / "checkpoints", ignore_errors=True)
    return {**facts, **validation.dev_facts(history, settings.languages)}


def forecast(source: Artifact, settings: Finetune) -> str:
    """How long it will take on this machine."""
    ready = prepare(source, settings)
    return expected(ready.model, ready.course, settings)


def prepare(source: Artifact, settings: Finetune) -> Prepared:
    """Read data and model. DataError or ModelError for what cannot be learnt from, before any work."""
    row = task(settings.task)
    if row.unit == "token":
        raise UsageError(f"finetune: '{row.name}' is learnt from raw text", "Use edgeafri adapt-maft --text DIR.")
    learnt, dev = (validation.splits_of("finetune", settings, name, row.unit) for name in ("train", "dev"))
    found = labels_of([*learnt, *dev])
    if row.unit == "text" and len(found) < 2:
        raise DataError(
            f"finetune: all texts have the label '{found[0]}'", "Add texts with another label to learn from."
        )
    labels = own_labels(source.path, row.head, found)
    tokenizer = checkpoint.read_tokenizer(source.path)
    model = checkpoint.with_head(source.path, row.head, labels, settings.seed, settings.dropout)
    if settings.frozen == "embeddings":
        model.base_model.embeddings.requires_grad_(False)
    encoder = checkpoint.encoder(
        tokenizer, min(settings.max_length, checkpoint.max_tokens(model.config.to_dict())), row.unit
    )
    rows = [item for split in learnt for item in labelled_rows(encoder, split, labels) if item.places]
    loss = validation.hard_loss(class_weights(rows, len(labels)) if settings.class_weights == "balanced" else None)
    course = Course(Rows(rows), encoder.frame.pad, loss, validation.on_labels(encoder, labels, dev))
    return Prepared(model, tokenizer, course, sum(len(split.sentences) for split in learnt))


def own_labels(path: Path, head: str, found: tuple[str, ...]) -> tuple[str, ...]:
    """The model's own labels where it has that head and knows all that were found: a trained head is kept, then."""
    known = checkpoint.own_architecture(path).endswith(head)
    own = checkpoint.labels_of({"id2label": {}, **checkpoint.read_config(path)}) if known else ()
    return own if set(found) <= set(own) else found


def class_weights(rows: Sequence[Row], labels: int) -> torch.Tensor:
    """n / (labels * n_label) for every label, as scikit-learn balances; 0 for a label that train does not have."""
    targets = torch.tensor([target for row in rows for target in row.targets if target != IGNORED])
    counts = torch.bincount(targets, minlength=labels)
    return torch.where(counts > 0, len(targets) / (labels * counts.clamp(min=1)), 0.0)
