"""The loop: languages drawn by hand-made numbers, like lengths together, the best epoch, patience, kills, no number."""

import math
from collections import Counter
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from edgeafri.errors import TrainingError
from edgeafri.menu.settings import Learning
from edgeafri.stages.training import loop
from edgeafri.stages.training.examples import Row, Rows
from edgeafri.stages.training.loop import (
    Course,
    Order,
    drawn_rows,
    duration,
    epochs_of,
    expected,
    make_trainer,
    seconds_a_sub_word,
    train,
    used_precision,
)
from edgeafri.util.progress import silent

ROWS = 12


class Killed(Exception):  # not an error, a kill
    """What ends a run in the middle."""


class Model(torch.nn.Module):
    """One number for every sub-word."""

    def __init__(self):
        super().__init__()
        self.numbers = torch.nn.Embedding(20, 1)
        torch.nn.init.zeros_(self.numbers.weight)


def row(length=4, language="swa"):
    ids = tuple(number % 20 for number in range(length))
    return Row(ids, (1,), (0,), language)


def rows_of(**languages):
    """So many rows of every language, of lengths drawn between 3 and 40."""
    draw = np.random.default_rng(0)
    return Rows([row(int(draw.integers(3, 41)), code) for code, count in languages.items() for _ in range(count)])


def settings(**changed):
    """12 rows, four a step: three steps an epoch."""
    return Learning(**{"languages": ("swa",), "epochs": 3, "batch": 4, "learning_rate": 0.1, **changed})


def squares(model, batch):
    """How far the numbers of all sub-words are from 1."""
    return (model.numbers(batch["input_ids"]) - 1).square().mean()


def course_of(scores=(1, 2, 3), loss=squares, rows=None):
    """A course whose judge gives these scores, an epoch each."""
    rows = rows or Rows([row() for _ in range(ROWS)])
    return Course(rows, 1, loss, lambda model: {"score": float(scores[rows.epoch]), "weight": weight(model)})


def weight(model):
    return float(model.numbers.weight[1, 0].detach())


def broken_at(step):
    """A loss that is no number at a step, from 1."""
    seen = []

    def loss(model, batch):
        seen.append(batch)
        return squares(model, batch) * (math.nan if len(seen) == step else 1)

    return loss


def numbers_of(languages):
    return np.array([sorted(set(languages)).index(language) for language in languages])


def shares(languages, alpha):
    """How often each language is drawn, and how many of its rows at least once."""
    drawn = np.concatenate(drawn_rows(numbers_of(languages), alpha, np.random.default_rng(1))).tolist()
    counts = Counter(languages[number] for number in drawn)
    return dict(counts), Counter(languages[number] for number in set(drawn)), len(drawn)


def batches(order, size):
    numbers = list(order)
    return [numbers[start : start + size] for start in range(0, len(numbers), size)]


@pytest.mark.parametrize(
    ("sizes", "alpha", "drawn"),
    [
        ((16, 4), 0.5, (13, 7)),  # square roots 4 and 2: 2/3 and 1/3 of 20 are 13.33 and 6.67
        ((1000, 10), 0.3, (807, 203)),  # 100 ** 0.3 = 3.98: 3.98 and 1 parts of 4.98, of 1010
        ((6, 3, 3), 0, (4, 4, 4)),  # equal shares
        ((7, 2, 1), 0, (4, 3, 3)),  # 3.33 each; the row that is left goes to one of them
        ((5, 1), 1, (5, 1)),
    ],
)
def test_languages_are_drawn_by_their_share_to_a_power(sizes, alpha, drawn):
    """
    q ~ p ** alpha (Conneau et al. 2020), with as many rows as there are; a small language begins anew.
    """
    codes = ("amh", "hau", "swa")[: len(sizes)]
    languages = [code for code, size in zip(codes, sizes, strict=True) for _ in range(size)]
    counts, different, total = shares(languages, alpha)

    assert total == sum(sizes)
    assert tuple(counts[code] for code in codes) == drawn
    assert tuple(different[code] for code in codes) == tuple(map(min, sizes, drawn))


