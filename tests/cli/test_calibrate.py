"""`edgeafri calibrate`: the file it writes, what it says, and every way to ask for what cannot be."""

import json
from pathlib import Path
from typing import Any

import pytest

from edgeafri.cli import execute
from edgeafri.device.profile import read_profile
from edgeafri.latency.estimate import estimate

PI = "Raspberry Pi 4 Model B Rev 1.4"
OTHERS = {
    "schema": 3,
    "device": PI,
    "runtime": "onnxruntime 1.31.1",
    "threads": 4,
    "seq_len": 64,
    "runs": 100,
    "warmup": 3,
    "load_ms": 60.0,
    "p95_ms": 1.0,
    "mean_ms": 1.0,
    "cpu_ms": 4.0,
    "tokens_per_s": 1.0,
    "peak_rss_mb": 90.0,
    "conditions": {},
}


@pytest.fixture(autouse=True)
def no_folder_of_the_user(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("EDGEAFRI_PROFILES", raising=False)


@pytest.fixture
def results(tmp_path: Path) -> list[str]:
    """
    Files of five measurements of a Pi 4 that takes 0.3 ms a million MACs.
    """
    files = []
    for place in range(5):
        facts = work(10**7 * (place + 1))
        ms = 0.3 * facts["linear_macs_per_token"] * 64 / 1e6
        run_of = {**OTHERS, "bundle_id": f"b{place}", "work": facts, "p50_ms": ms}
        files.append(tmp_path / f"{place}.json")
        files[-1].write_text(json.dumps(run_of), "utf-8")
    return [str(file) for file in files]


def work(linear: int) -> dict[str, int]:
    small = {"attention_macs_per_token_pair": 0, "weight_bits": 32, "embedding_row_bytes": 1024}
    return {"linear_macs_per_token": linear, "weight_bytes": 4 * linear, **small}


def said(arguments: list[str], capsys: pytest.CaptureFixture[str], code: int = 0) -> str:
    assert execute(["calibrate", *arguments]) == code
    streams = capsys.readouterr()
    return streams.err if code else streams.out


def test_measurements_become_a_file_that_estimates_use(
    tmp_path: Path, results: list[str], capsys: pytest.CaptureFixture[str]
):
    """
    `--from` takes what a shell makes of *.json; the next estimate for the device is calibrated.
    """
    text = said(["--target", "rpi4", "--from", *results, "--profiles", str(tmp_path)], capsys)

    assert text.startswith(f"rpi4, measured on {PI}\n  weights  threads  runs  ms per million MACs")
    assert "  32 bits        4     5                  0.3" in text
    assert "0.0 %  divided by and times 1.00, 80 %\n" in text
    assert "  layers left out: under 10 runs\n" in text
    assert text.endswith(f"written: {tmp_path / 'rpi4.calibration.json'}\n")
    found = estimate(work(10**7), read_profile("rpi4", [tmp_path]), 64, 4)
    assert found.expected_ms == pytest.approx(0.3 * 640, abs=0.05)
    assert found.basis == "calibrated on this device: 5 runs, median error 0.0 %"


def test_the_folder_may_be_that_of_the_environment_and_an_older_file_is_replaced(
    tmp_path: Path, results: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    """
    What is replaced is said.
    """
    monkeypatch.setenv("EDGEAFRI_PROFILES", str(tmp_path))
    file = tmp_path / "rpi4.calibration.json"

    assert said(["--target", "rpi4", "--from", *results], capsys).endswith(f"written: {file}\n")
    assert said(["--target", "rpi4", "--from", results[0]], capsys).endswith(f"replaced: {file}\n")
    assert json.loads(file.read_text("utf-8"))["constants"][0]["runs"] == 1


def test_json_is_the_calibration_and_its_file(tmp_path: Path, results: list[str], capsys: pytest.CaptureFixture[str]):
    """
    One document, for programs.
    """
    out = tmp_path / "deep" / "rpi4.calibration.json"
    found = json.loads(said(["--target", "rpi4", "--from", results[0], "--out", str(out), "--json"], capsys))

    assert (found["device"], found["file"], found["constants"][0]["median_error"]) == ("rpi4", str(out), None)
    assert out.is_file()


def test_one_run_claims_nothing(tmp_path: Path, results: list[str], capsys: pytest.CaptureFixture[str]):
    """
    The table says so in words.
    """
    text = said(["--target", "rpi4", "--from", results[0], "--profiles", str(tmp_path)], capsys)

    assert "not known  not known  none from one run\n" in text


@pytest.fixture
def table(tmp_path: Path) -> str:
    rows = "".join(f"{width},6,{0.4 * 6 * width**2 / 1e6 * (1 + width % 3 / 10):.6f}\n" for width in range(100, 140))
    (tmp_path / "table.csv").write_text("width,layers,ms\n" + rows, "utf-8")
    return str(tmp_path / "table.csv")


def test_a_table_is_predicted_from_a_few_rows(table: str, capsys: pytest.CaptureFixture[str]):
    """
    Errors, coverage against the claim, and what was left out.
    """
    asked = ["--csv", table, "--macs-column", "layers*width*width", "--latency-column", "ms", "--draws", "20"]
    lines = said([*asked, "--layers-column", "layers"], capsys).splitlines()
    found = json.loads(said([*asked, "--json"], capsys))

    assert lines[0] == "40 rows, 20 times 5 drawn, the rest predicted (seed 0)"
    assert lines[1].startswith("  median error ")
    assert lines[2].endswith("of the rest inside, claimed 80.0 %")
    assert lines[-1] == "  layers left out: the same in every run"
    assert (found["kind"], found["rows"], found["draws"]) == ("prediction", 40, 20)
    assert found["command"].startswith(f"edgeafri calibrate --csv {table} --macs-column 'layers*width*width' ")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "nothing to calibrate\n  next: Give --target rpi4 --from results/*.json, or --csv FILE."),
        (["--target", "rpi4"], 2, "nothing to calibrate"),
        (["--from", "a.json"], 2, "nothing to calibrate"),
        (["--target", "rpi-4", "--from", "a.json"], 2, "no device 'rpi-4'\n  next: Did you mean 'rpi4'?"),
        (
            ["--target", "rpi4", "--from", "a.json"],
            2,
            "no place for the calibration\n  next: Give a folder of your own",
        ),
        (
            ["--target", "rpi4", "--from", "a.json", "--out", "x.json"],
            2,
            "an estimate would not find it\n  next: Name it ",
        ),
        (["--target", "rpi4", "--from", "a.json", "--profiles", "/no/such"], 2, "no folder '/no/such'"),
        (["--csv", "t.csv", "--target", "rpi4"], 2, "--csv goes with no device"),
        (["--csv", "t.csv"], 2, "--csv needs --macs-column\n  next: Name a column"),
        (["--csv", "t.csv", "--macs-column", "a"], 2, "--csv needs --latency-column"),
        (["--csv", "/no/t.csv", "--macs-column", "a", "--latency-column", "b"], 4, "no file '/no/t.csv'"),
    ],
)
def test_what_cannot_be_is_refused_with_a_next_step(
    arguments: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]
):
    """
    Nothing on stdout, and no file.
    """
    assert message in said(arguments, capsys, code)


@pytest.mark.parametrize(
    ("content", "message"),
    [("", "not readable as JSON"), ("{", "not readable as JSON"), ("{}", "no measurement"), (None, "no file")],
)
def test_a_file_that_holds_no_measurement_is_named(
    tmp_path: Path, content: Any, message: str, capsys: pytest.CaptureFixture[str]
):
    """
    The calibration is not written.
    """
    file = tmp_path / "run.json"
    if content is not None:
        file.write_text(content, "utf-8")

    text = said(["--target", "rpi4", "--from", str(file), "--profiles", str(tmp_path)], capsys, 4)

    assert message in text
    assert str(file) in text
    assert not (tmp_path / "rpi4.calibration.json").exists()


def test_a_folder_in_the_place_of_a_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """
    A shell's * also names folders.
    """
    text = said(["--target", "rpi4", "--from", str(tmp_path), "--profiles", str(tmp_path)], capsys, 4)

    assert f"{tmp_path}: a folder\n  next: " in text
