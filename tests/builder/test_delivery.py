"""The main job before any work: what a build will do, what it refuses to begin; and whole texts from end to end."""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from edgeafri import menu
from edgeafri.artifact import adopt
from edgeafri.builder import delivery, plan
from edgeafri.builder.jobs import Job
from edgeafri.builder.plan import BuildPlan, BuildRequest
from edgeafri.builder.recipe import Recipe
from edgeafri.cli import execute
from edgeafri.device.profile import read_profile
from edgeafri.menu.settings import StageSettings
from edgeafri.runners.local import TORCH, call_worker

SLEEPER = """
import time
from pathlib import Path
from edgeafri.util.worker import serve

def sleep(request, progress):
    Path(__file__).with_name("asleep").touch()
    time.sleep(60)

serve("the sleeper", {"sleep": sleep})
"""
ASKER = """
from edgeafri.menu.settings import StageSettings
from edgeafri.runners.local import call_worker
call_worker("sleeper", {"do": "sleep"})
"""


@pytest.fixture
def planned(encoder_folder: Path, data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    """A function: options of a dry run on the headless encoder to its exit code, its plan and what it said."""

    def plan(*options: str, teacher: Path = encoder_folder, labelled: Path = data):
        given = ["--teacher", str(teacher), "--data", str(labelled), "--work", str(tmp_path / "work")]
        code = execute(["build", "--target", "rpi4", *given, "--dry-run", "--json", *options])
        said = capfd.readouterr()
        return code, json.loads(said.out or "[]"), said.err

    return plan


def test_a_headless_teacher_is_fine_tuned_first_with_the_settings_asked_for(planned):
    """
    The step is not in the recipe, and can be set all the same.
    """
    code, plan, _ = planned("--set", "finetune.epochs=1")

    assert code == 0
    assert (plan[0]["stage"], plan[0]["settings"]["epochs"]) == ("finetune", 1)


def test_an_encoder_learns_the_task_that_was_asked_for(planned, texts: Path):
    """
    Whole texts are found in their own layout, and every step that can be told the task is.
    """
    code, plan, _ = planned("--task", "sentiment", labelled=texts)

    assert code == 0
    assert [(step["stage"], step["settings"].get("task")) for step in plan][:2] == [
        ("finetune", "sentiment"),
        ("trim", None),
    ]


def test_a_text_head_without_a_task_named_gets_both_candidates(planned, classifier_folder: Path, texts: Path):
    """
    Before anything is said about the layout of data that the default task would want.
    """
    code, _, said = planned(teacher=classifier_folder, labelled=texts)

    assert code == 2
    assert "its head is for sentiment or topic, not for ner\n  next: Use --task sentiment or --task topic." in said


@pytest.mark.parametrize("given", [("--teacher", "sample"), ("--data", "sample")])
def test_the_sample_is_for_one_task(given, classifier_folder: Path, capfd: pytest.CaptureFixture[str]):
    """
    Its corpus has labelled words; nothing is made before that is said.
    """
    teacher = ("--teacher", str(classifier_folder))
    code = execute(["build", "--target", "rpi4", "--task", "topic", *teacher, *given])

    assert code == 2
    assert (
        "the embedded sample is for ner, not for topic\n  next: Add --teacher MODEL and --data"
        in capfd.readouterr().err
    )


def test_labelled_data_in_the_other_layout_is_told_as_such(planned, data: Path, classifier_folder: Path):
    """
    The file that is missing, and the task that the data there is for.
    """
    code, _, said = planned("--task", "topic", "--lang", "swa", teacher=classifier_folder, labelled=data)

    assert code == 4
    assert "train.tsv: no such file" in said
    assert "--task ner" in said


def test_an_encoder_without_data_has_nothing_to_learn_from(encoder_folder: Path, tmp_path: Path, capfd):
    """
    Told before any work, for every task.
    """
    given = ["--teacher", str(encoder_folder), "--lang", "swa", "--work", str(tmp_path / "work")]
    code = execute(["build", "--target", "rpi4", "--task", "topic", *given])

    assert code == 2
    assert "there is no labelled data for finetune to learn from\n  next: Add --data DIR" in capfd.readouterr().err


def test_with_data_of_the_users_own_a_student_is_made(planned, teacher_folder: Path):
    """
    rpi4's recipe is balanced where there is data to learn from; another one is taken when it is named.
    """
    _, own, _ = planned(teacher=teacher_folder)
    _, named, _ = planned("--recipe", "faithful", teacher=teacher_folder)

    assert [step["stage"] for step in own][:2] == ["trim", "distill"]
    assert "distill" not in [step["stage"] for step in named]


def test_the_device_says_what_it_multiplies_int8_with(planned, teacher_folder: Path):
    """
    So that the weights get the sign that it computes right; what is set by hand goes first.
    """
    _, own, _ = planned("--recipe", "faithful", teacher=teacher_folder)
    _, named, _ = planned("--recipe", "faithful", "--set", "quantize.isa=avx2", teacher=teacher_folder)

    assert [plan[-2]["settings"]["isa"] for plan in (own, named)] == ["neon", "avx2"]


def test_the_device_says_its_threads_and_its_memory(planned, teacher_folder: Path):
    """
    The bundle starts with as many threads as are best there, and copies weights where there is room.
    """
    _, own, _ = planned("--recipe", "faithful", teacher=teacher_folder)
    _, named, _ = planned("--recipe", "faithful", "--set", "bundle.threads=2", teacher=teacher_folder)

    assert [own[-1]["settings"][name] for name in ("threads", "free_mb")] == [4, 1800]
    assert named[-1]["settings"]["threads"] == 2


def test_without_data_nothing_is_trained(teacher_folder: Path, tmp_path: Path, capfd):
    """
    The languages named alone are enough for the recipe that needs no data.
    """
    given = ["--teacher", str(teacher_folder), "--lang", "swa", "--work", str(tmp_path / "work")]
    execute(["build", "--target", "rpi4", *given, "--dry-run", "--json"])

    assert "distill" not in [step["stage"] for step in json.loads(capfd.readouterr().out)]


def test_the_embedded_sample_is_not_trained_on():
    """
    Its teacher is tiny already: the recipe that trains nothing shows the chain in seconds.
    """
    profile = read_profile("rpi4", ())
    own = BuildRequest("rpi4", teacher="mine", data="mine")

    assert plan._own_recipe(BuildRequest("rpi4"), profile) == "faithful"
    assert plan._own_recipe(own, profile) == "balanced"
    assert plan._own_recipe(own, replace(profile, recipe_with_data=None)) == "faithful"


@pytest.mark.slow
def test_zeros_are_said_to_be_worth_nothing_by_themselves(teacher_folder: Path, data: Path, tmp_path: Path):
    """
    A pruned build's report says that nothing became smaller or faster, and what a sparse file would weigh.
    """
    recipe = tmp_path / "pruned.yaml"
    recipe.write_text("steps: [trim, prune: {sparsity: 0.5}, export-onnx, optimize, bundle: {margin: 0}]", "utf-8")
    given = ["--teacher", str(teacher_folder), "--data", str(data), "--work", str(tmp_path / "work")]
    _, document = answered(["build", "--target", "rpi4", "--recipe", str(recipe), *given])
    (note,) = [note for note in document["notes"] if "zero" in note]
    page = Path(document["report"]["md"]).read_text("utf-8")

    assert note.startswith(
        "prune left 50.0 % of the linear weights at zero. Zeros alone make nothing smaller or faster"
    )
    assert note in page


@pytest.mark.parametrize(
    ("stages", "headed", "step"),
    [
        ("trim export-onnx", True, None),
        ("finetune trim export-onnx", True, 0),
        ("trim finetune finetune prune", True, 2),
        ("shrink finetune export-onnx", True, None),
        ("finetune prune finetune", True, 0),
        ("distill finetune finetune", False, 1),
        ("finetune shrink finetune", False, 0),
    ],
)
def test_what_was_made_smaller_is_compared_with_what_was_not(
    stages, headed, step, teacher_folder: Path, encoder_folder: Path, data: Path, digests
):
    """
    Fine-tuning after it makes up for a loss, and must not hide it; a teacher without a head has none to compare.
    """
    teacher = adopt(teacher_folder if headed else encoder_folder, "torch", "ner", ("swa",), digests)
    request, recipe = BuildRequest("rpi4"), Recipe("own", "", ())
    jobs = tuple(Job(menu.stage(name), StageSettings()) for name in stages.split())
    planned = BuildPlan(request, read_profile("rpi4", ()), recipe, None, ("swa",), teacher, jobs)

    assert delivery._reference_step(planned) == step


def test_a_recipe_that_fine_tunes_does_it_once(planned, tmp_path: Path):
    """
    A headless teacher adds no second training to a recipe that has one.
    """
    recipe = tmp_path / "own.yaml"
    recipe.write_text("steps: [finetune: {epochs: 2}, trim, export-onnx, bundle]", "utf-8")
    _, plan, _ = planned("--recipe", str(recipe))

    assert [step["stage"] for step in plan] == ["finetune", "trim", "export-onnx", "bundle"]


def test_a_teacher_with_a_head_has_no_fine_tuning_to_set(planned, teacher_folder: Path):
    """
    A setting that would do nothing is an error, not a silent wish.
    """
    code, _, said = planned("--set", "finetune.epochs=1", teacher=teacher_folder)

    assert code == 2
    assert "this recipe has no step 'finetune'" in said


def test_a_plan_in_words_says_why_finetune_goes_first(encoder_folder: Path, data: Path, tmp_path: Path, capfd):
    """
    The note stands above the steps.
    """
    given = ["--teacher", str(encoder_folder), "--data", str(data), "--work", str(tmp_path / "work")]
    execute(["build", "--target", "rpi4", *given, "--dry-run"])

    assert capfd.readouterr().out.startswith("note: the teacher has no head for ner: finetune goes first\nfinetune")


@pytest.mark.parametrize("value", ["nan", "inf", "101"])
@pytest.mark.parametrize("gate", ["--max-drop", "--max-worst-drop"])
def test_a_gate_that_nothing_can_fail_is_refused(planned, gate: str, value: str):
    """
    Points of F1 go from 0 to 100.
    """
    code, _, said = planned(gate, value)

    assert code == 2
    assert "Use a number from 0 to 100." in said


def test_a_recipe_without_a_bundle_is_refused(planned, tmp_path: Path):
    """
    A build gives a bundle; other ends are for the stages' own commands.
    """
    recipe = tmp_path / "own.yaml"
    recipe.write_text("steps: [trim]", "utf-8")
    code, _, said = planned("--recipe", str(recipe))

    assert code == 2
    assert "the recipe ends with 'trim', which gives no bundle" in said


def test_raw_text_that_lacks_a_language_is_found_before_any_work(planned, tmp_path: Path):
    """
    The file that is missing is named.
    """
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "swa.txt").write_text("Habari .\n", "utf-8")
    code, _, said = planned("--text", str(tmp_path / "raw"))

    assert code == 4
    assert "hau.txt: no such file" in said


