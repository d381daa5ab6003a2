"""Device profiles: what a small device can do and what a bundle may cost there, every number with its source."""

import dataclasses
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, get_args, get_type_hints

from edgeafri import settings
from edgeafri.device.calibration import Calibration, read_calibrations
from edgeafri.device.isa import Isa
from edgeafri.errors import ConfigError, UsageError

FOLDER_VARIABLE = "EDGEAFRI_PROFILES"
_DOTPROD = "asimddp"  # what Linux calls it
_PARTS = 1 << 12


@dataclass(frozen=True)
class Fact:
    """A number with its unit and where it comes from: a key of the profile's `sources`, or why it was assumed."""

    value: float
    unit: str
    source: str = ""
    assumed: str = ""


Gigahertz = Annotated[Fact, "GHz"]
MacsPerCycle = Annotated[Fact, "MAC/cycle"]
Megabytes = Annotated[Fact, "MB"]
MegabytesPerSecond = Annotated[Fact, "MB/s"]
Milliseconds = Annotated[Fact, "ms"]


@dataclass(frozen=True)
class Speed:
    """Multiply-accumulates per cycle and core. None is unknown.

    `slow` was reached by a whole published model, with one core busy and with all cores of the cluster busy; `fast` is
    what the instructions allow with perfect caches, so that nothing runs faster.
    """

    slow_one_core: MacsPerCycle | None
    slow_all_cores: MacsPerCycle | None
    fast: MacsPerCycle | None


@dataclass(frozen=True)
class Cluster:
    """Cores of one kind. A phone has two clusters; the fastest is listed first.

    `part` is the core's number in the "CPU part" line of /proc/cpuinfo, `features` are the words of its "Features"
    line: an emulator shows both to what runs in it. None and empty are unknown.
    """

    type: str
    count: int
    ghz: Gigahertz | None
    fp32: Speed
    int8: Speed
    part: int | None = None
    features: tuple[str, ...] = ()


@dataclass(frozen=True)
class Memory:
    """`free` is what a process may take while the system runs. `copy` counts a byte that is read and written once."""

    free: Megabytes | None
    copy: MegabytesPerSecond | None
    read: MegabytesPerSecond | None


@dataclass(frozen=True)
class Budget:
    """What a bundle may cost at most. Times are for one sentence of `seq_len` subwords, special tokens included."""

    seq_len: int
    bundle_mb: Megabytes
    peak_rss_mb: Megabytes
    p95_ms: Milliseconds
    load_ms: Milliseconds


@dataclass(frozen=True)
class DeviceProfile:
    """One device. `cores` are listed fastest first; `threads` is the default on this device.

    `recipe` is built by default; `recipe_with_data`, where it is named, when there is data to train on. `models` are
    the beginnings of the names that such a device gives itself: a measurement with another name is not of this device.
    `calibrations` are not in the file: they are those of this device and of others with its kind of core.
    """

    name: str
    title: str
    soc: str
    isa: Isa
    threads: int
    recipe: str
    cores: tuple[Cluster, ...]
    memory: Memory
    budget: Budget
    sources: dict[str, str]
    recipe_with_data: str | None = None
    models: tuple[str, ...] = ()
    calibrations: tuple[Calibration, ...] = ()


def profile_names(folders: Iterable[Path] = ()) -> tuple[str, ...]:
    """The devices there are, those of the user's folders included."""
    return tuple(
        sorted({file.stem for folder in _searched(folders) for file in folder.glob("*.yaml") if file.is_file()})
    )


def read_profile(name: str, folders: Iterable[Path] = ()) -> DeviceProfile:
    """The profile called `name`: from `folders`, else the user's, else the project's. UsageError when there is none."""
    searched = _searched(folders)
    for folder in searched:
        file = folder / f"{name}.yaml"
        if file.is_file():
            return _calibrated(_profile(file), searched)
    hint = f"{settings.did_you_mean(name, profile_names(searched))} {FOLDER_VARIABLE} names a folder of your own."
    raise UsageError(f"no device '{name}'", hint)


def profile_folders() -> tuple[Path, ...]:
    """Where profiles are looked for: the user's EDGEAFRI_PROFILES first, then the project's."""
    packed = Path(__file__).parents[1] / "profiles"
    ours = packed if packed.is_dir() else Path(__file__).parents[2] / "profiles"
    users = os.environ.get(FOLDER_VARIABLE)
    return (Path(users).expanduser(), ours) if users else (ours,)


def facts(part: object, where: str) -> Iterator[tuple[str, Fact, str]]:
    """Every known number of a profile: its path in the file, the fact, and the unit it must have."""
    return ((place, fact, unit) for place, fact, unit in numbers(part, where) if fact is not None)


