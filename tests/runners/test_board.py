"""A bundle on a device: the whole way over a real ssh connection to this machine, and what is left there."""

import json
import os
import sys
import zipfile
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from edgeafri.cli import execute
from edgeafri.errors import ArtifactError, ConnectionLost, DataError, DeviceError, UsageError
from edgeafri.runners import remote
from edgeafri.runners.board import DeviceRequest, run_on_device
from edgeafri.runners.rounds import RoundLimits
from edgeafri.util import wheels
from edgeafri.util.progress import Progress, silent

QUICK = RoundLimits(runs=3, warmup=1, least=2, most=3, seconds=60)
# What a Raspberry Pi answers to `vcgencmd get_throttled`; from call `hot` on, that its soft limit of temperature holds.
VCGENCMD = """
echo x >> {calls}
if [ $(wc -l < {calls}) -ge {hot} ]; then echo throttled=0x80008; else echo throttled=0x0; fi
"""


@pytest.fixture
def asked(board: Any) -> DeviceRequest:
    return DeviceRequest(seq_len=16, threads=1, ssh_config=board.config, limits=QUICK)


def python_outside() -> str:
    """The Python that this one's environment was made from: it has no packages of ours."""
    return str(sys._base_executable)


@pytest.mark.slow
def test_a_bundle_is_verified_timed_and_scored_there(
    board: Any, asked: DeviceRequest, bundle: Path, data: Path, own_packages
):
    """
    One document comes back, progress is told step by step, and nothing stays there.
    """
    steps: list[str] = []

    def step(what: str) -> Progress:
        steps.append(what)
        return silent

    found = run_on_device(board.where, bundle, replace(asked, data=data), step)

    assert found.on == board.where
    assert found.verify.passed
    assert found.verify.bundle_id == found.measurement.bundle_id
    assert found.measurement.seq_len == 16
    assert found.measurement.work["weight_bits"] == 8
    assert list(found.quality.quality) == ["swa", "hau"]
    assert found.before.available_mb > 0
    assert found.after.machine == os.uname().machine
    assert found.repeats == len(found.rounds) in (2, 3)
    assert steps[1:] == ["copy the runner", "copy the bundle", "verify", "bench", "copy the data", "evaluate"]
    assert [file for file in board.home.rglob("*") if file.is_file()] == []


@pytest.mark.slow
def test_a_python_without_packages_gets_wheels(
    board: Any, asked: DeviceRequest, bundle: Path, tmp_path: Path, monkeypatch
):
    """
    A bare Python over there, no pip and no network: wheels of what is installed here, packed again, are brought.
    """
    board.script("python3", f'exec {python_outside()} "$@"')
    packed = [_wheel(name, tmp_path) for name in wheels.PACKAGES]
    monkeypatch.setattr(wheels, "fetch", lambda python, machine, progress: packed)
    found = run_on_device(board.where, bundle, asked)

    assert found.verify.passed
    assert found.measurement.runtime == f"onnxruntime {metadata.version('onnxruntime')}"
    assert not board.root.exists()


@pytest.mark.slow
def test_the_whole_way_runs_on_arm_code(
    board: Any, asked: DeviceRequest, bundle: Path, data: Path, installed: Path, tmp_path: Path, monkeypatch
):
    """
    The Python over there is Debian's for arm64 on an emulated Cortex-A72: copies, wheels and runtime are a Pi 4's.
    """
    from edgeafri.device.profile import read_profile
    from edgeafri.emulator.install import ready
    from edgeafri.emulator.overlay import lay_overlay

    monkeypatch.setenv("EDGEAFRI_CACHE", str(installed))
    emulator, root = ready(), tmp_path / "arm"
    root.mkdir()
    lay_overlay(read_profile("rpi4"), emulator.userland, root)
    python = f"{root}/usr/bin/python{emulator.python}"
    command = f'exec env PYTHONHOME={root}/usr {emulator.qemu.path} -cpu cortex-a72 -L {root} {python} "$@"'
    board.script("arm-python", command)
    found = run_on_device(board.where, bundle, replace(asked, python=str(board.bin / "arm-python"), data=data))

    assert found.system.machine == found.before.machine == "aarch64"
    assert found.before.cores == 4
    assert found.verify.passed
    assert found.verify.int8_arithmetic == "exact"
    assert list(found.quality.quality) == ["swa", "hau"]
    assert not board.root.exists()


@pytest.mark.slow
def test_what_is_kept_is_not_brought_again(board: Any, asked: DeviceRequest, bundle: Path, data: Path, own_packages):
    """
    Runner and bundle stay if asked to, labelled data never.
    """
    keeping = replace(asked, keep=True, data=data)
    run_on_device(board.where, bundle, keeping)
    first = {file: (board.root / file).stat().st_mtime_ns for file in board.files() if not file.startswith("cache")}
    run_on_device(board.where, bundle, keeping)

    assert {file: (board.root / file).stat().st_mtime_ns for file in first} == first
    assert {file.split("-")[0] for file in first} == {"bundle", "site"}


