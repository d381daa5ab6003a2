"""`stages`, `recipes`, `devices`: what there is, from the definitions that the engine uses."""

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from edgeafri.builder.recipe import recipe_names
from edgeafri.cli import execute
from edgeafri.device.calibration import Calibration, Constants, calibration_file, write_calibration
from edgeafri.device.profile import profile_names
from edgeafri.menu import MENU


@pytest.fixture(autouse=True)
def no_folder_of_the_user(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("EDGEAFRI_PROFILES", raising=False)


def printed(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert execute(arguments) == 0
    return capsys.readouterr().out


def document(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(printed([*arguments, "--json"], capsys))


def test_stages_are_those_of_the_menu(capsys: pytest.CaptureFixture[str]):
    """
    Name, what it takes and gives, and every setting with its default and its sentence.
    """
    listed = document(["stages"], capsys)

    assert [(entry["name"], entry["takes"], entry["gives"]) for entry in listed] == [
        (line.name, line.takes, line.gives) for line in MENU
    ]
    for entry, line in zip(listed, MENU, strict=True):
        named = [field.name.replace("_", "-") for field in fields(line.settings)]
        assert [setting["name"] for setting in entry["settings"]] == named
        assert all(setting["about"] for setting in entry["settings"])


def test_stages_in_words(capsys: pytest.CaptureFixture[str]):
    """
    A person sees the same, one setting per line.
    """
    text = printed(["stages"], capsys)

    assert "quantize       onnx -> onnx\n    Store weights in int8 or int4" in text
    assert "    opset           ONNX opset of the graph  [default: 18]\n" in text
    assert "  [default: 1]\n" in text
    assert "  [default: none]\n" in text
    assert "None" not in text


def test_recipes_are_those_of_the_package(capsys: pytest.CaptureFixture[str]):
    """
    All of them, or one with its steps.
    """
    assert [entry["name"] for entry in document(["recipes"], capsys)] == list(recipe_names())
    (faithful,) = document(["recipes", "faithful"], capsys)
    assert faithful["steps"][0] == {"stage": "trim", "settings": {}}
    assert "\n    export-onnx\n" in printed(["recipes", "faithful"], capsys)


def test_a_recipe_of_the_users_is_shown_with_its_settings(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """
    A file can be looked at before it is built with.
    """
    (tmp_path / "mine.yaml").write_text("steps:\n- quantize: {weights: float32}\n", "utf-8")

    assert "    quantize weights=float32\n" in printed(["recipes", str(tmp_path / "mine.yaml")], capsys)


def test_devices_are_those_with_a_profile(capsys: pytest.CaptureFixture[str]):
    """
    All with their budgets; numbers carry units.
    """
    text = printed(["devices"], capsys)

    assert [entry["name"] for entry in document(["devices"], capsys)] == list(profile_names())
    assert "rpi4" in text
    assert " MB, p95 " in text


def test_one_device_shows_every_number_with_its_source(capsys: pytest.CaptureFixture[str]):
    """
    What no source gives is marked as assumed.
    """
    text = printed(["devices", "rpi4"], capsys)
    numbers = [line for line in text.splitlines() if line.startswith(("    cores[", "    memory.", "    budget."))]

    assert len(numbers) == 14
    assert all("source: " in line or "assumed: " in line or "? " in line for line in numbers)
    assert "    4 x cortex-a72, part 0xd08, fp asimd evtstrm crc32 cpuid\n" in text
    assert "    memory.read                      ? MB/s           not known\n" in text


def test_json_is_a_list_for_one_device_too(capsys: pytest.CaptureFixture[str]):
    """
    A program reads one as it reads all.
    """
    (found,) = document(["devices", "rpi4"], capsys)

    assert found["name"] == "rpi4"
    assert found["cores"][0]["part"] == 0xD08


def test_the_page_of_devices_is_the_one_of_the_project(capsys: pytest.CaptureFixture[str]):
    """
    What the command prints is what lies beside the profiles.
    """
    page = Path(__file__).parents[2] / "profiles" / "DEVICES.md"

    assert printed(["devices", "--markdown"], capsys) == page.read_text("utf-8")


def test_a_device_of_the_users_is_shown_with_its_calibration(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """
    Its file alone is enough; a calibration beside it is named.
    """
    pi = (Path(__file__).parents[2] / "profiles" / "rpi4.yaml").read_text("utf-8")
    (tmp_path / "mine.yaml").write_text(pi.replace("name: rpi4", "name: mine"), "utf-8")
    constants = Constants(32, 4, 5, 5, 0.4, 0.0, 0.0, {}, 0.05, 0.1, 0.8, 1.2, 10**8, 10**9)
    write_calibration(
        Calibration(1, "mine", "cortex-a72", 1.8, "a board", (constants,)), calibration_file(tmp_path, "mine")
    )

    text = printed(["devices", "mine", "--profiles", str(tmp_path)], capsys)

    assert "    calibration of mine: 5 runs on a board\n" in text


def test_a_broken_profile_of_the_users_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """
    A list of devices with one of them missing would mislead.
    """
    (tmp_path / "mine.yaml").write_text("- a list", "utf-8")

    assert execute(["devices", "--profiles", str(tmp_path)]) == 2
    assert "mine.yaml: expected key: value lines, got a list\n  next: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["recipes", "faithfull"], "no recipe 'faithfull'\n  next: Did you mean 'faithful'?"),
        (["devices", "rpi-4"], "no device 'rpi-4'\n  next: Did you mean 'rpi4'?"),
        (["devices", "--profiles", "/no/such"], "no folder '/no/such' of device profiles\n  next: "),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
):
    """
    Exit code 2, and nothing on stdout.
    """
    assert execute(arguments) == 2
    out, err = capsys.readouterr()
    assert (out, said in err) == ("", True)
