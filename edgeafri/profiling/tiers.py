"""`edgeafri profile`: what is known of a bundle on a device, from arithmetic to the device itself, in one document."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from edgeafri.artifact import Artifact, load_bundle
from edgeafri.bundle import read_config
from edgeafri.device.isa import Isa
from edgeafri.device.profile import DeviceProfile
from edgeafri.documents.checks import Check
from edgeafri.documents.device_run import DeviceRun
from edgeafri.documents.emulated_run import EmulatedRun, MachineParity
from edgeafri.documents.estimate import Estimate
from edgeafri.documents.host_run import COMPARED, HostRun, MemoryLimitRun
from edgeafri.documents.profile import TIERS, Profile, Tier, Tiers
from edgeafri.errors import UsageError
from edgeafri.latency.estimate import estimate
from edgeafri.profiling.host import HostRequest, run_on_host
from edgeafri.report.checks import check
from edgeafri.runners.board import DeviceRequest, run_on_device
from edgeafri.util.files import Digests
from edgeafri.util.progress import StartProgress, quiet


@dataclass(frozen=True)
class ProfileRequest:
    """What to find out of a bundle on one device. `seq_len` and `threads` are the device's own when None.

    `on` is the connection to the device, for the tier of that name, and `device_run` how to use the device beside what
    is said here. `runs` and `isa` are those of the timing on this machine. `data` is labelled; the emulated and the
    real device are scored on it, in the `languages` given, else in the bundle's.
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
    device_run: DeviceRequest = field(default_factory=DeviceRequest)
    command: str = ""


def profile(bundle: Path, request: ProfileRequest, start: StartProgress = quiet) -> Profile:
    """One document of one bundle on one device: its tiers, None where one was not asked for, and the checks.

    UsageError for a request that does not fit together, ArtifactError for a folder that is no bundle, and what a tier
    raises.
    """
    _check(request)
    artifact, config = checked(bundle), read_config(bundle)
    if request.seq_len is not None and request.seq_len > config.max_tokens:
        message = f"{bundle} reads at most {config.max_tokens} subwords at once, not {request.seq_len}"
        raise UsageError(message, f"Use --seq-len {config.max_tokens} or less.")
    device, facts = request.profile, artifact.manifest.facts
    seq_len = request.seq_len or min(device.budget.seq_len, config.max_tokens)
    threads = request.threads or device.threads
    tiers = _tiers(artifact, replace(request, seq_len=seq_len, threads=threads), start)
    return Profile(
        target=device.name,
        title=device.title,
        bundle=str(bundle),
        bundle_id=artifact.id,
        task=config.task,
        languages=config.languages,
        sample=config.sample,
        seq_len=seq_len,
        threads=threads,
        work={name: value for name, value in facts.items() if type(value) in (int, float)},
        groups=facts.get("group_bytes"),
        bundle_bytes=artifact.bytes,
        tiers=tiers,
        checks=tuple(_checks(device, artifact.bytes, tiers)),
        notes=tuple(_notes(device, tiers)),
        commands=(request.command,) if request.command else (),
    )


def checked(bundle: Path) -> Artifact:
    """A bundle with its files checked. ArtifactError for a folder that is none or is damaged."""
    with Digests() as digests:
        return load_bundle(bundle, digests)


def _check(request: ProfileRequest) -> None:
    if not request.tiers:
        raise UsageError("no tier was asked for", f"Choose from {', '.join(TIERS)}.")
    if "device" in request.tiers and request.on is None:
        raise UsageError("the tier 'device' needs to know where the device is", "Add --on ssh:pi@raspberrypi.local")
    if "device" not in request.tiers and request.on is not None:
        raise UsageError("--on is for the tier 'device', which was not asked for", "Add device to --tier.")
    if "emulated" in request.tiers:
        from edgeafri.profiling.emulated import check_emulated

        check_emulated(request.profile)
    if request.data is not None and not {"emulated", "device"} & set(request.tiers):
        hint = "Add one of them to --tier. On this machine, `edgeafri eval` scores a bundle."
        raise UsageError("--data is for the tiers 'emulated' and 'device', and neither was asked for", hint)


def _tiers(bundle: Artifact, request: ProfileRequest, start: StartProgress) -> Tiers:
    """The tiers asked for. The device comes before the slow ones: one that does not answer is an error at once."""
    asked = request.tiers
    guess = _estimate(bundle, request) if "estimate" in asked else None
    real = _on_device(bundle, request, start) if "device" in asked else None
    host = _on_host(bundle, request, start) if "host" in asked else None
    emulated = _emulated(bundle, request, start) if "emulated" in asked else None
    return Tiers(guess, host, emulated, real)


def _estimate(bundle: Artifact, request: ProfileRequest) -> Estimate:
    seq_len, threads = _size(request)
    return estimate(bundle.manifest.facts, request.profile, seq_len, threads)


