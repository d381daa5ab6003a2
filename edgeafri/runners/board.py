"""A bundle on a real device: brought there, verified, timed until it is settled, scored, and taken away again."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeafri.artifact import MANIFEST, Artifact, load_bundle
from edgeafri.bundle import read_config
from edgeafri.data import dataset
from edgeafri.errors import ConnectionLost, DeviceError, EdgeAfriError, UsageError
from edgeafri.runners.adb import Adb
from edgeafri.runners.remote import Copied, Remote, copied
from edgeafri.runners.rounds import Round, Rounds, pooled, settled
from edgeafri.runners.ssh import Ssh
from edgeafri.runners.transport import Transport, opened
from edgeafri.settings import did_you_mean
from edgeafri.tasks import unit_of
from edgeafri.util.files import Digests
from edgeafri.util.progress import Progress, StartProgress, quiet


@dataclass(frozen=True)
class Visit:
    """What to do on a device. No `threads` and no `languages` are the bundle's own; without `data`, no quality.

    `keep` leaves runner and bundle there for the next visit, data never. `python` is the interpreter there,
    `ssh_config` stands in for the user's ~/.ssh/config.
    """

    seq_len: int = 128
    threads: int | None = None
    data: Path | None = None
    languages: tuple[str, ...] = ()
    keep: bool = False
    python: str = "python3"
    ssh_config: Path | None = None
    rounds: Rounds = Rounds()  # noqa: RUF009  # it is frozen


def on_device(where: str, bundle: Path, visit: Visit, start: StartProgress = quiet) -> dict[str, Any]:
    """Verify, time and score a bundle at `where`, `ssh:user@host:port` or `adb:serial`.

    The answer is the `device` tier of a profile: measurement, p50_interval_ms, settled, repeats, before, after,
    throttled, rounds, verify, quality, notes; rounds.py says how rounds become one measurement. UsageError and
    DataError come before anything is sent; DeviceError is what goes wrong there; after ConnectionLost, run it again.
    """
    with Digests() as digests:
        artifact = load_bundle(bundle, digests)
    data = _test_files(bundle, visit)
    with opened(transport_of(where, visit)) as transport:
        start(f"look at {where}")
        remote = Remote(transport, visit.python)
        try:
            found = _visited(remote, artifact, visit, data, start)
        except EdgeAfriError as error:
            if not isinstance(error, ConnectionLost):  # else the next run goes on with what is there
                _tidied(remote, visit.keep)
            raise
        return {"on": where, **found, "notes": [*found["notes"], *_tidied(remote, visit.keep)]}


def transport_of(where: str, visit: Visit) -> Transport:
    """The way to `ssh:...` or `adb[:serial]`; UsageError for anything else."""
    kind, _, rest = where.partition(":")
    if kind == "ssh" and rest:
        return Ssh(where, visit.ssh_config)
    if kind == "adb":
        return Adb(where, visit.python)
    hint = f"{did_you_mean(kind, ('ssh', 'adb'))} Write ssh:pi@raspberrypi.local, or adb for a phone at the USB port."
    raise UsageError(f"'{where}' is no way to a device", hint)


def _tidied(remote: Remote, keep: bool) -> list[str]:
    """Take away what was brought, the data at least; a note where the device does not let us."""
    try:
        remote.remove("data" if keep else "")
    except DeviceError as error:
        return [f"what was brought is still there: {error.message}"]
    return []


def _visited(
    remote: Remote, artifact: Artifact, visit: Visit, data: list[Copied], start: StartProgress
) -> dict[str, Any]:
    remote.install(start("bring the runner"))
    remote.copy(_bundle_files(artifact), start("bring the bundle"))
    question = {"bundle": f"bundle-{artifact.id}", "threads": visit.threads}
    before = remote.conditions()
    verify = remote.call({"do": "verify", **question}, start("verify"))
    taken = _rounds(remote, {"do": "bench", **question, "seq_len": visit.seq_len}, visit.rounds, start("bench"))
    after = remote.conditions()
    quality = _quality(remote, question, visit, data, start) if data else None
    found = pooled(taken)
    device = found["measurement"]["device"]
    return {"device": device, "system": _system(remote), **found, "before": before, "after": after} | {
        "verify": verify,
        "quality": quality,
    }


def _rounds(remote: Remote, request: dict[str, Any], limit: Rounds, progress: Progress) -> list[Round]:
    taken: list[Round] = []
    began = time.monotonic()
    asked = {**request, "runs": limit.runs, "warmup": limit.warmup}
    while len(taken) < limit.most:
        progress(len(taken), limit.most)
        taken.append(remote.call(asked))
        enough = settled(taken) or time.monotonic() - began > limit.seconds
        if len(taken) >= limit.least and enough:
            break
    progress(limit.most, limit.most)
    return taken


def _quality(
    remote: Remote, question: dict[str, Any], visit: Visit, data: list[Copied], start: StartProgress
) -> dict[str, Any]:
    remote.copy(data, start("bring the data"))
    languages = [Path(file.place).parent.name for file in data]
    asked = {"do": "evaluate", **question, "data": "data", "split": "test", "languages": languages}
    answer: dict[str, Any] = remote.call(asked, start("evaluate"))
    for entry in answer["quality"].values():
        del entry["counts"]
    return answer


def _system(remote: Remote) -> dict[str, Any]:
    return {name: remote.facts[name] for name in ("os", "system", "machine", "python", "libc")}


def _bundle_files(artifact: Artifact) -> list[Copied]:
    place, entries = f"bundle-{artifact.id}", artifact.manifest.files
    sealed = [
        Copied(artifact.path / name, f"{place}/{name}", entry["sha256"], int(entry["bytes"]))
        for name, entry in entries.items()
    ]
    return [*sealed, copied(artifact.path / MANIFEST, f"{place}/{MANIFEST}")]


def _test_files(bundle: Path, visit: Visit) -> list[Copied]:
    if visit.data is None:
        return []
    config = read_config(bundle)
    labelled = dataset.Dataset(visit.data, tuple(visit.languages or config.languages), unit_of(config.task))
    return [copied(file, f"data/{file.parent.name}/{file.name}") for file in labelled.files("test")]
