"""The counting plugin of QEMU: compiled here against the header of this QEMU's version, and what it writes."""

import subprocess
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from edgeafri.emulator.tools import install
from edgeafri.errors import MissingPackage, WorkerError

_HERE = Path(__file__).parent
SOURCES = (_HERE / "counts.c", _HERE / "instructions.h")
LIBRARY, HEADER = "counts.so", "qemu-plugin.h"
_FLAGS = ("-std=c11", "-O2", "-Wall", "-shared", "-fPIC")


@dataclass(frozen=True)
class InstructionCounts:
    """What the guest had executed when it reached mark `number`: instructions by class, and `total`."""

    number: int
    counts: dict[str, int]


def compile_plugin(folder: Path) -> None:
    """Make counts.so in a folder that holds qemu-plugin.h. MissingPackage where the compiler lacks a header."""
    command = ["gcc", *_FLAGS, "-I", str(folder), *_glib(folder), str(SOURCES[0]), "-o", str(folder / LIBRARY)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        wrong = [line for line in done.stderr.splitlines() if "error" in line] or ["gcc failed"]
        raise MissingPackage(f"the plugin of QEMU does not compile: {wrong[0]}", install("gcc", "libc6-dev"))


def option(library: Path, out: Path) -> tuple[str, str]:
    """The options of QEMU that load the plugin and let it write to `out`. QEMU reads two commas as one."""
    library_name, out_name = (str(path).replace(",", ",,") for path in (library, out))
    return "-plugin", f"{library_name},out={out_name}"


def parse_marks(text: str) -> list[InstructionCounts]:
    """The marks in the plugin's output, in order. A line is one mark: `number name=count name=count ...`."""
    marks = []
    for line in text.splitlines():
        number, *pairs = line.split()
        counted = (pair.split("=") for pair in pairs)
        marks.append(InstructionCounts(int(number), {name: int(count) for name, count in counted}))
    return marks


def between(marks: list[InstructionCounts]) -> list[dict[str, int]]:
    """What was executed from each mark to the next. WorkerError when a mark is missing."""
    if [mark.number for mark in marks] != list(range(len(marks))) or len(marks) < 2:
        raise WorkerError("the emulator counted no whole inference", "Install it again: edgeafri emulator install")
    pairs = pairwise(mark.counts for mark in marks)
    return [{name: after[name] - before[name] for name in after} for before, after in pairs]


def _glib(folder: Path) -> list[str]:
    """The compiler's options for glib, which the header of newer versions includes."""
    if "<glib.h>" not in (folder / HEADER).read_text("utf-8"):
        return []
    try:
        command = ["pkg-config", "--cflags", "glib-2.0"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    except (OSError, subprocess.CalledProcessError):
        hint = install("pkg-config", "libglib2.0-dev")
        raise MissingPackage("the plugin of QEMU needs the headers of glib", hint) from None
