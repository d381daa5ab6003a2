"""The host tier of a profile: a bundle timed on this machine, and run again in the memory that the device has free."""

from dataclasses import dataclass
from typing import Final, Literal

from edgeafri.documents.base import Document
from edgeafri.documents.measurement import Measurement

LimitKind = Literal["cgroup v1", "cgroup v2", "compared"]
COMPARED: Final = "compared"


@dataclass(frozen=True)
class MemoryLimitRun(Document):
    """Whether a bundle runs in `limit_mb`, the device's free memory, in MB of 10^6 bytes.

    `how` names the kind of control group that set the limit. "compared" means that no limit could be set: then
    `peak_rss_mb`, the peak that was measured without a limit, was compared with it.
    """

    limit_mb: float
    how: LimitKind
    survived: bool
    peak_rss_mb: float


@dataclass(frozen=True)
class HostArithmetic(Document):
    """Which instruction set was `asked` for, how int8 was multiplied here, and what a time here says of the device."""

    asked: str | None
    arithmetic: str
    note: str


@dataclass(frozen=True)
class HostRun(Document):
    """What was measured on this machine. `ceiling` is None where the device's free memory is not known."""

    measurement: Measurement
    ceiling: MemoryLimitRun | None
    isa: HostArithmetic
