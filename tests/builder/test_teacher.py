"""The teacher: a folder, a hub model or the sample; what it can do is read from its config.json."""

import json
from pathlib import Path
from typing import Any

import pytest

from edgeafri.artifact import Artifact
from edgeafri.builder import teacher
from edgeafri.builder.events import Event, Noted, Started
from edgeafri.builder.teacher import check_head, config_of, find_teacher, head_of, labels_of
from edgeafri.documents.torch_requests import ConvertRequest, DownloadRequest
from edgeafri.errors import HubError, ModelError, UsageError
from edgeafri.util.files import Digests


@pytest.fixture
def digests(tmp_path: Path) -> Digests:
    return Digests(tmp_path / "digests.json")


def folder_of(tmp_path: Path, config: Any) -> Path:
    folder = tmp_path / "model"
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(config if isinstance(config, str) else json.dumps(config), "utf-8")
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


def found(name: str, tmp_path: Path, digests: Digests, offline: bool = True, events: list[Event] | None = None):
    told = [] if events is None else events
    return find_teacher(name, "ner", ("swa",), tmp_path / "work", offline, digests, told.append)


def with_config(tmp_path: Path, digests: Digests, config: Any) -> Artifact:
    return found(str(folder_of(tmp_path, config)), tmp_path, digests)


def test_a_local_folder_is_taken_where_it_is(tmp_path: Path, digests: Digests):
    """
    No process is started, nothing is copied, no work folder is made.
    """
    artifact = with_config(tmp_path, digests, {})

    assert (artifact.path, artifact.kind, artifact.manifest.task) == (tmp_path / "model", "torch", "ner")
    assert artifact.manifest.languages == ("swa",)
    assert not (tmp_path / "work").exists()


def test_a_folder_may_be_written_with_a_tilde(tmp_path: Path, digests: Digests, monkeypatch: pytest.MonkeyPatch):
    """
    A quoted ~ is not expanded by the shell.
    """
    folder_of(tmp_path, {})
    monkeypatch.setenv("HOME", str(tmp_path))

    assert found("~/model", tmp_path, digests).path == tmp_path / "model"


@pytest.mark.parametrize("name", ["/no/such/model", "./model-x", "../model-x", "a/b/c"])
def test_a_path_that_is_not_there_is_never_looked_up_on_the_hub(name: str, tmp_path: Path, digests: Digests):
    """
    What can only be a path is told as a missing folder.
    """
    with pytest.raises(ModelError, match="no such model folder") as error:
        found(name, tmp_path, digests)

    assert error.value.message.startswith(f"{name}: ")
    assert error.value.hint == "Give a folder, a hub id such as org/name, or 'sample'."


def test_offline_a_hub_model_fails_at_once_with_both_ways_out(tmp_path: Path, digests: Digests):
    """
    `--offline` never asks the hub: go online, or copy the model's folder here.
    """
    events: list[Event] = []
    with pytest.raises(HubError) as error:
        found("no-such-org/no-such-model", tmp_path, digests, events=events)

    assert error.value.message == (
        "no-such-org/no-such-model: no such folder here, and the hub could not be reached (offline)"
    )
    assert error.value.hint.startswith("Go online and run this again, or copy the model's folder here")
    assert events == [Started("download no-such-org/no-such-model")]


def test_without_network_a_hub_model_fails_in_seconds(
    tmp_path: Path, digests: Digests, monkeypatch: pytest.MonkeyPatch
):
    """
    A hub that nobody answers for is told with the same two ways out. Nothing listens on port 9 of this machine.
    """
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    with pytest.raises(HubError, match="the hub could not be reached") as error:
        found("no-such-org/no-such-model", tmp_path, digests, offline=False)

    assert "--teacher DIR" in error.value.hint


def test_a_downloaded_model_in_safetensors_is_used_as_it_is(
    tmp_path: Path, digests: Digests, monkeypatch: pytest.MonkeyPatch
):
    """
    Its revision is said; nothing is converted.
    """
    answer = {"folder": str(folder_of(tmp_path, {})), "revision": "abc", "pickled": False}
    events: list[Event] = []
    monkeypatch.setattr(teacher, "call_worker", lambda module, request, **_: answer)

    assert found("org/name", tmp_path, digests, events=events).path == tmp_path / "model"
    assert events == [Started("download org/name"), Noted("download org/name", "revision abc")]