def test_a_folder_that_is_no_language_is_named(planned, data: Path, tmp_path: Path):
    """
    `all` means every folder; a backup among them is said with its path, a hidden one is passed over.
    """
    for name in ("swa", "backup", ".old"):
        (tmp_path / "own" / name).mkdir(parents=True)
        for split in ("train", "dev", "test"):
            (tmp_path / "own" / name / f"{split}.txt").write_bytes((data / "swa" / f"{split}.txt").read_bytes())
    code, _, said = planned(labelled=tmp_path / "own")

    assert code == 2
    assert f"{tmp_path / 'own' / 'backup'}: the folder's name is no language code" in said
    assert "--lang" in said


def test_a_missing_split_is_found_before_any_work(planned, data: Path, tmp_path: Path):
    """
    Trim needs train and dev, the verdict needs test.
    """
    (tmp_path / "own" / "swa").mkdir(parents=True)
    (tmp_path / "own" / "swa" / "train.txt").write_bytes((data / "swa" / "train.txt").read_bytes())
    code, _, said = planned(labelled=tmp_path / "own")

    assert code == 4
    assert "dev.txt" in said


@pytest.mark.slow
def test_whole_texts_go_the_whole_way(classifier_folder: Path, texts: Path, tmp_path: Path):
    """
    Trimmed, exported, in float32 and bundled, a classifier answers through the runtime as torch did.

    Its labels are equal, so its F1 is; the loss may differ by what the export allows, 1e-4.
    """
    given = ["--teacher", str(classifier_folder), "--data", str(texts), "--work", str(tmp_path / "work")]
    exact = ["--recipe", "faithful", "--set", "quantize.weights=float32", "--set", "quantize.embeddings=float32"]
    code, document = answered(["build", "--target", "rpi4", "--task", "sentiment", *given, *exact])
    request = {"do": "evaluate", "task": "sentiment", "model": str(classifier_folder), "data": str(texts)}
    before = call_worker(TORCH, {**request, "languages": ["hau", "swa"], "split": "test"})["quality"]
    _, after = answered(["eval", document["bundle"], "--data", str(texts), "--lang", "all"])
    quality = document["quality"]

    assert (code, after["metric"], quality["metric"], quality["counted"]) == (0, "macro F1", "macro F1", "texts")
    assert quality["units"] == {"hau": 12, "swa": 12}
    assert min(quality["teacher"].values()) > 90  # it was taught these texts, but for their numbers
    for code, entry in after["quality"].items():
        assert entry["f1"] == pytest.approx(before[code]["f1"])
        assert entry["accuracy"] == pytest.approx(before[code]["accuracy"])
        assert entry["loss"] == pytest.approx(before[code]["loss"], abs=1e-4)
        assert quality["bundle"][code] == quality["teacher"][code] == round(entry["f1"], 2)
        assert quality["drop"][code]["value"] == 0


