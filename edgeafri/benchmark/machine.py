"""The machine that measures: its name, its state now, and what shapes a timing on it."""

import os
import platform
from pathlib import Path

from edgeafri.documents.measurement import Conditions, MachineState

_CPUFREQ = "/sys/devices/system/cpu/cpu0/cpufreq"
_THROTTLED = "/sys/devices/platform/soc/soc:firmware/get_throttled"
_FLAGS = ("under-voltage", "frequency capped", "throttled", "soft temperature limit")


def device_name() -> str:
    """The board's own name where it has one, else the processor's."""
    board = _read("/proc/device-tree/model").strip("\0 \n")
    if board:
        return board
    lines = [
        line.split(":", 1)[1].strip() for line in _read("/proc/cpuinfo").splitlines() if line.startswith("model name")
    ]
    return lines[0] if lines else platform.processor() or platform.machine()


def machine_conditions() -> Conditions:
    """What shapes a timing on this machine, read now."""
    load, state = os.getloadavg()[0] if hasattr(os, "getloadavg") else None, machine_state()
    return Conditions(
        machine=platform.machine(),
        cores=os.cpu_count(),
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        load_average_1min=None if load is None else round(load, 2),
        governor=_read(f"{_CPUFREQ}/scaling_governor").strip() or None,
        temperature_c=state.temperature_c,
        clock_mhz=state.clock_mhz,
        throttled=state.throttled,
        available_mb=state.available_mb,
    )


def machine_state() -> MachineState:
    """What a run heats up, slows down or fills, read now; None where a machine does not say.

    The flags of a Raspberry Pi are those of its documentation of `vcgencmd get_throttled`.
    """
    heat = _number(_read("/sys/class/thermal/thermal_zone0/temp"))
    clock = _number(_read(f"{_CPUFREQ}/scaling_cur_freq"))
    free = [line.split()[1] for line in _read("/proc/meminfo").splitlines() if line.startswith("MemAvailable")]
    return MachineState(
        temperature_c=None if heat is None else round(heat / 1000, 1),
        clock_mhz=None if clock is None else round(clock / 1000),
        throttled=_throttled(),
        available_mb=round(int(free[0]) * 1024 / 1e6) if free else None,
    )


def _throttled() -> tuple[str, ...] | None:
    said = _read(_THROTTLED).strip() or _vcgencmd()
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


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def machine_id() -> str:
    """What a cached measurement belongs to: another processor or system measures again."""
    return f"{device_name()} / {os.cpu_count()} cores / {platform.system()} {platform.release()}"


def _read(path: str) -> str:
    try:
        return Path(path).read_text("utf-8", errors="replace")
    except OSError:
        return ""
