"""The host tier: a bundle timed on this machine, and run again in the memory that the device has free."""

import os
import platform
from dataclasses import dataclass, replace
from pathlib import Path

from edgeafri.device.isa import Isa
from edgeafri.device.profile import DeviceProfile
from edgeafri.documents.host_run import COMPARED, HostArithmetic, HostRun, MemoryLimitRun
from edgeafri.documents.measurement import Measurement
from edgeafri.documents.runtime_requests import BenchRequest
from edgeafri.errors import WorkerError
from edgeafri.profiling.memory_limit import MemoryLimit, memory_limit
from edgeafri.runners.local import RUNTIME, call_worker
from edgeafri.util.progress import Progress, silent

_LIMITED_RUNS = 3
_X86 = ("x86_64", "AMD64")
_OF_X86 = ("avx2", "vnni")


@dataclass(frozen=True)
class HostRequest:
    """How to time a bundle here. `seq_len` is in subwords; `isa` is the device's own when None."""

    seq_len: int
    threads: int
    runs: int = 30
    warmup: int = 5
    isa: Isa | None = None


def run_on_host(bundle: Path, profile: DeviceProfile, request: HostRequest, progress: Progress = silent) -> HostRun:
    """Time a bundle here, and see whether it runs in the device's free memory.

    No more threads are used than this machine has. Wall time here compares two bundles; it is not the device's time.
    """
    isa: Isa = request.isa or profile.isa
    threads = min(request.threads, os.cpu_count() or 1)
    asked = BenchRequest(
        bundle=bundle, threads=threads, seq_len=request.seq_len, runs=request.runs, warmup=request.warmup, isa=isa
    )
    measurement = Measurement.from_json(call_worker(RUNTIME, asked, progress))
    free, peak = profile.memory.free, measurement.peak_rss_mb
    limited = None if free is None or peak is None else run_in_memory(asked, free.value, peak)
    return HostRun(measurement, limited, host_arithmetic(isa, measurement.conditions.int8_arithmetic or ""))


def run_in_memory(request: BenchRequest, limit_mb: float, peak_mb: float) -> MemoryLimitRun:
    """Run a request again with at most `limit_mb` of memory, in MB of 10^6 bytes.

    Without control groups, `peak_mb`, which was measured without a limit, is compared with it.
    """
    with memory_limit(limit_mb) as limit:
        if limit is None:
            return MemoryLimitRun(limit_mb, COMPARED, peak_mb <= limit_mb, peak_mb)
        return MemoryLimitRun(limit_mb, limit.how, _survives(request, limit), peak_mb)


def host_arithmetic(isa: Isa, arithmetic: str) -> HostArithmetic:
    """How int8 was multiplied here for a device of this `isa`, and what a time here says of the device."""
    return HostArithmetic(isa, arithmetic, _note(isa, platform.machine(), arithmetic))


def _survives(request: BenchRequest, limit: MemoryLimit) -> bool:
    try:
        call_worker(RUNTIME, replace(request, runs=_LIMITED_RUNS, warmup=1), before=limit.prefix)
    except WorkerError:
        if not limit.killed:
            raise
        return False
    return True


def _note(isa: Isa, machine: str, arithmetic: str) -> str:
    here = machine in _X86
    if isa == "avx2" and here:
        return (
            "Without VNNI, sums of u8 x s8 overflow at 16 bits. The exact u8 x u8 twin was timed instead; it takes "
            "about twice the time."
        )
    lacking = isa == "vnni" and arithmetic.startswith("no VNNI")
    if (isa in _OF_X86) is here and not lacking:
        return f"This machine multiplies as the device does: {arithmetic}."
    return f"The labels here are those of the device. The times are not: the device computes int8 differently ({isa})."
