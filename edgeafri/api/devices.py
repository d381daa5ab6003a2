"""Bundles on devices in Python: profiled tier by tier, on one device or on a farm of them, and estimates calibrated."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgeafri.api.arguments import StrPath, codes_of, path_of, paths_of, word_of
from edgeafri.api.console import progress_bar, side_by_side
from edgeafri.documents.profile import TIERS, Profiles, Tier
from edgeafri.errors import UsageError
from edgeafri.settings import did_you_mean

if TYPE_CHECKING:
    from edgeafri.device.isa import Isa
    from edgeafri.device.profile import DeviceProfile
    from edgeafri.profiling.farm import DeviceResult

_DEFAULT_TIERS = "estimate,host"


@dataclass(frozen=True)
class FarmResults:
    """What a farm found: `results` in the order of devices and bundles, and all of it as one document."""

    results: "tuple[DeviceResult, ...]"

    def to_json(self) -> dict[str, object]:
        """The document that `edgeafri farm --json` prints."""
        from edgeafri.profiling.farm import merged

        return dict(merged(self.results).to_json())


def devices(profiles: Iterable[StrPath] = ()) -> "tuple[DeviceProfile, ...]":
    """The devices that are known, and those of your own folders; every number has its source."""
    from edgeafri.device.profile import profile_names, read_profile

    folders = paths_of(profiles, "profiles")
    return tuple(read_profile(name, folders) for name in profile_names(folders))


def profile(
    bundles: StrPath | Iterable[StrPath],
    *,
    target: str,
    tiers: str | Iterable[str] | None = None,
    on: str | None = None,
    threads: int | None = None,
    seq_len: int | None = None,
    runs: int = 30,
    isa: "Isa | None" = None,
    data: StrPath | None = None,
    languages: str | Iterable[str] = (),
    keep: bool = False,
    python: str = "python3",
    ssh_config: StrPath | None = None,
    profiles: Iterable[StrPath] = (),
    command: str = "",
) -> Profiles:
    """What is known of bundles on a device: estimated, timed here, emulated, and measured on the device itself.

    bundles: one bundle or several, to stand side by side
    target: the device; `edgeafri.devices()` lists them
    tiers: of 'estimate', 'host', 'emulated', 'device'; the first two when None, and 'device' with `on`
    on: how to reach the device: 'ssh:user@host', 'ssh:user@host:port' or 'adb'
    threads, seq_len: those of the device when None; seq_len counts subwords
    runs: timed sentences on this machine
    isa: 'avx2' computes int8 here as a processor without VNNI does
    data, languages: labelled data to score the emulated and the real device on
    keep, python, ssh_config: on the device: leave what was brought, its Python, another ssh_config than your own

    >>> edgeafri.profile("edgeafri-work/bundle-0123456789ab", target="rpi4").results[0].checks
    """
    from edgeafri.device.profile import read_profile
    from edgeafri.profiling import tiers as profiling
    from edgeafri.runners.board import DeviceRequest

    request = profiling.ProfileRequest(
        read_profile(word_of(target, "target"), paths_of(profiles, "profiles")),
        _tiers(tiers, on),
        on=on,
        seq_len=seq_len,
        threads=threads,
        runs=runs,
        isa=isa,
        data=None if data is None else path_of(data, "data"),
        languages=codes_of(languages),
        device_run=DeviceRequest(
            keep=keep, python=python, ssh_config=None if ssh_config is None else path_of(ssh_config, "ssh_config")
        ),
        command=command,
    )
    folders = paths_of(bundles, "bundles", needed=True)
    for folder in folders:  # all, before minutes are spent on the first
        profiling.checked(folder)
    with progress_bar() as start:
        return Profiles(results=tuple(profiling.profile(folder, request, start) for folder in folders))


def farm(
    file: StrPath,
    bundles: StrPath | Iterable[StrPath],
    *,
    keep: bool = False,
    ssh_config: StrPath | None = None,
    profiles: Iterable[StrPath] = (),
    command: str = "",
) -> FarmResults:
    """Verify, time and score bundles on all devices that a YAML file lists, side by side.

    A device that fails does not stop the others: its result has an `error`.
    """
    from edgeafri.profiling import farm as profiling
    from edgeafri.runners.board import DeviceRequest

    folders = paths_of(profiles, "profiles")
    listed = profiling.read_devices(path_of(file, "file"), folders)
    config = None if ssh_config is None else path_of(ssh_config, "ssh_config")
    asked = profiling.requests(listed, DeviceRequest(keep=keep, ssh_config=config), folders, command)
    with side_by_side([device.name for device in listed]) as steps:
        return FarmResults(
            tuple(profiling.profile_all(listed, asked, paths_of(bundles, "bundles", needed=True), steps))
        )


def _tiers(named: str | Iterable[str] | None, on: str | None) -> tuple[Tier, ...]:
    asked = codes_of(named if named is not None else f"{_DEFAULT_TIERS},device" if on else _DEFAULT_TIERS, "tiers")
    for name in asked:
        if name not in TIERS:
            raise UsageError(f"there is no tier '{name}'", did_you_mean(name, TIERS))
    return tuple(tier for tier in TIERS if tier in asked)