def test_by_its_share_every_row_is_read_once_an_epoch():
    """
    With alpha 1 nothing is left out and nothing is read twice.
    """
    rows = rows_of(swa=30, hau=7)

    assert sorted(Order(rows, 4, 1.0, seed=1)) == list(range(37))


def test_rows_are_drawn_as_evenly_as_can_be():
    """
    7 draws of 4 rows: every row once or twice, no row three times.
    """
    languages = ["swa"] * 16 + ["hau"] * 4
    counts = Counter(np.concatenate(drawn_rows(numbers_of(languages), 0.5, np.random.default_rng(1))).tolist())

    assert sorted(counts[number] for number in range(16, 20)) == [1, 2, 2, 2]


@pytest.mark.parametrize("alpha", [1.0, 0.3])
def test_the_order_hangs_on_seed_and_epoch(alpha):
    """
    A resumed run must see the rows of its epoch in the same order, another epoch sees them in another.
    """

    def order(seed, epoch):
        found = Order(rows_of(swa=30, hau=7), 4, alpha, seed)
        found.set_epoch(epoch)
        return list(found)

    assert order(1, 2) == order(1, 2)
    assert len({tuple(order(seed, epoch)) for seed in (1, 2) for epoch in (0, 1, 2)}) == 6


@pytest.mark.parametrize("alpha", [1.0, 0.3])
def test_a_batch_of_a_single_language_is_full(alpha):
    """
    What is left of a language is filled with rows of its own; with alpha 1 every row is there.
    """
    rows = rows_of(swa=30, hau=7, yor=1)
    order = Order(rows, 4, alpha, seed=1, single=True)
    found = batches(order, 4)

    assert all(len(batch) == 4 and len(set(rows.outline.languages[batch])) == 1 for batch in found)
    assert len(order) == 4 * len(found)
    if alpha == 1.0:
        assert set(order) == set(range(38))
        assert len(found) == 8 + 2 + 1


def test_batches_of_a_single_language_are_shuffled():
    """
    Languages take turns at random, long rows and short ones too; the order hangs on seed and epoch.
    """
    rows = rows_of(swa=200, hau=200)

    def order(seed, epoch):
        found = Order(rows, 4, 1.0, seed, single=True)
        found.set_epoch(epoch)
        return list(found)

    languages = [int(rows.outline.languages[batch[0]]) for batch in batches(order(1, 0), 4)]
    longest = [int(rows.lengths[batch].max()) for batch in batches(order(1, 0), 4)]

    assert sum(one != other for one, other in pairwise(languages)) > 30
    assert sum(before > after for before, after in pairwise(longest)) > 30
    assert order(1, 2) == order(1, 2)
    assert len({tuple(order(seed, epoch)) for seed in (1, 2) for epoch in (0, 1, 2)}) == 6


@pytest.mark.parametrize("languages", [{"swa": 400}, {"swa": 200, "hau": 200}])
def test_in_batches_of_a_single_language_like_lengths_are_together(languages):
    """
    As they are in mixed ones.
    """
    rows = rows_of(**languages)

    def padding(numbers):
        return sum(int(rows.lengths[batch].max()) * len(batch) for batch in numbers) - int(rows.lengths.sum())

    assert padding(batches(Order(rows, 8, 1.0, seed=1, single=True), 8)) < padding(batches(range(400), 8)) / 10


def test_like_lengths_are_read_together():
    """
    Of 400 rows the padding is under a tenth of what it is in random order; the batches' order is random still.
    """
    rows = rows_of(swa=400)
    found = batches(Order(rows, 8, 1.0, seed=1), 8)
    longest = [int(rows.lengths[batch].max()) for batch in found]

    def padding(numbers):
        return sum(int(rows.lengths[batch].max()) * len(batch) for batch in numbers) - int(rows.lengths.sum())

    assert padding(found) < padding(batches(range(400), 8)) / 10
    assert sum(before > after for before, after in pairwise(longest)) > 10


