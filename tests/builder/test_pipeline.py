"""The engine: everything is checked before any work, and a folder that looks finished is finished."""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from edgeafri import menu
from edgeafri.artifact import Artifact, adopt
from edgeafri.builder import cache_key
from edgeafri.builder.cache_key import step_folders
from edgeafri.builder.events import Event, Finished, Noted, Started
from edgeafri.builder.jobs import Job, plan_jobs
from edgeafri.builder.pipeline import make_artifact, open_source, run_jobs
from edgeafri.builder.recipe import Step
from edgeafri.device.profile import profile_folders
from edgeafri.errors import ArtifactError, ConfigError, DataError, EdgeAfriError, StorageError, UsageError
from edgeafri.menu.facts import Facts
from edgeafri.menu.settings import ExportOnnxSettings
from edgeafri.util.files import Digests


@dataclass(frozen=True)
class Masked(Facts):
    """Facts of a stage that gives a model for hidden words."""

    task: str = "mask"


def trim(**settings: Any) -> tuple[Job, ...]:
    return plan_jobs([Step("trim", settings)], "torch", {})


def built(jobs: tuple[Job, ...], source: Artifact, work: Path, digests: Digests) -> tuple[Finished, ...]:
    return run_jobs(jobs, source, work, digests, lambda event: None)


def test_a_plan_fills_in_what_belongs_to_the_whole_build():
    """
    Languages and data are given once; a step that has its own keeps them; a step without such a setting gets none.
    """
    steps = [Step("trim", {"languages": ["yor"]}), Step("export-onnx"), Step("bundle", {"golden": 2})]
    trimmed, exported, bundled = plan_jobs(steps, "torch", {"languages": ("swa",), "sample": True, "task": "ner"})

    assert (trimmed.settings.languages, bundled.settings.languages) == (("yor",), ("swa",))
    assert (bundled.settings.sample, bundled.settings.golden) == (True, 2)
    assert exported.settings == ExportOnnxSettings()


@pytest.mark.parametrize(
    ("steps", "error", "message"),
    [
        ([Step("trim"), Step("bundel")], UsageError, "unknown stage 'bundel'"),
        ([Step("trim"), Step("export-onnx", {"opst": 18})], ConfigError, "export-onnx: unknown setting 'opst'"),
        ([Step("trim"), Step("quantize")], ConfigError, "step 'quantize' takes onnx, but gets torch"),
        ([Step("export-onnx"), Step("trim")], ConfigError, "step 'trim' takes torch, but gets onnx"),
    ],
)
def test_a_plan_checks_the_last_step_before_the_first_works(steps: list[Step], error: type, message: str, method):
    """
    An hour of work is not thrown away for a typo at its end.
    """
    with pytest.raises(error, match=message) as raised:
        plan_jobs(steps, "torch", {})

    assert raised.value.hint.startswith(("Did you mean", "Put a step before it that gives"))
    assert method.runs == 0


def told(events: list[Event]) -> list[tuple[str, str]]:
    """What was told of which stage, in order, progress left out."""
    return [(type(event).__name__, event.stage) for event in events if isinstance(event, (Started, Noted, Finished))]


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (Step("prune", {"pattern": "2:4", "sparsity": 0.6}), "pattern 2:4 takes half"),
        (Step("prune", {"pattern": "2:4", "when": "during"}), "pattern 2:4 cannot be reached step by step"),
        (Step("shrink"), "no size and no goal is given"),
        (Step("shrink", {"macs": 0.5, "heads": (1,)}), "a goal .'macs'. and a number"),
        (Step("shrink", {"latency_of": {"rpi4": 2}}), "is not a share of its time"),
    ],
)
def test_settings_that_cannot_go_together_are_told_before_hours_of_learning(step: Step, message: str):
    """
    What hangs on no model is said when the plan is read, wherever the step stands in it.
    """
    with pytest.raises(ConfigError, match=message):
        plan_jobs([Step("finetune"), step], "torch", {})


