"""machines: what was measured where, as names and values for people."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from edgeafri.report.entry import Document, Machine
from edgeafri.report.words import number, span, text_of

_NUMBERS = (
    ("p50_ms", "p50", "ms"),
    ("p95_ms", "p95", "ms"),
    ("mean_ms", "mean", "ms"),
    ("cpu_ms", "CPU time", "ms"),
    ("tokenize_ms", "tokenizer", "ms"),
    ("decode_ms", "labels from logits", "ms"),
    ("load_ms", "load", "ms"),
    ("peak_rss_mb", "peak memory", "MB"),
    ("threads", "threads", ""),
    ("seq_len", "length", "sub-words"),
    ("runs", "runs", ""),
)


def machine_of(measured: Document, name: str, more: Sequence[tuple[str, str]] = ()) -> tuple[Machine, ...]:
    """A measurement's numbers and conditions, and `more`; nothing where there is no measurement."""
    if not measured:
        return ()
    facts = [
        (label, f"{number(measured[key])} {unit}".strip())
        for key, label, unit in _NUMBERS
        if measured.get(key) is not None
    ]
    for key, label in (("runtime", "runtime"), ("conditions", "conditions"), ("after", "after the runs")):
        if known := _known(measured.get(key)):
            facts.append((label, text_of(known)))
    return (Machine(measured.get("device") or name, (*facts, *more)),)


def _known(value: Any) -> Any:
    """A value without what a machine did not say."""
    return {key: own for key, own in value.items() if own is not None} if isinstance(value, Mapping) else value


def host_ceiling(host: Document) -> list[tuple[str, str]]:
    """What became of a run under the device's free memory, and which processor it was limited to."""
    ceiling, isa = host.get("ceiling") or {}, host.get("isa") or {}
    facts = [("memory ceiling", _fate(ceiling))] if ceiling else []
    if isa:
        facts.append(("instructions", text_of(_known(isa))))
    return facts


def _fate(ceiling: Document) -> str:
    limit, how, survived = f"{number(ceiling.get('limit_mb'))} MB", ceiling.get("how"), ceiling.get("survived")
    if survived is None:
        return f"not known at {limit}"
    if how == "compared":
        return f"the peak is {'below' if survived else 'above'} {limit}; no limit was set"
    return f"{'survived' if survived else 'killed'} at {limit} ({how or 'how is not named'})"


def emulated_machine(emulated: Document) -> tuple[Machine, ...]:
    """What the emulated processor was compared by."""
    if not emulated:
        return ()
    facts = [(name, str(emulated[name])) for name in ("note", "qemu", "onnxruntime") if emulated.get(name)]
    facts += [(label, text_of(_known(emulated[key]))) for key, label in _EMULATED.items() if emulated.get(key)]
    return (Machine(f"{emulated.get('cpu') or 'a processor not named'}, emulated", tuple(facts)),)


_EMULATED = {"parity": "compared with this machine", "golden": "golden sentences"}


def real_device(device: Document, name: str) -> tuple[Machine, ...]:
    """The device itself: its measurement, and its state before and after."""
    if not device:
        return ()
    facts = [("reached through", str(device["on"]))] if device.get("on") else []
    if device.get("p50_interval_ms"):
        facts.append(("p50, 95 % interval", f"{span(*device['p50_interval_ms'])} ms"))
    facts += [(label, text_of(_known(device[key]))) for key, label in _THERE.items() if device.get(key) is not None]
    facts += [(f"quality there, {code}", text_of(own)) for code, own in _scores(device.get("quality")).items()]
    (found,) = machine_of(device.get("measurement") or {"device": ""}, "the device", facts)
    return (replace(found, where=device_named(device, name) or found.where),)


_THERE = {
    "system": "system",
    "repeats": "repeats",
    "settled": "settled",
    "throttled": "throttled",
    "before": "before",
    "after": "after",
    "verify": "verify",
}


def device_named(device: Document, name: str) -> str:
    """A device by the name that its farm gives it, and by its own."""
    own = device.get("device") or device.get("on") or ""
    return f"{name}, {own}" if name and own else name or own


def _scores(quality: Any) -> dict[str, Any]:
    """F1 by language of what an evaluation answers."""
    found = quality.get("quality") if isinstance(quality, Mapping) else None
    scored = found.items() if isinstance(found, Mapping) else ()
    return {code: f"F1 {number(own['f1'])}" for code, own in scored if isinstance(own, Mapping) and _is_score(own)}


def _is_score(own: Mapping[str, Any]) -> bool:
    return isinstance(own.get("f1"), (int, float))
