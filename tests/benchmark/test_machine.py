"""The machine: its name, its state, and what tells it from another."""

import os
import platform
from pathlib import Path

import pytest

from edgeafri.benchmark import machine
from edgeafri.benchmark.machine import device_name, machine_conditions, machine_id, machine_state
from edgeafri.documents.measurement import MachineState


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """
    What the machine's files say; a file that is not listed is not there.
    """
    said: dict[str, str] = {}
    monkeypatch.setattr(machine, "_read", lambda path: said.get(path, ""))
    return said


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


def test_conditions_name_what_shapes_a_timing(files: dict[str, str]):
    """
    Cores, system, load and the governor; None where a machine does not say.
    """
    files["/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"] = "powersave\n"
    found = machine_conditions()

    assert (found.governor, found.cores, found.machine) == ("powersave", os.cpu_count(), platform.machine())
    assert found.load_average_1min >= 0
    files.clear()
    assert machine_conditions().governor is None


def test_the_state_of_a_board(files: dict[str, str]):
    """
    What a run changes: heat in degrees, the clock in MHz, memory in MB of 10^6 bytes, and a Pi's flags by name.
    """
    files["/sys/class/thermal/thermal_zone0/temp"] = "61322\n"
    files["/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq"] = "1800000\n"
    files["/proc/meminfo"] = "MemTotal:  1890000 kB\nMemAvailable:  1000000 kB\n"
    files["/sys/devices/platform/soc/soc:firmware/get_throttled"] = "50005\n"

    assert machine_state().to_json() == {
        "temperature_c": 61.3,
        "clock_mhz": 1800,
        "throttled": ["under-voltage", "throttled", "under-voltage has occurred", "throttled has occurred"],
        "available_mb": 1024,
    }
    assert machine_state().to_json().items() <= machine_conditions().to_json().items()


@pytest.mark.parametrize("said", ["", "throttled=0x0", "no such command"])
def test_a_board_asked_by_its_own_command(files: dict[str, str], tmp_path: Path, monkeypatch, said: str):
    """
    Where the kernel does not say, `vcgencmd` is asked; no flags are an empty list, no answer is None.
    """
    (tmp_path / "vcgencmd").write_text(f"#!/bin/sh\necho '{said}'\n", "utf-8")
    (tmp_path / "vcgencmd").chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)

    assert machine_state().throttled == (() if said == "throttled=0x0" else None)


def test_a_machine_that_says_nothing_has_no_state(files: dict[str, str], monkeypatch):
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

    assert machine._read(str(tmp_path / "nowhere")) == ""
    assert machine._read(str(tmp_path / "odd")) == "caf\ufffd"