def test_keys_are_known_before_any_work(source: Artifact, tmp_path: Path, digests: Digests, method: Any):
    """
    A dry run names the very folders that the build then makes.
    """
    jobs = plan_jobs([Step("trim"), Step("export-onnx")], "torch", {})
    named = step_folders(jobs, source, digests)
    done = built(jobs, source, tmp_path / "work", digests)

    assert named == tuple(item.artifact.path.name for item in done)
    assert [name.rsplit("-", 1)[0] for name in named] == ["trim", "export-onnx"]


def test_a_key_changes_with_settings_source_side_input_and_versions(
    source: Artifact, tmp_path: Path, digests: Digests, monkeypatch: pytest.MonkeyPatch
):
    """
    Whatever shapes an artifact is in its key.
    """
    text, other = tmp_path / "text", tmp_path / "model"
    text.mkdir()
    (text / "swa.txt").write_text("Habari\n", "utf-8")
    shutil.copytree(source.path, other)
    (other / "model.safetensors").write_bytes(b"other weights")
    keys = [step_folders(trim(text=text), source, digests)]
    keys.append(step_folders(trim(text=text, keep="scripts"), source, digests))
    keys.append(step_folders(trim(text=text), adopt(other, "torch", "ner", ("swa",), digests), digests))
    (text / "swa.txt").write_text("Jambo\n", "utf-8")
    keys.append(step_folders(trim(text=text), source, digests))
    monkeypatch.setattr(cache_key, "version_of", lambda name: "99")
    keys.append(step_folders(trim(text=text), source, digests))

    assert len(set(keys)) == len(keys)


def test_a_key_changes_with_the_profile_of_a_device_that_a_goal_names(
    source: Artifact, tmp_path: Path, digests: Digests, monkeypatch: pytest.MonkeyPatch
):
    """
    With other speeds other parts would be taken out; a comment in the file changes nothing.
    """
    own = profile_folders()[-1] / "rpi4.yaml"
    monkeypatch.setenv("EDGEAFRI_PROFILES", str(tmp_path))
    keys = []
    for text in (
        own.read_text("utf-8"),
        f"# mine\n{own.read_text('utf-8')}",
        own.read_text("utf-8").replace("2326", "2327"),
    ):
        (tmp_path / "rpi4.yaml").write_text(text, "utf-8")
        keys += step_folders(plan_jobs([Step("shrink", {"latency_of": {"rpi4": 0.5}})], "torch", {}), source, digests)

    assert keys[0] == keys[1] != keys[2]


def test_a_key_does_not_change_with_a_name_or_a_time(source: Artifact, tmp_path: Path, digests: Digests):
    """
    A folder that was copied, moved or touched holds what it held.
    """
    text = tmp_path / "text"
    text.mkdir()
    (text / "swa.txt").write_text("Habari\n", "utf-8")
    before = step_folders(trim(text=text), source, digests)
    moved = shutil.copytree(source.path, tmp_path / "moved")
    os.utime(moved / "model.safetensors", ns=(1, 1))
    elsewhere = text.rename(tmp_path / "elsewhere")
    os.utime(elsewhere / "swa.txt", ns=(1, 1))

    assert step_folders(trim(text=elsewhere), adopt(moved, "torch", "ner", ("swa",), digests), digests) == before


def test_a_changed_first_step_changes_every_key_behind_it(source: Artifact, digests: Digests):
    """
    A step hangs on all before it, not only on its own settings.
    """
    steps = [Step("export-onnx"), Step("optimize")]
    before = step_folders(plan_jobs([Step("trim"), *steps], "torch", {}), source, digests)
    after = step_folders(plan_jobs([Step("trim", {"keep": "corpus"}), *steps], "torch", {}), source, digests)

    assert all(old != new for old, new in zip(before, after, strict=True))


def test_a_side_input_that_is_not_there_is_named(source: Artifact, tmp_path: Path, digests: Digests):
    """
    A wrong --text is a message, not a traceback.
    """
    with pytest.raises(EdgeAfriError, match="nowhere"):
        step_folders(trim(text=tmp_path / "nowhere"), source, digests)


