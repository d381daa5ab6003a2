"""`edgeafri profile`: tiers by name, bundles side by side, one document for programs, an exit code for what fails."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from edgeafri.cli import execute
from edgeafri.cli.tiers import tiers_table
from edgeafri.documents.emulated_run import Instructions
from edgeafri.documents.host_run import HostArithmetic, HostRun, MemoryLimitRun
from edgeafri.documents.profile import Profile, Profiles, Tiers
from edgeafri.errors import BAD_INPUT, GATE_FAILED, OK, USAGE
from edgeafri.profiling import tiers

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results" / "devices"


def published(name: str) -> Profile:
    """A published profile, whose parts a test changes."""
    return Profiles.from_json(json.loads((RESULTS / f"{name}.json").read_text("utf-8"))).results[-1]


REAL, EMULATED = published("loopback"), published("rpi4")
COUNTS = Instructions(seq_len=128, total=66_000_000, fmla=4_100_000, smull_smlal=25_200_000, sdot=0)


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> dict[str, MemoryLimitRun]:
    """
    What became of the run under the device's memory; a test may change it.
    """
    timed = replace(REAL.tiers.device.measurement, p50_ms=1.5, p95_ms=1.7, cpu_ms=1.6, load_ms=60.0, peak_rss_mb=91.0)
    arithmetic = HostArithmetic("neon", "exact", "times are not the device's")
    found = {"ceiling": MemoryLimitRun(1800, "cgroup v1", True, 91.0)}
    monkeypatch.setattr(tiers, "run_on_host", lambda *asked: HostRun(timed, found["ceiling"], arithmetic))
    return found


def test_one_document_for_programs(bundle: Path, host, capfd: pytest.CaptureFixture[str], tmp_path: Path):
    """
    --json prints it and --out keeps the same, with the command that repeats it.
    """
    code = execute(
        ["profile", str(bundle), "--target", "rpi4", "--json", "--out", str(tmp_path / "new" / "found.json")]
    )
    printed = json.loads(capfd.readouterr().out)

    assert (code, printed["kind"]) == (OK, "profiles")
    assert [item["target"] for item in printed["results"]] == ["rpi4"]
    assert printed["results"][0]["commands"][0].startswith(f"edgeafri profile {bundle} --target rpi4")
    assert json.loads((tmp_path / "new" / "found.json").read_text("utf-8")) == printed


def test_bundles_stand_side_by_side(bundle: Path, host, capfd: pytest.CaptureFixture[str]):
    """
    A column a bundle, a row a figure with its unit.
    """
    execute(["profile", str(bundle), str(bundle), "--target", "rpi4"])
    out = capfd.readouterr().out
    row = next(line for line in out.splitlines() if "p50, p95" in line)

    assert out.startswith("rpi4: Raspberry Pi 4 Model B, 2 GB; ")
    assert row.split() == ["host", "p50,", "p95", "1.5,", "1.7", "ms", "1.5,", "1.7", "ms"]


def test_what_fails_is_an_exit_code(bundle: Path, host, capfd: pytest.CaptureFixture[str]):
    """
    A bundle that the device's memory cannot hold is printed, and scripts see 5.
    """
    host["ceiling"] = MemoryLimitRun(50, "cgroup v1", False, 91.0)

    assert execute(["profile", str(bundle), "--target", "rpi4"]) == GATE_FAILED
    assert "does not run in 50 MB" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--target", "rpi5000"], "no device 'rpi5000'"),
        (["--target", "rpi4", "--tier", "emulate"], "Did you mean 'emulated'?"),
        (["--target", "rpi4", "--tier", "device"], "--on ssh:pi@"),
        (["--target", "rpi4", "--tier", "estimate", "--on", "adb"], "Add device to --tier"),
        (["--target", "rpi4", "--out", "."], "it is there and no file"),
    ],
)
def test_what_is_not_there_is_told(bundle: Path, host, capfd: pytest.CaptureFixture[str], arguments, words):
    """
    With what to do next, and before anything runs.
    """
    assert execute(["profile", str(bundle), *arguments]) == USAGE
    assert words in capfd.readouterr().err


def test_no_bundle_is_profiled_where_one_is_none(bundle: Path, host, capfd: pytest.CaptureFixture[str], tmp_path: Path):
    """
    What the first would have given is not thrown away after minutes: it is not begun.
    """
    code = execute(["profile", str(bundle), str(tmp_path), "--target", "rpi4"])
    told = capfd.readouterr().err

    assert code == BAD_INPUT
    assert "time it on this machine" not in told
    assert "no manifest.json" in told


def test_counts_of_instructions_stand_in_millions():
    """
    A class that the counter does not know is left out for all, one that never ran is 0.
    """
    found = replace(EMULATED.tiers.emulated, instructions=COUNTS, peak_rss_mb=69.0)
    lines = tiers_table([replace(EMULATED, bundle="work/one", tiers=Tiers(emulated=found))]).splitlines()

    assert lines[0].split() == ["tier", "one"]
    assert lines[1].split() == ["emulated", "instructions", "66.0", "M"]
    assert [line.split()[1:] for line in lines if "SDOT" in line] == [["SDOT", "0.0", "M"]]
    assert not [line for line in lines if "loads" in line]


def test_what_a_device_said_of_itself():
    """
    An interval that is still wide is marked, an unknown one is not guessed.
    """
    rows = []
    for interval in ((38.0, 43.0), None):
        found = replace(REAL.tiers.device, settled=False, p50_interval_ms=interval)
        table = tiers_table([replace(REAL, tiers=Tiers(device=found))])
        rows += [line for line in table.splitlines() if "interval" in line]

    assert rows[0].endswith("38.0 to 43.0 ms, not settled")
    assert rows[1].endswith("not known")
