"""The device as the guest sees it: which processor QEMU emulates, and what /proc/cpuinfo and /sys say of it.

Both come from one profile and must agree: libraries choose their kernels by /proc/cpuinfo, and QEMU executes them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from edgeafri.device.profile import Cluster, DeviceProfile
from edgeafri.errors import ConfigError, UsageError

_DOTPROD = "asimddp"
# Whether all cores of a kind have the dot product; on kinds that are not listed it is optional. From Arm's manuals.
_HAS_DOTPROD = {
    "cortex-a35": False,
    "cortex-a53": False,
    "cortex-a57": False,
    "cortex-a72": False,
    "cortex-a73": False,
    "cortex-a76": True,
}
_STAND_IN = {True: "cortex-a76", False: "cortex-a72"}
_IMPLEMENTER = 0x41  # Arm


@dataclass(frozen=True)
class Core:
    """The processor that QEMU emulates, and a note where it is not the device's own."""

    model: str
    note: str | None


def choose_core(profile: DeviceProfile, models: Iterable[str]) -> Core:
    """The processor for the fastest cores of a device, out of the `models` that this QEMU has.

    UsageError where the profile does not say what the core is, ConfigError where what it says cannot be.
    """
    cluster = profile.cores[0]
    for kind in profile.cores:
        _check_known(profile.name, kind)
    dotprod = _DOTPROD in cluster.features
    if cluster.type in models and _HAS_DOTPROD.get(cluster.type, dotprod) == dotprod:
        return Core(cluster.type, None)
    stand_in = _STAND_IN[dotprod]
    has = "with" if dotprod else "without"
    return Core(stand_in, f"this QEMU has no {cluster.type} {has} dot product; {stand_in} is used instead")


def cpuinfo(profile: DeviceProfile) -> str:
    """/proc/cpuinfo as an arm64 kernel writes it, all cores of the device."""
    kinds = [cluster for cluster in profile.cores for _ in range(cluster.count)]
    return "".join(_processor(number, cluster) for number, cluster in enumerate(kinds))


def lay_overlay(profile: DeviceProfile, userland: Path, folder: Path) -> Path:
    """Make the guest's root in an empty `folder`: links to the userland, beside /proc and /sys of the device."""
    for entry in userland.iterdir():
        if entry.name not in ("proc", "sys"):
            (folder / entry.name).symlink_to(entry.resolve())
    system = folder / "sys" / "devices" / "system" / "cpu"
    system.mkdir(parents=True)
    (folder / "proc").mkdir()
    (folder / "proc" / "cpuinfo").write_text(cpuinfo(profile), "utf-8")
    last = sum(cluster.count for cluster in profile.cores) - 1
    for name in ("possible", "present", "online"):
        (system / name).write_text(f"0-{last}\n" if last else "0\n", "utf-8")
    return folder


def _check_known(name: str, cluster: Cluster) -> None:
    if cluster.part is None or not cluster.features:
        message = f"{name}: the features of its {cluster.type} cores are not known, so they cannot be emulated"
        hint = "Write `part` and `features` of the cores into a profile; the device's /proc/cpuinfo has both."
        raise UsageError(message, hint)
    dotprod = _DOTPROD in cluster.features
    if _HAS_DOTPROD.get(cluster.type, dotprod) != dotprod:
        message = f"{name}: a {cluster.type} {'with' if dotprod else 'without'} {_DOTPROD} does not exist"
        raise ConfigError(message, "Copy the features from the device's own /proc/cpuinfo.")


def _processor(number: int, cluster: Cluster) -> str:
    lines = {
        "processor\t": str(number),
        "Features\t": " ".join(cluster.features),
        "CPU implementer\t": f"{_IMPLEMENTER:#x}",
        "CPU architecture": "8",
        "CPU variant\t": "0x0",
        "CPU part\t": f"{cluster.part or 0:#x}",
        "CPU revision\t": "0",
    }
    return "".join(f"{name}: {value}\n" for name, value in lines.items()) + "\n"
