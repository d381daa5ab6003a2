"""Calibration files: written whole, read back, found by profiles, and refused when they are damaged."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from edgeafri.device.calibration import Calibration, Constants, calibration_file, read_calibrations, write_calibration
from edgeafri.device.profile import read_profile
from edgeafri.errors import ConfigError, StorageError

CONSTANTS = Constants(32, 4, 5, 5, 0.4, 0.0, 0.0, {"layers": "under 10 runs"}, 0.05, 0.1, 0.8, 1.2, 10**8, 10**9)
RPI4 = Calibration(1, "rpi4", "cortex-a72", 1.8, "Raspberry Pi 4 Model B Rev 1.4", (CONSTANTS,), ("a note",))


def written(folder: Path, calibration: Calibration = RPI4) -> Path:
    file = calibration_file(folder, calibration.device)
    write_calibration(calibration, file)
    return file


def test_a_calibration_comes_back_as_it_was(tmp_path: Path):
    """
    Nothing is rounded or lost on the way, single runs without an error among it.
    """
    single = replace(CONSTANTS, runs=1, median_error=None, p90_error=None, level=None, factor=None)
    calibration = replace(RPI4, constants=(CONSTANTS, single))

    written(tmp_path, calibration)

    assert read_calibrations([tmp_path]) == (calibration,)


def test_the_first_folder_wins(tmp_path: Path):
    """
    As with profiles.
    """
    for name, where in (("first", "here"), ("second", "there")):
        written(tmp_path / name, replace(RPI4, measured_on=where))

    (found,) = read_calibrations([tmp_path / "first", tmp_path / "second"])

    assert found.measured_on == "here"


def test_a_profile_brings_the_calibrations_of_its_device_and_of_its_core(tmp_path: Path):
    """
    What is known of a Cortex-A53 is of use on any board with one, and on no other.
    """
    written(tmp_path)
    written(tmp_path, replace(RPI4, device="rpi3", core="cortex-a53"))

    assert [item.device for item in read_profile("rpi4", [tmp_path]).calibrations] == ["rpi4"]
    assert [item.device for item in read_profile("rpi-zero2w", [tmp_path]).calibrations] == ["rpi3"]
    assert read_profile("rpi5", [tmp_path]).calibrations == ()
    assert read_profile("rpi4").calibrations == ()


def damaged(file: Path, **changes: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text("utf-8")) | changes), "utf-8")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema": 2}, "written by another version"),
        ({"constants": [{"runs": 3}]}, r"constants\[0\]: 'weight_bits' is missing"),
        ({"ghz": "fast"}, "ghz: expected a number"),
        ({"more": 1}, "unknown setting 'more'"),
        ({"constants": [vars(CONSTANTS) | {"factor": 0}]}, "constants that no fit gives"),
        ({"constants": [vars(CONSTANTS) | {"ms_per_million_macs": -1}]}, "constants that no fit gives"),
    ],
)
def test_a_damaged_calibration_is_refused(tmp_path: Path, changes: dict[str, object], message: str):
    """
    An estimate is never made from half a file.
    """
    damaged(written(tmp_path), **changes)

    with pytest.raises(ConfigError, match=message) as error:
        read_calibrations([tmp_path])

    assert error.value.hint == "Remove it, and make it again with `edgeafri calibrate`."


@pytest.mark.parametrize("content", ["", "{", "[]", "3", "[" * 100_000])
def test_a_file_that_is_no_calibration_is_refused(tmp_path: Path, content: str):
    """
    Never a traceback.
    """
    calibration_file(tmp_path, "rpi4").write_text(content, "utf-8")

    with pytest.raises(ConfigError, match=r"rpi4\.calibration\.json"):
        read_calibrations([tmp_path])


def test_a_calibration_under_another_name_is_refused(tmp_path: Path):
    """
    A copied file would calibrate the wrong device.
    """
    written(tmp_path).rename(calibration_file(tmp_path, "rpi5"))

    with pytest.raises(ConfigError, match="it is of 'rpi4'") as error:
        read_calibrations([tmp_path])

    assert error.value.hint == "Name it rpi4.calibration.json."


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path):
    """
    A file stands where the folder should be.
    """
    (tmp_path / "file").write_text("", "utf-8")

    with pytest.raises(StorageError):
        written(tmp_path / "file" / "folder")
