"""CostModel: counted without building a model, they are those of the model that is built, and of its graph."""

import onnx
import pytest
import torch

from edgeafri.device.profile import read_profile
from edgeafri.errors import ConfigError
from edgeafri.latency.estimate import estimate
from edgeafri.stages import bundle
from edgeafri.stages.models import checkpoint
from edgeafri.stages.models.checkpoint import parameters
from edgeafri.stages.pruning.allocation import Parts
from edgeafri.stages.pruning.costs import cost_model_of, counts_in
from edgeafri.stages.pruning.surgery import cut

SMALL = Parts((1,), ((1,),), ((0, 5, 9),), tuple(range(5)))


@pytest.mark.parametrize("head", ["ForMaskedLM", "ForTokenClassification", "ForSequenceClassification"])
@pytest.mark.parametrize("parts", [None, SMALL])
def test_parameters_are_those_of_the_model_that_is_cut(encoder, head, parts):
    """
    Counted on the whole model, for every head: tied matrices once, heads as wide as what is left.
    """
    model = checkpoint.with_head(encoder.path, head, None, seed=0)
    costs, small = cost_model_of(model), model if parts is None else cut(model, parts)

    assert costs.parameters(counts_in(small.config)) == parameters(small)
    assert costs.bytes(counts_in(small.config)) == 4 * parameters(small)


def test_arithmetic_is_that_of_the_layers(teacher):
    """
    By hand for 10 subwords: 2 layers, 16 wide, 2 heads of 8, 32 units; then one layer, 5 wide, one head, 3 units.
    """
    model = checkpoint.read_model(teacher.path)
    costs = cost_model_of(model)

    assert costs.macs(counts_in(model.config), 10) == 2 * (10 * (4 * 16 * 16 + 2 * 16 * 32) + 100 * 2 * 16)
    assert costs.macs(counts_in(cut(model, SMALL).config), 10) == 10 * (4 * 5 * 8 + 2 * 5 * 3) + 100 * 2 * 8


def test_what_the_estimate_is_told_is_what_the_bundle_stage_counts(teacher, optimized):
    """
    So a goal in a device's time is the time that the bundle's report will name.
    """
    model = checkpoint.read_model(teacher.path)
    facts = bundle.costs(onnx.load(optimized.path / "model.onnx"), checkpoint.read_config(optimized.path)).to_json()
    costs, counts, profile = cost_model_of(model), counts_in(model.config), read_profile("rpi4")
    told = estimate(facts, profile, profile.budget.seq_len, profile.threads)

    assert vars(costs.work(counts)).items() <= facts.items()
    assert round(costs.milliseconds(counts, profile), 1) == told.high_ms


def test_counting_takes_no_memory_and_no_random_numbers(teacher):
    """
    A model twice as wide is drawn on paper only.
    """
    model = checkpoint.read_model(teacher.path)
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    cost_model_of(model)

    assert torch.equal(torch.rand(1), expected)


def test_where_the_slow_end_is_not_known_the_fast_one_counts(teacher, unknown):
    """
    And where neither is, nothing can be said.
    """
    model = checkpoint.read_model(teacher.path)
    costs, counts = cost_model_of(model), counts_in(model.config)
    profile = unknown(fast=True)
    told = estimate(vars(costs.work(counts)), profile, profile.budget.seq_len, profile.threads)

    assert told.high_ms is None
    assert round(costs.milliseconds(counts, profile), 1) == told.low_ms
    with pytest.raises(ConfigError, match="no time can be estimated on rpi4") as caught:
        costs.milliseconds(counts, unknown(fast=False))
    assert caught.value.hint == "Add its speed to the profile, or use --macs."


@pytest.fixture
def unknown():
    """A function: a device of which only the fast end, or nothing, is known."""
    from dataclasses import replace

    from edgeafri.device.profile import Memory, Speed

    def make(fast):
        profile = read_profile("rpi4")
        (core,) = profile.cores
        speed = Speed(None, None, core.fp32.fast if fast else None)
        return replace(profile, cores=(replace(core, fp32=speed, int8=speed),), memory=Memory(None, None, None))

    return make