@pytest.mark.slow
def test_whole_texts_in_int8_are_verified_and_judged(classifier_folder: Path, texts: Path, tmp_path: Path):
    """
    Every command works on the bundle, and the report is about texts.
    """
    given = ["--teacher", str(classifier_folder), "--data", str(texts), "--work", str(tmp_path / "work")]
    options = ["--target", "rpi4", "--recipe", "faithful", "--task", "topic", "--set", "bundle.margin=0"]
    code, document = answered(["build", *options, *given])
    bundle = document["bundle"]
    _, verified = answered(["verify", bundle])
    _, labelled = answered(["run", bundle, "Rais Amina 30"])
    _, benched = answered(["bench", bundle, "--seq-len", "16", "--runs", "3", "--threads", "1"])
    page = Path(document["report"]["md"]).read_text("utf-8")

    assert (code, document["task"]) == (0, "topic")
    assert (verified["passed"], set(verified["golden"])) == (True, {"hau", "swa"})
    assert labelled["results"][0]["label"] == "negative"
    assert benched["p50_ms"] > 0
    assert page.startswith("# topic for rpi4")
    assert "## Quality: macro F1 on test" in page


@pytest.mark.slow
@pytest.mark.parametrize(("recipe", "width"), [("balanced", 8), ("tiny", 4)])
def test_a_recipe_that_trains_needs_data_alone(recipe, width, teacher_folder: Path, data: Path, tmp_path: Path, capsys):
    """
    Its time is said before anything starts; the bundle holds a student of the recipe's share of the teacher's width 16.
    """
    given = ["--teacher", str(teacher_folder), "--data", str(data), "--work", str(tmp_path / "work")]
    gates = ["--max-drop", "100", "--max-worst-drop", "100", "--set", "bundle.margin=0"]
    code = execute(["build", "--target", "rpi4", "--recipe", recipe, *given, *gates])
    said = capsys.readouterr().out.splitlines()
    (report,) = (tmp_path / "work" / "reports").glob("*/report.json")
    steps = {step["stage"]: step["facts"] for step in json.loads(report.read_text("utf-8"))["steps"]}

    assert code == 0
    assert said[0].startswith("distill")
    assert "on this machine" in said[0]
    assert [line.split()[0] for line in said[1:4]] == ["trim", "distill", "export-onnx"]
    assert (steps["distill"]["hidden"], steps["distill"]["mode"]) == (width, "task")
    assert steps["quantize"]["weight_bits"] == 8
    assert f"quantize: {steps['quantize']['reason']}" in json.loads(report.read_text("utf-8"))["notes"]


