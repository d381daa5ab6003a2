"""The overlay: QEMU's processor and the guest's /proc/cpuinfo come from one profile and agree."""

from dataclasses import replace
from pathlib import Path

import pytest

from edgeafri.device.profile import DeviceProfile, read_profile
from edgeafri.emulator.overlay import Core, choose_core, cpuinfo, lay_overlay
from edgeafri.errors import ConfigError, UsageError

MODELS = {"cortex-a53", "cortex-a72", "cortex-a76"}
PLAIN = ("fp", "asimd", "crc32")


def with_core(profile: DeviceProfile, **changes: object) -> DeviceProfile:
    """The profile with other fastest cores."""
    return replace(profile, cores=(replace(profile.cores[0], **changes), *profile.cores[1:]))


@pytest.mark.parametrize(("name", "model"), [("rpi3", "cortex-a53"), ("rpi4", "cortex-a72"), ("rpi5", "cortex-a76")])
def test_a_device_is_its_own_core(name: str, model: str):
    """
    Where QEMU has it, nothing stands in.
    """
    assert choose_core(read_profile(name), MODELS) == Core(model, None)


@pytest.mark.parametrize(
    ("features", "model", "has"),
    [((*PLAIN, "asimddp"), "cortex-a76", "with"), (PLAIN, "cortex-a72", "without")],
)
def test_a_core_that_qemu_lacks_has_a_stand_in_with_the_same_kernels(
    rpi4: DeviceProfile, features: tuple[str, ...], model: str, has: str
):
    """
    Kernels are chosen by the dot product, so that is what the other core must share; it is said.
    """
    core = choose_core(with_core(rpi4, type="cortex-a55", features=features), MODELS)

    assert core == Core(model, f"this QEMU has no cortex-a55 {has} dot product; {model} is used instead")


def test_a_core_that_qemu_has_is_not_replaced(rpi4: DeviceProfile):
    """
    Newer versions have a Cortex-A55; its dot product is optional, and the profile says that it is there.
    """
    profile = with_core(rpi4, type="cortex-a55", features=(*PLAIN, "asimddp"))

    assert choose_core(profile, {*MODELS, "cortex-a55"}) == Core("cortex-a55", None)


@pytest.mark.parametrize("unknown", [{"part": None}, {"features": ()}])
def test_a_core_of_which_nothing_is_known_is_refused(rpi4: DeviceProfile, unknown: dict[str, object]):
    """
    A guess would choose kernels.
    """
    with pytest.raises(UsageError, match="rpi4: the features of its cortex-a72 cores are not known") as error:
        choose_core(with_core(rpi4, **unknown), MODELS)
    assert "/proc/cpuinfo" in error.value.hint


@pytest.mark.parametrize(
    ("name", "features", "what"), [("rpi4", (*PLAIN, "asimddp"), "with"), ("rpi5", PLAIN, "without")]
)
def test_a_core_that_does_not_exist_is_refused(name: str, features: tuple[str, ...], what: str):
    """
    It would end in an illegal instruction, or run kernels that the device does not.
    """
    with pytest.raises(ConfigError, match=f"{name}: a cortex-a7. {what} asimddp does not exist"):
        choose_core(with_core(read_profile(name), features=features), MODELS)


def test_cpuinfo_has_a_block_a_core(rpi4: DeviceProfile):
    """
    As the kernel writes it: what onnxruntime reads of it is the part and the features.
    """
    blocks = cpuinfo(rpi4).removesuffix("\n\n").split("\n\n")
    lines = dict(line.split("\t: ") if "\t: " in line else line.split(": ") for line in blocks[3].splitlines())

    assert len(blocks) == 4
    assert lines["processor"] == "3"
    assert (lines["CPU implementer"], lines["CPU part"]) == ("0x41", "0xd08")
    assert lines["Features"] == "fp asimd evtstrm crc32 cpuid"


def test_cpuinfo_has_every_kind_of_core():
    """
    A phone's two clusters, each with its own part.
    """
    profile = read_profile("phone-t606")
    parts = [line.split(": ")[1] for line in cpuinfo(profile).splitlines() if line.startswith("CPU part")]

    assert parts == ["0xd0a"] * 2 + ["0xd05"] * 6


def test_an_overlay_is_links_beside_the_devices_own_files(rpi4: DeviceProfile, tmp_path: Path):
    """
    The userland is shared by all devices and never changed; its /proc is not used.
    """
    for name in ("usr/bin", "lib", "proc"):
        (tmp_path / "userland" / name).mkdir(parents=True)
    (tmp_path / "root").mkdir()
    root = lay_overlay(rpi4, tmp_path / "userland", tmp_path / "root")

    assert (root / "usr").resolve() == tmp_path / "userland" / "usr"
    assert (root / "proc" / "cpuinfo").read_text("utf-8") == cpuinfo(rpi4)
    assert (root / "sys/devices/system/cpu/possible").read_text("utf-8") == "0-3\n"
    assert list((tmp_path / "userland" / "proc").iterdir()) == []


def test_one_core_is_no_range(rpi4: DeviceProfile, tmp_path: Path):
    """
    The kernel writes 0, not 0-0.
    """
    (tmp_path / "userland").mkdir()
    (tmp_path / "root").mkdir()
    lay_overlay(with_core(rpi4, count=1), tmp_path / "userland", tmp_path / "root")

    assert (tmp_path / "root/sys/devices/system/cpu/online").read_text("utf-8") == "0\n"
