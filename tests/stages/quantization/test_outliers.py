"""outliers: the channels that save most harm for what they cost come first, and none where none stands out."""

from itertools import pairwise

import numpy as np
import pytest

from edgeafri.stages.quantization.activation_ranges import Activation, Product
from edgeafri.stages.quantization.outliers import STEPS, WORTH, Ladder, choose, facts_of
from edgeafri.util.progress import silent

WIDTH, OUTPUTS = 512, 512


def activation(name, outliers=None, matrix=None, width=WIDTH):
    """An activation whose channels reach 1, but for a few."""
    reach = np.ones((3, width))
    for channel, value in (outliers or {}).items():
        reach[:, channel] = value
    matrix = matrix or f"{name}/matrix"
    product = Product(f"/{name}/MatMul_output_0", matrix, OUTPUTS, np.ones(width), np.ones(3))
    return Activation(name, -reach, reach, (product,))


def ladder_of(*activations, harm=None):
    return Ladder(activations, harm or {item.name: 1.0 for item in activations})


def plans_of(ladder, shares=(1 / 100, 1 / 20, 1 / 5)):
    return [dict(plan) for plan in ladder.plans(shares)]


def test_an_outlier_comes_first_and_those_like_the_others_do_not_pay():
    """
    One channel of 70 among ones.
    """
    ladder = ladder_of(activation("far", {7: 70.0}), activation("near"))
    first = plans_of(ladder)[0]

    assert first == {"far": (7,)}
    assert ladder.harm_left(first) < 0.51


def test_two_that_reach_equally_far_leave_together():
    """
    One alone would save nothing.
    """
    ladder = ladder_of(activation("far", {3: 50.0, 9: 50.0}), activation("near"))

    assert set(plans_of(ladder)[0]["far"]) == {3, 9}


def test_harm_decides_between_equal_ranges():
    """
    The same outlier in two places; rounding does a thousand times more in one.
    """
    items = [activation("harmless", {1: 40.0}), activation("harmful", {2: 40.0})]
    ladder = ladder_of(*items, harm={"harmless": 1e-3, "harmful": 1.0})

    assert plans_of(ladder, (1 / 300,)) == [{"harmful": (2,)}]


def test_layers_that_share_matrices_get_the_same_channels():
    """
    The channel that is far in one of them leaves in both, and is paid for in both.
    """
    one, two = activation("one", {5: 60.0}, "shared"), activation("two", {}, "shared")
    ladder = ladder_of(one, two)
    (plan,) = plans_of(ladder, (1 / 150,))

    assert plan == {"one": (5,), "two": (5,)}
    assert ladder.float_share(plan) == pytest.approx(2 * (2 * OUTPUTS + WIDTH) / (2 * WIDTH * OUTPUTS))


def test_plans_grow_within_their_shares():
    """
    Each holds the one before, and none costs more than it may.
    """
    ladder = ladder_of(*(activation(str(place), {place: 10.0 + place, 100: 9.0}) for place in range(6)))
    shares = (1 / 400, 1 / 200, 1 / 100)
    plans = plans_of(ladder, shares)

    assert plans
    for small, large in pairwise(plans):
        assert all(set(channels) <= set(large[name]) for name, channels in small.items())
    assert all(ladder.float_share(plan) <= max(shares) for plan in plans)


def measured(values):
    """A measure whose answers for the worst language are these, one after another."""
    left = iter(values)

    def measure(plan):
        value = next(left)
        return {"swa": 100 * value, "hau": 0.0}, {"swa": value, "hau": value / 2}

    return measure


def wide_ladder():
    """Outliers in many places, so that every step of the ladder adds some."""
    items = [activation(str(place), {place: 40.0 + place}) for place in range(64)]
    return ladder_of(*items)


def test_nothing_is_tried_where_no_channel_stands_out():
    """
    Channels that all reach as far: the measure is never asked.
    """
    plan, trials, reason = choose(ladder_of(activation("one"), activation("two")), measured(()), silent)

    assert (plan, trials) == ({}, ())
    assert "no channel stands out" in reason


def test_steps_are_taken_while_they_pay():
    """
    The second step brings less than a twentieth: the plan of the first is kept, and both trials are told.
    """
    ladder = wide_ladder()
    plan, trials, reason = choose(ladder, measured((1.0, 0.5, 0.5 * WORTH + 0.001)), silent)

    assert dict(plan) == plans_of(ladder, STEPS)[0]
    assert trials[0].channels == 0
    assert len(trials) == 3
    assert "less than 5 % closer" in reason


def test_the_last_step_is_the_limit():
    """
    Where every step pays, the ladder ends.
    """
    ladder = wide_ladder()
    plan, trials, _ = choose(ladder, measured((1.0, 0.5, 0.25, 0.1)), silent)

    assert dict(plan) == plans_of(ladder, STEPS)[-1]
    assert ladder.float_share(plan) <= STEPS[-1]
    assert len(trials) == 4


def test_logits_that_are_nan_are_the_worst():
    """
    A trial whose logits are not finite is never better than one before.
    """

    def measure(plan):
        return {"swa": 0.0}, {"swa": None if plan else 0.5}

    plan, trials, _ = choose(wide_ladder(), measure, silent)

    assert plan == {}
    assert trials[-1].worst_logits == float("inf")


def test_facts_name_channels_and_shares():
    """
    The largest number, the median beside it, and the share of the harm that goes; shares fall.
    """
    ladder = ladder_of(activation("far", {7: 70.0, 8: 30.0}), activation("near"))
    found = facts_of(ladder, {"far": (7, 8)}, (), "because", {"swa": 3}, {})

    assert [(item.channel, item.largest, item.median) for item in found.channels] == [(7, 70.0, 1.0), (8, 30.0, 1.0)]
    assert found.channels[0].share > found.channels[1].share > 0
    assert sum(item.share for item in found.channels) == pytest.approx(100 - found.harm_left, abs=0.2)
    assert [item.harm for item in found.reach] == [50.0, 50.0]
    assert found.reach[0].largest[:3] == (70.0, 30.0, 1.0)
