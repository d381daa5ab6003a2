"""Wheels for another machine: fetched once, in the versions that are installed here, or refused in plain words."""

import subprocess
import zipfile
from pathlib import Path

import pytest

from edgeafri.errors import MissingPackage, UsageError
from edgeafri.util import wheels


class Pip:
    """A pip that writes empty wheels, and what it was called with."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.error, self.absent = "", ""

    def run(self, command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        self.calls.append(command)
        name, version = command[-1].split("==")
        failed = bool(self.error) or name == self.absent
        if not failed:
            (Path(command[-2]) / f"{name}-{version}-cp311-cp311-manylinux_2_28_aarch64.whl").touch()
        return subprocess.CompletedProcess(command, int(failed), "", self.error)


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch) -> Pip:
    fake = Pip()
    monkeypatch.setattr(wheels.subprocess, "run", fake.run)
    monkeypatch.setattr(wheels, "version_of", lambda package: "1.5")
    return fake


def test_a_wheel_a_package_is_fetched_for_that_machine(pip: Pip, cache: Path):
    """
    Binary only, without what they ask for beside, and each named with the version that is here.
    """
    ticks: list[tuple[int, int]] = []
    found = wheels.fetch("3.11", "aarch64", lambda done, total: ticks.append((done, total)))
    command = pip.calls[1]

    assert [wheel.name.split("-")[0] for wheel in found] == ["numpy", "onnxruntime", "psutil", "tokenizers"]
    assert all(wheel.is_file() and wheel.is_relative_to(cache / "wheels") for wheel in found)
    assert command[-1] == "onnxruntime==1.5"
    assert {"--no-deps", "--only-binary=:all:", "manylinux_2_28_aarch64"} <= set(command)
    assert command[command.index("--python-version") + 1] == "3.11"
    assert ticks == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_nothing_is_fetched_twice(pip: Pip):
    """
    What an interrupted call has brought is kept too.
    """
    first = wheels.fetch("3.11", "aarch64")
    first[2].unlink()
    second = wheels.fetch("3.11", "aarch64")

    assert second == first
    assert len(pip.calls) == 5


def test_a_wheel_that_is_not_there_is_told_in_pips_words(pip: Pip, cache: Path):
    """
    With what was wanted; nothing half is left.
    """
    pip.error = "WARNING: x\nERROR: No matching distribution found for numpy==1.5\n"

    with pytest.raises(MissingPackage, match=r"no wheel of numpy 1\.5 for Python 3\.11 on aarch64: ERROR: No"):
        wheels.fetch("3.11", "aarch64")
    assert list((cache / "wheels" / "aarch64-python3.11").iterdir()) == []


def test_a_device_can_do_without_psutil(pip: Pip):
    """
    It only says less about itself then; a bundle runs and is measured.
    """
    pip.absent = "psutil"

    assert [wheel.name.split("-")[0] for wheel in wheels.fetch("3.11", "aarch64")] == [
        "numpy",
        "onnxruntime",
        "tokenizers",
    ]


@pytest.mark.parametrize("machine", ["armv7l", "armv6l", "armhf"])
def test_a_32_bit_system_is_refused(pip: Pip, machine: str):
    """
    onnxruntime has no wheel for it; most such boards run a 64-bit system as well.
    """
    with pytest.raises(UsageError, match=f"onnxruntime has no wheel for {machine}, a 32-bit system") as error:
        wheels.fetch("3.11", machine)
    assert "64-bit" in error.value.hint
    assert pip.calls == []


def test_another_machine_is_refused(pip: Pip):
    """
    Its name would end up in a folder's.
    """
    with pytest.raises(UsageError, match="no wheels are known for the machine 'riscv64'") as error:
        wheels.fetch("3.11", "riscv64")
    assert error.value.hint == "There are: aarch64, x86_64."


def test_a_package_that_is_not_here_has_no_version(monkeypatch: pytest.MonkeyPatch):
    """
    Another version there would make another machine of it.
    """
    monkeypatch.setattr(wheels, "version_of", lambda package: None)

    with pytest.raises(MissingPackage, match="the package 'numpy' is not installed here") as error:
        wheels.fetch("3.11", "aarch64")
    assert error.value.hint == "Install it: pip install numpy"


def test_wheels_become_one_folder(tmp_path: Path):
    """
    As site-packages holds them.
    """
    files = [tmp_path / "a.whl", tmp_path / "b.whl"]
    for file in files:
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr(f"{file.stem}/__init__.py", "")
    wheels.unpack(files, tmp_path / "site")

    assert sorted(item.name for item in (tmp_path / "site").iterdir()) == ["a", "b"]


def test_a_broken_wheel_leaves_no_folder(tmp_path: Path):
    """
    Half of a package would be imported.
    """
    (tmp_path / "a.whl").write_bytes(b"no zip")

    with pytest.raises(MissingPackage, match=r"a\.whl: not a wheel, or cut short"):
        wheels.unpack([tmp_path / "a.whl"], tmp_path / "site")
    assert sorted(item.name for item in tmp_path.iterdir() if not item.name.startswith("cache")) == ["a.whl"]
