"""The loop: the best epoch, patience, kills, a NaN loss."""

import math
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from edgeafri.errors import TrainingError
from edgeafri.stages.training.loop import train
from edgeafri.stages.training.training_task import TrainingTask, epochs_of
from edgeafri.util.progress import silent


class Killed(Exception):  # not an error, a kill
    """What ends a run in the middle."""


def broken_at(tiny, step):
    """A loss that is NaN at a step, from 1."""
    seen = []

    def loss(model, batch):
        seen.append(batch)
        return tiny.squares(model, batch) * (math.nan if len(seen) == step else 1)

    return loss


def test_the_best_epoch_is_kept(tmp_path, tiny):
    """
    Its weights are in the model at the end, in evaluation mode; what validation gave stands in order.
    """
    model, ticks = tiny.Model(), []
    history = train(
        model, tiny.training_of((1, 3, 2)), tiny.settings(), tmp_path, lambda *progress: ticks.append(progress)
    )

    assert [entry["score"] for entry in history] == [1, 3, 2]
    assert tiny.weight(model) == pytest.approx(history[1]["weight"])
    assert history[0]["weight"] < history[1]["weight"] < history[2]["weight"]
    assert ticks == [(step, 9) for step in range(1, 10)]
    assert not model.training


def test_of_equal_epochs_the_first_is_kept(tmp_path, tiny):
    """
    More training that brought nothing is not kept.
    """
    model = tiny.Model()
    history = train(model, tiny.training_of((2, 2, 2)), tiny.settings(), tmp_path, silent)

    assert tiny.weight(model) == pytest.approx(history[0]["weight"])


@pytest.mark.parametrize(("every", "steps"), [(4, [4, 8, 9]), (3, [3, 6, 9]), (100, [9])])
def test_steps_may_take_the_place_of_epochs(tmp_path, every, steps, tiny):
    """
    A validation and a checkpoint every so many steps, and at the last one, which may be no multiple.
    """
    model = tiny.Model()
    training = replace(
        tiny.training_of(),
        validate=lambda own: {"score": -tiny.weight(own), "weight": tiny.weight(own)},
        validation_steps=every,
    )
    history = train(model, training, tiny.settings(), tmp_path, silent)

    assert [entry["step"] for entry in history] == steps
    assert tiny.weight(model) == pytest.approx(history[0]["weight"])  # it grows, so the first is the best
    assert epochs_of(training, tiny.settings(), history) == 3


@pytest.mark.slow
@pytest.mark.parametrize(("every", "step"), [(2, 8), (4, 11)])
@pytest.mark.parametrize(("accumulate", "single"), [(1, False), (2, False), (2, True)])
def test_a_run_killed_inside_an_epoch_goes_on_inside_it(tmp_path, every, step, accumulate, single, tiny):
    """
    Seven batches an epoch: rows that were read are not read again, those of the epoch are its own, and random numbers
    are as they would have been.
    """
    rows = tiny.examples_of(swa=20, hau=7)

    def noisy(model, batch):
        return tiny.squares(model, batch) + (model.numbers(batch["input_ids"]) * torch.randn(())).mean() * 0.1

    def validate(model):
        return {"score": tiny.weight(model)}

    training = TrainingTask(rows, 1, noisy, validate, one_language_per_batch=single, validation_steps=every)
    given = tiny.settings(epochs=4, accumulate=accumulate, sampling=0.3)

    def kill(done, total):
        if done == step:
            raise Killed

    whole, killed, ticks = tiny.Model(), tiny.Model(), []
    expected_history = train(whole, training, given, tmp_path / "whole", silent)
    with pytest.raises(Killed):
        train(killed, training, given, tmp_path / "killed", kill)
    torch.manual_seed(99)
    resumed = tiny.Model()
    history = train(resumed, training, given, tmp_path / "killed", lambda *progress: ticks.append(progress))

    assert ticks[0][0] == (step - 1) // every * every + 1
    assert history == expected_history
    assert torch.equal(resumed.numbers.weight, whole.numbers.weight)


def test_batches_may_be_put_together_to_a_step(tmp_path, tiny):
    """
    Examples of like length, so two batches of four are as one of eight; the short step at the end counts its own.
    """
    found = {}
    for name, given in {"two": {"batch": 4, "accumulate": 2}, "one": {"batch": 8}}.items():
        model, ticks = tiny.Model(), []
        train(
            model,
            tiny.training_of(),
            tiny.settings(**given),
            tmp_path / name,
            lambda *progress, ticks=ticks: ticks.append(progress),
        )
        found[name] = model.numbers.weight.detach(), ticks

    torch.testing.assert_close(found["two"][0], found["one"][0])
    assert found["two"][1] == found["one"][1] == [(step, 6) for step in range(1, 7)]


