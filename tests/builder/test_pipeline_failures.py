"""The engine when something goes wrong: killed, broken, refused by the disk. Nothing unfinished looks finished."""

import errno
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edgeafri.artifact import Artifact, is_artifact
from edgeafri.builder.cache_key import step_folders
from edgeafri.builder.events import Finished, Started
from edgeafri.builder.jobs import Job, plan_jobs
from edgeafri.builder.pipeline import make_artifact, run_jobs, workplace
from edgeafri.builder.recipe import Step
from edgeafri.errors import ArtifactError, MissingPackage, StorageError
from edgeafri.menu.facts import Facts, Figures
from edgeafri.util.files import Digests, partial_folder

ROOT = Path(__file__).parents[2]
DYING = """
import os, signal, sys
from pathlib import Path
from edgeafri.artifact import adopt
from edgeafri.builder import pipeline
from edgeafri.builder.jobs import plan_jobs
from edgeafri.util.files import Digests
from edgeafri.builder.recipe import Step
from edgeafri import menu
from edgeafri.menu.facts import Figures

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

class Method:
    def run(self, source, settings, out, progress):
        (out / "model.safetensors").write_bytes(b"half")
        if sys.argv[3] == "in the middle of the stage":
            die()
        return Figures({})

if sys.argv[3] == "before the manifest":
    pipeline.seal = die
if sys.argv[3] == "before the rename":
    Path.rename = die
menu.load_stage = lambda name: Method()
digests = Digests()
source = adopt(Path(sys.argv[1]), "torch", "ner", (), digests)
pipeline.run_jobs(plan_jobs([Step("trim")], "torch", {}), source, Path(sys.argv[2]), digests, lambda event: None)
"""


def trim(**settings: Any) -> tuple[Job, ...]:
    return plan_jobs([Step("trim", settings)], "torch", {})


def built(jobs: tuple[Job, ...], source: Artifact, work: Path, digests: Digests) -> tuple[Finished, ...]:
    return run_jobs(jobs, source, work, digests, lambda event: None)


def finished_folders(work: Path) -> list[str]:
    return [entry.name for entry in work.iterdir() if is_artifact(entry) and not entry.name.endswith(".partial")]


def test_a_stage_that_raises_leaves_nothing_that_looks_finished(
    source: Artifact, tmp_path: Path, digests: Digests, method: Any
):
    """
    The next build starts the step again, from an empty folder.
    """
    work = tmp_path / "work"
    method.broken = RuntimeError("no")
    with pytest.raises(RuntimeError, match="no"):
        built(trim(), source, work, digests)
    left = finished_folders(work)
    method.broken = None
    (done,) = built(trim(), source, work, digests)

    assert left == []
    assert not done.reused
    assert finished_folders(work) == [done.artifact.path.name]


@pytest.mark.parametrize("moment", ["in the middle of the stage", "before the manifest", "before the rename"])
def test_a_killed_build_costs_the_running_stage_and_no_more(
    moment: str, source: Artifact, tmp_path: Path, digests: Digests, method: Any
):
    """
    `kill -9` at any moment: no folder looks finished, the lock is free, and the next build makes the step whole.
    """
    work = tmp_path / "work"
    arguments = [sys.executable, "-c", DYING, str(source.path), str(work), moment]
    process = subprocess.run(arguments, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False)
    left = finished_folders(work)
    (done,) = built(trim(), source, work, digests)

    assert process.returncode == -9
    assert not partial_folder(done.artifact.path).exists()
    assert (left, done.reused) == ([], False)
    assert (done.artifact.path / "model.safetensors").read_text("utf-8") != "half"


def test_a_resumable_stage_finds_its_own_unfinished_work(
    source: Artifact, tmp_path: Path, digests: Digests, method: Any
):
    """
    Training goes on from its checkpoint; every other stage starts from an empty folder.
    """
    found = []
    for name in ("finetune", "trim"):
        jobs = plan_jobs([Step(name)], "torch", {})
        target = tmp_path / "work" / step_folders(jobs, source, digests)[0]
        partial = partial_folder(target)
        partial.mkdir(parents=True)
        (partial / "checkpoint").write_text("half", "utf-8")
        (partial / "made-for.txt").write_text(target.name, "utf-8")
        built(jobs, source, tmp_path / "work", digests)
        found.append((target / "checkpoint").exists())

    assert found == [True, False]


