"""The programs that the emulator needs on this machine: QEMU with plugins, a compiler, apt; and how to get them."""

import platform
import re
import shutil
import subprocess
from dataclasses import dataclass

from edgeafri.errors import MissingPackage

QEMU = "qemu-aarch64"
OLDEST = (7, 2)  # what was measured; it is also the first with a Cortex-A76
# A program, and the Debian package that has it.
_PROGRAMS = {
    QEMU: "qemu-user",
    "gcc": "gcc",
    "apt-get": "apt",
    "apt-cache": "apt",
    "dpkg-deb": "dpkg",
}


@dataclass(frozen=True)
class Qemu:
    """An installed QEMU: where it is, "7.2.22", and the processors that it can be."""

    path: str
    version: str
    models: frozenset[str]


def find_qemu() -> Qemu:
    """The QEMU of this machine. MissingPackage where it is missing, too old, or cannot load plugins."""
    if platform.system() != "Linux":
        raise MissingPackage("QEMU runs single programs of another processor on Linux alone", _ON_DEBIAN)
    path = shutil.which(QEMU)
    if path is None:
        raise MissingPackage(f"{QEMU} is not installed", install("qemu-user"))
    said = _said(path, "--version")
    found = re.search(r"version (\d+)\.(\d+)(\.\d+)?", said)
    if found is None:
        raise MissingPackage(f"{path}: its version is not known", install("qemu-user"))
    version = found[0].removeprefix("version ")
    if (int(found[1]), int(found[2])) < OLDEST:
        hint = f"{install('qemu-user')} Debian 12 and Ubuntu 24.04 have a newer one."
        raise MissingPackage(f"{path}: QEMU {version} is too old, {OLDEST[0]}.{OLDEST[1]} is needed", hint)
    if "-plugin " not in _said(path, "-h"):
        message = f"{path}: this QEMU cannot load plugins (that of qemu-user-static cannot)"
        raise MissingPackage(message, install("qemu-user"))
    models = re.findall(r"^\s+(\S+)$", _said(path, "-cpu", "help"), re.MULTILINE)
    return Qemu(path, version, frozenset(models) - {"max"})


def check_tools() -> None:
    """MissingPackage with the one command that installs all that is missing."""
    missing = [name for name in _PROGRAMS if shutil.which(name) is None]
    packages = [_PROGRAMS[name] for name in missing]
    if {"apt", "dpkg"} & set(packages):
        raise MissingPackage("the emulator is made of Debian packages, and this machine has no apt", _ON_DEBIAN)
    if missing:
        raise MissingPackage(f"the emulator needs {', '.join(missing)}", install(*dict.fromkeys(packages)))


def install(*packages: str) -> str:
    """The next step for packages that are missing."""
    return f"Install what is missing: sudo apt-get install {' '.join(packages)}"


def _said(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    return done.stdout + done.stderr


_ON_DEBIAN = "Use a machine, or a container, with Debian 12 or newer."
