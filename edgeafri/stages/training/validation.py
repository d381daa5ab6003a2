"""Validation: how good a model is after an epoch, on labelled dev data or on raw text held out, per language."""

from collections.abc import Mapping, Sequence
from statistics import fmean

import numpy as np
import torch
from transformers import PreTrainedModel

from edgeafri.data.dataset import Dataset, Split, Unit
from edgeafri.errors import DataError
from edgeafri.inference.evaluate import average, evaluate
from edgeafri.inference.predict import Encoder, Predictor
from edgeafri.menu.facts.training import Validation
from edgeafri.menu.settings import DistillSettings, FinetuneSettings, ShrinkSettings
from edgeafri.stages.models import checkpoint
from edgeafri.stages.training import distributed, losses
from edgeafri.stages.training.examples import IGNORED, Batch, Collator, Examples
from edgeafri.stages.training.training_task import SCORE, History, Loss, Validate

_BATCH = 32
_MOST = 2000  # examples of raw text per language that are read, spread over all: some 10,000 masked subwords


def on_labels(encoder: Encoder, labels: tuple[str, ...], dev: Sequence[Split]) -> Validate:
    """F1 per language through the same predictor as on the device; the score is their mean."""

    def validate(model: PreTrainedModel) -> dict[str, float]:
        quality = evaluate(Predictor(encoder, labels, checkpoint.forward(model), _BATCH), dev)
        found = {f"f1_{language}": entry.f1 for language, entry in quality.items()}
        found |= {f"loss_{language}": entry.loss for language, entry in quality.items()}
        return {SCORE: average(quality), **found}

    return validate


def on_text(examples: Examples, pad_id: int, loss: Loss) -> Validate:
    """The loss per position on examples held out, per language; the score is the negative of their mean.

    Languages count the same, as they do on labelled data: a large one does not decide alone which epoch is kept. At
    most _MOST examples per language are read. In a distributed training every process reads its part.
    """
    batches, collate, names = _batches_by_language(examples), Collator(pad_id), examples.outline.names

    def validate(model: PreTrainedModel) -> dict[str, float]:
        totals = torch.zeros(len(names), 2, dtype=torch.float64)
        for language, numbers in batches[distributed.rank() :: distributed.size()]:
            batch = collate([examples[number] for number in numbers])
            with torch.inference_mode():
                found = float(loss(model, {name: value.to(model.device) for name, value in batch.items()}))
            positions = len(batch["positions"])
            totals[language] += torch.tensor([found * positions, positions], dtype=torch.float64)
        losses_of = [
            (name, summed / positions)
            for name, (summed, positions) in zip(names, distributed.add_up(totals).tolist(), strict=True)
        ]
        mean = fmean(found for _, found in losses_of)
        return {SCORE: -mean, "loss": mean, **{f"loss_{name}": found for name, found in losses_of}}

    return validate


def _batches_by_language(examples: Examples) -> list[tuple[int, list[int]]]:
    """Batches: the number of a language, and the numbers of examples in it; those of like length are together."""
    found = []
    for language in range(len(examples.outline.names)):
        own = np.flatnonzero(examples.outline.languages == language)
        own = own[np.arange(min(len(own), _MOST)) * len(own) // min(len(own), _MOST)]
        ordered = own[np.argsort(examples.lengths[own], kind="stable")].tolist()
        found += [(language, ordered[start : start + _BATCH]) for start in range(0, len(ordered), _BATCH)]
    return found


def dev_facts(history: History, languages: Sequence[str]) -> Validation:
    """What a training on labelled data leaves in its manifest: F1 on dev per language, of the best epoch and of all."""
    best = max(history, key=lambda entry: entry[SCORE])
    return Validation(
        dev_f1={language: round(best[f"f1_{language}"], 2) for language in languages},
        dev_f1_average=round(best[SCORE], 2),
        best_epoch=history.index(best) + 1,
        epochs=_rounded(history),
    )


def text_facts(history: History) -> Validation:
    """What a training on raw text leaves in its manifest: the loss on lines held out, of the best epoch and of all.

    Where steps were counted in place of epochs: of the best step, and of all validations.
    """
    best = max(history, key=lambda entry: entry[SCORE])
    loss, found = round(best["loss"], 4), _rounded(history)
    if "step" in best:
        return Validation(dev_loss=loss, best_step=int(best["step"]), judgements=found)
    return Validation(dev_loss=loss, best_epoch=history.index(best) + 1, epochs=found)


def _rounded(history: History) -> tuple[Mapping[str, float], ...]:
    return tuple({name: round(entry[name], 4) for name in sorted(entry)} for entry in history)


def hard_loss(weights: torch.Tensor | None) -> Loss:
    """Cross entropy at the positions that have a target; `weights` (labels,) are the labels' weights."""

    def loss(model: PreTrainedModel, batch: Batch) -> torch.Tensor:
        logits = checkpoint.answers(model, batch)[0].float()
        own = None if weights is None else weights.to(logits.device)
        return losses.hard_targets(logits, batch["targets"], own, IGNORED)

    return loss


def dataset_of(stage: str, settings: FinetuneSettings | DistillSettings | ShrinkSettings, unit: Unit) -> Dataset:
    """The labelled data of the settings. DataError where there is no data or no language."""
    if settings.data is None:
        raise DataError(f"{stage}: no labelled data", "Add --data DIR with a train and a dev file for every language.")
    if not settings.languages:
        raise DataError(f"{stage}: no language named", "Add --languages swa,hau: the folders of --data to learn from.")
    return Dataset(settings.data, settings.languages, unit)
