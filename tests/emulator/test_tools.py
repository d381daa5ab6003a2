"""The tools of the emulator: found and understood, or named with the one command that brings them."""

import pytest

from edgeafri.emulator.tools import check_tools, find_qemu
from edgeafri.errors import MissingPackage


def test_qemu_says_its_version_and_its_processors(tools):
    """
    `max` is left out: it has instructions that no device has, and kernels for them went wrong.
    """
    found = find_qemu()

    assert (found.version, found.models) == ("7.2.22", {"cortex-a53", "cortex-a72", "cortex-a76"})


def test_a_missing_qemu_is_named_with_its_package(programs):
    """
    The next step is a command.
    """
    with pytest.raises(MissingPackage, match="qemu-aarch64 is not installed") as error:
        find_qemu()

    assert error.value.hint == "Install what is missing: sudo apt-get install qemu-user"


@pytest.mark.parametrize(("version", "wrong"), [("5.2.0", True), ("7.1.9", True), ("7.2.0", False), ("10.0.2", False)])
def test_an_old_qemu_is_refused(tools, version: str, wrong: bool):
    """
    7.2 was measured; before it there is no Cortex-A76. 10 is newer than 7.
    """
    tools.add("qemu-aarch64", f'[ "$1" = --version ] && echo "version {version}" || echo "-plugin x"')
    if not wrong:
        assert find_qemu().version == version
        return

    with pytest.raises(MissingPackage, match=f"QEMU {version} is too old, 7.2 is needed"):
        find_qemu()


def test_a_qemu_without_plugins_is_refused(tools):
    """
    The static build runs guests but counts nothing.
    """
    tools.add("qemu-aarch64", '[ "$1" = --version ] && echo "version 7.2.22" || echo "-cpu model"')

    with pytest.raises(MissingPackage, match="cannot load plugins"):
        find_qemu()


def test_a_qemu_that_says_nothing_is_refused(tools):
    """
    Another program of that name is no QEMU.
    """
    tools.add("qemu-aarch64", "echo hello")

    with pytest.raises(MissingPackage, match="its version is not known"):
        find_qemu()


def test_all_that_is_missing_is_in_one_command(tools):
    """
    Nobody wants to run the installation once a package.
    """
    for name in ("qemu-aarch64", "gcc"):
        (tools.folder / name).unlink()

    with pytest.raises(MissingPackage, match="the emulator needs qemu-aarch64, gcc") as error:
        check_tools()
    assert error.value.hint == "Install what is missing: sudo apt-get install qemu-user gcc"


def test_a_machine_without_apt_is_told_so(tools):
    """
    No command would help there.
    """
    (tools.folder / "apt-get").unlink()

    with pytest.raises(MissingPackage, match="this machine has no apt") as error:
        check_tools()
    assert "Debian 12" in error.value.hint


def test_where_all_is_there_nothing_is_said(tools):
    """
    The tools are only looked for, not run.
    """
    check_tools()

    assert tools.calls == []
