"""Outliers in words: what a build prints, what its report notes, and what the card of a bundle says."""

from typing import Any

import pytest

from edgeafri.documents.outliers import FEW, OutlierChannel, Outliers, OutlierTrial


def channel(**values: Any) -> OutlierChannel:
    known = {"layers": ("layer 4 output",), "activation": "a", "channel": 778, "largest": 70.2, "median": 2.0}
    return OutlierChannel(**{**known, "share": 4.9, **values})


def trial(channels: int, **logits: float | None) -> OutlierTrial:
    return OutlierTrial(channels=channels, float_share=0.24, flips=dict.fromkeys(logits, 0.1), logits=logits)


@pytest.fixture
def found() -> Outliers:
    """
    A search that kept two channels. Its numbers are invented.
    """
    near = channel(layers=("layer 1 attention key", "layer 1 attention query"), largest=7.0, channel=35, share=9.0)
    return Outliers(
        calibrated_on={"swa": 64, "yor": 64},
        compared_on={"swa": 32, "yor": 32},
        channels=(near, channel()),
        reach=(),
        trials=(trial(0, swa=0.1), trial(2, swa=0.02)),
        harm_left=26.1,
        reason="the most channels that pay in bytes and time",
    )


def without_channels(found: Outliers, **values: Any) -> Outliers:
    return Outliers(**{**vars(found), "channels": (), "reason": "no channel stands out", **values})


def test_the_note_names_the_channel_that_reaches_farthest(found: Outliers):
    """
    Which need not be the one with the largest share of the harm.
    """
    assert found.notes() == (
        "2 outlier channels in float32 (the farthest is channel 778 of what layer 4 output reads, 70.2 where the "
        "median is 2): the most channels that pay in bytes and time",
    )


def test_without_channels_the_note_says_why(found: Outliers):
    """
    And nothing reaches farthest.
    """
    none = without_channels(found)

    assert none.notes() == ("all channels are in int8: no channel stands out",)
    assert none.farthest == ""


def test_a_language_with_little_text_is_named(found: Outliers):
    """
    Ranges on few sentences say little, whether channels were found or not.
    """
    few = without_channels(found, calibrated_on={"swa": 64, "yor": FEW - 1})

    assert few.notes()[-1] == f"fewer than {FEW} sentences of yor to find outlier channels on"


def test_the_card_says_which_why_and_at_what_price(found: Outliers):
    """
    In two sentences for who uses the model; a price that nobody measured is left out.
    """
    told = found.told()

    assert told.startswith("Linear layers multiply in int8, except for 2 outlier channels in float32: one scale ")
    assert "the farthest is channel 778 of what layer 4 output reads, 70.2 where the median is 2. " in told
    assert told.endswith(
        "This takes 0.24 % of the multiplications of linear layers and leaves 26.1 % of the harm that rounding "
        "activations does, as estimated from 128 sentences."
    )
    assert "This leaves 26.1 %" in Outliers(**{**vars(found), "trials": ()}).told()


def test_of_a_trial_the_worst_language_counts():
    """
    NaN is the worst, and a trial on nothing is not off.
    """
    assert trial(1, swa=0.1, yor=0.2).worst_logits == 0.2
    assert trial(1, swa=0.1, yor=None).worst_logits == float("inf")
    assert trial(1).worst_logits == 0.0
