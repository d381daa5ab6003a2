"""Distributed training: processes add up what they have, average gradients, fail as one, and leave nobody behind."""

import importlib
import multiprocessing
import os
import sys

import pytest
import torch

from edgeafri.errors import DataError, TrainingError, WorkerError
from edgeafri.stages.training import distributed
from edgeafri.util.progress import silent

# What the processes do must be a module that they can import: they are new ones.
WORK = """
import os, signal
import torch
from edgeafri.errors import DataError
from edgeafri.stages.training import distributed

class Twice(torch.nn.Linear):
    def forward(self, values):
        return 2 * super().forward(values)

def loss(model, batch):
    return model(batch["values"]).sum() + (model.weight**2).sum()

def agree(number, progress):
    progress(1, 2)
    torch.manual_seed(0)
    model = Twice(2, 1)
    wrapped = torch.nn.parallel.DistributedDataParallel(model)
    for _ in range(2):
        model.zero_grad()
        batch = {"values": torch.tensor([[1.0, 3.0]]) * (1 + 2 * distributed.rank())}
        distributed.average_gradients(wrapped, loss, batch).backward()
    distributed.check_equal(model)
    distributed.wait()
    return {
        "number": number,
        "place": (distributed.rank(), distributed.size(), str(distributed.device())),
        "sum": distributed.add_up(torch.tensor([1.0 + distributed.rank(), 5.0])).tolist(),
        "gradient": model.weight.grad.tolist(),
        "weight": model.weight.tolist(),
        "forward": vars(model).get("forward"),
        "accelerate": {name: os.environ[name] for name in ("RANK", "WORLD_SIZE", "GLOO_SOCKET_IFNAME")},
    }

def fail(progress):
    if distributed.rank() == 1:
        raise DataError("nothing here", "Look there.")
    distributed.wait()

def die(progress):
    if distributed.rank() == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    distributed.wait()

def differ(progress):
    model = torch.nn.Linear(2, 1)
    model.weight.data += distributed.rank()
    distributed.check_equal(model)

def abort_when_leaving(progress):
    import atexit
    atexit.register(os.abort)
    return 3 + distributed.rank()

def wait_for_ever(progress):
    progress(1, 1)
    import time
    time.sleep(600)
"""


@pytest.fixture
def work(tmp_path, monkeypatch):
    """The module of what processes do."""
    (tmp_path / "distributed_work.py").write_text(WORK, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("distributed_work")
    sys.modules.pop("distributed_work")


def nobody_is_left():
    return multiprocessing.active_children() == []


def test_alone_the_size_is_one():
    """
    Nothing is asked of anyone, and a model that is not wrapped is used as it is.
    """
    values = torch.tensor([1.0, 2.0])
    model = torch.nn.Linear(2, 2)
    distributed.wait()
    distributed.check_equal(model)

    assert (distributed.size(), distributed.rank()) == (1, 0)
    assert distributed.add_up(values) is values
    assert distributed.average_gradients(model, lambda own, batch: (own, batch), {}) == (model, {})


@pytest.mark.slow
def test_processes_add_up_and_average(work):
    """
    The loss is 2 w x + w², x is 1 3 here and 3 9 there: gradients are 2 x + 2 w, averaged 2 (2 6) + 2 w, in the second
    pass too. The first one ticks and answers, and no other process is told what this one is.
    """
    ticks = []
    found = distributed.run_distributed(work.agree, (7,), 2, lambda *progress: ticks.append(progress))
    gradient = 2 * torch.tensor([[2.0, 6.0]]) + 2 * torch.tensor(found["weight"])

    assert (found["number"], found["place"][:2], ticks) == (7, (0, 2), [(1, 2)])
    assert found["sum"] == [3.0, 10.0]
    torch.testing.assert_close(torch.tensor(found["gradient"]), gradient)
    assert found["forward"] is None
    assert found["accelerate"] == {"RANK": "0", "WORLD_SIZE": "2", "GLOO_SOCKET_IFNAME": "lo"}
    assert "RANK" not in os.environ
    assert nobody_is_left()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("fail", DataError, "nothing here"),
        (
            "die",
            WorkerError,
            r"a process of the training ended early \((SIGKILL, often a lack of memory|see the log)\)",
        ),
        ("differ", TrainingError, "the models of the 2 processes that train together are no longer the same"),
    ],
)
def test_where_one_fails_all_end(work, name, error, message):
    """
    With what it raised, if it could; the other does not wait for it for ever.
    """
    with pytest.raises(error, match=message) as caught:
        distributed.run_distributed(getattr(work, name), (), 2, silent)
    assert caught.value.hint
    assert nobody_is_left()


@pytest.mark.slow
def test_who_is_done_may_leave_as_it_likes(work):
    """
    The libraries that talk between processes sometimes abort one that is leaving; its work was done and handed over.
    """
    assert distributed.run_distributed(work.abort_when_leaving, (), 2, silent) == 3
    assert nobody_is_left()


@pytest.mark.slow
def test_an_interrupted_training_ends(work):
    """
    What the progress callback raises, such as a kill, reaches the caller.
    """

    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        distributed.run_distributed(work.wait_for_ever, (), 2, interrupt)
    assert nobody_is_left()
