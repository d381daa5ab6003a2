"""`edgeafri report`: files and stdout, one document in JSON, failures in words."""

import json
from pathlib import Path
from typing import Any

import pytest

from edgeafri.cli import execute
from edgeafri.errors import BAD_INPUT, OK, USAGE

MEASUREMENT = {
    "schema": 3,
    "runtime": "onnxruntime 1.31.1",
    "threads": 1,
    "seq_len": 128,
    "runs": 30,
    "warmup": 5,
    "load_ms": 40.0,
    "mean_ms": 62.0,
    "cpu_ms": 60.0,
    "tokens_per_s": 2000.0,
    "peak_rss_mb": 90.0,
    "conditions": {},
}
PROFILE = {"schema": 1, "kind": "profile", "task": "ner", "bundle_id": "3f2a", "bundle_bytes": 9, "tiers": {}}
PROFILE |= {"seq_len": 128, "threads": 1}


def measured(folder: Path, **more: Any) -> Path:
    """A folder with one measurement; its numbers are invented."""
    values = {**MEASUREMENT, "bundle_id": "3f2a91c0", "device": "a board", "p50_ms": 61.2, "p95_ms": 66.9, **more}
    folder.mkdir(exist_ok=True)
    (folder / "bench.json").write_text(json.dumps(values), "utf-8")
    return folder


def test_files_are_written_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """
    Into folders that are made for them; stdout says where.
    """
    page, text = tmp_path / "new" / "out.html", tmp_path / "out.md"
    code = execute(["report", str(measured(tmp_path / "results")), "--html", str(page), "--md", str(text)])

    assert code == OK
    assert capsys.readouterr().out == f"{page}\n{text}\n"
    assert page.read_text("utf-8").startswith("<!doctype html>")
    assert "61.2" in text.read_text("utf-8")


def test_without_a_file_the_markdown_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """
    The command alone shows what there is.
    """
    assert execute(["report", str(measured(tmp_path / "results"))]) == OK
    assert "| measured | a board, 128 subwords, 1 threads | 61.2 | 66.9 |" in capsys.readouterr().out


def test_json_is_one_document(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """
    Also where files are written beside it.
    """
    page = tmp_path / "out.html"
    code = execute(["report", str(measured(tmp_path / "results")), "--json", "--html", str(page)])
    document = json.loads(capsys.readouterr().out)

    assert code == OK
    assert page.is_file()
    assert (document["kind"], document["bundles"][0]["verdict"]) == ("report", "Not judged")
    assert document["bundles"][0]["timings"][0]["middle"] == 61.2


def test_one_of_several_devices_is_chosen(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """
    Mixed targets are refused, and the next step works.
    """
    file = tmp_path / "farm.json"
    results = [{**PROFILE, "target": target} for target in ("rpi4", "rpi5")]
    file.write_text(json.dumps({"schema": 1, "kind": "farm", "results": results, "failed": []}), "utf-8")

    assert execute(["report", str(file)]) == USAGE
    assert "next: Choose one with --target." in capsys.readouterr().err
    assert execute(["report", str(file), "--target", "rpi5"]) == OK
    assert capsys.readouterr().out.startswith("# ner for rpi5\n")


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [
        (None, USAGE, "no file or folder"),
        ("{", BAD_INPUT, "not readable as JSON"),
        ("{}", BAD_INPUT, "not a report of a build"),
        (json.dumps({**MEASUREMENT, "bundle_id": 3, "p50_ms": 1}), BAD_INPUT, "bundle_id: 3 is not text"),
    ],
)
def test_bad_input_is_told_with_a_next_step(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None, code: int, said: str
):
    """
    Never a traceback, and nothing is written.
    """
    file, page = tmp_path / "results.json", tmp_path / "out.html"
    if content is not None:
        file.write_text(content, "utf-8")

    assert execute(["report", str(file), "--html", str(page)]) == code
    error = capsys.readouterr().err
    assert said in error
    assert "  next: " in error
    assert not page.exists()


def test_a_page_that_cannot_be_written_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """
    A file stands where its folder should be.
    """
    results = measured(tmp_path / "results")
    code = execute(["report", str(results), "--html", str(results / "bench.json" / "out.html")])

    assert code == BAD_INPUT
    assert f"error: {results / 'bench.json'}: File exists\n  next: Choose a folder" in capsys.readouterr().err
