"""finetune: a task head on a pretrained encoder, trained with transformers' Trainer, the best epoch chosen on dev.

Sentences are cut into windows and read at a word's first sub-word, by the same code that labels text on the device.
Batches hold sentences of like length, so that little time goes into padding. A killed run goes on from its last epoch.
"""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import Trainer, TrainerCallback, TrainingArguments

from edgeafri.artifact import Artifact
from edgeafri.dataset import Split, labels_of, read_split
from edgeafri.errors import DataError, ModelError
from edgeafri.evaluate import Quality, average, evaluate
from edgeafri.predict import Encoder, Predictor, padded
from edgeafri.progress import Tick
from edgeafri.stages import model as door
from edgeafri.stages.menu import Finetune
from edgeafri.tasks import task

Row = dict[str, list[int]]
IGNORED = -100  # what torch's cross entropy skips
_EVALUATION_BATCH = 32


def run(source: Artifact, settings: Finetune, out: Path, tick: Tick) -> Mapping[str, Any]:
    """Train on every language's train split together; choose the epoch with the best mean F1 on dev."""
    train, dev = _splits(settings, "train"), _splits(settings, "dev")
    labels = labels_of([*train, *dev])
    tokenizer = door.read_tokenizer(source.path)
    model = _with_head(source, settings, labels)
    encoder = door.encoder(tokenizer, min(settings.max_length, door.max_tokens(model.config.to_dict())))
    rows = [row for split in train for row in training_rows(encoder, split, labels)]
    trainer = make_trainer(model, encoder, rows, dev, settings, out / "checkpoints")
    trainer.add_callback(_Ticks(tick))
    trainer.train(resume_from_checkpoint=_last_checkpoint(out / "checkpoints"))
    quality = _quality(model, encoder, dev)
    door.write_model(model, tokenizer, out)
    shutil.rmtree(out / "checkpoints", ignore_errors=True)
    return {
        "train_sentences": sum(len(split.sentences) for split in train),
        "dev_f1": {language: round(entry["f1"], 2) for language, entry in quality.items()},
        "dev_f1_average": round(average(quality), 2),
    }


def make_trainer(
    model: Any, encoder: Encoder, rows: list[Row], dev: Sequence[Split], settings: Finetune, checkpoints: Path
) -> "_Trainer":
    """A Trainer over training rows that judges every epoch on `dev`."""
    trainer = _Trainer(
        model,
        _arguments(settings, checkpoints),
        train_dataset=rows,
        eval_dataset=dev,
        data_collator=_Collator(encoder.frame.pad),
    )
    trainer.encoder = encoder
    return trainer


def training_rows(encoder: Encoder, split: Split, labels: Sequence[str]) -> list[Row]:
    """Inputs with a label at every kept word's first sub-word and IGNORED elsewhere."""
    index = {label: number for number, label in enumerate(labels)}
    rows = []
    for row in encoder.rows([sentence.words for sentence in split.sentences]):
        targets = [IGNORED] * len(row.ids)
        for word, place in zip(row.words, row.firsts, strict=True):
            targets[place] = index[split.sentences[row.sentence].tags[word]]
        rows.append({"input_ids": list(row.ids), "labels": targets})
    return rows


def _quality(model: Any, encoder: Encoder, dev: Sequence[Split]) -> Quality:
    labels = door.labels_of(model.config.to_dict())
    return evaluate(Predictor(encoder, labels, door.forward(model.eval()), _EVALUATION_BATCH), dev)


class _Collator:
    def __init__(self, pad: int) -> None:
        self._pad = pad

    def __call__(self, rows: Sequence[Mapping[str, list[int]]]) -> dict[str, torch.Tensor]:
        ids, mask = padded([row["input_ids"] for row in rows], self._pad)
        labels, _ = padded([row["labels"] for row in rows], IGNORED)
        named = {"input_ids": ids, "attention_mask": mask, "labels": labels}
        return {name: torch.from_numpy(np.ascontiguousarray(values)) for name, values in named.items()}


class _Trainer(Trainer):
    """Trainer that judges an epoch as the device will: entity F1 per language, through the shared predictor."""

    control: Any
    encoder: Encoder

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        quality = _quality(self.model, self.encoder, self.eval_dataset)
        metrics = {f"eval_f1_{language}": entry["f1"] for language, entry in quality.items()}
        metrics["eval_f1"] = average(quality)
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics


class _Ticks(TrainerCallback):
    def __init__(self, tick: Tick) -> None:
        self._tick = tick

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._tick(state.global_step, state.max_steps)


def _splits(settings: Finetune, name: str) -> list[Split]:
    if settings.data is None:
        raise DataError("finetune: no labelled data", "Add --data DIR with LANG/train.txt and LANG/dev.txt.")
    if not settings.languages:
        raise DataError("finetune: no language named", "Add --languages swa,hau: the folders of --data to learn from.")
    return [read_split(settings.data, language, name) for language in settings.languages]


def _with_head(source: Artifact, settings: Finetune, labels: tuple[str, ...]) -> Any:
    base = door.own_architecture(source.path)
    for suffix in ("Model", "ForMaskedLM", "ForTokenClassification", "ForSequenceClassification"):
        if base.endswith(suffix):
            torch.manual_seed(settings.seed)
            names = {"id2label": dict(enumerate(labels)), "label2id": {label: i for i, label in enumerate(labels)}}
            config = {"num_labels": len(labels), **names, **_dropout(settings)}
            head = base.removesuffix(suffix) + task(settings.task).head
            return door.read_model(source.path, head, new_head=True, **config)
    raise ModelError(f"{source.path}: '{base}' is not an encoder that can take a head", "Use an XLM-R or BERT encoder.")


def _dropout(settings: Finetune) -> dict[str, float]:
    if settings.dropout is None:
        return {}
    return {"hidden_dropout_prob": settings.dropout, "attention_probs_dropout_prob": settings.dropout}


def _arguments(settings: Finetune, out: Path) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(out),
        num_train_epochs=settings.epochs,
        learning_rate=settings.learning_rate,
        warmup_ratio=settings.warmup,
        per_device_train_batch_size=settings.batch,
        group_by_length=True,
        seed=settings.seed,
        eval_strategy="epoch",
        save_strategy="epoch",
        save_total_limit=2,
        load_best_model_at_end=True,
        metric_for_best_model="eval_f1",
        greater_is_better=True,
        logging_strategy="epoch",
        report_to=[],
        disable_tqdm=True,
        dataloader_pin_memory=False,
        remove_unused_columns=False,
    )


def _last_checkpoint(folder: Path) -> str | None:
    wanted = ("trainer_state.json", "model.safetensors", "optimizer.pt", "scheduler.pt")
    finished = [path for path in folder.glob("checkpoint-*") if all((path / name).is_file() for name in wanted)]
    return str(max(finished, key=lambda path: int(path.name.split("-")[1]))) if finished else None
