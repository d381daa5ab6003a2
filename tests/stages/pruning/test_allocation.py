"""Widths: which parts stay, by hand-made scores; what cannot be is refused with what can."""

from dataclasses import replace

import pytest

from edgeafri.errors import ConfigError
from edgeafri.menu.settings import ShrinkSettings
from edgeafri.stages.models.uneven_layers import LayerSizes
from edgeafri.stages.pruning import allocation
from edgeafri.stages.pruning.allocation import Goal, ImportanceScores, PartCounts, Parts

SCORES = ImportanceScores(
    heads=((5.0, 1.0, 3.0), (9.0, 8.0, 7.0), (0.3, 0.2, 0.1)),
    ffn=((1.0, 2.0, 3.0, 4.0), (9.0, 8.0, 7.0, 6.0), (0.1, 0.4, 0.3, 0.2)),
    hidden=(4.0, 1.0, 3.0, 2.0),
)
SIZES = LayerSizes(head_size=4, heads=(3, 3, 3), ffn=(4, 4, 4))
EVERY = (0, 1, 2)


def by_numbers(**asked):
    settings = ShrinkSettings(**asked)
    return allocation.by_numbers(settings, allocation.kept_layers(settings, SCORES), SCORES)


def refusal(sizes=SIZES, **asked):
    with pytest.raises(ConfigError) as caught:
        allocation.check_settings(ShrinkSettings(**asked), sizes, 16)
    return f"{caught.value.message} | {caught.value.hint}"


def test_a_share_of_all_heads_is_ranked_over_all_layers():
    """
    Half of nine is four: one of each layer, and the best of the others, so that layers come out unlike.
    """
    assert by_numbers(heads=(0.5,)).heads == ((0,), (0, 1), (0,))


def test_a_share_leaves_every_layer_one():
    """
    However small it is.
    """
    assert by_numbers(heads=(0.01,)).heads == ((0,), (0,), (0,))
    assert by_numbers(ffn=(0.01,)).ffn == ((3,), (0,), (1,))


def test_one_number_holds_for_every_layer():
    """
    The best two of each, in rising order.
    """
    assert by_numbers(ffn=(2.0,)).ffn == ((2, 3), (0, 1), (1, 2))


def test_several_numbers_are_one_a_layer():
    """
    In the layers' order.
    """
    assert by_numbers(heads=(1.0, 2.0, 3.0)).heads == ((0,), (0, 1), (0, 1, 2))


def test_layers_go_first_and_heads_from_what_is_left():
    """
    The last layer matters least; its heads do not count among those that are shared out.
    """
    parts = by_numbers(layers=2.0, heads=(0.5,), ffn=(1.0, 2.0), hidden=0.5)

    assert parts == Parts(layers=(0, 1), heads=((0,), (0, 1)), ffn=((3,), (0, 1)), hidden=(0, 2))


@pytest.mark.parametrize(("asked", "kept"), [(2.0, (0, 1)), (0.5, (1,)), (0.01, (1,)), (None, EVERY)])
def test_layers_are_counted_or_shared(asked, kept):
    """
    A share is rounded down, at least to one.
    """
    assert allocation.kept_layers(ShrinkSettings(layers=asked, heads=(1.0,)), SCORES) == kept


