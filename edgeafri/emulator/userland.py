"""The ARM userland: Python and its libraries from the distribution's own packages, fetched by apt without root.

apt runs with its own folders below the cache, so that it neither reads nor changes the packages of this machine.
"""

import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edgeafri.errors import MissingPackage

_SOURCES = Path("/etc/apt")
_NEEDED_BY_WHEELS = ("libstdc++6", "libgcc-s1", "zlib1g")
_HEADER = "qemu-plugin.h"
_MIRROR = (
    "Check the network, and the output of `apt-get update`. "
    "The sources of apt must have packages for arm64, as those of Debian have."
)


@dataclass(frozen=True)
class Apt:
    """An apt for arm64 with its own folders below `folder`, and the sources of this machine's apt, source code too."""

    folder: Path

    def update(self, sources: Path = _SOURCES) -> None:
        """Read the lists of packages. A source that cannot be reached is no error yet: a package is missing later."""
        for name in ("lists/partial", "archives/partial", "sources"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        (self.folder / "status").touch()
        copied = _with_source_code(sources)
        if not copied:
            raise MissingPackage(
                f"{sources}: apt has no sources of packages", "The emulator needs a system with apt, such as Debian."
            )
        for name, text in copied.items():
            (self.folder / "sources" / name).write_text(text, "utf-8")
        _run(["apt-get", *self.options, "update"], may_fail=True)

    def python(self) -> str:
        """The version of Python that the distribution calls python3: "3.11"."""
        said = _run(["apt-cache", *self.options, "depends", "python3"], _MIRROR)
        found = re.search(r"Depends: python(3\.\d+)$", said, re.MULTILINE)
        if found is None:
            raise MissingPackage("apt's sources have no python3 for arm64", _MIRROR)
        return found[1]

    def fetch(self, python: str) -> list[Path]:
        """The packages of a Python and of all that it and the wheels need, each a .deb of this apt's archive."""
        wanted = ["install", "--yes", "--no-install-recommends", f"python{python}", *_NEEDED_BY_WHEELS]
        listed = _run(["apt-get", *self.options, "--print-uris", *wanted], f"Leave --python out. {_MIRROR}")
        _run(["apt-get", *self.options, "--download-only", *wanted], _MIRROR)
        return [self.folder / "archives" / name for name in re.findall(r"^'[^']+' (\S+\.deb) ", listed, re.MULTILINE)]

    def source_of_qemu(self, into: Path) -> Path:
        """The archive with QEMU's source code, fetched into a folder."""
        wanted = ["source", "--download-only", "--only-source", "qemu"]
        _run(["apt-get", *self.options, *wanted], _MIRROR, folder=into)
        found = sorted(into.glob("qemu_*.orig.tar.*"))
        archives = [file for file in found if not file.name.endswith(".asc")]
        if not archives:
            raise MissingPackage("apt found no source code of qemu", _MIRROR)
        return archives[0]

    def clean(self) -> None:
        """Remove what was fetched and is unpacked by now."""
        for name in ("archives", "lists"):
            shutil.rmtree(self.folder / name, ignore_errors=True)

    @property
    def options(self) -> list[str]:
        values = {
            "Dir::State": self.folder,
            "Dir::State::status": self.folder / "status",
            "Dir::Cache": self.folder,
            "Dir::Cache::archives": self.folder / "archives",
            "Dir::Etc::sourcelist": "/dev/null",
            "Dir::Etc::sourceparts": self.folder / "sources",
            "Dir::Log": self.folder,
            "APT::Architecture": "arm64",
            "APT::Architectures": "arm64",
            "APT::Sandbox::User": "root",  # root gives its downloads to another user, who may not write here
            "APT::Keep-Downloaded-Packages": "true",
        }
        return [part for name, value in values.items() for part in ("-o", f"{name}={value}")]


def unpack(package: Path, folder: Path) -> None:
    """Put the files of a .deb below `folder`."""
    _run(["dpkg-deb", "-x", str(package), str(folder)], "Remove the file and install again.")


def write_header(archive: Path, target: Path) -> None:
    """Take qemu-plugin.h out of QEMU's source code."""
    with tarfile.open(archive) as files:
        for member in files:
            if member.isfile() and member.name.endswith(f"/include/qemu/{_HEADER}"):
                content = files.extractfile(member)
                if content is not None:
                    target.write_bytes(content.read())
                    return
    raise MissingPackage(f"{archive.name}: has no {_HEADER}", "Report this with the version of qemu-user.")


@contextmanager
def whole(target: Path) -> Iterator[Path]:
    """A folder to fill beside `target`, which gets that name when it is done: whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as scratch:
        partial = Path(scratch) / target.name
        partial.mkdir()
        yield partial
        partial.rename(target)


def _with_source_code(folder: Path) -> dict[str, str]:
    """The files that name apt's sources, by name, each with the source code of what it names."""
    files = [folder / "sources.list", *sorted((folder / "sources.list.d").glob("*"))]
    found = {}
    for file in files:
        if file.is_file() and file.suffix in (".list", ".sources"):
            change = _deb822_with_source if file.suffix == ".sources" else _lines_with_source
            found[file.name] = change(file.read_text("utf-8"))
    return found


def _deb822_with_source(text: str) -> str:
    return re.sub(r"^Types:[ \t]*deb[ \t]*$", "Types: deb deb-src", text, flags=re.MULTILINE)


def _lines_with_source(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if re.match(r"\s*deb\s", line)]
    return "".join(f"{line}\ndeb-src{line[3:]}\n" for line in lines)


def _run(command: list[str], hint: str = "", folder: Path | None = None, may_fail: bool = False) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, errors="replace", check=False, cwd=folder, stdin=subprocess.DEVNULL
    )
    if done.returncode != 0 and not may_fail:
        said = [line for line in done.stderr.splitlines() if line.startswith("E:")] or done.stderr.splitlines()
        raise MissingPackage(f"{command[0]} failed{': ' + said[0] if said else ''}", hint)
    return done.stdout
