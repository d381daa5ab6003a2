"""The farm: its file is read strictly, devices work side by side, and one that fails does not keep the others."""

import json
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from edgeafri.artifact import Manifest, seal
from edgeafri.documents.profile import Profile, Profiles
from edgeafri.errors import ArtifactError, ConfigError, ConnectionLost, EdgeAfriError, UsageError
from edgeafri.profiling import farm
from edgeafri.profiling.tiers import ProfileRequest
from edgeafri.runners.board import DeviceRequest
from edgeafri.util.files import Digests
from edgeafri.util.progress import StartProgress, quiet

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results" / "devices"
MEASURED = Profiles.from_json(json.loads((RESULTS / "loopback.json").read_text("utf-8"))).results[0]
TWO = """
devices:
  - name: kitchen
    target: rpi4
    on: ssh:pi@kitchen.local
    data: labelled
    languages: [swa, hau]
  - {name: shelf, target: rpi4, "on": "ssh:pi@[fe80::1]:22", python: /opt/python3}
"""


@pytest.fixture
def bundles(tmp_path: Path) -> list[Path]:
    """Two sealed folders, which nobody opens here."""
    return [sealed(tmp_path / name) for name in ("small", "large")]


def sealed(folder: Path) -> Path:
    folder.mkdir()
    (folder / "model.onnx").write_bytes(b"")
    with Digests(folder.parent / "digests.json") as digests:
        seal(folder, Manifest("bundle", "ner", ("swa",), "bundle", {}, None, {}, {}), digests)
    return folder


def written(folder: Path, text: str) -> Path:
    file = folder / "devices.yaml"
    file.write_text(text, "utf-8")
    return file


def read(folder: Path, text: str) -> tuple[farm.Device, ...]:
    return farm.read_devices(written(folder, text))


def asked(devices: tuple[farm.Device, ...], keep: bool = False) -> list[ProfileRequest]:
    return farm.requests(devices, DeviceRequest(keep=keep))


def test_devices_are_read(tmp_path: Path):
    """
    YAML reads the bare word `on` as true; data lies beside the file that names it.
    """
    kitchen, shelf = read(tmp_path, TWO)

    assert kitchen == farm.Device("kitchen", "rpi4", "ssh:pi@kitchen.local", tmp_path / "labelled", ("swa", "hau"))
    assert shelf == farm.Device("shelf", "rpi4", "ssh:pi@[fe80::1]:22", python="/opt/python3")


@pytest.mark.parametrize(
    ("text", "kind", "said", "hint"),
    [
        ("", ConfigError, "it has no list of devices", "for example on: ssh:pi@raspberrypi.local"),
        ("devices: []", ConfigError, "no device is listed", "name, target and on"),
        ("devices: {a: b}", ConfigError, "it has no list of devices", "Write 'devices:'"),
        ("devices: [", ConfigError, "not readable as YAML", "indentation"),
        ("devices: 2020-13-45", ConfigError, "not readable as YAML", "indentation"),
        ("devices: " + "[" * 4000, ConfigError, "not readable as YAML", "indentation"),
        ("devices: [rpi4]", ConfigError, "expected key: value lines, got 'rpi4'", "Known keys: name, target, on"),
        ("devices: []\nfarm: x", ConfigError, "unknown setting 'farm'", "Known: devices."),
        (f"{TWO}  - {{name: a, target: rpi4}}", ConfigError, "device 3: 'on' is missing", "Add a line 'on: ...'."),
        (
            "devices: [{name: a, taget: rpi4, on: adb}]",
            ConfigError,
            "device 1: unknown setting 'taget'",
            "mean 'target'?",
        ),
        ("devices: [{name: a, target: rpi44, on: adb}]", UsageError, "no device 'rpi44'", "mean 'rpi4'?"),
        (
            "devices: [{name: a, target: rpi4, on: shh:b}]",
            UsageError,
            "'shh:b' does not name a connection",
            "mean 'ssh'?",
        ),
        ("devices: [{name: a, target: rpi4, on: 'ssh:-b'}]", UsageError, "is not an address for ssh", "ssh:pi@"),
        ("devices: [{name: a, target: rpi4, on: adb, languages: [sw]}]", UsageError, "unknown language 'sw'", "swa"),
        (TWO.replace("shelf", "kitchen"), ConfigError, "'name: kitchen' is there twice", "Give each its own."),
        (TWO.replace('"ssh:pi@[fe80::1]:22"', "ssh:pi@kitchen.local"), ConfigError, "is there twice", "disturb"),
    ],
)
def test_a_file_that_cannot_be_used_is_told(text: str, kind: type[EdgeAfriError], said: str, hint: str, tmp_path: Path):
    """
    All of it, before the first device is asked.
    """
    with pytest.raises(kind) as error:
        read(tmp_path, text)

    assert said in error.value.message
    assert hint in error.value.hint


