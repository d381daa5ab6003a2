"""Resuming: the precision is chosen once, as the faster one."""

import pytest
import torch

from edgeafri.stages.training import speed
from edgeafri.stages.training.resume import used_precision
from edgeafri.stages.training.trainer import make_trainer


@pytest.mark.parametrize(
    ("supported", "plain", "short", "chosen"),
    [(True, 1.0, 0.5, True), (True, 1.0, 0.95, False), (True, 1.0, 2.0, False), (False, 1.0, 0.5, False)],
)
def test_auto_takes_the_faster_precision(tmp_path, monkeypatch, supported, plain, short, chosen, tiny):
    """
    bfloat16 where the processor has it and it is a tenth faster, measured, not believed.
    """
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: supported)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    monkeypatch.setattr(speed, "seconds_per_token", lambda *given: (9.0, short if given[3] else plain))
    trainer = make_trainer(tiny.Model(), tiny.training_of(), tiny.settings(precision="auto"), tmp_path)

    assert trainer.args.bf16 == chosen


def test_a_resumed_run_keeps_its_precision(tmp_path, monkeypatch, tiny):
    """
    Measured again on a busy machine it could come out otherwise, and half the epochs with it.
    """
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    monkeypatch.setattr(speed, "seconds_per_token", lambda *given: (9.0, 0.5 if given[3] else 1.0))
    make_trainer(tiny.Model(), tiny.training_of(), tiny.settings(precision="auto"), tmp_path)
    monkeypatch.setattr(speed, "seconds_per_token", lambda *given: (9.0, 1.0))

    assert make_trainer(tiny.Model(), tiny.training_of(), tiny.settings(precision="auto"), tmp_path).args.bf16
    assert used_precision(tmp_path) == "bfloat16"