def test_the_short_batch_stays_last():
    """
    In the middle it would shift every batch behind it, and rows of unlike length would meet.
    """
    rows = rows_of(swa=10)
    order = list(Order(rows, 4, 1.0, seed=1))
    lengths = [rows.lengths[order[start : start + 4]].tolist() for start in (0, 4)]

    assert sorted(order) == list(range(10))
    assert max(min(lengths)) <= min(max(lengths))
    assert list(Order(rows, 64, 1.0, seed=1)) != list(range(10))


def test_the_best_epoch_is_kept(tmp_path):
    """
    Its weights are in the model at the end, in evaluation mode; the judge's answers stand in order.
    """
    model, ticks = Model(), []
    history = train(model, course_of((1, 3, 2)), settings(), tmp_path, lambda *progress: ticks.append(progress))

    assert [entry["score"] for entry in history] == [1, 3, 2]
    assert weight(model) == pytest.approx(history[1]["weight"])
    assert history[0]["weight"] < history[1]["weight"] < history[2]["weight"]
    assert ticks == [(step, 9) for step in range(1, 10)]
    assert not model.training


def test_of_equal_epochs_the_first_is_kept(tmp_path):
    """
    More training that brought nothing is not kept.
    """
    model = Model()
    history = train(model, course_of((2, 2, 2)), settings(), tmp_path, silent)

    assert weight(model) == pytest.approx(history[0]["weight"])


@pytest.mark.parametrize(("every", "steps"), [(4, [4, 8, 9]), (3, [3, 6, 9]), (100, [9])])
def test_steps_may_take_the_place_of_epochs(tmp_path, every, steps):
    """
    A judgement and a checkpoint every so many steps, and at the last one, which may be no multiple.
    """
    model = Model()
    course = replace(course_of(), judge=lambda own: {"score": -weight(own), "weight": weight(own)}, judge_steps=every)
    history = train(model, course, settings(), tmp_path, silent)

    assert [entry["step"] for entry in history] == steps
    assert weight(model) == pytest.approx(history[0]["weight"])  # it grows, so the first is the best
    assert epochs_of(course, settings(), history) == 3


def test_epochs_are_counted_to_the_last_judgement():
    """
    Three batches an epoch: of two a step that are two steps, of one step five are an epoch and two thirds.
    """
    course = replace(course_of(), judge_steps=1)

    assert epochs_of(course_of(), settings(), [{"score": 1.0}] * 2) == 2
    assert epochs_of(course, settings(), [{"step": 5}]) == Fraction(5, 3)
    assert epochs_of(course, settings(accumulate=2), [{"step": 5}]) == Fraction(5, 2)


@pytest.mark.slow
@pytest.mark.parametrize(("every", "step"), [(2, 8), (4, 11)])
@pytest.mark.parametrize(("accumulate", "single"), [(1, False), (2, False), (2, True)])
def test_a_run_killed_inside_an_epoch_goes_on_inside_it(tmp_path, every, step, accumulate, single):
    """
    Seven batches an epoch: rows that were read are not read again, those of the epoch are its own, and random numbers
    are as they would have been.
    """
    rows = rows_of(swa=20, hau=7)

    def noisy(model, batch):
        return squares(model, batch) + (model.numbers(batch["input_ids"]) * torch.randn(())).mean() * 0.1

    def judge(model):
        return {"score": weight(model)}

    course = Course(rows, 1, noisy, judge, single=single, judge_steps=every)
    given = settings(epochs=4, accumulate=accumulate, sampling=0.3)

    def kill(done, total):
        if done == step:
            raise Killed

    whole, killed, ticks = Model(), Model(), []
    expected_history = train(whole, course, given, tmp_path / "whole", silent)
    with pytest.raises(Killed):
        train(killed, course, given, tmp_path / "killed", kill)
    torch.manual_seed(99)
    resumed = Model()
    history = train(resumed, course, given, tmp_path / "killed", lambda *progress: ticks.append(progress))

    assert ticks[0][0] == (step - 1) // every * every + 1
    assert history == expected_history
    assert torch.equal(resumed.numbers.weight, whole.numbers.weight)


