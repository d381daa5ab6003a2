"""`edgeafri build`: mistakes are told before any work; one run gives a bundle, its numbers, and a verdict."""

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from edgeafri.cli import execute
from edgeafri.device.profile import read_profile

ROOT = Path(__file__).parents[2]
CHAIN = ["trim", "export-onnx", "optimize", "quantize", "bundle"]
LABELS = dict(enumerate(["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-DATE", "I-DATE"]))


@pytest.fixture
def teacher(tmp_path: Path) -> Path:
    """
    A folder that looks like a fine-tuned model from outside; nobody opens its weights before work starts.
    """
    return model_folder(tmp_path / "teacher", "XLMRobertaForTokenClassification", LABELS)


def model_folder(folder: Path, architecture: str, labels: dict[int, str]) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"architectures": [architecture], "id2label": labels}), "utf-8")
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


def small_device(folder: Path) -> Path:
    """A folder with a device like rpi4 on which nothing fits."""
    values = yaml.safe_load((ROOT / "profiles" / "rpi4.yaml").read_text("utf-8"))
    values["name"] = "tiny"
    values["budget"]["bundle_mb"]["value"] = 0.001
    (folder / "tiny.yaml").write_text(yaml.safe_dump(values), "utf-8")
    return folder


@dataclass(frozen=True)
class Run:
    """One run of the command: its exit code and what it printed."""

    code: int
    out: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


def build(*arguments: object, target: str = "rpi4") -> Run:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = execute(["build", "--target", target, *map(str, arguments)])
    return Run(code, out.getvalue())


def test_a_typo_in_the_last_step_is_told_without_loading_anything(teacher: Path, data: Path, tmp_path: Path):
    """
    "Did you mean", exit code 2, and neither torch nor numpy was loaded to say so.
    """
    arguments = [
        "build",
        "--target",
        "rpi4",
        "--set",
        "bundle.goldne=2",
        "--teacher",
        str(teacher),
        "--data",
        str(data),
    ]
    script = f"import sys\nfrom edgeafri.cli import execute\ncode = execute({arguments!r})\n"
    script += "print(code, *sorted({'torch', 'transformers', 'onnxruntime', 'numpy'} & set(sys.modules)))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)

    assert done.stdout == "2\n"
    assert done.stderr.startswith("error: bundle: unknown setting 'goldne'\n  next: Did you mean 'golden'? Known: ")
    assert not (tmp_path / "edgeafri-work").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--target", "rpi-4"], 2, "no device 'rpi-4'\n  next: Did you mean 'rpi4'?"),
        (["--recipe", "faithfull"], 2, "no recipe 'faithfull'\n  next: Did you mean 'faithful'?"),
        (["--task", "nerr"], 2, "unknown task 'nerr'\n  next: Did you mean 'ner'?"),
        (["--task", "sentimant"], 2, "unknown task 'sentimant'\n  next: Did you mean 'sentiment'?"),
        (["--task", "topics"], 2, "unknown task 'topics'\n  next: Did you mean 'topic'?"),
        (["--task", "topic"], 2, "its head is for ner, not for topic\n  next: Use --task ner."),
        (
            ["--task", "mask"],
            2,
            "--task mask: a step of training, not a task for a device\n  next: Choose one of ner, ",
        ),
        (["--set", "quantise.weights=int8"], 2, "this recipe has no step 'quantise'\n  next: Did you mean 'quantize'?"),
        (["--set", "quantize.weights=int9"], 2, "quantize.weights: 'int9' is not one of its values\n  next: Did you"),
        (
            ["--recipe", "tiny", "--set", "distill.mode=relation"],
            2,
            "step 'export-onnx' gets a model without a head: distill, as it is set, leaves none\n  next: Put ",
        ),
        (["--lang", "swh"], 2, "unknown language 'swh'\n  next: "),
        (["--lang", " ,"], 2, "no language is named\n  next: Name them, as --lang swa,hau"),
        (["--data", "/no/such/data"], 4, "/no/such/data: no such data folder\n  next: Check the path"),
        (["--data", "/no/such/data", "--lang", "swa"], 4, "/no/such/data: no such data folder\n  next: Check the path"),
        (["--text", "/no/such/text", "--dry-run"], 4, "/no/such/text: no such data folder\n  next: Check the path"),
        (["--data", "/no/such/data", "--lang", "swa", "--dry-run"], 4, "/no/such/data: no such data folder"),
        (["--lang", "swa,yor"], 4, "yor: no such language folder\n  next: There: hau, swa."),
        (["--teacher", "/no/such/model"], 4, "/no/such/model: no such model folder\n  next: Give a folder, a hub id"),
    ],
)
def test_a_mistake_is_told_before_any_work(
    arguments: list[str], code: int, said: str, teacher: Path, data: Path, tmp_path: Path, capfd
):
    """
    A name, a path or a value that does not exist: one message, one next step, no stage made.
    """
    work = tmp_path / "work"
    given = ["--target", "rpi4", "--teacher", str(teacher), "--data", str(data), "--work", str(work), *arguments]

    assert execute(["build", *given]) == code
    assert said in capfd.readouterr().err
    assert not list(work.glob("*-*"))