def test_a_finished_step_is_never_repeated(source: Artifact, tmp_path: Path, digests: Digests, method: Any):
    """
    A second build takes what is there; a change in the last step repeats the last step alone.
    """
    work = tmp_path / "work"
    first = built(plan_jobs([Step("trim"), Step("export-onnx")], "torch", {}), source, work, digests)
    again = built(plan_jobs([Step("trim"), Step("export-onnx")], "torch", {}), source, work, digests)
    changed = built(plan_jobs([Step("trim"), Step("export-onnx", {"opset": 17})], "torch", {}), source, work, digests)

    assert [item.reused for item in (*first, *again, *changed)] == [False, False, True, True, True, False]
    assert [item.artifact for item in first] == [item.artifact for item in again]
    assert method.runs == 3


def test_a_manifest_tells_the_history(source: Artifact, tmp_path: Path, digests: Digests, method: Any):
    """
    Settings, parent, versions and facts of a step stand in what it made.
    """
    (done,) = built(trim(keep="scripts", languages="hau"), source, tmp_path / "work", digests)
    manifest = done.artifact.manifest

    assert (manifest.stage, manifest.kind, manifest.parent) == ("trim", "torch", source.id)
    assert (manifest.settings["keep"], manifest.languages, manifest.facts) == ("scripts", ("hau",), {"runs": 1})
    assert manifest.versions["edgeafri"]


def test_a_stage_of_its_own_makes_the_folder_asked_for(source: Artifact, tmp_path: Path, digests: Digests, method: Any):
    """
    `edgeafri trim SOURCE --out DIR`: the events of a build, and a folder that is never overwritten.
    """
    (job,), events = trim(), []
    done = make_artifact(job, source, tmp_path / "new" / "out", digests, events.append)

    assert done.artifact.path == tmp_path / "new" / "out"
    assert isinstance(events[0], Started)
    assert events[-1] is done
    with pytest.raises(StorageError, match="out: already there") as error:
        make_artifact(job, source, tmp_path / "new" / "out", digests, events.append)
    assert error.value.hint == "Choose another --out, or remove it first."


def test_how_long_learning_takes_is_said_before_anything_starts(
    source: Artifact, tmp_path: Path, digests: Digests, method: Any
):
    """
    An hour must not be a surprise in the middle. A second learner stands on what the first makes: said at its turn.
    """
    jobs, events = plan_jobs([Step("trim"), Step("finetune"), Step("distill")], "torch", {}), []
    done = run_jobs(jobs, source, tmp_path / "work", digests, events.append)
    notes = [event.text for event in events if isinstance(event, Noted)]

    assert told(events) == [
        ("Started", "finetune"),
        ("Noted", "finetune"),
        ("Started", "trim"),
        ("Finished", "trim"),
        ("Started", "finetune"),
        ("Finished", "finetune"),
        ("Started", "distill"),
        ("Noted", "distill"),
        ("Started", "distill"),
        ("Finished", "distill"),
    ]
    assert notes == [f"about 2 h from {source.id}", f"about 2 h from {done[1].artifact.id}"]


def test_what_was_learnt_before_is_not_announced(source: Artifact, tmp_path: Path, digests: Digests, method: Any):
    """
    It takes no time at all; a changed step behind it is announced alone.
    """
    steps, events, changed = [Step("finetune"), Step("distill")], [], []
    work = tmp_path / "work"
    built(plan_jobs(steps, "torch", {}), source, work, digests)
    run_jobs(plan_jobs(steps, "torch", {}), source, work, digests, events.append)
    again = [Step("finetune"), Step("distill", {"epochs": 9})]
    run_jobs(plan_jobs(again, "torch", {}), source, work, digests, changed.append)

    assert told(events) == [(kind, stage) for stage in ("finetune", "distill") for kind in ("Started", "Finished")]
    assert [stage for kind, stage in told(changed) if kind == "Noted"] == ["distill"]


