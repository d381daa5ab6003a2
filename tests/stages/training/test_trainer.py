"""The Trainer: bfloat16 for one training alone."""

import torch

from edgeafri.stages.training.loop import train
from edgeafri.stages.training.training_task import TrainingTask
from edgeafri.util.progress import silent


def test_bfloat16_is_used_when_asked_for(tmp_path, tiny):
    """
    Products alone: weights and their updates stay in float32.
    """
    found = []

    def loss(model, batch):
        states = model.numbers(batch["input_ids"])
        found.append((states @ states.transpose(1, 2)).dtype)
        return tiny.squares(model, batch)

    for precision in ("float32", "bfloat16"):
        model = tiny.Model()
        train(
            model,
            tiny.training_of(loss=loss),
            tiny.settings(epochs=1, precision=precision),
            tmp_path / precision,
            silent,
        )

    assert found == [torch.float32] * 3 + [torch.bfloat16] * 3
    assert model.numbers.weight.dtype == torch.float32


def test_bfloat16_is_for_one_training_and_not_for_its_validation(tmp_path, tiny):
    """
    transformers tells the whole process by an environment variable, and wraps the model for whoever asks it next.
    """
    found = []

    class Asked(tiny.Model):
        def forward(self, ids):
            states = self.numbers(ids)
            return states @ states.transpose(1, 2)

    def validate(model):
        found.append(model(torch.tensor([[1, 2]])).dtype)
        return {"score": 1.0}

    def loss(model, batch):
        found.append(model(batch["input_ids"]).dtype)
        return tiny.squares(model, batch)

    training = TrainingTask(tiny.training_of().examples, 1, loss, validate)
    for number, precision in enumerate(("bfloat16", "float32")):
        train(Asked(), training, tiny.settings(epochs=1, batch=12, precision=precision), tmp_path / str(number), silent)

    assert found == [torch.bfloat16, torch.float32, torch.float32, torch.float32]