@pytest.mark.parametrize("recipe", ["balanced", "tiny"])
def test_a_recipe_that_trains_is_refused_without_data(recipe, teacher_folder: Path, tmp_path: Path, capfd):
    """
    Before any work, with the option that is missing.
    """
    given = ["--teacher", str(teacher_folder), "--lang", "swa", "--work", str(tmp_path / "work")]

    assert execute(["build", "--target", "rpi4", "--recipe", recipe, *given]) == 2
    assert "there is no labelled data for distill to learn from\n  next: Add --data DIR" in capfd.readouterr().err


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the kernel ends workers with their parent on Linux only")
def test_a_killed_build_leaves_no_worker_running(tmp_path: Path):
    """
    `kill -9` of the command line ends the measurement too.
    """
    (tmp_path / "sleeper.py").write_text(SLEEPER, "utf-8")
    paths = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    asker = subprocess.Popen([sys.executable, "-c", ASKER], env={**os.environ, "PYTHONPATH": paths})
    worker = waited(lambda: next(iter(psutil.Process(asker.pid).children()), None))
    waited(lambda: (tmp_path / "asleep").exists())
    os.kill(asker.pid, signal.SIGKILL)
    asker.wait()

    assert waited(lambda: not worker.is_running() or worker.status() == "zombie")


def answered(arguments: list[str]) -> tuple[int, Any]:
    """Exit code and the one JSON document of a command line."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        code = execute([*arguments, "--json"])
    return code, json.loads(out.getvalue())


def waited(found):
    """What `found` gives as soon as it gives something; fails after ten seconds."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        value = found()
        if value:
            return value
        time.sleep(0.05)
    pytest.fail("it did not happen within ten seconds")
