"""The host tier: a bundle timed on this machine, and run again under the memory that the device has free."""

import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgeafri.device.isa import Isa
from edgeafri.device.profile import DeviceProfile
from edgeafri.errors import WorkerError
from edgeafri.profiling.memory_limit import Ceiling, ceiling
from edgeafri.runners.local import RUNTIME, call_worker
from edgeafri.util.progress import Progress, silent

_CEILING_RUNS = 3
_X86 = ("x86_64", "AMD64")
_OF_X86 = ("avx2", "vnni")


def on_host(
    bundle: Path, profile: DeviceProfile, request: Mapping[str, Any], progress: Progress = silent
) -> dict[str, Any]:
    """The bundle's measurement here by `request` (threads, seq_len, runs, warmup, isa), and whether memory suffices.

    Wall time here says how two bundles compare, not how fast the device is.
    """
    threads, isa = min(request["threads"], os.cpu_count() or 1), request.get("isa") or profile.isa
    asked = {**request, "do": "bench", "bundle": str(bundle), "threads": threads, "isa": isa}
    measurement = call_worker(RUNTIME, asked, progress)
    free = profile.memory.free
    under = None if free is None else under_ceiling(asked, free.value, measurement["peak_rss_mb"])
    return {
        "measurement": measurement,
        "ceiling": under,
        "isa": isa_words(isa, measurement),
    }


def under_ceiling(request: Mapping[str, Any], limit_mb: float, peak_mb: float) -> dict[str, Any]:
    """What becomes of the same process with at most `limit_mb` of memory, in MB of 10^6 bytes.

    In a control group the system takes pages of files back and ends a process that still needs more, as the device
    would. Where none can be made, `peak_mb`, which was measured without a limit, is held against it.
    """
    with ceiling(limit_mb) as group:
        if group is None:
            survived, how = peak_mb <= limit_mb, "compared"
        else:
            survived, how = _lives(request, group), group.how
    return {"limit_mb": limit_mb, "how": how, "survived": survived, "peak_rss_mb": peak_mb}


def isa_words(isa: Isa, measurement: Mapping[str, Any]) -> dict[str, str]:
    """What was asked for, how int8 was multiplied, and what the timing then says of the device."""
    arithmetic = measurement["conditions"]["int8_arithmetic"]
    return {"asked": isa, "arithmetic": arithmetic, "note": _note(isa, platform.machine(), arithmetic)}


def _lives(request: Mapping[str, Any], group: Ceiling) -> bool:
    try:
        call_worker(RUNTIME, {**request, "runs": _CEILING_RUNS, "warmup": 1}, before=group.before)
    except WorkerError:
        if not group.killed:
            raise
        return False
    return True


def _note(isa: Isa, machine: str, arithmetic: str) -> str:
    here = machine in _X86
    if isa == "avx2" and here:
        return "Without VNNI, u8 x s8 sums stop at 16 bits: the exact u8 x u8 twin was timed, at about twice the time."
    lacking = isa == "vnni" and arithmetic.startswith("no VNNI")
    if (isa in _OF_X86) is here and not lacking:
        return f"This machine multiplies as the device does: {arithmetic}."
    return f"Labels here are those of the device; times are not, since int8 is computed otherwise there ({isa})."