def test_two_checkpoints_are_kept_at_most(tmp_path, tiny):
    """
    The best and the last epoch: a disk does not fill with all of them.
    """
    train(tiny.Model(), tiny.training_of((1, 3, 2, 1, 0)), tiny.settings(epochs=5), tmp_path, silent)

    assert sorted(path.name for path in tmp_path.glob("checkpoint-*")) == ["checkpoint-15", "checkpoint-6"]


@pytest.mark.parametrize(("patience", "epochs"), [(None, 6), (1, 3), (2, 4), (3, 6), (9, 6)])
def test_patience_ends_a_training(tmp_path, patience, epochs, tiny):
    """
    Scores 1 3 2 2 4 2: with patience 1 the third epoch is one without a better score, with 3 the fifth is better.
    """
    model, training = tiny.Model(), tiny.training_of((1, 3, 2, 2, 4, 2))
    history = train(model, training, tiny.settings(epochs=6, patience=patience), tmp_path, silent)

    assert [entry["score"] for entry in history] == [1, 3, 2, 2, 4, 2][:epochs]
    assert tiny.weight(model) == pytest.approx(history[1 if epochs < 6 else 4]["weight"])


@pytest.mark.slow
@pytest.mark.parametrize("patience", [None, 2])
@pytest.mark.parametrize("step", [2, 7, 10, 12])
def test_a_killed_run_ends_where_it_would_have(tmp_path, patience, step, tiny):
    """
    Wherever it was killed, and however patient it is: the same epochs, the same best one, the same weights.
    """
    training, given = tiny.training_of((1, 3, 2, 2, 4, 2)), tiny.settings(epochs=6, patience=patience, sampling=0.3)

    def kill(done, total):
        if done == step:
            raise Killed

    whole, killed = tiny.Model(), tiny.Model()
    expected_history = train(whole, training, given, tmp_path / "whole", silent)
    with pytest.raises(Killed):
        train(killed, training, given, tmp_path / "killed", kill)
    resumed = tiny.Model()
    history = train(resumed, training, given, tmp_path / "killed", silent)

    assert history == expected_history
    assert torch.equal(resumed.numbers.weight, whole.numbers.weight)


@pytest.mark.parametrize("patience", [None, 2])
def test_a_run_killed_after_its_last_epoch_learns_no_more(tmp_path, patience, tiny):
    """
    The kill came while the model was written: what is left is to take the best epoch.
    """
    training, given = tiny.training_of((1, 3, 2, 2, 4, 2)), tiny.settings(epochs=6, patience=patience)
    first, again, ticks = tiny.Model(), tiny.Model(), []
    history = train(first, training, given, tmp_path, silent)
    repeated = train(again, training, given, tmp_path, lambda *progress: ticks.append(progress))

    assert ticks == []
    assert repeated == history
    assert torch.equal(first.numbers.weight, again.numbers.weight)


def test_a_loss_that_is_nan_ends_a_training(tmp_path, tiny):
    """
    Step and total are named, and where the last good epoch is: its weights are numbers still.
    """
    with pytest.raises(TrainingError) as caught:
        train(tiny.Model(), tiny.training_of(loss=broken_at(tiny, 5)), tiny.settings(), tmp_path, silent)
    kept = tmp_path / "checkpoint-3"
    weights = load_file(kept / "model.safetensors")

    assert caught.value.message == "the loss is nan at step 5 of 9"
    assert caught.value.hint == (f"The last good epoch is in {kept}. Lower the learning rate, or raise the warm-up.")
    assert all(tensor.isfinite().all() for tensor in weights.values())


def test_in_the_first_epoch_nothing_is_kept_yet(tmp_path, tiny):
    """
    The hint promises no checkpoint that is not there.
    """
    with pytest.raises(TrainingError) as caught:
        train(tiny.Model(), tiny.training_of(loss=broken_at(tiny, 2)), tiny.settings(), tmp_path, silent)
    assert caught.value.message == "the loss is nan at step 2 of 9"
    assert caught.value.hint == "No epoch had ended before. Lower the learning rate, or raise the warm-up."


def test_weights_that_the_last_step_of_an_epoch_broke_are_never_kept(tmp_path, tiny):
    """
    A loss may be finite and its gradient not: validation meets the broken weights, before they are saved.
    """
    seen = []

    def loss(model, batch):
        seen.append(batch)
        steep = (model.numbers.weight * 0).abs().sqrt().sum()  # 0, and its slope is NaN
        return tiny.squares(model, batch) + (steep if len(seen) == 6 else 0)

    training = tiny.training_of(loss=loss)
    with pytest.raises(TrainingError, match="the loss is nan at step 6 of 9") as caught:
        train(tiny.Model(), training, tiny.settings(), tmp_path, silent)
    assert str(tmp_path / "checkpoint-3") in caught.value.hint
    assert [path.name for path in tmp_path.glob("checkpoint-*")] == ["checkpoint-3"]