def test_batches_may_be_put_together_to_a_step(tmp_path):
    """
    Rows of like length, so two batches of four are as one of eight; the short step at the end counts its own.
    """
    found = {}
    for name, given in {"two": {"batch": 4, "accumulate": 2}, "one": {"batch": 8}}.items():
        model, ticks = Model(), []
        train(
            model,
            course_of(),
            settings(**given),
            tmp_path / name,
            lambda *progress, ticks=ticks: ticks.append(progress),
        )
        found[name] = model.numbers.weight.detach(), ticks

    torch.testing.assert_close(found["two"][0], found["one"][0])
    assert found["two"][1] == found["one"][1] == [(step, 6) for step in range(1, 7)]


def test_two_checkpoints_are_kept_at_most(tmp_path):
    """
    The best and the last epoch: a disk does not fill with all of them.
    """
    train(Model(), course_of((1, 3, 2, 1, 0)), settings(epochs=5), tmp_path, silent)

    assert sorted(path.name for path in tmp_path.glob("checkpoint-*")) == ["checkpoint-15", "checkpoint-6"]


@pytest.mark.parametrize(("patience", "epochs"), [(None, 6), (1, 3), (2, 4), (3, 6), (9, 6)])
def test_patience_ends_a_training(tmp_path, patience, epochs):
    """
    Scores 1 3 2 2 4 2: with patience 1 the third epoch is one without a better score, with 3 the fifth is better.
    """
    model, course = Model(), course_of((1, 3, 2, 2, 4, 2))
    history = train(model, course, settings(epochs=6, patience=patience), tmp_path, silent)

    assert [entry["score"] for entry in history] == [1, 3, 2, 2, 4, 2][:epochs]
    assert weight(model) == pytest.approx(history[1 if epochs < 6 else 4]["weight"])


@pytest.mark.slow
@pytest.mark.parametrize("patience", [None, 2])
@pytest.mark.parametrize("step", [2, 7, 10, 12])
def test_a_killed_run_ends_where_it_would_have(tmp_path, patience, step):
    """
    Wherever it was killed, and however patient it is: the same epochs, the same best one, the same weights.
    """
    course, given = course_of((1, 3, 2, 2, 4, 2)), settings(epochs=6, patience=patience, sampling=0.3)

    def kill(done, total):
        if done == step:
            raise Killed

    whole, killed = Model(), Model()
    expected_history = train(whole, course, given, tmp_path / "whole", silent)
    with pytest.raises(Killed):
        train(killed, course, given, tmp_path / "killed", kill)
    resumed = Model()
    history = train(resumed, course, given, tmp_path / "killed", silent)

    assert history == expected_history
    assert torch.equal(resumed.numbers.weight, whole.numbers.weight)


@pytest.mark.parametrize("patience", [None, 2])
def test_a_run_killed_after_its_last_epoch_learns_no_more(tmp_path, patience):
    """
    The kill came while the model was written: what is left is to take the best epoch.
    """
    course, given = course_of((1, 3, 2, 2, 4, 2)), settings(epochs=6, patience=patience)
    first, again, ticks = Model(), Model(), []
    history = train(first, course, given, tmp_path, silent)
    repeated = train(again, course, given, tmp_path, lambda *progress: ticks.append(progress))

    assert ticks == []
    assert repeated == history
    assert torch.equal(first.numbers.weight, again.numbers.weight)