def test_a_model_published_as_a_pickle_is_converted_once(
    tmp_path: Path, digests: Digests, monkeypatch: pytest.MonkeyPatch
):
    """
    AfriBERTa is published so. The conversion is said, and kept by its revision for the next build.
    """
    asked: list[str] = []

    def ask(module: str, request: DownloadRequest | ConvertRequest, **_: Any) -> dict[str, Any]:
        asked.append(request.do)
        if isinstance(request, DownloadRequest):
            return {"folder": "hub", "revision": "0123456789abcdef", "pickled": True}
        folder_of(tmp_path, {}).rename(request.out)
        return {"tensors": 3, "parameters": 126_000_000}

    events: list[Event] = []
    monkeypatch.setattr(teacher, "call_worker", ask)
    first = found("castorini/afriberta_large", tmp_path, digests, events=events)
    again = found("castorini/afriberta_large", tmp_path, digests)

    assert first.path == again.path == tmp_path / "work" / "converted-castorini--afriberta_large-0123456789ab"
    assert asked == ["download", "convert", "download"]
    assert events[-1] == Noted("convert", "pickled weights to safetensors, 126,000,000 parameters")


@pytest.mark.parametrize(
    ("config", "has_head"),
    [
        ({"architectures": ["XLMRobertaForTokenClassification"]}, True),
        ({"architectures": ["BertForTokenClassification"]}, True),
        ({"architectures": ["XLMRobertaForMaskedLM"]}, False),
        ({"architectures": ["XLMRobertaModel"]}, False),
        ({"architectures": None}, False),
        ({}, False),
    ],
)
def test_a_head_is_known_by_its_architecture(tmp_path: Path, digests: Digests, config: Any, has_head: bool):
    """
    Without a head for the task a build puts finetune first.
    """
    assert head_of(with_config(tmp_path, digests, config), "ner") is has_head


@pytest.mark.parametrize(
    ("architecture", "asked", "named", "hint"),
    [
        ("XLMRobertaForSequenceClassification", "ner", "sentiment or topic", "Use --task sentiment or --task topic."),
        ("XLMRobertaForTokenClassification", "topic", "ner", "Use --task ner."),
    ],
)
def test_a_head_for_another_task_is_refused(
    architecture: str, asked: str, named: str, hint: str, tmp_path: Path, digests: Digests
):
    """
    It would have to be thrown away: the user may have meant another task, and every candidate is named.
    """
    artifact = with_config(tmp_path, digests, {"architectures": [architecture]})

    for look in (lambda: head_of(artifact, asked), lambda: check_head(str(artifact.path), asked)):
        with pytest.raises(UsageError) as error:
            look()
        assert error.value.message == f"{artifact.path}: its head is for {named}, not for {asked}"
        assert error.value.hint == hint


@pytest.mark.parametrize("task", ["sentiment", "topic"])
def test_a_text_head_serves_both_tasks_of_whole_texts(task: str, tmp_path: Path, digests: Digests):
    """
    Which of them it learnt only its user knows.
    """
    artifact = with_config(tmp_path, digests, {"architectures": ["XLMRobertaForSequenceClassification"]})

    assert head_of(artifact, task)


def test_a_teacher_that_is_not_here_has_no_head_to_check_yet(tmp_path: Path):
    """
    A hub model is looked at when it was downloaded, a missing folder is told as one.
    """
    check_head("no-such-org/no-such-model", "topic")
    check_head(str(tmp_path), "topic")


def test_labels_are_in_the_order_of_the_head(tmp_path: Path, digests: Digests):
    """
    JSON has text for keys: "10" comes after "9", not after "1".
    """
    names = {str(index): f"L{index}" for index in (10, 9, 1, 0, 2, 3, 4, 5, 6, 7, 8)}

    assert labels_of(with_config(tmp_path, digests, {"id2label": names})) == tuple(f"L{index}" for index in range(11))


@pytest.mark.parametrize("text", ["{", "", "[1]", "3", "null"])
def test_a_damaged_config_is_named(tmp_path: Path, digests: Digests, text: str):
    """
    The file, the reason and what to do: not a traceback.
    """
    with pytest.raises(ModelError, match=r"model/config\.json: cannot be read \(.+\)") as error:
        config_of(with_config(tmp_path, digests, text))

    assert error.value.hint == "Copy the model again."


def test_the_sample_corpus_is_written_once_and_whole(cache: Path, monkeypatch: pytest.MonkeyPatch):
    """
    It is kept in the cache by its content; what a killed run left is written again.
    """
    from edgeafri.sample import corpus

    (cache / f"sample-{corpus.digest()[:12]}.partial" / "half").mkdir(parents=True)
    folder = teacher.sample_corpus()
    monkeypatch.setattr(corpus, "write_corpus", lambda path: pytest.fail("written twice"))

    assert teacher.sample_corpus() == folder
    assert (folder / "swa" / "train.txt").is_file()
    assert not (folder / "half").exists()
