"""The host tier: what is measured here, what becomes of it under the device's memory, what the figures are worth."""

import os
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgeafri.device.profile import DeviceProfile, read_profile
from edgeafri.documents.host_run import MemoryLimitRun
from edgeafri.documents.runtime_requests import BenchRequest
from edgeafri.errors import WorkerError
from edgeafri.profiling import host
from edgeafri.profiling.host import HostRequest, host_arithmetic, run_on_host
from edgeafri.profiling.memory_limit import MemoryLimit

REQUEST = HostRequest(threads=64, seq_len=16, runs=5, warmup=1)
MEASURED = {
    "schema": 3,
    "bundle_id": "b",
    "device": "this one",
    "runtime": "onnxruntime",
    "threads": 2,
    "seq_len": 16,
    "runs": 5,
    "warmup": 1,
    "load_ms": 60.0,
    "p50_ms": 1.5,
    "p95_ms": 1.7,
    "mean_ms": 1.5,
    "cpu_ms": 1.6,
    "tokens_per_s": 1000.0,
    "peak_rss_mb": 90.0,
    "conditions": {"int8_arithmetic": "exact"},
}


class Worker:
    """
    Stands for the process that measures; it dies under a group, with or without the system's hand in it.
    """

    def __init__(self) -> None:
        self.asked: list[BenchRequest] = []
        self.dies = False

    def ask(self, module: str, request: BenchRequest, progress: object = None, before: object = ()) -> dict[str, Any]:
        self.asked.append(request)
        if before and self.dies:
            raise WorkerError("ended early (signal 9)", "Run it again.")
        return MEASURED


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Worker:
    found = Worker()
    monkeypatch.setattr(host, "call_worker", found.ask)
    return found


@pytest.fixture
def group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """
    A function: have a limit that says it killed, one that did not, or none at all.
    """

    def have(killed: bool | None) -> None:
        @contextmanager
        def memory_limit(limit_mb: float):
            yield None if killed is None else MemoryLimit("cgroup v2", tmp_path)

        if killed is not None:
            (tmp_path / "memory.events").write_text(f"oom 1\noom_kill {int(killed)}\n", "ascii")
        monkeypatch.setattr(host, "memory_limit", memory_limit)

    return have


@pytest.fixture
def device() -> DeviceProfile:
    """
    A device with 80 MB free.
    """
    known = read_profile("rpi4")
    free = replace(known.memory.free, value=80.0)
    return replace(known, memory=replace(known.memory, free=free))


def test_more_threads_than_this_machine_has_are_not_asked_for(worker, group, device):
    """
    A device with many cores is profiled on a laptop with few.
    """
    group(False)
    run_on_host(Path("bundle"), device, REQUEST)

    assert {asked.threads for asked in worker.asked} == {os.cpu_count()}


def test_what_the_system_ends_does_not_survive(worker, group, device):
    """
    A process that the group's limit killed would not run on the device, whatever its peak was without a limit.
    """
    group(True)
    worker.dies = True

    assert run_on_host(Path("bundle"), device, REQUEST).ceiling == MemoryLimitRun(80.0, "cgroup v2", False, 90.0)


def test_what_lives_under_the_limit_survives(worker, group, device):
    """
    A peak over the limit may hold pages of files, which the system takes back.
    """
    group(False)

    assert run_on_host(Path("bundle"), device, REQUEST).ceiling.survived is True


def test_another_death_is_told_as_such(worker, group, device):
    """
    A worker that died of something else says nothing about memory.
    """
    group(False)
    worker.dies = True

    with pytest.raises(WorkerError):
        run_on_host(Path("bundle"), device, REQUEST)


def test_without_groups_the_peak_is_compared(worker, group, device):
    """
    90 MB do not fit into 80, and the answer says that it was only compared.
    """
    group(None)
    found = run_on_host(Path("bundle"), device, REQUEST).ceiling

    assert (found.how, found.survived) == ("compared", False)


def test_unknown_memory_is_no_limit(worker, group, device):
    """
    Null in a profile is not known, and not zero.
    """
    group(True)
    unknown = replace(device, memory=replace(device.memory, free=None))

    assert run_on_host(Path("bundle"), unknown, REQUEST).ceiling is None


@pytest.mark.parametrize(
    ("isa", "machine", "words"),
    [
        ("neon", "x86_64", "times are not"),
        ("neon", "aarch64", "multiplies as the device does"),
        ("vnni", "AMD64", "multiplies as the device does"),
        ("vnni", "arm64", "times are not"),
        ("avx2", "x86_64", "twin was timed"),
    ],
)
def test_what_a_time_here_is_worth(monkeypatch: pytest.MonkeyPatch, isa, machine, words):
    """
    It depends on whether this machine multiplies int8 as the device does.
    """
    monkeypatch.setattr(host.platform, "machine", lambda: machine)

    assert words in host_arithmetic(isa, "exact").note


def test_a_machine_without_vnni_is_no_stand_in_for_one_with_it():
    """
    It computes the twin, at about twice the time.
    """
    assert "times are not" in host_arithmetic("vnni", "no VNNI: the exact u8 x u8 twin is computed").note


@pytest.mark.parametrize(("of_the_device", "asked", "timed"), [("avx2", None, "avx2"), ("neon", "avx2", "avx2")])
def test_int8_is_multiplied_as_on_the_device(worker, group, device, of_the_device, asked, timed):
    """
    Without a wish of the user's, the profile says how; both runs do it.
    """
    group(False)
    found = run_on_host(Path("bundle"), replace(device, isa=of_the_device), replace(REQUEST, isa=asked))

    assert {request.isa for request in worker.asked} == {timed}
    assert found.isa.asked == timed


@pytest.mark.slow
def test_a_real_bundle_lives_in_a_gigabyte_and_not_in_twenty_megabytes(bundle, device):
    """
    The whole way: measured, run again in a group, and ended there where the limit is below what Python takes.
    """
    small, large = (replace(device.memory, free=replace(device.memory.free, value=free)) for free in (20.0, 1000.0))
    lives = run_on_host(bundle, replace(device, memory=large), REQUEST)
    if lives.ceiling.how == "compared":
        pytest.skip("this machine lets this user make no control group")

    assert lives.ceiling.survived is True
    assert run_on_host(bundle, replace(device, memory=small), REQUEST).ceiling.survived is False


@pytest.mark.slow
def test_without_vnni_the_twin_is_timed(bundle, device):
    """
    `isa: avx2` has this machine compute as one without VNNI, and the measurement says so.
    """
    found = run_on_host(bundle, device, replace(REQUEST, isa="avx2"))

    assert "twin" in found.measurement.conditions.int8_arithmetic
