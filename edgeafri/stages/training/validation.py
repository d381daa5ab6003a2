"""judge: who says which epoch was best: labelled dev data, language by language, or raw text held back."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np
import torch

from edgeafri.data.dataset import Split, Unit, read_split
from edgeafri.errors import DataError
from edgeafri.inference.evaluate import average, evaluate
from edgeafri.inference.predict import Encoder, Predictor
from edgeafri.menu.settings import Distill, Finetune, Shrink
from edgeafri.stages.models import checkpoint
from edgeafri.stages.training import distributed, losses
from edgeafri.stages.training.examples import IGNORED, Collator, Rows
from edgeafri.stages.training.loop import SCORE, Batch, Judge, Loss

_BATCH = 32
_JUDGED = 2000  # rows of raw text of a language that a judge reads, spread over all: some 10,000 hidden sub-words


def on_labels(encoder: Encoder, labels: tuple[str, ...], dev: Sequence[Split]) -> Judge:
    """F1 per language through the shared predictor, as the device will be judged; the score is their mean."""

    def judge(model: Any) -> dict[str, float]:
        quality = evaluate(Predictor(encoder, labels, checkpoint.forward(model), _BATCH), dev)
        found = {f"f1_{language}": entry.f1 for language, entry in quality.items()}
        found |= {f"loss_{language}": entry.loss for language, entry in quality.items()}
        return {SCORE: average(quality), **found}

    return judge


def on_text(rows: Rows, pad: int, loss: Loss) -> Judge:
    """The loss a place on rows that are not learnt from, of every language; the score is the negative of their mean.

    Languages count the same, as they do on labelled data: a large one does not decide alone which epoch is kept. Of a
    language at most _JUDGED rows are read. In a team every process reads its share.
    """
    batches, collate, names = _batches_by_language(rows), Collator(pad), rows.outline.names

    def judge(model: Any) -> dict[str, float]:
        totals = torch.zeros(len(names), 2, dtype=torch.float64)
        for language, numbers in batches[distributed.rank() :: distributed.size()]:
            batch = collate([rows[number] for number in numbers])
            with torch.inference_mode():
                found = float(loss(model, {name: value.to(model.device) for name, value in batch.items()}))
            places = len(batch["places"])
            totals[language] += torch.tensor([found * places, places], dtype=torch.float64)
        losses_of = [
            (name, summed / places)
            for name, (summed, places) in zip(names, distributed.added(totals).tolist(), strict=True)
        ]
        mean = fmean(found for _, found in losses_of)
        return {SCORE: -mean, "loss": mean, **{f"loss_{name}": found for name, found in losses_of}}

    return judge


def _batches_by_language(rows: Rows) -> list[tuple[int, list[int]]]:
    """The number of a language and those of rows of it, rows of like length together."""
    found = []
    for language in range(len(rows.outline.names)):
        own = np.flatnonzero(rows.outline.languages == language)
        own = own[np.arange(min(len(own), _JUDGED)) * len(own) // min(len(own), _JUDGED)]
        ordered = own[np.argsort(rows.lengths[own], kind="stable")].tolist()
        found += [(language, ordered[start : start + _BATCH]) for start in range(0, len(ordered), _BATCH)]
    return found


def dev_facts(history: Sequence[Mapping[str, float]], languages: Sequence[str]) -> dict[str, Any]:
    """What a training on labelled data leaves in its manifest: F1 on dev per language, of the best epoch and of all."""
    best = max(history, key=lambda entry: entry[SCORE])
    return {
        "dev_f1": {language: round(best[f"f1_{language}"], 2) for language in languages},
        "dev_f1_average": round(best[SCORE], 2),
        "best_epoch": history.index(best) + 1,
        "epochs": [{name: round(entry[name], 4) for name in sorted(entry)} for entry in history],
    }


def text_facts(history: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """What a training on raw text leaves in its manifest: the loss on lines held back, of the best epoch and of all.

    Where steps were counted in place of epochs: of the best step, and of all judgements.
    """
    best = max(history, key=lambda entry: entry[SCORE])
    found = [{name: round(entry[name], 4) for name in sorted(entry)} for entry in history]
    if "step" in best:
        return {"dev_loss": round(best["loss"], 4), "best_step": best["step"], "judgements": found}
    return {"dev_loss": round(best["loss"], 4), "best_epoch": history.index(best) + 1, "epochs": found}


def hard_loss(weights: torch.Tensor | None) -> Loss:
    """Cross entropy at the places that have a target."""

    def loss(model: Any, batch: Batch) -> torch.Tensor:
        logits = checkpoint.answers(model, batch)[0].float()
        own = None if weights is None else weights.to(logits.device)
        return losses.hard_targets(logits, batch["targets"], own, IGNORED)

    return loss


def splits_of(stage: str, settings: Finetune | Distill | Shrink, name: str, unit: Unit) -> list[Split]:
    """One split of every language. DataError where there is no data or no language."""
    if settings.data is None:
        raise DataError(f"{stage}: no labelled data", "Add --data DIR with a train and a dev file for every language.")
    if not settings.languages:
        raise DataError(f"{stage}: no language named", "Add --languages swa,hau: the folders of --data to learn from.")
    return [read_split(settings.data, language, name, unit) for language in settings.languages]