def test_an_unlabelled_build_must_name_its_languages(teacher: Path, capfd: pytest.CaptureFixture[str]):
    """
    Without --data there is nothing to read them from.
    """
    assert execute(["build", "--target", "rpi4", "--teacher", str(teacher)]) == 2
    assert "without labelled data, the languages must be named\n  next: Add --lang swa,hau" in capfd.readouterr().err


def test_labels_that_do_not_match_stop_a_build_before_any_work(data: Path, tmp_path: Path, capfd):
    """
    Exit code 4, the tag and the teacher's labels, and no folder of any stage.
    """
    other = model_folder(tmp_path / "other", "XLMRobertaForTokenClassification", {0: "O", 1: "B-GENE"})
    code = execute(
        ["build", "--target", "rpi4", "--teacher", str(other), "--data", str(data), "--work", str(tmp_path / "w")]
    )

    assert code == 4
    assert "the model does not know the tag B-DATE" in capfd.readouterr().err
    assert not list((tmp_path / "w").glob("trim-*"))


def test_a_dry_run_prints_the_plan_and_writes_nothing(teacher: Path, data: Path, tmp_path: Path):
    """
    Every step with its folder, its settings, and whether it would be reused.
    """
    given = ["--teacher", teacher, "--data", data, "--work", tmp_path / "work", "--recipe", "faithful"]
    arguments = [*given, "--set", "bundle.golden=2", "--dry-run"]
    plan = build(*arguments, "--json").document
    text = build(*arguments).out

    assert [(step["stage"], step["reused"]) for step in plan] == [(name, False) for name in CHAIN]
    assert plan[0]["settings"]["languages"] == ["hau", "swa"]
    assert plan[-1]["settings"]["golden"] == 2
    assert f"trim           to do    {plan[0]['folder']}\n    languages: " in text
    assert not (tmp_path / "work").exists()


def test_a_teacher_without_a_head_is_fine_tuned_first(data: Path, tmp_path: Path):
    """
    The plan says so.
    """
    encoder = model_folder(tmp_path / "encoder", "XLMRobertaForMaskedLM", {})
    given = ["--teacher", encoder, "--data", data, "--work", tmp_path / "work", "--recipe", "faithful"]
    plan = build(*given, "--dry-run", "--json").document

    assert [step["stage"] for step in plan] == ["finetune", *CHAIN]


@dataclass(frozen=True)
class Built:
    """A whole build of the tiny teacher, and the arguments that made it."""

    arguments: tuple[object, ...]
    first: Run


