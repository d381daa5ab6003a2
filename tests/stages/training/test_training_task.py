"""Epochs of a training are counted to its last validation."""

from dataclasses import replace
from fractions import Fraction

from edgeafri.stages.training.training_task import epochs_of


def test_epochs_are_counted_to_the_last_validation(tiny):
    """
    Three batches an epoch: of two a step that are two steps, of one step five are an epoch and two thirds.
    """
    training = replace(tiny.training_of(), validation_steps=1)

    assert epochs_of(tiny.training_of(), tiny.settings(), [{"score": 1.0}] * 2) == 2
    assert epochs_of(training, tiny.settings(), [{"step": 5}]) == Fraction(5, 3)
    assert epochs_of(training, tiny.settings(accumulate=2), [{"step": 5}]) == Fraction(5, 2)