def test_a_stage_of_its_own_is_announced_too(source: Artifact, tmp_path: Path, digests: Digests, method: Any):
    """
    `edgeafri finetune` as in a build; a stage that does not learn has nothing to announce.
    """
    for name, announced in (("finetune", True), ("trim", False)):
        events: list[Event] = []
        make_artifact(plan_jobs([Step(name)], "torch", {})[0], source, tmp_path / name, digests, events.append)
        first = [("Started", name), ("Noted", name)] if announced else []

        assert told(events) == [*first, ("Started", name), ("Finished", name)]


def test_what_cannot_be_learnt_ends_a_build_before_it_begins(
    source: Artifact, tmp_path: Path, digests: Digests, method: Any
):
    """
    The forecast reads data and model, so a missing dev split is found before the steps in front have worked.
    """
    method.hopeless = DataError("no dev split", "Add one.")
    with pytest.raises(DataError, match="no dev split"):
        built(plan_jobs([Step("trim"), Step("finetune")], "torch", {}), source, tmp_path / "work", digests)

    assert method.runs == 0


def test_a_stage_may_say_what_task_its_model_has_then(
    source: Artifact, tmp_path: Path, digests: Digests, method: Any, monkeypatch: pytest.MonkeyPatch
):
    """
    Masked-LM training turns an ner model into one for hidden sub-words; else the task is the setting's, or stays.
    """
    original = method.run
    monkeypatch.setattr(method, "run", lambda *given: original(*given) and Masked())
    (adapted,) = built(plan_jobs([Step("adapt-maft")], "torch", {}), source, tmp_path / "a", digests)
    monkeypatch.setattr(method, "run", original)
    tuned = built(
        plan_jobs([Step("finetune", {"task": "topic"}), Step("trim")], "torch", {}), source, tmp_path / "b", digests
    )

    assert adapted.artifact.manifest.task == "mask"
    assert [item.artifact.manifest.task for item in tuned] == ["topic", "topic"]


@pytest.mark.parametrize(
    ("named", "task"),
    [
        ({"architectures": ["XLMRobertaForMaskedLM"]}, "mask"),
        ({"architectures": ["BertForSequenceClassification"]}, "sentiment"),
        ({"architectures": ["XLMRobertaForTokenClassification"]}, "ner"),
        ({"architectures": ["XLMRobertaModel"]}, "ner"),
        ({"architectures": []}, "ner"),
        ({"architectures": None}, "ner"),
        ({}, "ner"),
        ([], "ner"),
    ],
)
def test_the_task_of_a_users_model_is_that_of_its_head(source: Artifact, digests: Digests, named: Any, task: str):
    """
    The first where several tasks have that head; ner where it has none, for a stage to give it one.
    """
    (source.path / "config.json").write_text(json.dumps(named), "utf-8")

    assert open_source(source.path, menu.stage("trim"), digests).manifest.task == task


def test_a_corpus_and_a_broken_config_have_the_default_task(source: Artifact, data: Path, digests: Digests):
    """
    A corpus has no head, and what is broken is told by the stage that reads it.
    """
    (source.path / "config.json").write_text('{"architectures": ', "utf-8")

    assert open_source(source.path, menu.stage("trim"), digests).manifest.task == "ner"
    assert open_source(data, menu.stage("scratch"), digests).manifest.task == "ner"


def test_a_source_must_be_what_the_stage_takes(source: Artifact, tmp_path: Path, digests: Digests, method: Any):
    """
    A model folder is not a graph, and a graph is not a model folder, whoever made them.
    """
    exported = make_artifact(
        plan_jobs([Step("export-onnx")], "torch", {})[0], source, tmp_path / "o", digests, lambda event: None
    )

    assert open_source(source.path, menu.stage("trim"), digests).kind == "torch"
    assert open_source(exported.artifact.path, menu.stage("optimize"), digests).kind == "onnx"
    with pytest.raises(ArtifactError, match="not an EdgeAfri artifact of kind onnx") as error:
        open_source(source.path, menu.stage("optimize"), digests)
    assert error.value.hint == "Give a folder made by: export-onnx, optimize, quantize."
    with pytest.raises(ArtifactError, match="onnx"):
        open_source(exported.artifact.path, menu.stage("trim"), digests)
