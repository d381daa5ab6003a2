"""What `edgeafri profile` and `edgeafri farm` write: bundles on devices, tier by tier, with their checks."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from edgeafri.documents.base import Document, omitted_when_none
from edgeafri.documents.checks import Check
from edgeafri.documents.device_run import DeviceRun
from edgeafri.documents.emulated_run import EmulatedRun
from edgeafri.documents.estimate import Estimate
from edgeafri.documents.host_run import HostRun

SCHEMA = 1
Tier = Literal["estimate", "host", "emulated", "device"]
TIERS: tuple[Tier, ...] = get_args(Tier)


@dataclass(frozen=True)
class Tiers(Document):
    """What each tier found; None where it was not asked for."""

    estimate: Estimate | None = None
    host: HostRun | None = None
    emulated: EmulatedRun | None = None
    device: DeviceRun | None = None


@dataclass(frozen=True, kw_only=True)
class Profile(Document):
    """One bundle on one device. `title` is the device in words, `name` what a farm calls it.

    `seq_len` is the length of the timed sentence in subwords. `work` holds the numbers of the bundle's manifest that an
    estimate is made from, `groups` the bytes of the bundle by what they belong to. `commands` repeat the profile.
    """

    schema: int = SCHEMA
    kind: Literal["profile"] = "profile"
    target: str
    title: str = ""
    bundle: str = ""
    bundle_id: str
    task: str
    languages: tuple[str, ...] = ()
    sample: bool = False
    seq_len: int
    threads: int
    work: Mapping[str, float] = field(default_factory=dict)
    groups: Mapping[str, int] | None = None
    bundle_bytes: int
    tiers: Tiers
    checks: tuple[Check, ...] = ()
    notes: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    name: str | None = omitted_when_none()


@dataclass(frozen=True, kw_only=True)
class Profiles(Document):
    """Several bundles on one device."""

    schema: int = SCHEMA
    kind: Literal["profiles"] = "profiles"
    results: tuple[Profile, ...]


@dataclass(frozen=True)
class DeviceFailure(Document):
    """A bundle that one device of a farm did not measure, why, and what to do about it."""

    device: str
    bundle: str
    error: str
    hint: str


@dataclass(frozen=True, kw_only=True)
class Farm(Document):
    """Several bundles on several devices, and what failed."""

    schema: int = SCHEMA
    kind: Literal["farm"] = "farm"
    results: tuple[Profile, ...]
    failed: tuple[DeviceFailure, ...] = ()