def test_a_loss_that_is_no_number_ends_a_training(tmp_path):
    """
    Step and total are named, and where the last good epoch is: its weights are numbers still.
    """
    with pytest.raises(TrainingError) as caught:
        train(Model(), course_of(loss=broken_at(5)), settings(), tmp_path, silent)
    kept = tmp_path / "checkpoint-3"
    weights = load_file(kept / "model.safetensors")

    assert caught.value.message == "the loss is nan at step 5 of 9"
    assert caught.value.hint == (
        f"The last good epoch is kept in {kept}. Lower the learning rate, or raise the warm-up."
    )
    assert all(tensor.isfinite().all() for tensor in weights.values())


def test_in_the_first_epoch_nothing_is_kept_yet(tmp_path):
    """
    The hint promises no checkpoint that is not there.
    """
    with pytest.raises(TrainingError) as caught:
        train(Model(), course_of(loss=broken_at(2)), settings(), tmp_path, silent)
    assert caught.value.message == "the loss is nan at step 2 of 9"
    assert caught.value.hint == "No epoch had ended before. Lower the learning rate, or raise the warm-up."


def test_weights_that_the_last_step_of_an_epoch_broke_are_never_kept(tmp_path):
    """
    A loss may be a number and its gradient not: the judge meets the broken weights, before they are saved.
    """
    seen = []

    def loss(model, batch):
        seen.append(batch)
        steep = (model.numbers.weight * 0).abs().sqrt().sum()  # 0, and its slope is no number
        return squares(model, batch) + (steep if len(seen) == 6 else 0)

    course = course_of(loss=loss)
    with pytest.raises(TrainingError, match="the loss is nan at step 6 of 9") as caught:
        train(Model(), course, settings(), tmp_path, silent)
    assert str(tmp_path / "checkpoint-3") in caught.value.hint
    assert [path.name for path in tmp_path.glob("checkpoint-*")] == ["checkpoint-3"]


def test_bfloat16_is_used_when_asked_for(tmp_path):
    """
    Products alone: weights and their updates stay in float32.
    """
    found = []

    def loss(model, batch):
        states = model.numbers(batch["input_ids"])
        found.append((states @ states.transpose(1, 2)).dtype)
        return squares(model, batch)

    for precision in ("float32", "bfloat16"):
        model = Model()
        train(model, course_of(loss=loss), settings(epochs=1, precision=precision), tmp_path / precision, silent)

    assert found == [torch.float32] * 3 + [torch.bfloat16] * 3
    assert model.numbers.weight.dtype == torch.float32


def test_bfloat16_is_for_one_training_and_not_for_its_judge(tmp_path):
    """
    transformers tells the whole process by an environment variable, and wraps the model for whoever asks it next.
    """
    found = []

    class Asked(Model):
        def forward(self, ids):
            states = self.numbers(ids)
            return states @ states.transpose(1, 2)

    def judge(model):
        found.append(model(torch.tensor([[1, 2]])).dtype)
        return {"score": 1.0}

    def loss(model, batch):
        found.append(model(batch["input_ids"]).dtype)
        return squares(model, batch)

    course = Course(course_of().rows, 1, loss, judge)
    for number, precision in enumerate(("bfloat16", "float32")):
        train(Asked(), course, settings(epochs=1, batch=12, precision=precision), tmp_path / str(number), silent)

    assert found == [torch.bfloat16, torch.float32, torch.float32, torch.float32]


@pytest.mark.parametrize(
    ("supported", "plain", "short", "chosen"),
    [(True, 1.0, 0.5, True), (True, 1.0, 0.95, False), (True, 1.0, 2.0, False), (False, 1.0, 0.5, False)],
)
def test_auto_takes_the_faster_precision(tmp_path, monkeypatch, supported, plain, short, chosen):
    """
    bfloat16 where the processor has it and it is a tenth faster, measured, not believed.
    """
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: supported)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    monkeypatch.setattr(loop, "seconds_a_sub_word", lambda *given: (9.0, short if given[3] else plain))
    trainer = make_trainer(Model(), course_of(), settings(precision="auto"), tmp_path)

    assert trainer.args.bf16 == chosen


