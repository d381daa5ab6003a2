"""judge: who says which epoch was best: labelled dev data, language by language, or raw text held back."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from edgeafri.dataset import Split, Unit, read_split
from edgeafri.errors import DataError
from edgeafri.evaluate import average, evaluate
from edgeafri.predict import Encoder, Predictor
from edgeafri.stages import losses
from edgeafri.stages import model as door
from edgeafri.stages.menu import Distill, Finetune, Shrink
from edgeafri.stages.rows import IGNORED, Collator, Rows
from edgeafri.stages.training import SCORE, Batch, Judge, Loss

_BATCH = 32


def on_labels(encoder: Encoder, labels: tuple[str, ...], dev: Sequence[Split]) -> Judge:
    """F1 per language through the shared predictor, as the device will be judged; the score is their mean."""

    def judge(model: Any) -> dict[str, float]:
        quality = evaluate(Predictor(encoder, labels, door.forward(model), _BATCH), dev)
        found = {f"f1_{language}": float(entry["f1"]) for language, entry in quality.items()}
        found |= {f"loss_{language}": float(entry["loss"]) for language, entry in quality.items()}
        return {SCORE: average(quality), **found}

    return judge


def on_text(rows: Rows, pad: int, loss: Loss) -> Judge:
    """The mean loss on rows that are not learnt from; the score is its negative."""
    numbers = sorted(range(len(rows)), key=lambda number: int(rows.lengths[number]))
    collate = Collator(pad)

    def judge(model: Any) -> dict[str, float]:
        total = 0.0
        for start in range(0, len(numbers), _BATCH):
            chosen = numbers[start : start + _BATCH]
            batch = collate([rows[number] for number in chosen])
            with torch.inference_mode():
                total += float(loss(model, {name: value.to(model.device) for name, value in batch.items()})) * len(
                    chosen
                )
        return {SCORE: -total / len(numbers), "loss": total / len(numbers)}

    return judge


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
    """What a training on raw text leaves in its manifest: the loss on lines held back, of the best epoch and of all."""
    best = max(history, key=lambda entry: entry[SCORE])
    return {
        "dev_loss": round(best["loss"], 4),
        "best_epoch": history.index(best) + 1,
        "epochs": [{name: round(entry[name], 4) for name in sorted(entry)} for entry in history],
    }


def hard_loss(weights: torch.Tensor | None) -> Loss:
    """Cross entropy at the places that have a target."""

    def loss(model: Any, batch: Batch) -> torch.Tensor:
        logits = door.answers(model, batch)[0].float()
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