def numbers(part: object, where: str) -> Iterator[tuple[str, Fact | None, str]]:
    """Every number that a profile may have, None where it is not known: its path, the fact, and its unit."""
    hints = get_type_hints(type(part), include_extras=True)
    for name, hint in hints.items():
        value, place = getattr(part, name), f"{where}.{name}" if where else name
        if unit := _unit(hint):
            yield place, value, unit
        elif dataclasses.is_dataclass(value):
            yield from numbers(value, place)
        elif isinstance(value, tuple):
            for index, inner in enumerate(value):
                if dataclasses.is_dataclass(inner):
                    yield from numbers(inner, f"{place}[{index}]")


def _unit(hint: object) -> str:
    """The unit of a fact's type, which `Megabytes | None` carries one level further in; empty for other types."""
    for kind in (hint, *get_args(hint)):
        metadata: tuple[str, ...] = getattr(kind, "__metadata__", ())
        if metadata:
            return metadata[0]
    return ""


def _searched(folders: Iterable[Path]) -> tuple[Path, ...]:
    searched = (*folders, *profile_folders())
    for folder in searched:
        if not folder.is_dir():
            raise UsageError(f"no folder '{folder}' of device profiles", f"Create it, or change {FOLDER_VARIABLE}.")
    return searched


def _profile(file: Path) -> DeviceProfile:
    values = _parsed(file)
    profile = settings.read(DeviceProfile, values, str(file))
    _check_whole(profile, file)
    for place, fact, unit in facts(profile, str(file)):
        _check_fact(place, fact, unit, profile.sources)
    return profile


def _calibrated(profile: DeviceProfile, folders: Iterable[Path]) -> DeviceProfile:
    known = read_calibrations(folders)
    of_use = [item for item in known if profile.name == item.device or profile.cores[0].type == item.core]
    return replace(profile, calibrations=tuple(of_use))


def _parsed(file: Path) -> Mapping[str, object]:
    import yaml  # the command line starts without it

    try:
        values = yaml.safe_load(file.read_text("utf-8"))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"{file}: not readable as YAML ({error})", "Check its indentation and encoding.") from None
    if not isinstance(values, dict):
        what = "an empty file" if values is None else f"a {type(values).__name__}"
        raise ConfigError(f"{file}: expected key: value lines, got {what}", "Copy one of the profiles, and change it.")
    if "calibrations" in values:
        hint = "Remove the line; `edgeafri calibrate` writes a file of its own."
        raise ConfigError(f"{file}: 'calibrations' are not written here", hint)
    return values


def _check_whole(profile: DeviceProfile, file: Path) -> None:
    if profile.name != file.stem:
        raise ConfigError(f"{file}: the name is '{profile.name}'", f"Name it '{file.stem}', as the file.")
    counts = [cluster.count for cluster in profile.cores]
    if not counts or min(counts) < 1:
        raise ConfigError(f"{file}.cores: no cores are listed", "List each kind of core with its count, fastest first.")
    for index, cluster in enumerate(profile.cores):
        _check_core(cluster, profile.isa, f"{file}.cores[{index}]")
    if not 1 <= profile.threads <= sum(counts):
        raise ConfigError(f"{file}.threads: {profile.threads} on {sum(counts)} cores", f"Use 1 to {sum(counts)}.")
    if profile.budget.seq_len < 1:
        raise ConfigError(f"{file}.budget.seq_len: {profile.budget.seq_len} subwords", "Use 1 and up.")


def _check_core(cluster: Cluster, isa: Isa, place: str) -> None:
    if cluster.part is not None and not 0 < cluster.part < _PARTS:
        raise ConfigError(
            f"{place}.part: {cluster.part:#x} is not the number of a core", "Copy it from the line 'CPU part'."
        )
    odd = [word for word in cluster.features if not re.fullmatch(r"[a-z0-9_]+", word)]
    if odd:
        raise ConfigError(f"{place}.features: '{odd[0]}' is not one word", "Write them as a list: [fp, asimd].")
    if isa == "dotprod" and cluster.features and _DOTPROD not in cluster.features:
        hint = f"Use isa: neon, or add {_DOTPROD} where the device's /proc/cpuinfo has it."
        raise ConfigError(f"{place}.features: no {_DOTPROD}, but the isa is dotprod", hint)


def _check_fact(place: str, fact: Fact, unit: str, sources: Mapping[str, str]) -> None:
    if fact.unit != unit:
        raise ConfigError(f"{place}: its unit must be {unit}, got '{fact.unit}'", f"Give the value in {unit}.")
    if not 0 < fact.value < float("inf"):
        raise ConfigError(f"{place}: {fact.value:g} {unit} is not a possible value", "Write null where it is unknown.")
    if bool(fact.source) == bool(fact.assumed):
        raise ConfigError(
            f"{place}: give either 'source' or 'assumed'", "Name one of the sources, or say why the value was assumed."
        )
    if fact.source and fact.source not in sources:
        raise ConfigError(f"{place}: no source '{fact.source}'", settings.did_you_mean(fact.source, sources))
    if fact.assumed.lower() in ("true", "yes"):
        raise ConfigError(f"{place}: 'assumed' needs its reason", "Write assumed: and why, in a few words.")
