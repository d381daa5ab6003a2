"""Installing the emulator: piece by piece, nothing twice, whole or not at all, and told when it no longer fits."""

import json
from pathlib import Path

import pytest

from edgeafri.emulator import install as module
from edgeafri.emulator.install import emulator_folder, install, ready, status
from edgeafri.emulator.plugin import HEADER, LIBRARY
from edgeafri.emulator.userland import Apt
from edgeafri.errors import MissingPackage, UsageError


@pytest.fixture
def fetched(tools, cache: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was fetched or made, in order. No network: each piece is a file of its own."""
    done: list[str] = []

    def deb(self: Apt, python: str) -> list[Path]:
        done.append(f"python{python}")
        return [Path("python.deb")]

    def source(self: Apt, into: Path) -> Path:
        done.append("source of qemu")
        return into

    def wheels(python: str, machine: str, progress: object) -> tuple[Path, ...]:
        return (Path("onnxruntime-1.31.1-py3.whl"),)

    def site(wheels: object, folder: Path) -> None:
        done.append("wheels")
        folder.mkdir(parents=True)

    def plugin(folder: Path) -> None:
        done.append("plugin")
        (folder / LIBRARY).touch()

    monkeypatch.setattr(Apt, "update", lambda self: done.append("update"))
    monkeypatch.setattr(Apt, "python", lambda self: "3.11")
    monkeypatch.setattr(Apt, "fetch", deb)
    monkeypatch.setattr(Apt, "source_of_qemu", source)
    monkeypatch.setattr(module.userland, "write_header", lambda archive, target: target.write_text("header"))
    monkeypatch.setattr(module.wheels, "fetch", wheels)
    monkeypatch.setattr(module.wheels, "unpack", site)
    monkeypatch.setattr(module.plugin, "compile_plugin", plugin)
    return done


def test_everything_is_fetched_once(fetched: list[str]):
    """
    The second installation finds all of it.
    """
    first = install()
    before = list(fetched)
    second = install()

    assert before == ["update", "python3.11", "wheels", "source of qemu", "plugin"]
    assert fetched == before
    assert first == second == ready()


def test_what_an_interrupted_installation_finished_is_kept(fetched: list[str], monkeypatch):
    """
    The pieces before the interruption are not fetched again; the one that was cut short is.
    """
    monkeypatch.setattr(module.plugin, "compile_plugin", interrupted)
    with pytest.raises(KeyboardInterrupt):
        install()
    left = sorted(file.name for file in emulator_folder().iterdir())

    assert fetched == ["update", "python3.11", "wheels", "source of qemu"]
    assert [name.split("-")[0] for name in left] == ["header", "site", "userland"]


def interrupted(folder: Path) -> None:
    raise KeyboardInterrupt


def test_an_emulator_of_another_python_stands_beside(fetched: list[str]):
    """
    The last one that was installed is used.
    """
    install()
    install("3.12")

    assert "python3.12" in fetched
    assert ready().userland.name == "userland-3.12"
    assert (emulator_folder() / "userland-3.11").is_dir()


@pytest.mark.parametrize("python", ["3", "python3.11", "3.11; rm", "2.7", ""])
def test_a_version_that_is_none_is_refused(fetched: list[str], python: str):
    """
    It becomes the name of a package and of a folder.
    """
    with pytest.raises(UsageError, match="is no version of Python"):
        install(python)
    assert fetched == []


def test_an_emulator_that_does_not_start_is_not_installed(fetched: list[str], tools):
    """
    A plugin for another QEMU, or a library that is missing, shows before anything is measured.
    """
    refusing = '[ "$3" = -plugin ] && { echo "plugin requires API 2" >&2; exit 1; }'
    tools.add_qemu(refusing)

    with pytest.raises(MissingPackage, match=r"Python 3\.11 does not start under QEMU 7\.2\.22: plugin requires API 2"):
        install()
    assert not status().ready


def test_one_that_is_not_there_is_told(tools):
    """
    With the command that brings it.
    """
    with pytest.raises(MissingPackage, match="the emulator is not installed") as error:
        ready()
    assert error.value.hint == "Install it: edgeafri emulator install"


@pytest.mark.parametrize("record", ["", "{}", "[]", '{"python": 3}'])
def test_a_damaged_record_is_none(tools, cache: Path, record: str):
    """
    It is written whole, but a disk can lose it.
    """
    emulator_folder().mkdir(parents=True)
    (emulator_folder() / "emulator.json").write_text(record, "utf-8")

    with pytest.raises(MissingPackage, match="the emulator is not installed"):
        ready()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"qemu": "6.0.0"}, "the emulator was installed for QEMU 6.0.0, but QEMU 7.2.22 is here now"),
        ({"onnxruntime": "1.0"}, "the emulator was installed for onnxruntime 1.0, but onnxruntime .* is here now"),
        ({"site": "site-gone"}, "a part of the emulator is missing: .*site-gone"),
    ],
)
def test_one_that_no_longer_fits_is_told(fetched: list[str], change: dict[str, str], message: str):
    """
    The plugin is made for one QEMU, and parity needs one onnxruntime on both sides.
    """
    install()
    record = emulator_folder() / "emulator.json"
    record.write_text(json.dumps({**json.loads(record.read_text("utf-8")), **change}), "utf-8")

    with pytest.raises(MissingPackage, match=message) as error:
        ready()
    assert "edgeafri emulator install" in error.value.hint


def test_a_plugin_of_other_sources_is_told(fetched: list[str], monkeypatch):
    """
    A newer edgeafri may count other classes.
    """
    install()
    header = next(emulator_folder().glob("header-*")) / HEADER
    header.write_text("another", "utf-8")

    with pytest.raises(MissingPackage, match="the emulator's plugin was made by another version of edgeafri"):
        ready()


def test_status_says_what_it_is_made_of(fetched: list[str]):
    """
    Or why it cannot be used, and what to do.
    """
    before = status()
    install()
    after = status()

    assert (before.ready, before.why) == (False, "the emulator is not installed")
    assert (after.ready, after.qemu, after.python) == (True, "7.2.22", "3.11")
    assert after.processors == ("cortex-a53", "cortex-a72", "cortex-a76")
