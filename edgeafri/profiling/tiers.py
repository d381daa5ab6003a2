"""`edgeafri profile`: what is known of a bundle on a device, from arithmetic to the device itself, in one document."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

from edgeafri import report
from edgeafri.artifact import Artifact, load_bundle
from edgeafri.bundle import read_config
from edgeafri.device.isa import Isa
from edgeafri.device.profile import DeviceProfile
from edgeafri.errors import UsageError
from edgeafri.latency.estimate import estimate
from edgeafri.profiling.host import on_host
from edgeafri.runners.board import Visit, on_device
from edgeafri.util.files import Digests
from edgeafri.util.progress import StartProgress, quiet

SCHEMA = 1
Tier = Literal["estimate", "host", "emulated", "device"]
TIERS: tuple[Tier, ...] = get_args(Tier)
# A device that does not answer is told before minutes of emulation, not after them.
_ORDER: tuple[Tier, ...] = ("estimate", "device", "host", "emulated")
Document = dict[str, Any]


@dataclass(frozen=True)
class Inquiry:
    """What to find out of a bundle on one device; `seq_len` and `threads` are the device's own when None.

    `on` is where the device is, for the tier of that name, and `visit` what to do there beside what is said here.
    `isa` is that of the timing on this machine. `data` is labelled, and scored in the languages given, else the
    bundle's, on the emulated and on the real device.
    """

    profile: DeviceProfile
    tiers: tuple[Tier, ...] = ("estimate", "host")
    on: str | None = None
    seq_len: int | None = None
    threads: int | None = None
    runs: int = 30
    isa: Isa | None = None
    data: Path | None = None
    languages: tuple[str, ...] = ()
    visit: Visit = field(default_factory=Visit)
    command: str = ""


def profile(bundle: Path, inquiry: Inquiry, start: StartProgress = quiet) -> Document:
    """One document of one bundle on one device: its tiers, None where one was not asked for, and the checks.

    UsageError for tiers that cannot be asked so, ArtifactError for a folder that is no bundle, and what a tier raises.
    """
    _check(inquiry)
    artifact, config = checked(bundle), read_config(bundle)
    if inquiry.seq_len is not None and inquiry.seq_len > config.max_tokens:
        message = f"{bundle} reads {config.max_tokens} sub-words at once, not {inquiry.seq_len}"
        raise UsageError(message, f"Use --seq-len {config.max_tokens} or less.")
    device, facts = inquiry.profile, artifact.manifest.facts
    document: Document = {
        "schema": SCHEMA,
        "kind": "profile",
        "target": device.name,
        "title": device.title,
        "bundle": str(bundle),
        "bundle_id": artifact.id,
        "task": config.task,
        "languages": list(config.languages),
        "sample": config.sample,
        "seq_len": inquiry.seq_len or min(device.budget.seq_len, config.max_tokens),
        "threads": inquiry.threads or device.threads,
        "work": {name: value for name, value in facts.items() if type(value) in (int, float)},
        "groups": facts.get("group_bytes"),
        "bundle_bytes": artifact.bytes,
    }
    found = {tier: _tier(tier, artifact, document, inquiry, start) for tier in _ORDER}
    document["tiers"] = {tier: found[tier] for tier in TIERS}
    document["checks"] = [asdict(item) for item in _checks(device, document)]
    document["notes"] = _notes(device, document["tiers"])
    document["commands"] = [inquiry.command] if inquiry.command else []
    return document


def _check(inquiry: Inquiry) -> None:
    if not inquiry.tiers:
        raise UsageError("no tier was asked for", f"Choose from {', '.join(TIERS)}.")
    if "device" in inquiry.tiers and inquiry.on is None:
        raise UsageError("the tier 'device' needs to know where the device is", "Add --on ssh:pi@raspberrypi.local")
    if "device" not in inquiry.tiers and inquiry.on is not None:
        raise UsageError("--on is for the tier 'device', which was not asked for", "Add device to --tier.")
    if "emulated" in inquiry.tiers:
        from edgeafri.profiling.emulated import check_emulated

        check_emulated(inquiry.profile)
    if inquiry.data is not None and not {"emulated", "device"} & set(inquiry.tiers):
        hint = "Add one of them to --tier; on this machine it is `edgeafri eval`."
        raise UsageError("--data is for the tiers 'emulated' and 'device', and neither was asked for", hint)


def checked(bundle: Path) -> Artifact:
    """A bundle with its files checked. ArtifactError for a folder that is none or is damaged."""
    with Digests() as digests:
        return load_bundle(bundle, digests)


def _tier(tier: Tier, bundle: Artifact, document: Document, inquiry: Inquiry, start: StartProgress) -> Document | None:
    if tier not in inquiry.tiers:
        return None
    asked = {"seq_len": document["seq_len"], "threads": document["threads"]}
    if tier == "estimate":
        return asdict(estimate(bundle.manifest.facts, inquiry.profile, **asked))
    if tier == "host":
        request = {**asked, "runs": inquiry.runs, "warmup": 5, "isa": inquiry.isa}
        return on_host(bundle.path, inquiry.profile, request, start("time it on this machine"))
    if tier == "emulated":
        from edgeafri.profiling.emulated import emulated

        return emulated(
            bundle.path, inquiry.profile, **asked, data=inquiry.data, languages=inquiry.languages, start=start
        )
    visit = replace(inquiry.visit, **asked, data=inquiry.data, languages=inquiry.languages)
    return on_device(str(inquiry.on), bundle.path, visit, start)


def _checks(device: DeviceProfile, document: Document) -> tuple[report.Check, ...]:
    """Every number held against the budget: from the device where it was asked, else from the next best tier."""
    tiers, budget = document["tiers"], device.budget
    real, host = tiers["device"] or {}, tiers["host"] or {}
    guess, timed = tiers["estimate"] or {}, real["measurement"] if real and _fits(device, real) else {}
    time = {"measured": timed["p95_ms"]} if timed else {"low": guess.get("low_ms"), "high": guess.get("high_ms")}
    checks = [
        report.check("bundle size", budget.bundle_mb.value, "MB", document["bundle_bytes"] / 1e6),
        report.check("peak memory", budget.peak_rss_mb.value, "MB", _peak_mb(tiers)),
        report.check("latency", budget.p95_ms.value, "ms", **time),
        report.check("load time", budget.load_ms.value, "ms", timed.get("load_ms")),
    ]
    under = host.get("ceiling")
    if under is not None:
        peak, limit = under["peak_rss_mb"], under["limit_mb"]
        checks.append(report.Check("runs in the free memory", peak, limit, "MB", under["survived"]))
    if tiers["emulated"]:
        checks += _emulated_checks(tiers["emulated"])
    if real:
        checks.append(report.check("golden sentences changed", 0, "", len(real["verify"]["differences"])))
    return tuple(checks)


def _emulated_checks(found: Mapping[str, Any]) -> list[report.Check]:
    """Whether the device's code computes what this machine does: by logits in float32, by labels in int8."""
    parity, changed = found["parity"], len(found["golden"]["differences"])
    if parity["allowed_flips"] is None:
        name, measured, limit = "logits apart, emulated", parity["largest_logit_difference"], parity["largest_allowed"]
    else:
        name, measured, limit = "labels changed, emulated", parity["flips"], parity["allowed_flips"]
    return [
        report.Check(name, measured, limit, "", parity["passed"]),
        report.check("golden sentences changed, emulated", 0, "", changed),
    ]


