"""The userland: an apt of our own with the machine's sources, its answers read, folders whole or not there."""

import io
import tarfile
from pathlib import Path

import pytest

from edgeafri.emulator.userland import Apt, unpack, whole, write_header
from edgeafri.errors import MissingPackage

DEB822 = "# mirror\nTypes: deb\nURIs: http://deb.debian.org/debian\nSuites: bookworm\nComponents: main\n"
LIST = "# a comment\ndeb [signed-by=/k.gpg] http://deb.debian.org/debian bookworm main\n\ndeb-src http://x y z\n"


@pytest.fixture
def apt(tools, tmp_path: Path) -> Apt:
    return Apt(tmp_path / "apt")


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """/etc/apt of a machine, with a file that is not apt's."""
    folder = tmp_path / "etc"
    (folder / "sources.list.d").mkdir(parents=True)
    (folder / "sources.list").write_text(LIST, "utf-8")
    (folder / "sources.list.d" / "debian.sources").write_text(DEB822, "utf-8")
    (folder / "sources.list.d" / "old.list.disabled").write_text("deb http://old x y\n", "utf-8")
    return folder


def test_the_machines_sources_are_read_with_their_source_code(apt: Apt, sources: Path):
    """
    Both forms of apt's files; of each package the source code too, for QEMU's header. What is switched off stays so.
    """
    apt.update(sources)
    written = {file.name: file.read_text("utf-8") for file in (apt.folder / "sources").iterdir()}

    assert set(written) == {"sources.list", "debian.sources"}
    assert "Types: deb deb-src\n" in written["debian.sources"]
    assert written["sources.list"].splitlines() == [
        "deb [signed-by=/k.gpg] http://deb.debian.org/debian bookworm main",
        "deb-src [signed-by=/k.gpg] http://deb.debian.org/debian bookworm main",
    ]


def test_apt_keeps_to_folders_of_its_own(apt: Apt, sources: Path, tools):
    """
    State, cache, sources and the list of what is installed lie below the emulator's; the machine's stay as they are.
    """
    apt.update(sources)
    call = tools.calls[0]

    assert "-o APT::Architecture=arm64" in call
    for name in ("State", "State::status", "Cache", "Cache::archives", "Etc::sourceparts"):
        assert f"-o Dir::{name}={apt.folder}" in call
    assert "-o Dir::Etc::sourcelist=/dev/null" in call


def test_a_source_that_cannot_be_reached_is_no_failure(apt: Apt, sources: Path, tools):
    """
    A machine's apt often names a repository that is not needed here.
    """
    tools.add("apt-get", "exit 100")

    apt.update(sources)


def test_no_sources_at_all_are_told(apt: Apt, tmp_path: Path):
    """
    There is nothing to fetch from.
    """
    with pytest.raises(MissingPackage, match="no sources of packages"):
        apt.update(tmp_path / "nowhere")


def test_the_python_of_the_distribution_is_asked_for(apt: Apt, tools):
    """
    Debian 12 has 3.11; the next has another.
    """
    tools.add("apt-cache", "printf 'python3\\n  PreDepends: python3-minimal\\n  Depends: python3.13\\n'")

    assert apt.python() == "3.13"


def test_sources_without_arm64_are_told(apt: Apt, tools):
    """
    Ubuntu keeps arm64 at another address than amd64.
    """
    with pytest.raises(MissingPackage, match="apt's sources have no python3 for arm64"):
        apt.python()


def test_what_apt_would_fetch_is_what_is_unpacked(apt: Apt, tools):
    """
    The names in its list, with the version's colon as apt writes it.
    """
    listed = "'http://d/libc6_2.36.deb' libc6_2.36_arm64.deb 23 SHA256:a\n'http://d/z' zlib1g_1%3a1.2_arm64.deb 8 x"
    tools.add("apt-get", f'case "$*" in *--print-uris*) echo "{listed}" ;; esac')

    assert [file.name for file in apt.fetch("3.11")] == ["libc6_2.36_arm64.deb", "zlib1g_1%3a1.2_arm64.deb"]
    assert "--download-only install --yes --no-install-recommends python3.11 libstdc++6" in tools.calls[-1]


def test_a_python_that_is_not_there_is_told_in_apts_words(apt: Apt, tools):
    """
    With the way out: the distribution's own.
    """
    tools.add("apt-get", "echo 'E: Unable to locate package python3.9' >&2; exit 100")

    with pytest.raises(MissingPackage, match=r"apt-get failed: E: Unable to locate package python3\.9") as error:
        apt.fetch("3.9")
    assert error.value.hint.startswith("Leave --python out.")


def test_a_package_that_cannot_be_unpacked_is_told(tools, tmp_path: Path):
    """
    A download that was cut short.
    """
    tools.add("dpkg-deb", "echo 'dpkg-deb: error: unexpected end of file' >&2; exit 2")

    with pytest.raises(MissingPackage, match="dpkg-deb failed: dpkg-deb: error: unexpected end of file"):
        unpack(tmp_path / "x.deb", tmp_path / "root")


def archive(folder: Path, name: str) -> Path:
    file = folder / "qemu_7.2.orig.tar.xz"
    with tarfile.open(file, "w:xz") as packed:
        member = tarfile.TarInfo(name)
        member.size = 6
        packed.addfile(member, io.BytesIO(b"header"))
    return file


def test_the_header_is_taken_out_of_qemus_source(tmp_path: Path):
    """
    Nothing else of the archive is written.
    """
    write_header(archive(tmp_path, "qemu-7.2.0/include/qemu/qemu-plugin.h"), tmp_path / "header.h")

    assert (tmp_path / "header.h").read_bytes() == b"header"


def test_a_source_without_the_header_is_told(tmp_path: Path):
    """
    It may move in a later version.
    """
    with pytest.raises(MissingPackage, match=r"qemu_7\.2\.orig\.tar\.xz: has no qemu-plugin\.h"):
        write_header(archive(tmp_path, "qemu-7.2.0/README"), tmp_path / "header.h")


def test_the_source_is_what_apt_brought(apt: Apt, tools, tmp_path: Path):
    """
    The archive of the code, not its signature nor Debian's own changes; without one it is told.
    """
    for name in ("qemu_7.2.orig.tar.xz.asc", "qemu_7.2.orig.tar.xz", "qemu_7.2-1.debian.tar.xz"):
        (tmp_path / name).touch()

    assert apt.source_of_qemu(tmp_path).name == "qemu_7.2.orig.tar.xz"
    with pytest.raises(MissingPackage, match="apt found no source code of qemu"):
        apt.source_of_qemu(tmp_path / "bin")


def test_a_folder_is_whole_or_not_there(tmp_path: Path):
    """
    An interrupted installation leaves nothing that looks finished.
    """
    target = tmp_path / "new" / "userland"
    with pytest.raises(FileExistsError), whole(target) as partial:
        partial.mkdir()
    left = list(target.parent.iterdir())
    with whole(target) as partial:
        (partial / "all").touch()

    assert left == []
    assert [file.name for file in target.iterdir()] == ["all"]


def test_what_was_fetched_is_let_go(apt: Apt, sources: Path):
    """
    Forty megabytes that are unpacked by now.
    """
    apt.update(sources)
    apt.clean()

    assert not (apt.folder / "archives").exists()