def test_of_equal_parts_the_first_stay():
    """
    So that nothing hangs on the order in which a sort happens to leave them.
    """
    assert allocation.best((1.0, 1.0, 1.0), 2) == (0, 1)
    assert allocation.best_of_all(((1.0, 1.0), (1.0, 1.0)), 0.75) == ((0, 1), (0,))


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({}, "no size and no goal is given | Add --macs 0.5, or"),
        ({"macs": 0.5, "hidden": 8.0}, "a goal ('macs') and a number ('hidden') are given | Leave one"),
        ({"latency_of": {"rpi4": 0.5}, "ffn": (8.0,)}, "a goal ('latency_of') and a number ('ffn') are"),
        (
            {"latency_of": {"rpi4": 40.0}},
            "goal 'latency_of.rpi4' 40 is not a share of its time | Use more than 0",
        ),
        ({"layers": 4.0}, "'layers' 4 is more than there are | Use at most 3, or"),
        ({"hidden": 17.0}, "'hidden' 17 is more than there are | Use at most 16, or"),
        ({"layers": 1.5}, "'layers' 1.5 is not a whole number | Give one, or a share below 1."),
        ({"heads": (0.0,)}, "'heads' 0 leaves a layer without any | Keep at least one per layer; with --layers"),
        ({"heads": (1.0, 0.0, 2.0)}, "'heads' 0 leaves a layer without any"),
        ({"ffn": (-3.0,)}, "'ffn' -3 leaves a layer without any"),
        ({"ffn": (2.0, 0.5, 2.0)}, "'ffn' 0.5 leaves a layer without any"),
        ({"ffn": (2.5,)}, "'ffn' 2.5 is not a whole number"),
        ({"heads": (4.0,)}, "'heads' 4 is more than there are | Use at most 3"),
        ({"heads": (1.0, 2.0)}, "'heads' lists 2 numbers | Give one for each of the 3 layers kept, or one for all."),
        ({"heads": (1.0, 2.0, 3.0), "layers": 2.0}, "'heads' lists 3 numbers | Give one for each of the 2 layers"),
    ],
)
def test_numbers_that_cannot_be_are_refused(asked, said):
    """
    Before any work, with what can be.
    """
    assert said in refusal(**asked)


def test_where_layers_go_no_layer_may_have_fewer_than_asked_for():
    """
    Which will stay is not known yet.
    """
    sizes = LayerSizes(head_size=4, heads=(3, 1, 3), ffn=(4, 4, 4))

    assert "'heads' 2 is more than there are | Use at most 1" in refusal(sizes, layers=2.0, heads=(1.0, 2.0))
    allocation.check_settings(ShrinkSettings(heads=(3.0, 1.0, 2.0)), sizes, 16)


def goal(share, cost, counts, name="macs"):
    return Goal(name, share, cost(counts), cost)


def heads_only(counts):
    return sum(counts.heads)


def everything(counts):
    return counts.hidden * (10 * sum(counts.heads) + sum(counts.ffn))


def scores(heads, ffn, hidden=16):
    """Layers whose parts matter from 1 upwards; hidden dimensions by their number."""
    return ImportanceScores(
        tuple(tuple(float(1 + head) for head in range(count)) for count in heads),
        tuple(tuple(float(1 + unit) for unit in range(count)) for count in ffn),
        tuple(float(number) for number in range(hidden)),
    )


def test_what_matters_least_goes_until_the_goal_is_met():
    """
    Heads alone cost here, so the two least go, whichever layer they stand in, and no unit does.
    """
    own = ImportanceScores(((5.0, 1.0), (4.0, 2.0), (9.0, 8.0)), ((1.0,) * 16,) * 3, (1.0,) * 16)
    parts = allocation.by_goals([goal(4 / 6, heads_only, allocation.counts_of(own))], EVERY, own)

    assert parts.heads == ((0,), (0,), (0, 1))
    assert [len(units) for units in parts.ffn] == [16, 16, 16]
    assert parts.hidden == tuple(range(16))


def test_a_chunk_is_weighed_by_what_it_saves():
    """
    Eight units that matter 0.8 and save 8 go before a head that matters 0.9 and saves 8, and after one that saves 10.
    """
    own = ImportanceScores(((9.0, 0.9),), ((0.1,) * 8 + (5.0,) * 8,), (1.0,) * 16, additive=True)
    dear, cheap = (lambda c, each=each: each * sum(c.heads) + sum(c.ffn) for each in (10, 8))
    whole = allocation.counts_of(own)
    first = allocation.by_goals([goal(0.9, dear, whole)], (0,), own)
    other = allocation.by_goals([goal(0.9, cheap, whole)], (0,), own)

    assert (first.heads, len(first.ffn[0])) == (((0,),), 16)
    assert (other.heads, len(other.ffn[0])) == (((0, 1),), 8)


def test_parts_together_matter_as_the_root_of_their_squares():
    """
    Eight units of 3 are a group of 8.5, and go before a head of 9 that saves as much; where squares add up, after it.
    """
    own = ImportanceScores(((9.9, 9.0),), ((3.0,) * 8 + (9.0,) * 8,), (1.0,) * 16)
    goals = [goal(0.9, lambda c: 8 * sum(c.heads) + sum(c.ffn), allocation.counts_of(own))]
    lengths, squares = (allocation.by_goals(goals, (0,), replace(own, additive=added)) for added in (False, True))

    assert (lengths.heads, len(lengths.ffn[0])) == (((0, 1),), 8)
    assert (squares.heads, len(squares.ffn[0])) == (((0,),), 16)


