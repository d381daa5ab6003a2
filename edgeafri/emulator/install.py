"""Installing the emulator below the cache folder, part by part, each whole or not at all; and what is installed."""

import hashlib
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from edgeafri.documents.emulator_status import EmulatorStatus
from edgeafri.emulator import plugin, userland
from edgeafri.emulator.tools import Qemu, check_tools, find_qemu
from edgeafri.errors import ConfigError, EdgeAfriError, MissingPackage, UsageError
from edgeafri.settings import read
from edgeafri.util import wheels
from edgeafri.util.files import cache_folder, json_text, storage, write_whole
from edgeafri.util.progress import StartProgress, quiet

MACHINE = "aarch64"
_AGAIN = "Install it: edgeafri emulator install"


@dataclass(frozen=True)
class Installed:
    """What is installed: the versions it was made for, and the names of its folders below that of the emulator."""

    python: str
    qemu: str
    onnxruntime: str
    userland: str
    site: str
    plugin: str


@dataclass(frozen=True)
class Emulator:
    """An emulator that is ready: QEMU, the ARM userland with its Python, its packages and the counting plugin."""

    qemu: Qemu
    python: str
    onnxruntime: str
    userland: Path
    site: Path
    plugin: Path


def emulator_folder() -> Path:
    """The folder of the emulator, below the cache folder of this user."""
    return cache_folder() / "emulator"


def install(python: str | None = None, start: StartProgress = quiet) -> Emulator:
    """Fetch and compile what is missing; `python` is a version such as "3.11", by default the distribution's own.

    What an interrupted installation has finished is kept. UsageError for what is no version of Python, MissingPackage
    for a tool, a package or a wheel that is not available, with the command that installs it.
    """
    _check_python(python)
    check_tools()
    qemu, folder = find_qemu(), emulator_folder()
    apt = userland.Apt(folder / "apt")
    with storage(folder):
        version, header = python or _python_before(), folder / f"header-{qemu.version}"
        if version is None or not (folder / f"userland-{version}").is_dir() or not header.is_dir():
            start("read the lists of packages for arm64")
            apt.update()
        version = version or apt.python()
        root = _userland(apt, folder / f"userland-{version}", version, start)
        site = _site(folder, version, start)
        _header(apt, header, start)
        start("compile the counting plugin")
        library = _plugin(folder, header)
        found = Installed(version, qemu.version, wheels.version_here("onnxruntime"), root.name, site.name, library.name)
        _try(qemu, folder, found)
        write_whole(_record(), json_text(asdict(found)))
        apt.clean()
    return ready()


def ready() -> Emulator:
    """The emulator that is installed. MissingPackage where it is not, or was made for another QEMU or onnxruntime."""
    folder, qemu = emulator_folder(), find_qemu()
    found = _recorded()
    if found is None:
        raise MissingPackage("the emulator is not installed", _AGAIN)
    places = [folder / name for name in (found.userland, found.site, found.plugin)]
    gone = [place for place in places if not place.is_dir()]
    if gone:
        raise MissingPackage(f"a part of the emulator is missing: {gone[0]}", _AGAIN)
    _check_same("QEMU", found.qemu, qemu.version)
    _check_same("onnxruntime", found.onnxruntime, wheels.version_here("onnxruntime"))
    if places[2].name != _plugin_name(folder / f"header-{qemu.version}"):
        raise MissingPackage("the emulator's plugin was made by another version of edgeafri", _AGAIN)
    return Emulator(qemu, found.python, found.onnxruntime, places[0], places[1], places[2] / plugin.LIBRARY)


def status() -> EmulatorStatus:
    """Whether the emulator can be used, with what, and if not, why not and what to do."""
    try:
        emulator = ready()
    except EdgeAfriError as error:
        return EmulatorStatus(ready=False, folder=str(emulator_folder()), why=error.message, next=error.hint)
    return EmulatorStatus(
        ready=True,
        folder=str(emulator_folder()),
        qemu=emulator.qemu.version,
        python=emulator.python,
        onnxruntime=emulator.onnxruntime,
        processors=tuple(sorted(emulator.qemu.models)),
    )


def _check_python(python: str | None) -> None:
    if python is not None and not re.fullmatch(r"3\.\d{1,2}", python):
        raise UsageError(f"'{python}' is no version of Python", "Write it as 3.11, or leave the option out.")


def _userland(apt: userland.Apt, target: Path, python: str, start: StartProgress) -> Path:
    if not target.is_dir():
        start(f"fetch Python {python} for arm64")
        packages = apt.fetch(python)
        progress = start("unpack it")
        with userland.whole(target) as partial:
            for index, package in enumerate(packages):
                userland.unpack(package, partial)
                progress(index + 1, len(packages))
    return target


def _site(folder: Path, python: str, start: StartProgress) -> Path:
    found = wheels.fetch(python, MACHINE, start("fetch the wheels of onnxruntime, numpy and the others"))
    target = folder / f"site-{_digest(wheel.name.encode() for wheel in found)}"
    if not target.is_dir():
        start("unpack the wheels")
        wheels.unpack(found, target)
    return target


def _header(apt: userland.Apt, target: Path, start: StartProgress) -> None:
    if not target.is_dir():
        start("fetch QEMU's header for plugins")
        with userland.whole(target) as partial, tempfile.TemporaryDirectory(dir=target.parent) as scratch:
            userland.write_header(apt.source_of_qemu(Path(scratch)), partial / plugin.HEADER)


def _plugin(folder: Path, header: Path) -> Path:
    target = folder / _plugin_name(header)
    if not target.is_dir():
        with userland.whole(target) as partial:
            shutil.copy(header / plugin.HEADER, partial)
            plugin.compile_plugin(partial)
    return target


def _try(qemu: Qemu, folder: Path, made: Installed) -> None:
    """Start the guest's Python with the plugin once, so that parts that do not fit fail here, not in a measurement."""
    root = folder / made.userland
    python = [str(root / "usr" / "bin" / f"python{made.python}"), "-B", "-c", "import numpy"]
    paths = {"PYTHONHOME": str(root / "usr"), "PYTHONPATH": str(folder / made.site)}
    with tempfile.TemporaryDirectory(prefix="edgeafri-") as scratch:
        loaded = plugin.option(folder / made.plugin / plugin.LIBRARY, Path(scratch) / "marks")
        command = [qemu.path, "-cpu", "cortex-a72", *loaded, "-L", str(root), *python]
        done = subprocess.run(command, env=paths, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode != 0:
        last = done.stderr.strip().splitlines()[-1:] or [f"it ended with {done.returncode}"]
        message = f"Python {made.python} does not start under QEMU {made.qemu}: {last[0]}"
        raise MissingPackage(message, f"Remove {folder} and install again, or try another --python.")


def _plugin_name(header: Path) -> str:
    files = (*plugin.SOURCES, header / plugin.HEADER)
    return f"plugin-{_digest(file.read_bytes() for file in files if file.is_file())}"


def _digest(parts: Iterable[bytes]) -> str:
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:12]


def _check_same(what: str, made_for: str, here: str) -> None:
    if made_for != here:
        message = f"the emulator was installed for {what} {made_for}, but {what} {here} is here now"
        raise MissingPackage(message, "Install it again: edgeafri emulator install")


def _python_before() -> str | None:
    found = _recorded()
    return None if found is None else found.python


def _recorded() -> Installed | None:
    try:
        return read(Installed, json.loads(_record().read_text("utf-8")), str(_record()))
    except (OSError, ValueError, RecursionError, ConfigError):
        return None


def _record() -> Path:
    return emulator_folder() / "emulator.json"
