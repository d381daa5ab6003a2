"""The machine that measures: its name, its state and its memory, now.

psutil reads what it knows. It is not needed: a device whose Python has no psutil (Termux has no wheel of it) runs and
measures all the same, and what psutil would have said is None. What psutil does not give is read by hand here: the
machine's name, the frequency governor, the flags of a Raspberry Pi and the peak of memory. (runners/device_side.py
reads free memory by itself: it runs before anything is installed on a device.)
"""

import os
import platform
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, TypeVar

from edgeafri.documents.measurement import Conditions, MachineState

if TYPE_CHECKING:
    from psutil._common import shwtemp

T = TypeVar("T")
_GOVERNOR = "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"
_THROTTLED = "/sys/devices/platform/soc/soc:firmware/get_throttled"
_FLAGS = ("under-voltage", "frequency capped", "throttled", "soft temperature limit")
# How the names of processor sensors begin: ARM boards, Intel, AMD, phones, laptops. Other sensors are disks and radios.
_PROCESSOR_SENSORS = ("cpu", "soc", "coretemp", "x86_pkg", "k10temp", "zenpower", "tsens", "mtktscpu", "acpitz")


def device_name() -> str:
    """The board's own name where it has one, else the processor's."""
    # psutil names neither boards nor processors.
    board = _text("/proc/device-tree/model").strip("\0 \n")
    if board:
        return board
    lines = [
        line.split(":", 1)[1].strip() for line in _text("/proc/cpuinfo").splitlines() if line.startswith("model name")
    ]
    return lines[0] if lines else platform.processor() or platform.machine()


def machine_id() -> str:
    """What a cached measurement belongs to: another processor or system measures again."""
    return f"{device_name()} / {os.cpu_count()} cores / {platform.system()} {platform.release()}"


def machine_conditions() -> Conditions:
    """What shapes a timing on this machine, read now."""
    load, state = _by_psutil(lambda psutil: psutil.getloadavg()[0]), machine_state()
    return Conditions(
        machine=platform.machine(),
        cores=os.cpu_count(),
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        load_average_1min=None if load is None else round(load, 2),
        governor=_text(_GOVERNOR).strip() or None,  # psutil reads frequencies, not the policy behind them
        temperature_c=state.temperature_c,
        clock_mhz=state.clock_mhz,
        throttled=state.throttled,
        available_mb=state.available_mb,
    )


def machine_state() -> MachineState:
    """What a run heats up, slows down or fills, read now; None where a machine does not say."""
    available = _by_psutil(lambda psutil: psutil.virtual_memory().available)
    return MachineState(
        temperature_c=_by_psutil(lambda psutil: _temperature(psutil.sensors_temperatures())),
        clock_mhz=_by_psutil(lambda psutil: round(psutil.cpu_freq(percpu=True)[0].current) or None),
        throttled=_throttled(),
        available_mb=None if available is None else round(available / 1e6),
    )


def resident_bytes() -> int | None:
    """What this process holds in memory now, files it has mapped and read included. None without psutil."""
    return _by_psutil(lambda psutil: int(psutil.Process().memory_info().rss))


def peak_rss_bytes() -> int:
    """The most memory that this process has held."""
    # psutil knows the peak on Windows alone. Linux says it in VmHWM; its getrusage would count the parent's memory too,
    # which a process inherits at the fork. macOS has getrusage, in bytes.
    lines = _text("/proc/self/status").splitlines()
    peaks = [int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")]
    if peaks:
        return peaks[0]
    if platform.system() == "Windows":
        return _by_psutil(lambda psutil: int(psutil.Process().memory_info().peak_wset)) or 0
    import resource  # Windows has none

    unit = 1 if platform.system() == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _by_psutil(read: Callable[[ModuleType], T]) -> T | None:
    """A reading of psutil; None where psutil, or on this machine the reading, is not there."""
    try:
        import psutil  # 2 MB of memory: only a process that measures pays for it
    except ImportError:
        return None
    try:
        return read(psutil)
    # On a system that says nothing, its functions are missing, find nothing, or raise one of these.
    except (AttributeError, IndexError, NotImplementedError, OSError, psutil.Error):
        return None


def _temperature(sensors: Mapping[str, Sequence["shwtemp"]]) -> float | None:
    """The first reading of the processor's own sensor, in degrees Celsius."""
    for start in _PROCESSOR_SENSORS:
        for name, readings in sensors.items():
            if name.startswith(start) and readings:
                return round(float(readings[0].current), 1)
    return None


def _throttled() -> tuple[str, ...] | None:
    """The flags of a Raspberry Pi by name; its documentation of `vcgencmd get_throttled` gives the bits."""
    # No other board has them, and psutil does not know them.
    said = _text(_THROTTLED).strip() or _vcgencmd()
    try:
        bits = int(said.removeprefix("throttled="), 16)
    except ValueError:
        return None
    now = (name for bit, name in enumerate(_FLAGS) if bits >> bit & 1)
    return (*now, *(f"{name} has occurred" for bit, name in enumerate(_FLAGS) if bits >> (bit + 16) & 1))


def _vcgencmd() -> str:
    import shutil
    import subprocess  # only a Raspberry Pi pays for it, after its peak memory was read

    program = shutil.which("vcgencmd")
    if program is None:
        return ""
    try:
        return subprocess.run([program, "get_throttled"], capture_output=True, text=True, timeout=5).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""


def _text(path: str) -> str:
    try:
        return Path(path).read_text("utf-8", errors="replace")
    except OSError:
        return ""