def test_one_head_eight_units_and_sixteen_dimensions_stay():
    """
    A layer that has fewer keeps what it has.
    """
    own = scores((2, 3), (20, 5), hidden=20)
    counts = allocation.counts_of(own)
    least = everything(PartCounts((1, 1), (8, 5), 16)) / everything(counts)
    parts = allocation.by_goals([goal(least, everything, counts)], (0, 1), own)

    assert parts.heads == ((1,), (2,))
    assert [len(units) for units in parts.ffn] == [8, 5]
    assert parts.hidden == tuple(range(4, 20))


def test_the_width_is_cut_only_where_nothing_else_reaches_the_goal():
    """
    Although dimensions would be the cheapest here; where they may go, they go first.
    """
    own = ImportanceScores(((2.0, 3.0),), ((1.0,) * 16,), (0.0,) * 32)
    counts = allocation.counts_of(own)
    reached_by_heads = allocation.by_goals([goal(0.5, everything, counts)], (0,), own)
    reached_by_width = allocation.by_goals([goal(0.49, everything, counts)], (0,), own)

    assert (len(reached_by_heads.hidden), len(reached_by_heads.ffn[0])) == (32, 8)
    assert (len(reached_by_width.hidden), len(reached_by_width.ffn[0])) == (16, 16)


def test_all_goals_are_met():
    """
    The one that is met first is no longer looked at.
    """
    own = scores((4, 4), (32, 32))
    counts = allocation.counts_of(own)
    units = goal(0.5, lambda c: sum(c.ffn), counts, "bytes")
    parts = allocation.by_goals([goal(0.75, heads_only, counts), units], (0, 1), own)

    assert sum(map(len, parts.heads)) == 6
    assert sum(map(len, parts.ffn)) == 32


def test_a_goal_that_is_met_already_takes_nothing_out():
    """
    All of it may stay.
    """
    own = scores((2, 2), (16, 16))
    parts = allocation.by_goals([goal(1.0, everything, allocation.counts_of(own))], (0, 1), own)

    assert allocation.counts_of(own) == PartCounts(
        tuple(map(len, parts.heads)), tuple(map(len, parts.ffn)), len(parts.hidden)
    )


def test_layers_that_went_count_for_a_goal():
    """
    The share is one of the whole model, and parts are numbered within the layers that stay.
    """
    own = scores((2, 2, 2), (16, 16, 16))
    two_thirds = goal(0.67, heads_only, allocation.counts_of(own))
    parts = allocation.by_goals([two_thirds], (0, 2), own)

    assert (parts.layers, parts.heads) == ((0, 2), ((0, 1), (0, 1)))


def test_a_goal_that_cannot_be_met_says_the_nearest():
    """
    Rounded up to thousandths, so that it can be asked for.
    """
    counts = PartCounts((3, 3, 3), (16, 16, 16), 16)
    with pytest.raises(ConfigError) as caught:
        allocation.check_goals([goal(0.3, heads_only, counts)], counts)

    assert caught.value.message == "shrink: goal 'macs' 0.3 cannot be met"
    assert caught.value.hint == "The nearest that can be reached is 0.334; fewer --layers go further."
    allocation.check_goals([goal(0.334, heads_only, counts)], counts)
    allocation.check_goals([goal(0.23, heads_only, counts)], allocation.fewest_layers(counts, 2.0))


def test_many_layers_take_no_time():
    """
    XLM-R base has 12 layers of 12 heads and 3072 units: thousands of chunks go, one at a time.
    """
    own = scores((12,) * 12, (3072,) * 12, hidden=768)
    counts = allocation.counts_of(own)
    parts = allocation.by_goals([goal(0.4, everything, counts)], tuple(range(12)), own)

    assert everything(PartCounts(tuple(map(len, parts.heads)), tuple(map(len, parts.ffn)), 768)) <= (
        0.4 * everything(counts)
    )
