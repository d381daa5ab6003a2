"""Calibrations: what real measurements of a device say of its speed, as one file beside its profile."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from edgeafri import settings
from edgeafri.errors import ConfigError
from edgeafri.util.files import json_text, storage, write_whole

SCHEMA = 1
ENDING = ".calibration.json"


@dataclass(frozen=True)
class Constants:
    """Milliseconds = the three constants times millions of MACs, megabytes moved and layers; 0 where one is not known.

    They hold for weights of `weight_bits` and `threads` threads alone, and were fitted on `runs` measurements of
    `bundles` bundles, of `fewest_macs` to `most_macs`. Errors are relative, each run predicted from the others. A new
    run lies between the prediction divided by `factor` and times it, with a probability of `level`; None with one run.
    """

    weight_bits: int
    threads: int
    runs: int
    bundles: int
    ms_per_million_macs: float
    ms_per_megabyte: float
    ms_per_layer: float
    left_out: dict[str, str]
    median_error: float | None
    p90_error: float | None
    level: float | None
    factor: float | None
    fewest_macs: int
    most_macs: int


@dataclass(frozen=True)
class Calibration:
    """What was learnt of one device. `core` is empty where several kinds of core worked together."""

    schema: int
    device: str
    core: str
    ghz: float | None
    measured_on: str
    constants: tuple[Constants, ...]
    notes: tuple[str, ...] = ()


def calibration_file(folder: Path, device: str) -> Path:
    """Where the calibration of a device lies in a folder of profiles."""
    return folder / f"{device}{ENDING}"


def write_calibration(calibration: Calibration, file: Path) -> None:
    """Write it whole or not at all. StorageError where the folder cannot be written."""
    with storage(file.parent):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, json_text(asdict(calibration)))


def read_calibrations(folders: Iterable[Path]) -> tuple[Calibration, ...]:
    """All calibrations in these folders; of a device with several, that of the first folder."""
    found: dict[str, Calibration] = {}
    for file in _files(folders):
        calibration = _read(file)
        found.setdefault(calibration.device, calibration)
    return tuple(found.values())


def _files(folders: Iterable[Path]) -> Iterator[Path]:
    for folder in folders:
        yield from sorted(file for file in folder.glob(f"*{ENDING}") if file.is_file())


def _read(file: Path) -> Calibration:
    again = "Remove it, and make it again with `edgeafri calibrate`."
    try:
        values = json.loads(file.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{file}: not readable as JSON ({error})", again) from None
    try:
        calibration = settings.read(Calibration, values, str(file))
    except ConfigError as error:
        raise ConfigError(error.message, again) from None
    if calibration.schema != SCHEMA:
        raise ConfigError(f"{file}: written by another version (schema {calibration.schema})", again)
    if f"{calibration.device}{ENDING}" != file.name:
        raise ConfigError(f"{file}: it is of '{calibration.device}'", f"Name it {calibration.device}{ENDING}.")
    if not all(_possible(item) for item in calibration.constants):
        raise ConfigError(f"{file}: constants that no fit gives", again)
    return calibration


def _possible(item: Constants) -> bool:
    parts = (item.ms_per_million_macs, item.ms_per_megabyte, item.ms_per_layer)
    return min(parts) >= 0 < max(parts) and item.runs > 0 and (item.factor is None or item.factor >= 1)
