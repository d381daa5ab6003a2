"""What the tests of training share: a model of one number per subword, and examples that it learns from."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from edgeafri.menu.settings import LearningSettings
from edgeafri.stages.training.examples import Example, Examples
from edgeafri.stages.training.training_task import TrainingTask

COUNT = 12


class Model(torch.nn.Module):
    """One number for every subword."""

    def __init__(self):
        super().__init__()
        self.numbers = torch.nn.Embedding(20, 1)
        torch.nn.init.zeros_(self.numbers.weight)


def example(length=4, language="swa"):
    ids = tuple(number % 20 for number in range(length))
    return Example(ids, (1,), (0,), language)


def examples_of(**languages):
    """So many examples of every language, of lengths drawn between 3 and 40."""
    draw = np.random.default_rng(0)
    found = [example(int(draw.integers(3, 41)), code) for code, count in languages.items() for _ in range(count)]
    return Examples(found)


def settings(**changed):
    """12 examples, four per step: three steps per epoch."""
    return LearningSettings(**{"languages": ("swa",), "epochs": 3, "batch": 4, "learning_rate": 0.1, **changed})


def squares(model, batch):
    """How far the numbers of all subwords are from 1."""
    return (model.numbers(batch["input_ids"]) - 1).square().mean()


def training_of(scores=(1, 2, 3), loss=squares, examples=None):
    """A training whose validation gives these scores, one per epoch."""
    examples = examples or Examples([example() for _ in range(COUNT)])

    def validate(model):
        return {"score": float(scores[examples.epoch]), "weight": weight(model)}

    return TrainingTask(examples, 1, loss, validate)


def weight(model):
    return float(model.numbers.weight[1, 0].detach())


@pytest.fixture(scope="session")
def tiny():
    """All of these, by their names."""
    made = (Model, examples_of, settings, squares, training_of, weight)
    return SimpleNamespace(**{item.__name__: item for item in made})