def _peak_mb(tiers: Mapping[str, Any]) -> float | None:
    """Of the device, else of its own code under emulation, else of this machine; these are within 10 MB."""
    found = [
        ((tiers["device"] or {}).get("measurement") or {}).get("peak_rss_mb"),
        (tiers["emulated"] or {}).get("peak_rss_mb"),
        ((tiers["host"] or {}).get("measurement") or {}).get("peak_rss_mb"),
    ]
    return next((peak for peak in found if peak is not None), None)


def _fits(device: DeviceProfile, found: Mapping[str, Any]) -> bool:
    """Whether what answered is such a device, as far as its profile knows what that calls itself."""
    return not device.models or found["device"].startswith(device.models)


def _notes(device: DeviceProfile, tiers: Mapping[str, Any]) -> list[str]:
    """What the tiers say beside their numbers, each once and with its tier's name."""
    said = {name: list((tier or {}).get("notes") or ()) for name, tier in tiers.items()}
    host, real = tiers["host"] or {}, tiers["device"] or {}
    if real and not _fits(device, real):
        said["device"].append(
            f"What answered calls itself {real['device']}, not {device.models[0]}: its times are not judged."
        )
    if host:
        said["host"] = [host["isa"]["note"], *_ceiling_words(host["ceiling"])]
    if (tiers["emulated"] or {}).get("note"):
        said["emulated"] = [tiers["emulated"]["note"]]
    return [f"{name}: {note}" for name, notes in said.items() for note in notes]


def _ceiling_words(under: Mapping[str, Any] | None) -> list[str]:
    if under is None:
        return ["How much memory the device has free is not known, so none was withheld."]
    if under["how"] == "compared":
        return ["No control group could be made here; the peak was held against the device's free memory instead."]
    end = "It ran" if under["survived"] else "The system ended it"
    return [f"{end} with the {under['limit_mb']:g} MB that are free on the device ({under['how']})."]
