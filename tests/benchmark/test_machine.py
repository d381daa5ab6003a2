"""The machine: its name, its state and memory, and what tells it from another; with psutil and without."""

import os
import platform
import resource
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil
import pytest

from edgeafri.benchmark import machine
from edgeafri.benchmark.machine import (
    device_name,
    machine_conditions,
    machine_id,
    machine_state,
    peak_rss_bytes,
    resident_bytes,
)
from edgeafri.documents.measurement import MachineState

ROOT = Path(__file__).parents[2]


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """
    What the machine's files say; a file that is not listed is not there.
    """
    said: dict[str, str] = {}
    monkeypatch.setattr(machine, "_text", lambda path: said.get(path, ""))
    return said


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """
    What stands in for psutil: a function that is not set is not there, as on a system that has no such reading.
    """
    said = SimpleNamespace(Error=psutil.Error)
    monkeypatch.setitem(sys.modules, "psutil", said)
    return said


def failing(error: Exception) -> Any:
    """A reading that raises."""

    def read(**_: object) -> None:
        raise error

    return read


def test_a_board_says_its_own_name(files: dict[str, str]):
    """
    A Pi's name stands in the device tree, ended by a zero byte, and says more than its processor's.
    """
    files["/proc/device-tree/model"] = "Raspberry Pi 4 Model B Rev 1.4\0"
    files["/proc/cpuinfo"] = "processor\t: 0\nmodel name\t: ARMv7 Processor rev 3\n"

    assert device_name() == "Raspberry Pi 4 Model B Rev 1.4"


def test_a_machine_without_a_name_is_called_after_its_processor(files: dict[str, str]):
    """
    A laptop has the processor's name, once, however many cores it has.
    """
    files["/proc/cpuinfo"] = "model name\t: Some CPU @ 2.00GHz\nflags\t: avx2\nmodel name\t: Some CPU @ 2.00GHz\n"

    assert device_name() == "Some CPU @ 2.00GHz"


def test_a_machine_that_says_nothing_still_has_a_name(files: dict[str, str]):
    """
    Android and containers hide these files.
    """
    assert device_name() == (platform.processor() or platform.machine())


def test_conditions_name_what_shapes_a_timing(files: dict[str, str], readings: SimpleNamespace):
    """
    Cores, system, load and the governor; None where a machine does not say.
    """
    files["/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"] = "powersave\n"
    readings.getloadavg = lambda: (0.987, 2.0, 3.0)
    found = machine_conditions()

    assert (found.governor, found.cores, found.machine) == ("powersave", os.cpu_count(), platform.machine())
    assert found.load_average_1min == 0.99
    files.clear()
    assert machine_conditions().governor is None


def test_the_state_of_a_board(files: dict[str, str], readings: SimpleNamespace):
    """
    What a run changes: degrees, the first core's clock in MHz, memory in MB of 10^6 bytes, and a Pi's flags by name.
    """
    readings.sensors_temperatures = lambda: {"cpu_thermal": [SimpleNamespace(current=61.322)]}
    readings.cpu_freq = lambda percpu: [SimpleNamespace(current=1800.4), SimpleNamespace(current=600.0)]
    readings.virtual_memory = lambda: SimpleNamespace(available=1_024_000_000)
    files["/sys/devices/platform/soc/soc:firmware/get_throttled"] = "50005\n"

    assert machine_state().to_json() == {
        "temperature_c": 61.3,
        "clock_mhz": 1800,
        "throttled": ["under-voltage", "throttled", "under-voltage has occurred", "throttled has occurred"],
        "available_mb": 1024,
    }
    assert machine_state().to_json().items() <= machine_conditions().to_json().items()


@pytest.mark.parametrize(
    ("sensors", "degrees"),
    [
        ({"nvme": 38.0, "k10temp": 55.0}, 55.0),
        ({"acpitz": 27.8, "coretemp": 61.0}, 61.0),
        ({"rp1_adc": 58.1, "cpu_thermal": 49.9}, 49.9),
        ({"nvme": 38.0, "iwlwifi_1": 40.0}, None),
        ({}, None),
    ],
)
def test_the_temperature_is_the_processors(
    files: dict[str, str], readings: SimpleNamespace, sensors: Mapping[str, float], degrees: float | None
):
    """
    A disk's or a radio's would say nothing of a processor that slows itself down.
    """
    found = {"empty": [], **{name: [SimpleNamespace(current=value)] for name, value in sensors.items()}}
    readings.sensors_temperatures = lambda: found

    assert machine_state().temperature_c == degrees


