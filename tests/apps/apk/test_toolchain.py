"""The tools of an APK: what is missing is named with the command that brings it; old packages come by our own apt."""

import shutil
import subprocess
from pathlib import Path

import pytest

from edgeafri.apps.apk import toolchain as tools
from edgeafri.apps.apk.toolchain import apt_options, check_tools, run, toolchain
from edgeafri.errors import MissingPackage, WorkerError
from edgeafri.util.progress import quiet

APT = """#!/bin/sh
echo "$PWD $*" >> {log}
case "$*" in
    *update*) exit {update} ;;
    *download*) [ {download} = 0 ] || {{ echo "E: Unable to locate package dalvik-exchange" >&2; exit 100; }}
        touch dalvik-exchange_1_all.deb libandroid-23-java_1_all.deb ;;
esac
"""
DPKG = """#!/bin/sh
mkdir -p "$3/usr/share/java" && touch "$3/usr/share/java/$(basename "$2").jar"
"""


class Machine:
    """A machine with programs of our own, and nothing else."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.log = folder.parent / "apt.log"
        folder.mkdir()
        self.given = folder.parent / "given"
        self.given.touch()
        for name in ("sh", "touch", "mkdir", "basename"):
            (folder / name).symlink_to(str(shutil.which(name)))
        monkeypatch.setenv("PATH", str(folder))
        monkeypatch.setattr(tools, "_FILES", {self.given: "android-framework-res"})

    def add(self, *names: str, text: str = "#!/bin/sh\n") -> None:
        for name in names:
            (self.folder / name).write_text(text, "utf-8")
            (self.folder / name).chmod(0o755)

    def all(self, update: int = 0, download: int = 0) -> None:
        self.add("javac", "java", "keytool", "aapt", "zipalign", "apksigner")
        self.add("apt-get", text=APT.format(log=self.log, update=update, download=download))
        self.add("dpkg-deb", text=DPKG)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path / "bin", monkeypatch)


def test_what_is_missing_is_named_with_the_command_that_brings_it(machine):
    """
    One line to copy, each package once.
    """
    machine.add("apt-get", "dpkg-deb", "aapt")
    machine.given.unlink()
    with pytest.raises(MissingPackage) as caught:
        check_tools()

    assert caught.value.message == (f"making an APK needs javac, java, keytool, zipalign, apksigner, {machine.given}")
    assert caught.value.hint == (
        "Install what is missing: sudo apt-get install --no-install-recommends "
        "default-jdk-headless zipalign apksigner android-framework-res"
    )


def test_a_machine_without_apt_is_told_what_it_can_do(machine):
    """
    The page alone needs none of this.
    """
    machine.add("javac", "java", "keytool")
    with pytest.raises(MissingPackage) as caught:
        check_tools()

    assert caught.value.message == "an APK is made with Debian's packages, and this machine has no apt"
    assert "--format web" in caught.value.hint


def test_old_packages_are_fetched_once(machine, cache):
    """
    They stay in the cache, and the next APK needs no network.
    """
    machine.all()
    told: list[str] = []

    def step(what: str):
        told.append(what)
        return lambda done, total: None

    first = toolchain(step)
    lines = len(machine.log.read_text("utf-8").splitlines())
    again = toolchain(step)

    assert told == ["fetch dx and Android's classes (15 MB)"]
    assert first == again
    assert first.dx.is_relative_to(cache / "apk")
    assert lines == len(machine.log.read_text("utf-8").splitlines()) == 2
    assert [path.name for path in (cache / "apk").iterdir()] == ["bullseye"]


def test_another_mirror_is_asked_when_the_first_one_fails(machine, monkeypatch):
    """
    Old releases move to an archive one day.
    """
    machine.all(download=100)
    with pytest.raises(MissingPackage):
        toolchain(quiet)

    assert len(machine.log.read_text("utf-8").splitlines()) == 2 * 2


def test_without_a_network_it_says_what_it_wanted(machine, cache):
    """
    Nothing half is left for the next run to stumble over.
    """
    machine.all(download=100)
    with pytest.raises(MissingPackage) as caught:
        toolchain(quiet)

    assert caught.value.message == (
        "dalvik-exchange and libandroid-23-java: apt-get failed: E: Unable to locate package dalvik-exchange"
    )
    assert caught.value.hint == "Look at the network: both come from deb.debian.org, once."
    assert list((cache / "apk").iterdir()) == []


def test_the_machines_own_apt_is_left_alone(tmp_path):
    """
    Its lists, its sources and its record of what is installed are other files.
    """
    options = apt_options(tmp_path)
    pairs = dict(part.split("=", 1) for part in options if part != "-o")

    assert all(
        pairs[name].startswith(str(tmp_path))
        for name in ("Dir::State", "Dir::State::status", "Dir::Cache", "Dir::Etc::sourceparts", "Dir::Log")
    )
    assert pairs["Dir::Etc::sourcelist"] == "/dev/null"


def test_packages_are_taken_only_as_debian_signed_them(machine, monkeypatch):
    """
    apt checks the release's signature against Debian's keys, and every package against the release.
    """
    machine.all()
    seen: list[str] = []
    real = subprocess.run

    def watching(command, **options):
        if "update" in command:
            folder = next(part.split("=", 1)[1] for part in command if part.startswith("Dir::Etc::sourceparts="))
            seen.append((Path(folder) / "old.list").read_text("utf-8"))
        return real(command, **options)

    monkeypatch.setattr(subprocess, "run", watching)
    toolchain(quiet)

    assert seen == [
        "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian bullseye main\n"
    ]


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("warning: old\\nx.java:3: error: no such class\\nerror: 2", "tool failed: x.java:3: error: no such class"),
        ("something else", "tool failed: something else"),
        ("", "tool failed: no word why"),
    ],
)
def test_a_tool_that_fails_is_told_by_what_it_complains_of(machine, said, message):
    """
    Warnings come first in what compilers print, and are not the reason.
    """
    machine.add("tool", text=f"#!/bin/sh\nprintf '{said}' >&2\nexit 1\n")
    with pytest.raises(WorkerError) as caught:
        run("tool")

    assert caught.value.message == message
