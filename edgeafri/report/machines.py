"""machines: what was measured where, as names and values for people."""

from collections.abc import Sequence
from dataclasses import replace

from edgeafri.documents.base import plain
from edgeafri.documents.device_run import DeviceRun
from edgeafri.documents.emulated_run import EmulatedRun
from edgeafri.documents.host_run import COMPARED, HostRun, MemoryLimitRun
from edgeafri.documents.measurement import Measurement
from edgeafri.report.entry import Machine
from edgeafri.report.words import known_of, number, span, text_of


def machine_of(measured: Measurement, name: str, more: Sequence[tuple[str, str]] = ()) -> Machine:
    """A measurement's numbers and conditions, and `more`. A machine without a name of its own is called `name`."""
    numbers = (
        ("p50", measured.p50_ms, "ms"),
        ("p95", measured.p95_ms, "ms"),
        ("mean", measured.mean_ms, "ms"),
        ("CPU time", measured.cpu_ms, "ms"),
        ("tokenizer", measured.tokenize_ms, "ms"),
        ("labels from logits", measured.decode_ms, "ms"),
        ("load", measured.load_ms, "ms"),
        ("peak memory", measured.peak_rss_mb, "MB"),
        ("threads", measured.threads, ""),
        ("length", measured.seq_len, "subwords"),
        ("runs", measured.runs, ""),
    )
    facts = [(label, f"{number(value)} {unit}".strip()) for label, value, unit in numbers if value is not None]
    facts.append(("runtime", measured.runtime))
    for label, state in (("conditions", measured.conditions), ("after the runs", measured.after)):
        if state is not None and (known := known_of(state)):
            facts.append((label, text_of(known)))
    return Machine(measured.device or name, (*facts, *more))


def host_facts(host: HostRun) -> list[tuple[str, str]]:
    """What became of a run under the device's free memory, and which processor it was limited to."""
    limited = [("memory limit", _outcome(host.ceiling))] if host.ceiling else []
    return [*limited, ("instructions", text_of(known_of(host.isa)))]


def _outcome(limited: MemoryLimitRun) -> str:
    limit = f"{number(limited.limit_mb)} MB"
    if limited.how == COMPARED:
        return f"the peak is {'below' if limited.survived else 'above'} {limit}; no limit was set"
    return f"{'survived' if limited.survived else 'killed'} at {limit} ({limited.how})"


def emulated_machine(emulated: EmulatedRun) -> Machine:
    """What the emulated processor was compared by."""
    facts = (
        *(("note", note) for note in emulated.notes),
        ("qemu", emulated.qemu),
        ("onnxruntime", emulated.onnxruntime),
        ("compared with this machine", text_of(known_of(emulated.parity))),
        ("golden sentences", text_of(known_of(emulated.golden))),
    )
    return Machine(f"{emulated.cpu}, emulated", facts)


def real_device(device: DeviceRun, name: str) -> Machine:
    """The device itself: its measurement, and its state before and after."""
    facts = [("reached through", device.on)]
    if device.p50_interval_ms:
        facts.append(("p50, 95 % interval", f"{span(*device.p50_interval_ms)} ms"))
    facts += [
        ("system", text_of(known_of(device.system))),
        ("repeats", number(device.repeats)),
        ("settled", text_of(device.settled)),
        ("throttled", text_of(device.throttled)),
        ("before", text_of(known_of(device.before))),
        ("after", text_of(known_of(device.after))),
        ("verify", text_of(plain(device.verify))),
    ]
    scored = device.quality.quality if device.quality else {}
    facts += [(f"quality there, {code}", f"F1 {number(own.f1)}") for code, own in scored.items()]
    found = machine_of(device.measurement, "the device", facts)
    return replace(found, where=device_named(device, name) or found.where)


def device_named(device: DeviceRun, name: str) -> str:
    """A device by the name that its farm gives it, and by its own."""
    own = device.device or device.on
    return f"{name}, {own}" if name and own else name or own
