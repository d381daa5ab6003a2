"""Parity: logits where rounding is all there is, labels elsewhere, and no verdict where there are too few."""

import numpy as np
import pytest

from edgeafri.data.dataset import Sentence, Split
from edgeafri.documents.answers import LogitsAnswer
from edgeafri.inference.predict import SentenceLogits
from edgeafri.profiling.device_parity import Difference, difference, f1_of, machines_agree, readings_of


def reading(*logits: tuple[float, ...], read: tuple[bool, ...] | None = None) -> SentenceLogits:
    return SentenceLogits(np.array(logits, dtype=np.float32), np.array(read or [True] * len(logits)))


def test_the_largest_difference_and_the_changed_labels_are_found():
    """
    Over all sentences; a place that was not read does not count.
    """
    here = [reading((1.0, 2.0), (3.0, 1.0)), reading((0.0, 1.0), (0.0, 0.0), read=(True, False))]
    there = [reading((1.0, 2.5), (3.0, 3.5)), reading((0.0, 1.0), (9.0, 0.0), read=(True, False))]

    assert difference(here, there) == Difference(2.5, 1, 3)


def test_nothing_read_is_no_difference():
    """
    A text without words has no places.
    """
    empty = [SentenceLogits(np.zeros((0, 2), dtype=np.float32), np.zeros(0, dtype=bool))]

    assert difference(empty, empty) == Difference(0.0, 0, 0)


@pytest.mark.parametrize(("largest", "passed"), [(8e-6, True), (1e-4, True), (2e-4, False)])
def test_float32_is_judged_by_its_logits(largest: float, passed: bool):
    """
    Labels could be equal by chance.
    """
    assert machines_agree(Difference(largest, 0, 100), 0, float32=True) is passed


@pytest.mark.parametrize(
    ("flips", "noise", "places", "passed"),
    [
        (0, 0, 100, True),
        (3, 3, 100, True),  # noise alone does that here
        (4, 0, 4000, True),  # 0.1 %
        (1, 0, 100, None),  # 0.1 are allowed, and one comes by chance in 10 of 100 cases
        (3, 0, 100, False),
        (40, 3, 4000, False),
        (4000, 4, 4000, False),
    ],
)
def test_int8_is_judged_by_its_labels(flips: int, noise: int, places: int, passed: bool | None):
    """
    Int8 logits move by far more than rounding; what counts is whether labels change, and more than noise changes them.
    """
    assert machines_agree(Difference(0.5, flips, places), noise, float32=False) is passed


@pytest.mark.parametrize("float32", [True, False])
def test_nothing_read_is_no_verdict(float32: bool):
    """
    A bundle without golden sentences, and no data.
    """
    assert machines_agree(Difference(0.0, 0, 0), 0, float32) is None


def test_readings_are_those_of_the_answer():
    """
    As float32 and bool, whatever JSON made of them.
    """
    found = readings_of(LogitsAnswer.from_json({"logits": [[[1, 2]]], "read": [[True]]}))

    assert found[0].logits.dtype == np.float32
    assert found[0].read.tolist() == [True]


def test_f1_is_that_of_the_labels():
    """
    Of the readings and the split's own labels.
    """
    split = Split("swa", "test", (Sentence(("Juma",), ("B-PER",)), Sentence(("Kano",), ("O",))), {})
    labels = ("O", "B-PER")

    assert f1_of(split, [reading((0.0, 1.0)), reading((1.0, 0.0))], labels) == 100
    assert f1_of(split, [reading((1.0, 0.0)), reading((1.0, 0.0))], labels) == 0