def test_a_damaged_step_is_told_with_what_helps(source: Artifact, tmp_path: Path, digests: Digests, method: Any):
    """
    Building again alone would meet the same damage: the hint names the folder to remove.
    """
    (done,) = built(trim(), source, tmp_path / "work", digests)
    (done.artifact.path / "model.safetensors").write_bytes(b"")

    with pytest.raises(ArtifactError, match=r"model\.safetensors: 0 bytes") as error:
        built(trim(), source, tmp_path / "work", digests)
    assert "emove" in error.value.hint
    assert str(done.artifact.path) in error.value.hint


def test_a_second_build_in_the_same_folder_is_refused(source: Artifact, tmp_path: Path, digests: Digests, method):
    """
    Two builds would write into the same partial folders.
    """
    with workplace(tmp_path / "work"), pytest.raises(StorageError, match="another build is at work there") as error:
        built(trim(), source, tmp_path / "work", digests)

    assert error.value.hint == "Wait for it to end, or choose another folder with --work DIR."
    assert built(trim(), source, tmp_path / "work", digests)[0].reused is False


def test_a_second_stage_into_the_same_folder_is_refused(source: Artifact, tmp_path: Path, digests: Digests, method):
    """
    It would empty the folder in which the first is at work.
    """
    (job,), refused = trim(), []

    def on_event(event: object) -> None:
        if isinstance(event, Started):
            with pytest.raises(StorageError, match="out: another build is at work there") as error:
                make_artifact(job, source, tmp_path / "out", digests, lambda event: None)
            refused.append(error.value.hint)

    make_artifact(job, source, tmp_path / "out", digests, on_event)

    assert refused == ["Wait for it to end, or choose another folder with --out DIR."]


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (errno.ENOSPC, "No space left on device"),
        (errno.EROFS, "Read-only file system"),
        (errno.EACCES, "not allowed to read or write there"),
    ],
)
def test_a_disk_that_says_no_is_told_plainly(
    code: int, message: str, source: Artifact, tmp_path: Path, digests: Digests, method: Any
):
    """
    Full or read-only: one message, nothing that looks finished, and what was finished before is kept.
    """
    work = tmp_path / "work"
    built(trim(), source, work, digests)
    before = finished_folders(work)
    method.broken = OSError(code, "", str(work / "model.safetensors"))

    with pytest.raises(StorageError, match=message):
        built(trim(keep="corpus"), source, work, digests)
    assert finished_folders(work) == before


@pytest.mark.parametrize("work", ["file", "file/work"])
def test_a_work_folder_that_cannot_be_one_is_told_plainly(
    work: str, source: Artifact, tmp_path: Path, digests: Digests, method: Any
):
    """
    A file stands where the folder should be.
    """
    (tmp_path / "file").write_text("", "utf-8")

    with pytest.raises(StorageError, match="file") as error:
        built(trim(), source, tmp_path / work, digests)
    assert error.value.hint == "Choose a folder you may write to, for example with --work DIR or --out FILE."


def test_a_missing_library_names_the_command_that_brings_it(
    source: Artifact, tmp_path: Path, digests: Digests, method: Any
):
    """
    A board has no torch: exit code 3, and what to install.
    """
    method.broken = ModuleNotFoundError("No module named 'torch'", name="torch")
    with pytest.raises(MissingPackage, match="trim needs the package 'torch', which is not installed") as error:
        built(trim(), source, tmp_path / "work", digests)

    assert error.value.exit_code == 3
    assert "pip install 'edgeafri[build]'" in error.value.hint


def test_a_missing_module_of_our_own_is_a_fault(source: Artifact, tmp_path: Path, digests: Digests, method: Any):
    """
    It cannot be installed, so it is not told as if it could.
    """
    method.broken = ModuleNotFoundError("No module named 'edgeafri.gone'", name="edgeafri.gone")

    with pytest.raises(ModuleNotFoundError, match=r"edgeafri\.gone"):
        built(trim(), source, tmp_path / "work", digests)


