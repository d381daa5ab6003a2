"""arithmetic: what a device computes right decides on the weights, and every choice has its reason."""

from typing import get_args

import pytest

from edgeafri.device.profile import Isa
from edgeafri.menu.settings import QuantizeSettings
from edgeafri.stages.quantization.arithmetic import choose_form

ISAS = [*get_args(Isa), None]


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("form", ["dynamic", "static"])
def test_int8_is_signed_but_where_that_saturates(isa, form):
    """
    Products of unsigned by signed are wrong on x86 without VNNI; everywhere else signed weights are right and quicker.
    """
    choice = choose_form(QuantizeSettings(form=form, isa=isa))

    assert (choice.name, choice.bits, choice.signed) == (form, 8, isa != "avx2")


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("asked", [{}, {"form": "weights"}, {"weights": "float32"}])
def test_every_choice_says_why(isa, asked):
    """
    In one sentence without an end, as it stands in the report.
    """
    reason = choose_form(QuantizeSettings(isa=isa, **asked)).reason

    assert len(reason) > 10
    assert not reason.endswith(".")


def test_what_is_asked_for_is_done():
    """
    An explicit setting goes before what the device would choose_form.
    """
    asked = [
        QuantizeSettings(weights="float32", isa="dotprod"),
        QuantizeSettings(weights="int8", isa="avx2"),
        QuantizeSettings(form="weights", weights="int8", isa="neon"),
        QuantizeSettings(form="weights", isa="neon"),
    ]

    assert [(choose_form(item).name, choose_form(item).bits) for item in asked] == [
        ("none", 32),
        ("dynamic", 8),
        ("weights", 8),
        ("weights", 4),
    ]


def test_blocks_without_dotprod_save_no_time_and_it_is_said():
    """
    onnxruntime has int8 kernels for blocks only where there is a dot product.
    """
    assert "computed in float32" in choose_form(QuantizeSettings(form="weights", isa="neon")).reason
    assert "computed in float32" not in choose_form(QuantizeSettings(form="weights", isa="dotprod")).reason
