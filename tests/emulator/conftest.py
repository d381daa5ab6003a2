"""What tests of the emulator share: programs that only pretend."""

from pathlib import Path

import pytest

_QEMU = """
case "$1" in
--version) echo "qemu-aarch64 version 7.2.22 (Debian 1:7.2)" ;;
-h) echo "-plugin QEMU_PLUGIN [file=]<file>" ;;
-cpu) [ "$2" = help ] && printf 'Available CPUs:\\n  cortex-a53\\n  cortex-a72\\n  cortex-a76\\n  max\\n' ;;
esac
exit 0
"""


class Programs:
    """A PATH of its own, with programs that a test writes in shell."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, name: str, script: str = "") -> Path:
        """A program; what it is called with stands in the file `calls`, a line a call."""
        file = self.folder / name
        file.write_text(f'#!/bin/sh\necho "{name} $*" >> "{self.folder}/calls"\n{script}\n', "utf-8")
        file.chmod(0o755)
        return file

    def add_qemu(self, first: str = "") -> Path:
        """A QEMU that knows its version and its processors, and does nothing; or `first` something of a test's own."""
        return self.add("qemu-aarch64", first + _QEMU)

    @property
    def calls(self) -> list[str]:
        file = self.folder / "calls"
        return file.read_text("utf-8").splitlines() if file.is_file() else []


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    """Nothing but these programs is on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return Programs(folder)


@pytest.fixture
def tools(programs: Programs) -> Programs:
    """All that the emulator needs, with a QEMU that knows its version and does nothing."""
    for name in ("gcc", "apt-get", "apt-cache", "dpkg-deb"):
        programs.add(name)
    programs.add_qemu()
    return programs
