"""The device tier of a profile: what a bundle measured, verified and scored on the device itself."""

from collections.abc import Mapping
from dataclasses import dataclass

from edgeafri.documents.answers import VerifyAnswer
from edgeafri.documents.base import Document
from edgeafri.documents.measurement import Conditions, Measurement
from edgeafri.documents.quality import BundleEvaluation


@dataclass(frozen=True)
class DeviceFacts(Document):
    """What a device says of itself before anything is sent. Memory and disk in bytes; None and "" are unknown."""

    python: str
    machine: str
    bits: int
    system: str
    os: str
    libc: str
    root: str
    free_bytes: int
    available_bytes: int | None
    packages: Mapping[str, str | None]


@dataclass(frozen=True)
class DeviceSystem(Document):
    """The system of a device."""

    os: str
    system: str
    machine: str
    python: str
    libc: str


@dataclass(frozen=True)
class RoundSummary(Document):
    """One round of a benchmark: a process of its own. `flags` are those of a Raspberry Pi, None on other devices."""

    p50_ms: float
    clock_mhz: float | None
    temperature_c: float | None
    flags: tuple[str, ...] | None
    throttled: bool


@dataclass(frozen=True, kw_only=True)
class DeviceRun(Document):
    """One bundle on one device, reached `on` ssh or adb. `device` is what the device calls itself.

    `measurement` is made of all `repeats` rounds. `p50_interval_ms` is the 95 % interval of its p50, and
    `p50_half_width_percent` half the width of that; both are None with a single round. `settled` says that the half
    width is under 5 %, `throttled` that the device slowed itself down in at least one round. `before` and `after` are
    its state around all rounds. `quality` is None without labelled data.
    """

    on: str
    device: str
    system: DeviceSystem
    measurement: Measurement
    p50_interval_ms: tuple[float, float] | None
    p50_half_width_percent: float | None
    settled: bool
    repeats: int
    throttled: bool
    rounds: tuple[RoundSummary, ...]
    notes: tuple[str, ...]
    before: Conditions
    after: Conditions
    verify: VerifyAnswer
    quality: BundleEvaluation | None
