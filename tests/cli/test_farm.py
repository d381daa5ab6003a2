"""`edgeafri farm`: a line a device and bundle, one document, and an exit code that says whether all went well."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgeafri.cli import execute
from edgeafri.documents.checks import Check
from edgeafri.documents.profile import Profile, Profiles, Tiers
from edgeafri.errors import DeviceError
from edgeafri.profiling import farm
from edgeafri.profiling.tiers import ProfileRequest
from edgeafri.util.progress import StartProgress

DEVICES = "devices:\n" + "".join(
    f"  - {{name: {name}, target: rpi4, on: 'ssh:{name}'}}\n" for name in ("kitchen", "shelf")
)
MEASURED = "p50 41.2 ms (40.1 to 42.4), p95 44.0 ms, peak 96 MB"


RESULTS = Path(__file__).parents[2] / "benchmarks" / "results" / "devices"
PUBLISHED = Profiles.from_json(json.loads((RESULTS / "loopback.json").read_text("utf-8"))).results[0]


def measured(*checks: Check, **changes: Any) -> Profile:
    """A profile of a device whose run is settled and not throttled; a test may change that."""
    found = replace(PUBLISHED.tiers.device.measurement, p50_ms=41.23, p95_ms=44.0, peak_rss_mb=96.4)
    run = replace(PUBLISHED.tiers.device, measurement=found, p50_interval_ms=(40.1, 42.4), settled=True)
    return replace(PUBLISHED, tiers=Tiers(device=replace(run, **changes)), checks=checks)


@pytest.fixture
def outcome(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What a device answers, by its name; an error is raised."""
    answers: dict[str, Any] = {"kitchen": measured(), "shelf": measured()}

    def profile(bundle: Path, request: ProfileRequest, step: StartProgress) -> Profile:
        step("verify")
        found = answers[request.on.removeprefix("ssh:")]
        if isinstance(found, Exception):
            raise found
        return replace(found, commands=(request.command,))

    monkeypatch.setattr(farm, "profile", profile)
    monkeypatch.setattr(farm, "_check_bundles", lambda bundles: None)
    monkeypatch.chdir(tmp_path)
    Path("devices.yaml").write_text(DEVICES, "utf-8")
    return answers


def test_every_device_has_its_line(outcome: dict[str, Any], capsys: pytest.CaptureFixture[str]):
    """
    What was measured, its interval, and what to know of it; on stderr what goes on.
    """
    outcome["shelf"] = measured(settled=False, throttled=True)
    code = execute(["farm", "devices.yaml", "bundle"])
    printed = capsys.readouterr()

    assert code == 0
    assert printed.out.splitlines() == [
        f"kitchen        bundle               {MEASURED}",
        f"shelf          bundle               {MEASURED}, not settled, slowed down",
    ]
    assert sorted(printed.err.splitlines()) == ["kitchen: done", "kitchen: verify", "shelf: done", "shelf: verify"]


def test_a_failure_is_told_with_its_next_step(outcome: dict[str, Any], capsys: pytest.CaptureFixture[str]):
    """
    Exit code 4, and the other device's line stands there.
    """
    outcome["kitchen"] = DeviceError("ssh:kitchen: it cannot be reached", "Switch it on.")
    code = execute(["farm", "devices.yaml", "bundle"])
    lines = capsys.readouterr().out.splitlines()

    assert code == 4
    assert lines[0] == "kitchen        bundle               failed: ssh:kitchen: it cannot be reached"
    assert lines[1] == "  next: Switch it on."
    assert lines[2].startswith("shelf")


def test_a_failed_check_is_told(outcome: dict[str, Any], capsys: pytest.CaptureFixture[str]):
    """
    Exit code 5, as of every gate.
    """
    outcome["shelf"] = measured(
        Check("latency", 44.0, 10.0, "ms", False), Check("bundle size", None, 150.0, "MB", None)
    )
    code = execute(["farm", "devices.yaml", "bundle"])

    assert code == 5
    assert capsys.readouterr().out.splitlines()[1].endswith("peak 96 MB, failed: latency")


def test_one_document_is_printed_and_written(outcome: dict[str, Any], capsys: pytest.CaptureFixture[str]):
    """
    --json prints it and nothing else; --out writes the same.
    """
    outcome["kitchen"] = DeviceError("why", "what next")
    execute(["farm", "devices.yaml", "bundle", "--json", "--out", "new/farm.json"])
    printed = json.loads(capsys.readouterr().out)

    assert printed == json.loads(Path("new/farm.json").read_text("utf-8"))
    assert printed["failed"] == [{"device": "kitchen", "bundle": "bundle", "error": "why", "hint": "what next"}]
    assert [item["name"] for item in printed["results"]] == ["shelf"]
    assert printed["results"][0]["commands"] == ["edgeafri farm devices.yaml bundle --json --out new/farm.json"]
