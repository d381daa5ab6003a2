"""A bundle on a real device: copied there, verified, timed until it is settled, scored, and removed again."""

import time
from dataclasses import dataclass, replace
from pathlib import Path

from edgeafri.artifact import MANIFEST, Artifact, load_bundle
from edgeafri.bundle import read_config
from edgeafri.data.dataset import Dataset
from edgeafri.documents.answers import VerifyAnswer
from edgeafri.documents.device_run import DeviceFacts, DeviceRun, DeviceSystem
from edgeafri.documents.measurement import Measurement
from edgeafri.documents.quality import BundleEvaluation
from edgeafri.documents.runtime_requests import BenchRequest, EvaluateRequest, VerifyRequest
from edgeafri.errors import ConnectionLost, DeviceError, EdgeAfriError, UsageError
from edgeafri.runners.adb import Adb
from edgeafri.runners.remote import FileToCopy, Remote, file_to_copy
from edgeafri.runners.rounds import RoundLimits, pooled, settled
from edgeafri.runners.ssh import Ssh
from edgeafri.runners.transport import Transport, opened
from edgeafri.settings import did_you_mean
from edgeafri.tasks import unit_of
from edgeafri.util.files import Digests
from edgeafri.util.progress import Progress, StartProgress, quiet


@dataclass(frozen=True)
class DeviceRequest:
    """What to do on a device. `threads` and `languages` are the bundle's own where none are given.

    Without `data`, quality is not measured. `keep` leaves the runner and the bundle there for the next time, but never
    the data. `python` is the interpreter there. `ssh_config` is used in place of the user's ~/.ssh/config.
    """

    seq_len: int = 128
    threads: int | None = None
    data: Path | None = None
    languages: tuple[str, ...] = ()
    keep: bool = False
    python: str = "python3"
    ssh_config: Path | None = None
    limits: RoundLimits = RoundLimits()  # noqa: RUF009  # it is frozen


def run_on_device(where: str, bundle: Path, request: DeviceRequest, start: StartProgress = quiet) -> DeviceRun:
    """Verify, time and score a bundle at `where`, which is `ssh:user@host:port` or `adb:serial`.

    rounds.py says how rounds become one measurement. UsageError and DataError come before anything is sent; DeviceError
    is what goes wrong on the device; after ConnectionLost, run it again.
    """
    with Digests() as digests:
        artifact = load_bundle(bundle, digests)
    data = _test_files(bundle, request)
    with opened(transport_of(where, request)) as transport:
        start(f"connect to {where}")
        remote = Remote(transport, request.python)
        try:
            found = _run(remote, where, artifact, request, data, start)
        except EdgeAfriError as error:
            if not isinstance(error, ConnectionLost):  # else the next run goes on with what is there
                _clean(remote, request.keep)
            raise
        return replace(found, notes=(*found.notes, *_clean(remote, request.keep)))


def transport_of(where: str, request: DeviceRequest) -> Transport:
    """The connection to `ssh:...` or `adb[:serial]`; UsageError for anything else."""
    kind, _, rest = where.partition(":")
    if kind == "ssh" and rest:
        return Ssh(where, request.ssh_config)
    if kind == "adb":
        return Adb(where, request.python)
    hint = f"{did_you_mean(kind, ('ssh', 'adb'))} Write ssh:pi@raspberrypi.local, or adb for a phone at the USB port."
    raise UsageError(f"'{where}' does not name a connection to a device", hint)


def _clean(remote: Remote, keep: bool) -> list[str]:
    """Remove what was copied, at least the data; a note where the device does not allow it."""
    try:
        remote.remove("data" if keep else "")
    except DeviceError as error:
        return [f"what was copied is still there: {error.message}"]
    return []


def _run(
    remote: Remote,
    where: str,
    artifact: Artifact,
    request: DeviceRequest,
    data: list[FileToCopy],
    start: StartProgress,
) -> DeviceRun:
    remote.install(start("copy the runner"))
    remote.copy(_bundle_files(artifact), start("copy the bundle"))
    place, threads, limits = Path(_place(artifact)), request.threads, request.limits
    before = remote.conditions()
    verify = remote.call(VerifyRequest(bundle=place, threads=threads), start("verify"))
    bench = BenchRequest(bundle=place, threads=threads, seq_len=request.seq_len, runs=limits.runs, warmup=limits.warmup)
    taken = _rounds(remote, bench, limits, start("bench"))
    after = remote.conditions()
    quality = _quality(remote, place, threads, data, start) if data else None
    found = pooled(taken)
    return DeviceRun(
        on=where,
        device=found.measurement.device,
        system=_system(remote.facts),
        measurement=found.measurement,
        p50_interval_ms=found.p50_interval_ms,
        p50_half_width_percent=found.p50_half_width_percent,
        settled=found.settled,
        repeats=len(taken),
        throttled=found.throttled,
        rounds=found.rounds,
        notes=found.notes,
        before=before,
        after=after,
        verify=VerifyAnswer.from_json(verify),
        quality=quality,
    )


def _rounds(remote: Remote, request: BenchRequest, limits: RoundLimits, progress: Progress) -> list[Measurement]:
    taken: list[Measurement] = []
    began = time.monotonic()
    while len(taken) < limits.most:
        progress(len(taken), limits.most)
        taken.append(Measurement.from_json(remote.call(request)))
        enough = settled(taken) or time.monotonic() - began > limits.seconds
        if len(taken) >= limits.least and enough:
            break
    progress(limits.most, limits.most)
    return taken


def _quality(
    remote: Remote, bundle: Path, threads: int | None, data: list[FileToCopy], start: StartProgress
) -> BundleEvaluation:
    remote.copy(data, start("copy the data"))
    languages = tuple(Path(file.place).parent.name for file in data)
    asked = EvaluateRequest(bundle=bundle, threads=threads, data=Path("data"), split="test", languages=languages)
    answer = BundleEvaluation.from_json(remote.call(asked, start("evaluate")))
    # A row for each sentence: only intervals need them.
    return replace(answer, quality={code: replace(own, counts=None) for code, own in answer.quality.items()})


def _system(facts: DeviceFacts) -> DeviceSystem:
    return DeviceSystem(facts.os, facts.system, facts.machine, facts.python, facts.libc)


def _place(artifact: Artifact) -> str:
    return f"bundle-{artifact.id}"


def _bundle_files(artifact: Artifact) -> list[FileToCopy]:
    place, entries = _place(artifact), artifact.manifest.files
    sealed = [
        FileToCopy(artifact.path / name, f"{place}/{name}", entry.sha256, entry.bytes)
        for name, entry in entries.items()
    ]
    return [*sealed, file_to_copy(artifact.path / MANIFEST, f"{place}/{MANIFEST}")]


def _test_files(bundle: Path, request: DeviceRequest) -> list[FileToCopy]:
    if request.data is None:
        return []
    config = read_config(bundle)
    labelled = Dataset(request.data, request.languages or config.languages, unit_of(config.task))
    return [file_to_copy(file, f"data/{file.parent.name}/{file.name}") for file in labelled.files("test")]
