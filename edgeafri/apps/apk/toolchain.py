"""What the machine must have to make an APK: Debian packages, and two of an older Debian in a folder of our own."""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeafri.errors import MissingPackage, WorkerError
from edgeafri.util.files import cache_folder, storage
from edgeafri.util.progress import StartProgress

# A program, and the Debian package that has it.
_PROGRAMS = {
    "javac": "default-jdk-headless",
    "java": "default-jdk-headless",
    "keytool": "default-jdk-headless",
    "aapt": "aapt",
    "zipalign": "zipalign",
    "apksigner": "apksigner",
    "apt-get": "apt",
    "dpkg-deb": "dpkg",
}
_FRAMEWORK = Path("/usr/share/android-framework-res/framework-res.apk")
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_FILES = {_FRAMEWORK: "android-framework-res", _KEYRING: "debian-archive-keyring"}
# dx makes Android's byte code, the other holds the classes that the app is compiled against. Debian 12 has neither.
_OLD_RELEASE = "bullseye"
_OLD_PACKAGES = ("dalvik-exchange", "libandroid-23-java")
_MIRRORS = ("http://deb.debian.org/debian", "http://archive.debian.org/debian")


@dataclass(frozen=True)
class Toolchain:
    """The parts that are files: dx, the classes of Android 6, and the resources of Android 10."""

    dx: Path
    classes: Path
    framework: Path


def check_tools() -> None:
    """MissingPackage with the one command that brings all that is needed to make an APK and is not there."""
    programs = {name: package for name, package in _PROGRAMS.items() if shutil.which(name) is None}
    files = {str(path): package for path, package in _FILES.items() if not path.is_file()}
    missing = {**programs, **files}
    if {"apt", "dpkg"} & set(missing.values()):
        hint = "Use a machine, or a container, with Debian 12, or make the page: edgeafri package --format web"
        raise MissingPackage("an APK is made with Debian's packages, and this machine has no apt", hint)
    if missing:
        packages = " ".join(dict.fromkeys(missing.values()))
        hint = f"Install what is missing: sudo apt-get install --no-install-recommends {packages}"
        raise MissingPackage(f"making an APK needs {', '.join(missing)}", hint)


def toolchain(start: StartProgress) -> Toolchain:
    """The tools, all there: what Debian 12 does not have is fetched once, 15 MB, and kept in the cache."""
    check_tools()
    folder = cache_folder().resolve() / "apk" / _OLD_RELEASE
    if not folder.is_dir():
        start("fetch dx and Android's classes (15 MB)")
        with storage(folder.parent):
            _fetch(folder)
    java = folder / "usr" / "share" / "java"
    return Toolchain(java / "com.android.dx.jar", java / "com.android.android-23.jar", _FRAMEWORK)


def run(*command: str | Path, folder: Path | None = None) -> str:
    """What a tool prints, started in `folder`. WorkerError with the first thing it complains of where it fails."""
    words = [str(word) for word in command]
    done = subprocess.run(
        words, capture_output=True, text=True, errors="replace", check=False, cwd=folder, stdin=subprocess.DEVNULL
    )
    if done.returncode != 0:
        why = _complaint(done.stderr + done.stdout)
        raise WorkerError(f"{words[0]} failed: {why}", "Report this with the version of the package it comes from.")
    return done.stdout


def _complaint(said: str) -> str:
    """The line of a tool's output that tells most: compilers warn first, and Java names what it tried before why."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    telling = [line for line in lines if re.search(r"\berror\b|^E:|Exception: ", line, re.IGNORECASE)]
    return (telling or lines or ["no word why"])[0]


def _fetch(folder: Path) -> None:
    """Fill `folder` with the two old packages, whole or not at all, from the first mirror that has them."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    for number, mirror in enumerate(_MIRRORS, start=1):
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            try:
                packages = _download(Path(scratch), mirror)
            except WorkerError as error:
                if number == len(_MIRRORS):
                    hint = "Look at the network: both come from deb.debian.org, once."
                    raise MissingPackage(f"{' and '.join(_OLD_PACKAGES)}: {error.message}", hint) from None
                continue
            whole = Path(scratch) / "whole"
            for package in packages:
                run("dpkg-deb", "-x", package, whole)
            if not folder.is_dir():  # another build may have been as quick
                whole.replace(folder)
            return


def _download(scratch: Path, mirror: str) -> list[Path]:
    """The old packages as files, by an apt that leaves alone the machine's own. It checks their hashes."""
    for name in ("lists/partial", "archives/partial", "sources", "packages"):
        (scratch / name).mkdir(parents=True)
    (scratch / "status").touch()
    line = f"deb [signed-by={_KEYRING}] {mirror} {_OLD_RELEASE} main\n"
    (scratch / "sources" / "old.list").write_text(line, "utf-8")
    run("apt-get", *apt_options(scratch), "update")
    run("apt-get", *apt_options(scratch), "download", *_OLD_PACKAGES, folder=scratch / "packages")
    return sorted((scratch / "packages").glob("*.deb"))


def apt_options(folder: Path) -> Sequence[str]:
    """What makes apt live below `folder` alone."""
    values = {
        "Dir::State": folder,
        "Dir::State::status": folder / "status",
        "Dir::Cache": folder,
        "Dir::Cache::archives": folder / "archives",
        "Dir::Etc::sourcelist": "/dev/null",
        "Dir::Etc::sourceparts": folder / "sources",
        "Dir::Log": folder,
        "Acquire::Languages": "none",
        "APT::Sandbox::User": "root",  # root gives its downloads to another user, who may not write here
    }
    return [part for name, value in values.items() for part in ("-o", f"{name}={value}")]