def _on_host(bundle: Artifact, request: ProfileRequest, start: StartProgress) -> HostRun:
    timing = HostRequest(*_size(request), runs=request.runs, isa=request.isa)
    return run_on_host(bundle.path, request.profile, timing, start("time it on this machine"))


def _emulated(bundle: Artifact, request: ProfileRequest, start: StartProgress) -> EmulatedRun:
    from edgeafri.profiling.emulated import run_emulated

    seq_len, threads = _size(request)
    return run_emulated(bundle.path, request.profile, seq_len, threads, request.data, request.languages, start)


def _on_device(bundle: Artifact, request: ProfileRequest, start: StartProgress) -> DeviceRun:
    seq_len, threads = _size(request)
    asked = replace(
        request.device_run, seq_len=seq_len, threads=threads, data=request.data, languages=request.languages
    )
    return run_on_device(str(request.on), bundle.path, asked, start)


def _size(request: ProfileRequest) -> tuple[int, int]:
    """The length in subwords and the threads; profile() has filled both in."""
    return request.seq_len or request.profile.budget.seq_len, request.threads or request.profile.threads


def _checks(device: DeviceProfile, bundle_bytes: int, tiers: Tiers) -> Iterator[Check]:
    """Every number compared with the budget: that of the device where it was asked, else of the next best tier."""
    budget, guess = device.budget, tiers.estimate
    timed = tiers.device.measurement if tiers.device and _fits(device, tiers.device) else None
    p95, load = (timed.p95_ms, timed.load_ms) if timed else (None, None)
    low, high = (guess.low_ms, guess.high_ms) if guess and not timed else (None, None)
    yield check("bundle size", budget.bundle_mb.value, "MB", bundle_bytes / 1e6)
    yield check("peak memory", budget.peak_rss_mb.value, "MB", _peak_mb(tiers))
    yield check("latency", budget.p95_ms.value, "ms", p95, low, high)
    yield check("load time", budget.load_ms.value, "ms", load)
    if tiers.host and tiers.host.ceiling:
        limited = tiers.host.ceiling
        yield Check("runs in the free memory", limited.peak_rss_mb, limited.limit_mb, "MB", limited.survived)
    if tiers.emulated:
        yield _parity_check(tiers.emulated.parity)
        yield check("golden sentences changed, emulated", 0, "", len(tiers.emulated.golden.differences))
    if tiers.device:
        yield check("golden sentences changed", 0, "", len(tiers.device.verify.differences))


def _parity_check(parity: MachineParity) -> Check:
    """Whether the device's code computes what this machine does: by logits in float32, by labels in int8."""
    if parity.largest_allowed is not None:
        measured, limit = parity.largest_logit_difference, parity.largest_allowed
        return Check("logits apart, emulated", measured, limit, "", parity.passed)
    return Check("labels changed, emulated", parity.flips, parity.allowed_flips or 0, "", parity.passed)


def _peak_mb(tiers: Tiers) -> float | None:
    """Of the device, else of its own code under emulation, else of this machine; these are within 10 MB."""
    if tiers.device and tiers.device.measurement.peak_rss_mb is not None:
        return tiers.device.measurement.peak_rss_mb
    if tiers.emulated:
        return tiers.emulated.peak_rss_mb
    return tiers.host.measurement.peak_rss_mb if tiers.host else None


def _fits(device: DeviceProfile, found: DeviceRun) -> bool:
    """Whether what answered is such a device, as far as its profile knows what that calls itself."""
    return not device.models or found.device.startswith(device.models)


def _notes(device: DeviceProfile, tiers: Tiers) -> Iterator[str]:
    """What the tiers say beside their numbers, each with its tier's name."""
    if tiers.estimate:
        yield from (f"estimate: {note}" for note in tiers.estimate.notes)
    if tiers.host:
        yield from (f"host: {note}" for note in (tiers.host.isa.note, _memory_note(tiers.host.ceiling)))
    if tiers.emulated:
        yield from (f"emulated: {note}" for note in tiers.emulated.notes)
    if tiers.device:
        yield from (f"device: {note}" for note in tiers.device.notes)
        if not _fits(device, tiers.device):
            yield (
                f"device: What answered calls itself {tiers.device.device}, not {device.models[0]}: its times are not "
                "checked."
            )


def _memory_note(found: MemoryLimitRun | None) -> str:
    if found is None:
        return "How much memory the device has free is not known, so no memory limit was set."
    if found.how == COMPARED:
        return (
            "No memory limit could be set on this machine (that needs a control group of Linux), so the peak was "
            "compared with the device's free memory."
        )
    end = "It ran" if found.survived else "The system ended it"
    return f"{end} with the {found.limit_mb:g} MB that are free on the device ({found.how})."