def test_a_resumed_run_keeps_its_precision(tmp_path, monkeypatch):
    """
    Measured again on a busy machine it could come out otherwise, and half the epochs with it.
    """
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    monkeypatch.setattr(loop, "seconds_a_sub_word", lambda *given: (9.0, 0.5 if given[3] else 1.0))
    make_trainer(Model(), course_of(), settings(precision="auto"), tmp_path)
    monkeypatch.setattr(loop, "seconds_a_sub_word", lambda *given: (9.0, 1.0))

    assert make_trainer(Model(), course_of(), settings(precision="auto"), tmp_path).args.bf16
    assert used_precision(tmp_path) == "bfloat16"


def test_a_measurement_changes_nothing():
    """
    A few batches of all lengths are tried; weights and gradients are as before, and there is no step.
    """
    seen, model = [], Model()

    def loss(model, batch):
        seen.append(batch["attention_mask"].sum(dim=1).max().item())
        return squares(model, batch)

    course = course_of(loss=loss, rows=rows_of(swa=400))

    assert min(seconds_a_sub_word(model, course, settings())) > 0
    assert (len(seen), max(seen) - min(seen) > 20) == (2 * 6, True)
    assert seen[::2] == seen[1::2]
    assert model.numbers.weight.abs().sum() == 0
    assert model.numbers.weight.grad is None
    assert not model.training


@pytest.mark.parametrize("rows", [1, 3, 5])
def test_few_rows_are_measured_too(rows):
    """
    Less than a batch is a batch.
    """
    assert min(seconds_a_sub_word(Model(), course_of(rows=rows_of(swa=rows)), settings())) > 0


def test_a_forecast_counts_every_epoch(monkeypatch):
    """
    12 rows of 4 sub-words, three times at half a second, and a quarter more for what is paid only once: 84 s.
    """
    monkeypatch.setattr(loop, "seconds_a_sub_word", lambda *given: (0.75, 0.5))

    assert expected(Model(), course_of(), settings()) == (
        "about 84 s on this machine: 12 inputs x 3 epochs, 0.0 million sub-words, 2 sub-words/s"
    )


def test_a_forecast_may_know_of_more_than_its_sample(monkeypatch):
    """
    The course holds a few rows of many: 2 million sub-words an epoch at a tenth of a millisecond.
    """
    monkeypatch.setattr(loop, "seconds_a_sub_word", lambda *given: (1e-4, 1e-4))

    assert expected(Model(), course_of(), settings(), (50_000, 2_000_000)) == (
        "about 10 min on this machine: 50,000 inputs x 3 epochs, 6.0 million sub-words, 10,000 sub-words/s"
    )


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.01, "1 s"), (72.4, "72 s"), (90, "2 min"), (600, "10 min"), (5399, "90 min"), (5400, "1.5 h"), (1e5, "27.8 h")],
)
def test_seconds_are_told_as_people_say_them(seconds, words):
    """
    No more digits than the forecast is worth.
    """
    assert duration(seconds) == words


def test_onednns_products_are_float32():
    """
    What is allowed to round does not: as near to float64 as float32 gets, and the setting is as before afterwards.
    """
    torch.manual_seed(0)
    left, right = torch.randn(64, 256), torch.randn(256, 128)
    before = torch.backends.mkldnn.matmul.fp32_precision
    with loop.float32_by_onednn():
        product = left @ right
    exact = left.double() @ right.double()

    assert (product - exact).abs().max() / exact.abs().max() < 1e-5
    assert torch.backends.mkldnn.matmul.fp32_precision == before


def test_a_processor_that_would_round_is_left_alone(monkeypatch):
    """
    With AMX the setting would cost precision.
    """
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True)
    before = torch.backends.mkldnn.matmul.fp32_precision
    with loop.float32_by_onednn():
        assert torch.backends.mkldnn.matmul.fp32_precision == before