@pytest.fixture(scope="module")
def built(teacher_folder: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    root = tmp_path_factory.mktemp("build")
    given = ["--teacher", teacher_folder, "--data", data, "--lang", "swa,hau", "--work", root / "work"]
    arguments = (*given, "--recipe", "faithful", "--set", "bundle.margin=0", "--profiles", small_device(root))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGEAFRI_CACHE", str(root / "cache"))
        yield Built(arguments, build(*arguments, "--json"))


@pytest.mark.slow
def test_one_document_has_all_that_other_programs_read(built: Built):
    """
    The keys are fixed; numbers are where they belong; the exit code is that of the checks.
    """
    found, quality = built.first.document, built.first.document["quality"]

    assert {"bundle", "artifact_id", "target", "task", "languages", "steps", "quality", "size", "host"} <= set(found)
    assert (found["target"], found["task"], found["languages"]) == ("rpi4", "ner", ["swa", "hau"])
    assert [step["stage"] for step in found["steps"]] == CHAIN
    assert all(set(step) == {"stage", "id", "reused", "seconds", "facts"} for step in found["steps"])
    assert set(quality["teacher"]) == set(quality["bundle"]) == {"swa", "hau", "avg"}
    assert quality["metric"] == "entity F1"
    assert set(quality["worst"]) == {"lang", "drop"}
    assert set(found["size"]) == {"teacher_bytes", "model_bytes", "bundle_bytes"}
    host = {"p50_ms", "p95_ms", "peak_rss_mb", "threads", "seq_len", "runs", "cpu_ms"}
    assert host <= set(found["host"])
    assert {"low_ms", "high_ms", "basis"} <= set(found["device"])
    assert all({"name", "measured", "limit", "unit", "passed"} <= set(item) for item in found["checks"])
    assert built.first.code == (5 if any(item["passed"] is False for item in found["checks"]) else 0)


@pytest.mark.slow
def test_what_was_built_lies_where_the_document_says(built: Built):
    """
    The bundle with its graph, the report in three forms, and what the libraries print in the log.
    """
    found = built.first.document
    bundle = Path(found["bundle"])

    assert (bundle / "model.onnx").stat().st_size == found["size"]["model_bytes"]
    assert all(Path(file).is_file() for file in found["report"].values())
    assert (bundle.parent / "build.log").is_file()
    assert f"edgeafri verify {bundle}" in found["commands"]


@pytest.mark.slow
def test_a_copy_of_the_card_has_the_figures(built: Built):
    """
    The bundle's own card was sealed before they were known; it is the beginning of the copy beside the report.
    """
    found = built.first.document
    sealed = (Path(found["bundle"]) / "card.md").read_text("utf-8")
    copy = Path(found["report"]["card"]).read_text("utf-8")

    assert copy.startswith(sealed.strip())
    assert "## Quality: entity F1 on test" in copy
    assert "## Quality" not in sealed


@pytest.mark.slow
def test_what_a_build_wrote_can_be_reported_again(built: Built, capsys: pytest.CaptureFixture[str]):
    """
    From its work folder: the same bundle, its groups of tensors adding up to its graph and its tokenizer.
    """
    found = built.first.document
    assert execute(["report", str(Path(found["bundle"]).parent), "--json"]) == 0
    (bundle,) = json.loads(capsys.readouterr().out)["bundles"]
    tokenizer = Path(found["bundle"]) / "tokenizer.json"

    assert (bundle["id"], bundle["languages"]) == (found["artifact_id"], found["languages"])
    assert sum(bundle["groups"].values()) == found["size"]["model_bytes"] + tokenizer.stat().st_size


@pytest.mark.slow
def test_a_second_build_reuses_everything(built: Built):
    """
    Steps and measurements alike: the same document, but for what was reused and how long it took.
    """
    again = build(*built.arguments, "--json")
    plan = build(*built.arguments, "--dry-run", "--json").document
    first, second = built.first.document, again.document
    steps = second.pop("steps")

    assert again.code == built.first.code
    assert all(step["reused"] for step in (*steps, *plan))
    assert [step["id"] for step in steps] == [step["id"] for step in first.pop("steps")]
    assert {key: second[key] for key in ("quality", "host", "size", "checks")} == {
        key: first[key] for key in ("quality", "host", "size", "checks")
    }


@pytest.mark.slow
def test_fresh_measures_again_and_builds_nothing(built: Built):
    """
    Steps stay reused; the bench carries another moment's conditions.
    """
    again = build(*built.arguments, "--json", "--fresh").document

    assert all(step["reused"] for step in again["steps"])
    assert again["host"] != built.first.document["host"]


@pytest.mark.slow
def test_a_failed_gate_keeps_the_bundle_and_prints_its_document(built: Built):
    """
    Exit code 5; the JSON is whole; the check that failed is named.
    """
    failed = build(*built.arguments, "--json", target="tiny")
    over = [item["name"] for item in failed.document["checks"] if item["passed"] is False]

    assert failed.code == 5
    assert "bundle size" in over
    assert Path(failed.document["bundle"]).is_dir()


@pytest.mark.slow
def test_in_words_a_build_is_a_line_a_stage_and_its_tables(built: Built):
    """
    One line per stage, the table per language, the checks, and the path of the bundle last.
    """
    text = build(*built.arguments).out
    lines = text.splitlines()

    assert [line.split()[0] for line in lines[: len(CHAIN)]] == CHAIN
    assert all(line.endswith("reused") for line in lines[: len(CHAIN)])
    assert "entity F1 on test, in points" in text
    assert f"Checks against the budget of {read_profile('rpi4').name}" in text
    assert lines[-1] == f"bundle  {built.first.document['bundle']}"
