"""Device profiles: what a small device can do and what a bundle may cost there, every number with its source."""

import dataclasses
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_type_hints

from edgeafri import settings
from edgeafri.errors import ConfigError, UsageError

Isa = Literal["neon", "dotprod", "vnni", "avx2", "wasm"]
FOLDER_VARIABLE = "EDGEAFRI_PROFILES"


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
    """Cores of one kind. A phone has two clusters; the fastest is listed first."""

    type: str
    count: int
    ghz: Gigahertz
    fp32: Speed
    int8: Speed


@dataclass(frozen=True)
class Memory:
    """`free` is what a process may take while the system runs; a copied byte is read once and written once."""

    free: Megabytes | None
    copy: MegabytesPerSecond | None
    read: MegabytesPerSecond | None


@dataclass(frozen=True)
class Budget:
    """What a bundle may cost at most: times for one sentence of `seq_len` sub-words, special ones included."""

    seq_len: int
    bundle_mb: Megabytes
    peak_rss_mb: Megabytes
    p95_ms: Milliseconds
    load_ms: Milliseconds


@dataclass(frozen=True)
class DeviceProfile:
    """One device. `cores` are listed fastest first; `threads` is the default on this device.

    `recipe` is what is built by itself; `recipe_with_data`, where it is named, when there is data to learn from.
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


def profile_names(folders: Iterable[Path] = ()) -> tuple[str, ...]:
    """The devices there are, those of the user's folders included."""
    return tuple(sorted({file.stem for folder in _searched(folders) for file in folder.glob("*.yaml")}))


def read_profile(name: str, folders: Iterable[Path] = ()) -> DeviceProfile:
    """The profile called `name`: from `folders`, else the user's, else the project's. UsageError when there is none."""
    searched = _searched(folders)
    for folder in searched:
        file = folder / f"{name}.yaml"
        if file.is_file():
            return _profile(file)
    hint = f"{settings.did_you_mean(name, profile_names(searched))} {FOLDER_VARIABLE} names a folder of your own."
    raise UsageError(f"no device '{name}'", hint)


def profile_folders() -> tuple[Path, ...]:
    """Where profiles are looked for: the user's EDGEAFRI_PROFILES first, then the project's."""
    packed = Path(__file__).parent / "profiles"
    ours = packed if packed.is_dir() else Path(__file__).parent.parent / "profiles"
    users = os.environ.get(FOLDER_VARIABLE)
    return (Path(users).expanduser(), ours) if users else (ours,)


def facts(part: Any, where: str) -> Iterator[tuple[str, Fact, str]]:
    """Every known number of a profile: its path in the file, the fact, and the unit it must have."""
    hints = get_type_hints(type(part), include_extras=True)
    for name, hint in hints.items():
        value, place = getattr(part, name), f"{where}.{name}"
        if isinstance(value, Fact):
            yield place, value, _unit(hint)
        elif dataclasses.is_dataclass(value):
            yield from facts(value, place)
        elif isinstance(value, tuple):
            for index, inner in enumerate(value):
                yield from facts(inner, f"{place}[{index}]")


def _unit(hint: Any) -> str:
    # `Megabytes | None` carries its unit one level further in than `Megabytes`.
    metadata: tuple[str, ...] = getattr(hint, "__metadata__", ()) or get_args(hint)[0].__metadata__
    return metadata[0]


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


def _parsed(file: Path) -> Mapping[str, Any]:
    import yaml  # the command line starts without it

    try:
        values: Mapping[str, Any] = yaml.safe_load(file.read_text("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: not readable as YAML ({error})", "Check its indentation and encoding.") from None
    return values


def _check_whole(profile: DeviceProfile, file: Path) -> None:
    if profile.name != file.stem:
        raise ConfigError(f"{file}: the name is '{profile.name}'", f"Name it '{file.stem}', as the file.")
    counts = [cluster.count for cluster in profile.cores]
    if not counts or min(counts) < 1:
        raise ConfigError(f"{file}.cores: no cores are listed", "List each kind of core with its count, fastest first.")
    if not 1 <= profile.threads <= sum(counts):
        raise ConfigError(f"{file}.threads: {profile.threads} on {sum(counts)} cores", f"Use 1 to {sum(counts)}.")
    if profile.budget.seq_len < 1:
        raise ConfigError(f"{file}.budget.seq_len: {profile.budget.seq_len} sub-words", "Use 1 and up.")


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