@pytest.mark.parametrize("error", [NotImplementedError(), PermissionError(), psutil.AccessDenied(1), IndexError()])
def test_a_reading_that_fails_is_unknown(files: dict[str, str], readings: SimpleNamespace, error: Exception):
    """
    Measuring never fails for want of a condition.
    """
    readings.cpu_freq = readings.getloadavg = readings.virtual_memory = failing(error)

    assert machine_state() == MachineState()
    assert machine_conditions().load_average_1min is None


def test_a_clock_of_zero_is_unknown(files: dict[str, str], readings: SimpleNamespace):
    """
    psutil gives zero for a core that is switched off.
    """
    readings.cpu_freq = lambda percpu: [SimpleNamespace(current=0.0)]

    assert machine_state().clock_mhz is None


def test_a_device_without_psutil_measures_all_the_same(monkeypatch: pytest.MonkeyPatch):
    """
    What psutil would have said is None; the peak of memory is read by hand.
    """
    monkeypatch.setitem(sys.modules, "psutil", None)

    assert (machine_state().available_mb, resident_bytes()) == (None, None)
    assert machine_conditions().load_average_1min is None
    assert machine_conditions().cores == os.cpu_count()
    assert peak_rss_bytes() > 5_000_000


@pytest.mark.parametrize("said", ["", "throttled=0x0", "no such command"])
def test_a_board_asked_by_its_own_command(files: dict[str, str], tmp_path: Path, monkeypatch, said: str):
    """
    Where the kernel does not say, `vcgencmd` is asked; no flags are an empty list, no answer is None.
    """
    (tmp_path / "vcgencmd").write_text(f"#!/bin/sh\necho '{said}'\n", "utf-8")
    (tmp_path / "vcgencmd").chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)

    assert machine_state().throttled == (() if said == "throttled=0x0" else None)


def test_a_machine_that_says_nothing_has_no_state(files: dict[str, str], readings: SimpleNamespace, monkeypatch):
    """
    Containers and other systems hide all of it: unknown, never zero.
    """
    monkeypatch.setenv("PATH", "")

    assert machine_state() == MachineState()


def test_another_processor_is_another_machine(files: dict[str, str]):
    """
    A cached measurement must not travel to a machine that never made it.
    """
    files["/proc/cpuinfo"] = "model name\t: One\n"
    one = machine_id()
    files["/proc/cpuinfo"] = "model name\t: Two\n"

    assert one == machine_id().replace("Two", "One") != machine_id()


def test_a_file_that_cannot_be_read_says_nothing(tmp_path: Path):
    """
    Measuring never fails for want of a name.
    """
    (tmp_path / "odd").write_bytes(b"caf\xe9")

    assert machine._text(str(tmp_path / "nowhere")) == ""
    assert machine._text(str(tmp_path / "odd")) == "caf\ufffd"


def test_peak_memory_is_this_process_own_not_its_parents():
    """
    A worker started by a process of 200 MB must not report 200 MB: getrusage hands the parent's peak down.
    """
    ballast = np.ones(200_000_000, dtype=np.int8)
    script = "from edgeafri.benchmark.machine import peak_rss_bytes; print(peak_rss_bytes())"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    answer = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)

    assert peak_rss_bytes() > ballast.nbytes
    assert 5_000_000 < int(answer.stdout) < 150_000_000  # Python with numpy holds about 35 MB


def test_peak_memory_counts_what_was_given_back():
    """
    It is the most ever held, not what is held now.
    """
    before = peak_rss_bytes()
    ballast = np.ones(before + 20_000_000, dtype=np.int8)
    held = ballast.nbytes
    del ballast

    assert peak_rss_bytes() > held


@pytest.mark.parametrize(("system", "unit"), [("Darwin", 1), ("FreeBSD", 1024)])
def test_without_proc_the_system_is_asked(files: dict[str, str], monkeypatch, system: str, unit: int):
    """
    macOS has no /proc and counts in bytes; other systems count in kilobytes.
    """
    monkeypatch.setattr(platform, "system", lambda: system)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    assert peak * unit <= peak_rss_bytes() <= 2 * peak * unit


def test_windows_says_its_peak_through_psutil(files: dict[str, str], readings: SimpleNamespace, monkeypatch):
    """
    It has neither /proc nor getrusage.
    """
    monkeypatch.setattr(platform, "system", lambda: "Windows")
    monkeypatch.setitem(sys.modules, "resource", None)
    readings.Process = lambda: SimpleNamespace(memory_info=lambda: SimpleNamespace(rss=5, peak_wset=7))

    assert (resident_bytes(), peak_rss_bytes()) == (5, 7)