@pytest.mark.slow
def test_a_device_that_throttles_is_flagged(board: Any, asked: DeviceRequest, bundle: Path, own_packages):
    """
    A stand-in for vcgencmd reports a heat limit from the fourth round on.
    """
    board.script("vcgencmd", VCGENCMD.format(calls=board.folder / "calls", hot=8))
    limits = RoundLimits(runs=3, warmup=1, least=5, most=5)
    found = run_on_device(board.where, bundle, replace(asked, limits=limits))

    assert found.throttled
    assert [item.throttled for item in found.rounds] == [False, False, False, True, True]
    assert found.rounds[4].flags == ("soft temperature limit", "soft temperature limit has occurred")
    assert found.measurement.runs == 9
    assert found.notes[0].startswith("the device slowed itself down in 2 of 5 rounds")
    assert (found.before.throttled, len(found.after.throttled)) == ((), 2)


@pytest.mark.slow
def test_a_failure_there_leaves_nothing(board: Any, asked: DeviceRequest, bundle: Path, own_packages):
    """
    A bundle that the device's memory does not hold is killed there, and taken away.
    """
    board.script("python3", f'case "$*" in *edgeafri.runtime*) kill -9 $$;; esac; exec {sys.executable} "$@"')
    with pytest.raises(DeviceError) as error:
        run_on_device(board.where, bundle, asked)

    assert "most likely for lack of memory" in error.value.message
    assert not board.root.exists()


@pytest.mark.slow
def test_a_result_is_not_lost_where_tidying_fails(
    board: Any, asked: DeviceRequest, bundle: Path, own_packages, monkeypatch
):
    """
    What stays there is said beside the numbers.
    """

    def remove(self: remote.Remote, place: str = "") -> None:
        raise ConnectionLost("the connection was lost", "Run it again.")

    monkeypatch.setattr(remote.Remote, "remove", remove)
    found = run_on_device(board.where, bundle, asked)

    assert found.measurement.p50_ms > 0
    assert found.notes[-1] == "what was copied is still there: the connection was lost"


@pytest.mark.slow
def test_a_farm_goes_on_without_one_of_its_devices(board: Any, bundle: Path, own_packages, tmp_path: Path, capsys):
    """
    `edgeafri farm` with a device that is there and one that is not: one result, one failure, exit code 4.
    """
    file = tmp_path / "devices.yaml"
    ways = {"here": "ssh:board", "gone": "ssh:no-such-board.invalid"}
    lines = [f"  - {{name: {name}, target: rpi4, on: '{way}'}}\n" for name, way in ways.items()]
    file.write_text("devices:\n" + "".join(lines), "utf-8")
    code = execute(["farm", str(file), str(bundle), "--ssh-config", str(board.config), "--json"])
    document = json.loads(capsys.readouterr().out)

    assert code == 4
    assert [item["name"] for item in document["results"]] == ["here"]
    assert document["results"][0]["tiers"]["device"]["verify"]["passed"]
    assert [(item["device"], item["error"]) for item in document["failed"]] == [
        ("gone", "ssh:no-such-board.invalid: no machine of this name was found")
    ]
    assert not board.root.exists()


def test_bad_input_is_told_before_anything_is_sent(bundle: Path, data: Path, tmp_path: Path):
    """
    No connection is made: there is no such device.
    """
    nowhere = "ssh:no-such-board.invalid"
    with pytest.raises(ArtifactError, match="not an EdgeAfri artifact"):
        run_on_device(nowhere, tmp_path, DeviceRequest())
    with pytest.raises(DataError, match="no such language folder"):
        run_on_device(nowhere, bundle, DeviceRequest(data=data, languages=("yor",)))


@pytest.mark.parametrize("where", ["shh:pi@host", "ssh:", "pi@host", "adbx"])
def test_an_unknown_way_is_told(where: str, bundle: Path):
    """
    With the two that there are.
    """
    with pytest.raises(UsageError) as error:
        run_on_device(where, bundle, DeviceRequest())

    assert error.value.message == f"'{where}' does not name a connection to a device"
    assert "ssh:pi@raspberrypi.local" in error.value.hint


def _wheel(name: str, folder: Path) -> Path:
    """An installed package as a wheel again, its shared libraries with it."""
    file = folder / f"{name}-0-none.whl"
    with zipfile.ZipFile(file, "w") as packed:
        for part in metadata.files(name) or ():
            if not part.as_posix().startswith("..") and part.suffix != ".pyc":
                packed.write(part.locate(), part.as_posix())
    return file
