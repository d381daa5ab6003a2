"""Speed: measured without a trace, on however few examples; float32 that is float32."""

import pytest
import torch

from edgeafri.stages.training.speed import float32_by_onednn, seconds_per_token


def test_a_measurement_changes_nothing(tiny):
    """
    A few batches of all lengths are tried; weights and gradients are as before, and there is no step.
    """
    seen, model = [], tiny.Model()

    def loss(model, batch):
        seen.append(batch["attention_mask"].sum(dim=1).max().item())
        return tiny.squares(model, batch)

    training = tiny.training_of(loss=loss, examples=tiny.examples_of(swa=400))

    assert min(seconds_per_token(model, training, tiny.settings())) > 0
    assert (len(seen), max(seen) - min(seen) > 20) == (2 * 6, True)
    assert seen[::2] == seen[1::2]
    assert model.numbers.weight.abs().sum() == 0
    assert model.numbers.weight.grad is None
    assert not model.training


@pytest.mark.parametrize("rows", [1, 3, 5])
def test_few_rows_are_measured_too(rows, tiny):
    """
    Less than a batch is a batch.
    """
    assert (
        min(seconds_per_token(tiny.Model(), tiny.training_of(examples=tiny.examples_of(swa=rows)), tiny.settings())) > 0
    )


def test_onednns_products_are_float32():
    """
    What is allowed to round does not: as near to float64 as float32 gets, and the setting is as before afterwards.
    """
    torch.manual_seed(0)
    left, right = torch.randn(64, 256), torch.randn(256, 128)
    before = torch.backends.mkldnn.matmul.fp32_precision
    with float32_by_onednn():
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
    with float32_by_onednn():
        assert torch.backends.mkldnn.matmul.fp32_precision == before
