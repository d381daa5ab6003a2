"""Wheels of what the runtime needs, for another machine than this one, in the versions that are installed here."""

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

from edgeafri.errors import MissingPackage, UsageError
from edgeafri.util.files import cache_folder
from edgeafri.util.packages import version_of
from edgeafri.util.progress import Progress, silent

# What a bundle's runtime imports. Other packages that these depend on are not imported, so they are not fetched.
PACKAGES = ("numpy", "onnxruntime", "psutil", "tokenizers")
_OPTIONAL = ("psutil",)  # without it, a device runs and measures all the same, and says less about itself
_MACHINES = ("aarch64", "x86_64")
_LIBRARIES = ("manylinux_2_28", "manylinux_2_27", "manylinux_2_17", "manylinux2014")


def fetch(python: str, machine: str, progress: Progress = silent) -> tuple[Path, ...]:
    """The wheels of the runtime's packages for Python `python` ("3.11") on `machine` ("aarch64").

    Nothing is fetched from PyPI twice. UsageError for a machine that onnxruntime has no wheel for, MissingPackage when
    pip cannot bring one that the runtime needs.
    """
    _check(machine)
    folder = cache_folder() / "wheels" / f"{machine}-python{python}"
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for index, package in enumerate(PACKAGES):
        version = version_here(package)
        try:
            found.append(_cached(folder, package, version) or _download(folder, package, version, python, machine))
        except MissingPackage:
            if package not in _OPTIONAL:
                raise
        progress(index + 1, len(PACKAGES))
    return tuple(found)


def unpack(wheels: Iterable[Path], folder: Path) -> None:
    """Unpack wheels into `folder`, as in a site-packages folder; whole or not at all."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as scratch:
        partial = Path(scratch) / "site"
        for wheel in wheels:
            try:
                with zipfile.ZipFile(wheel) as archive:
                    archive.extractall(partial)  # zipfile keeps names within the folder
            except zipfile.BadZipFile:
                raise MissingPackage(f"{wheel}: not a wheel, or cut short", "Remove it and try again.") from None
        partial.rename(folder)


def version_here(package: str) -> str:
    """The version that is installed on this machine."""
    version = version_of(package)
    if version is None:
        raise MissingPackage(f"the package '{package}' is not installed here", f"Install it: pip install {package}")
    return version


def _check(machine: str) -> None:
    if machine in _MACHINES:
        return
    if machine.startswith(("armv6", "armv7", "armhf")):
        message = f"onnxruntime has no wheel for {machine}, a 32-bit system"
        raise UsageError(
            message, "Use a 64-bit system: Raspberry Pi OS (64-bit) runs on every Pi from the 3 and Zero 2 W."
        )
    raise UsageError(f"no wheels are known for the machine '{machine}'", f"There are: {', '.join(_MACHINES)}.")


def _cached(folder: Path, package: str, version: str) -> Path | None:
    return next(folder.glob(f"{package}-{version}-*.whl"), None)


def _download(folder: Path, package: str, version: str, python: str, machine: str) -> Path:
    with tempfile.TemporaryDirectory(dir=folder, prefix=".partial.") as scratch:
        command = _pip(f"{package}=={version}", python, machine, Path(scratch))
        done = subprocess.run(
            command, capture_output=True, encoding="utf-8", errors="replace", check=False, env=_environment()
        )
        wheel = _cached(Path(scratch), package, version)
        if done.returncode != 0 or wheel is None:
            last = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
            message = f"pip found no wheel of {package} {version} for Python {python} on {machine}"
            raise MissingPackage(f"{message}{': ' + last[-1] if last else ''}", _HINT)
        return Path(shutil.move(wheel, folder / wheel.name))


def _pip(wanted: str, python: str, machine: str, folder: Path) -> list[str]:
    platforms = [option for library in _LIBRARIES for option in ("--platform", f"{library}_{machine}")]
    return [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
        *("--no-deps", "--only-binary=:all:", "--implementation", "cp", "--python-version", python),
        *platforms,
        *("--dest", str(folder), wanted),
    ]


def _environment() -> dict[str, str]:
    # A PIP_TARGET or PIP_USER of the user is for installing, and pip download refuses to run with it.
    return {name: value for name, value in os.environ.items() if name not in ("PIP_TARGET", "PIP_PREFIX", "PIP_USER")}


_HINT = "Check the network, and that PyPI has this version for that machine. To use a mirror, set PIP_INDEX_URL."