def test_a_missing_file_is_told(tmp_path: Path):
    """
    With what should stand in it.
    """
    with pytest.raises(ConfigError) as error:
        farm.read_devices(tmp_path / "devices.yml")

    assert error.value.message == f"{tmp_path / 'devices.yml'}: no such file"
    assert "name, target and on" in error.value.hint


def test_devices_work_side_by_side(tmp_path: Path, bundles: list[Path], monkeypatch: pytest.MonkeyPatch):
    """
    Each waits until the other is at work too; results stand in the order of the file.
    """
    together = threading.Barrier(2, timeout=20)

    def profile(bundle: Path, request: ProfileRequest, step: StartProgress) -> Profile:
        together.wait()
        return replace(MEASURED, bundle=bundle.name)

    monkeypatch.setattr(farm, "profile", profile)
    devices = read(tmp_path, TWO)
    outcomes = farm.profile_all(devices, asked(devices), bundles, lambda name: quiet)
    document = farm.merged(outcomes).to_json()

    assert [(item["name"], item["bundle"]) for item in document["results"]] == [
        ("kitchen", "small"),
        ("kitchen", "large"),
        ("shelf", "small"),
        ("shelf", "large"),
    ]
    assert (document["schema"], document["kind"], document["failed"]) == (1, "farm", [])


def test_one_that_drops_out_does_not_keep_the_others(
    tmp_path: Path, bundles: list[Path], monkeypatch: pytest.MonkeyPatch
):
    """
    Its error and its next step stand in the document; its next bundle is tried.
    """

    def profile(bundle: Path, request: ProfileRequest, step: StartProgress) -> Profile:
        if request.on == "ssh:pi@kitchen.local" and bundle.name == "small":
            raise ConnectionLost("the cable is out", "Put it in.")
        return replace(MEASURED, bundle=bundle.name)

    monkeypatch.setattr(farm, "profile", profile)
    devices = read(tmp_path, TWO)
    document = farm.merged(farm.profile_all(devices, asked(devices), bundles, lambda name: quiet)).to_json()

    assert [(item["name"], item["bundle"]) for item in document["results"]] == [
        ("kitchen", "large"),
        ("shelf", "small"),
        ("shelf", "large"),
    ]
    assert document["failed"] == [
        {"device": "kitchen", "bundle": str(bundles[0]), "error": "the cable is out", "hint": "Put it in."}
    ]


@pytest.mark.parametrize("keep", [True, False])
def test_the_runner_stays_until_the_last_bundle(
    keep: bool, tmp_path: Path, bundles: list[Path], monkeypatch: pytest.MonkeyPatch
):
    """
    And longer, if asked to. Every device is asked with its own Python, data and languages.
    """
    seen: list[ProfileRequest] = []

    def profile(bundle: Path, request: ProfileRequest, step: StartProgress) -> Profile:
        seen.append(request)
        return MEASURED

    monkeypatch.setattr(farm, "profile", profile)
    devices = read(tmp_path, TWO)
    farm.profile_all(devices, asked(devices, keep), bundles, lambda name: quiet)
    kept = {(request.on, request.device_run.keep) for request in seen}
    kitchen = next(request for request in seen if request.on == "ssh:pi@kitchen.local")

    assert kept == {(device.on, value) for device in devices for value in {True, keep}}
    assert (kitchen.tiers, kitchen.languages) == (("estimate", "device"), ("swa", "hau"))
    assert {request.device_run.python for request in seen} == {"python3", "/opt/python3"}


def test_an_interruption_ends_all(tmp_path: Path, bundles: list[Path], monkeypatch: pytest.MonkeyPatch):
    """
    The others stop at their next progress.
    """
    steps: list[str] = []
    interrupted = threading.Event()

    def profile(bundle: Path, request: ProfileRequest, step: StartProgress) -> Profile:
        if request.on == "ssh:pi@kitchen.local":
            interrupted.set()
            raise KeyboardInterrupt
        interrupted.wait(20)
        progress = step("verify")
        for _ in range(2000):
            progress(0, 1)
            threading.Event().wait(0.01)
        steps.append("never")
        return MEASURED

    monkeypatch.setattr(farm, "profile", profile)
    devices = read(tmp_path, TWO)
    with pytest.raises(KeyboardInterrupt):
        farm.profile_all(devices, asked(devices), bundles, lambda name: quiet)

    assert steps == []


def test_a_damaged_bundle_is_told_before_any_device_is_asked(tmp_path: Path, bundles: list[Path]):
    """
    It would fail on every one of them.
    """
    devices = read(tmp_path, TWO)
    with pytest.raises(ArtifactError, match="not an EdgeAfri artifact"):
        farm.profile_all(devices, asked(devices), [bundles[0], tmp_path], lambda name: quiet)