def test_what_libraries_print_goes_to_the_log(
    source: Artifact, tmp_path: Path, digests: Digests, method: Any, capfd, monkeypatch: pytest.MonkeyPatch
):
    """
    From Python and from native code alike; the terminal stays ours.
    """

    original = method.run

    def talk(*arguments: Any) -> Facts:
        os.write(1, b"native words\n")
        os.write(2, b"native warning\n")
        return original(*arguments)

    monkeypatch.setattr(method, "run", talk)
    built(trim(), source, tmp_path / "work", digests)
    os.write(1, b"ours\n")
    printed = capfd.readouterr()

    assert (tmp_path / "work" / "build.log").read_text("utf-8") == "native words\nnative warning\n"
    assert (printed.out, printed.err) == ("ours\n", "")


def test_a_folder_of_the_users_with_partial_in_its_name_is_left_alone(
    source: Artifact, tmp_path: Path, digests: Digests, method: Any
):
    """
    Our own unfinished folders are hidden and carry our name; anything else beside --out is the user's.
    """
    (tmp_path / "out.partial").mkdir()
    (tmp_path / "out.partial" / "mine.txt").write_text("precious", "utf-8")
    make_artifact(trim()[0], source, tmp_path / "out", digests, lambda event: None)

    assert (tmp_path / "out.partial" / "mine.txt").read_text("utf-8") == "precious"


def test_a_library_that_words_a_refusal_itself_is_told_as_a_refusal(
    source: Artifact, tmp_path: Path, digests: Digests, method: Any
):
    """
    safetensors raises an error of its own that ends in the system's number.
    """
    method.broken = RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)")

    with pytest.raises(StorageError, match="No space left on device"):
        built(trim(), source, tmp_path / "work", digests)


def test_a_library_that_hides_a_full_disk_is_told_as_a_full_disk(
    source: Artifact, tmp_path: Path, digests: Digests, method: Any, monkeypatch: pytest.MonkeyPatch
):
    """
    Some libraries say only that saving failed; the disk itself is asked.
    """
    method.broken = RuntimeError("Protobuf serialization failed")
    monkeypatch.setattr("psutil.disk_usage", lambda folder: SimpleNamespace(free=0))

    with pytest.raises(StorageError, match="No space left on device"):
        built(trim(), source, tmp_path / "work", digests)


@pytest.mark.parametrize(("epochs", "left"), [(3, ["checkpoint-1"]), (4, [])])
def test_what_a_kill_left_is_taken_up_for_the_same_work_only(source, digests, tmp_path, monkeypatch, epochs, left):
    """
    --out names the folder, whatever the settings: with others, the old checkpoints must not be trained on.
    """
    found: list[list[str]] = []

    class Learner:
        def forecast(self, source: Artifact, settings: Any) -> str:
            return "soon"

        def run(self, source: Artifact, settings: Any, out: Path, progress: Any) -> Facts:
            found.append(sorted(entry.name for entry in out.glob("checkpoint-*")))
            (out / "checkpoint-1").mkdir(exist_ok=True)
            if len(found) == 1:
                raise KeyboardInterrupt
            (out / "checkpoint-1").rmdir()
            return Figures({})

    monkeypatch.setattr("edgeafri.menu.load_stage", lambda name: Learner())

    def tuned(count: int) -> None:
        (job,) = plan_jobs([Step("finetune", {"epochs": count})], "torch", {})
        make_artifact(job, source, tmp_path / "out", digests, lambda event: None)

    with pytest.raises(KeyboardInterrupt):
        tuned(3)
    tuned(epochs)

    assert found == [[], left]
    assert not (tmp_path / "out" / "made-for.txt").exists()


@pytest.mark.parametrize(("stage", "settings", "left"), [("trim", {}, 0), ("prune", {}, 0), ("finetune", {}, 1)])
def test_a_failure_leaves_nothing_beside_out_but_what_learning_goes_on_from(
    source: Artifact, tmp_path: Path, digests: Digests, method: Any, stage: str, settings: dict[str, Any], left: int
):
    """
    The user's folder is not littered with hidden ones that nobody takes up again.
    """
    method.broken = ArtifactError("no", "Change it.")
    (job,) = plan_jobs([Step(stage, settings)], "torch", {})
    with pytest.raises(ArtifactError):
        make_artifact(job, source, tmp_path / "here" / "out", digests, lambda event: None)

    assert len(list((tmp_path / "here").iterdir())) == left
