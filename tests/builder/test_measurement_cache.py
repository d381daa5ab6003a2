"""The cache of measurements: each is made once for its artifact, data, code and machine, and again when asked."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from edgeafri.artifact import Artifact, ArtifactKind, Manifest
from edgeafri.builder import measurement_cache
from edgeafri.builder.events import Event, Noted, Progressed, Started
from edgeafri.builder.measurement_cache import RUNTIME_CODE, MeasurementCache, Question, Sentences
from edgeafri.data import dataset
from edgeafri.data.dataset import Dataset
from edgeafri.documents.base import Document
from edgeafri.documents.quality import QualityComparison, Worst
from edgeafri.documents.runtime_requests import BenchRequest
from edgeafri.errors import DataError
from edgeafri.inference import comparison
from edgeafri.menu.facts import Facts, Figures
from edgeafri.menu.facts.conversion import Factorised, TrimFacts
from edgeafri.menu.facts.training import DistillFacts, Validation
from edgeafri.runners.local import RUNTIME, TORCH
from edgeafri.util.files import Digests
from edgeafri.util.progress import Progress

BENCH = BenchRequest(bundle=Path("/a"), threads=2, seq_len=8, runs=3, warmup=1)


@dataclass(frozen=True)
class Made(Document):
    """What the tests measure: how often it was measured."""

    made: int


class Counter:
    """A measurement that says how often it was made."""

    def __init__(self) -> None:
        self.made = 0

    def __call__(self, progress: Progress) -> Made:
        self.made += 1
        progress(1, 2)
        return Made(self.made)


@pytest.fixture
def digests(tmp_path: Path) -> Digests:
    return Digests(tmp_path / "digests.json")


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """
    One language; a sentence that stands in train and test, and a tag to repair in dev.
    """
    folder = tmp_path / "corpus" / "swa"
    folder.mkdir(parents=True)
    (folder / "train.txt").write_text("Rais O\nJuma B-PER\n", "utf-8")
    (folder / "dev.txt").write_text("Juma I-PER\n", "utf-8")
    (folder / "test.txt").write_text("Rais O\nJuma B-PER\n\nKisumu B-LOC\n", "utf-8")
    return folder.parent


def artifact(name: str = "one", kind: ArtifactKind = "bundle") -> Artifact:
    return Artifact(Path("/nowhere") / name, Manifest(kind, "ner", ("swa",), name, {}, None, {}, {}))


def opened(
    tmp_path: Path, digests: Digests, events: list[Event] | None = None, fresh: bool = False
) -> MeasurementCache:
    return MeasurementCache(tmp_path / "work", digests, ([] if events is None else events).append, fresh)


def asking(name: str = "one", request: BenchRequest = BENCH, files: tuple[Path, ...] = ()) -> Question:
    return Question("bench bundle", artifact(name), RUNTIME_CODE, request, files)


def words(root: Path) -> Dataset:
    """The labelled words of one language below a folder."""
    return Dataset(root, ("swa",))


def test_a_measurement_is_made_once(tmp_path: Path, digests: Digests):
    """
    A second build reads it from its file and says so; the first tells start, progress and end.
    """
    count, events = Counter(), []
    results = [opened(tmp_path, digests, events).measure(asking(), Made, count) for _ in range(2)]

    assert results == [Made(1), Made(1)]
    assert events[:2] == [Started("bench bundle"), Progressed("bench bundle", 1, 2)]
    assert [(event.stage, event.reused) for event in events[2:] if isinstance(event, Noted)] == [
        ("bench bundle", False),
        ("bench bundle", True),
    ]


def test_fresh_measures_again_and_keeps_the_new_result(tmp_path: Path, digests: Digests):
    """
    After `--fresh`, the next build without it reads the newer number.
    """
    count = Counter()
    made = [
        opened(tmp_path, digests, fresh=fresh).measure(asking(), Made, count).made for fresh in (False, True, False)
    ]

    assert made == [1, 2, 2]


def test_a_measurement_belongs_to_its_artifact_request_machine_and_code(
    tmp_path: Path, digests: Digests, monkeypatch: pytest.MonkeyPatch
):
    """
    Another model, other threads, another machine or other code measuring: each measures again.
    """
    count, book = Counter(), opened(tmp_path, digests)
    book.measure(asking(), Made, count)
    book.measure(asking("two"), Made, count)
    book.measure(asking(request=replace(BENCH, threads=4)), Made, count)
    monkeypatch.setattr(measurement_cache, "machine_id", lambda: "another machine")
    book.measure(asking(), Made, count)
    monkeypatch.setattr(measurement_cache, "code_digest", lambda digests, *modules: "other code")
    book.measure(asking(), Made, count)

    assert count.made == 5


def test_a_measurement_on_file_that_does_not_fit_is_made_again(tmp_path: Path, digests: Digests):
    """
    A file that was cut off, or changed by hand, is no result.
    """
    count, book = Counter(), opened(tmp_path, digests)
    book.measure(asking(), Made, count)
    (file,) = (tmp_path / "work" / "measurements").iterdir()
    for text in ("{", "[]", '{"made": "often"}'):
        file.write_text(text, "utf-8")
        book.measure(asking(), Made, count)

    assert count.made == 4


def test_where_model_and_data_lie_does_not_matter(tmp_path: Path, digests: Digests, corpus: Path):
    """
    Paths are not part of the key: a moved folder holds what it held.
    """
    count, book = Counter(), opened(tmp_path, digests)
    files = tuple(words(corpus).files("test"))
    book.measure(asking(files=files), Made, count)
    moved = corpus.rename(tmp_path / "moved")
    files = tuple(words(moved).files("test"))
    book.measure(asking(request=replace(BENCH, bundle=Path("/b")), files=files), Made, count)

    assert count.made == 1


@pytest.mark.parametrize(("split", "made"), [("test", 2), ("train", 1)])
def test_data_counts_by_the_content_of_the_split(
    split: str, made: int, tmp_path: Path, digests: Digests, corpus: Path, monkeypatch: pytest.MonkeyPatch
):
    """
    A corrected test sentence is evaluated again; a corrected training sentence changes no result on test.
    """
    requests = asked(monkeypatch)
    opened(tmp_path, digests).evaluate(artifact(), words(corpus), "ner")
    with (corpus / "swa" / f"{split}.txt").open("a", encoding="utf-8") as file:
        file.write("\nMombasa B-LOC\n")
    opened(tmp_path, digests).evaluate(artifact(), words(corpus), "ner")

    assert len(requests) == made


def test_a_measurement_that_fails_is_not_kept(tmp_path: Path, digests: Digests):
    """
    What broke off is measured again by the next build.
    """

    def fail(progress: Progress) -> Made:
        raise DataError("no", "no")

    with pytest.raises(DataError):
        opened(tmp_path, digests).measure(asking(), Made, fail)

    assert opened(tmp_path, digests).measure(asking(), Made, Counter()) == Made(1)


def test_quality_compares_teacher_and_bundle_language_by_language(
    tmp_path: Path, digests: Digests, corpus: Path, monkeypatch: pytest.MonkeyPatch
):
    """
    Both are asked for the same split, the worst language is named, the average counts languages alike.
    """
    right, wrong = [[1, 1, 1]] * 4, [[0, 1, 1]] * 4
    lost = {RUNTIME: {"swa": (100.0, right), "hau": (0.0, wrong)}}

    def call_worker(module: str, request: Mapping[str, Any], *_: Any) -> dict[str, Any]:
        found = lost.get(module, dict.fromkeys(("swa", "hau"), (100.0, right)))
        others = dict.fromkeys(("precision", "recall", "loss", "seconds"), 0.0) | {"sentences": 4, "words": 4}
        return {"quality": {code: {**others, "f1": f1, "counts": counts} for code, (f1, counts) in found.items()}}

    (corpus / "swa").rename(corpus / "hau")
    (corpus / "swa").mkdir()
    (corpus / "swa" / "test.txt").write_bytes((corpus / "hau" / "test.txt").read_bytes())
    monkeypatch.setattr(measurement_cache, "call_worker", call_worker)
    found = opened(tmp_path, digests).quality(
        artifact("teacher", "torch"), artifact(), Dataset(corpus, ("swa", "hau")), "ner"
    )

    assert found is not None
    assert (found.metric, found.split) == ("entity F1", "test")
    assert found.teacher == {"swa": 100.0, "hau": 100.0, "avg": 100.0}
    assert found.bundle == {"swa": 100.0, "hau": 0.0, "avg": 50.0}
    assert {code: lost.value for code, lost in found.drop.items()} == {"swa": 0, "hau": 100, "avg": 50}
    assert found.worst == Worst("hau", 100)


@pytest.mark.parametrize(
    ("kind", "asked", "said"),
    [
        ("bundle", RUNTIME, "evaluate bundle"),
        ("torch", TORCH, "evaluate teacher"),
        ("torch-int8", TORCH, "evaluate torch-int8"),
        ("torchscript", TORCH, "evaluate torchscript"),
    ],
)
def test_a_model_is_asked_where_it_runs(kind, asked, said, tmp_path, digests, corpus, monkeypatch):
    """
    A bundle in the runtime, as on a device; torch's own int8 in torch, for nothing else reads it.
    """
    modules, events = [], []
    monkeypatch.setattr(measurement_cache, "call_worker", lambda module, *_: modules.append(module) or {"quality": {}})
    opened(tmp_path, digests, events).evaluate(artifact(kind=kind), words(corpus), "ner")

    assert modules == [asked]
    assert events[-1].stage == said


def test_without_data_there_is_no_quality(tmp_path: Path, digests: Digests):
    """
    Nothing is guessed.
    """
    assert opened(tmp_path, digests).quality(artifact("teacher"), artifact(), None, "ner") is None


def test_what_is_odd_about_the_data_is_counted(tmp_path: Path, digests: Digests, corpus: Path):
    """
    Repairs and leaked sentences are said, never silent; a second look reads them from the file.
    """
    labels = ("O", "B-PER", "I-PER", "B-LOC")
    book = opened(tmp_path, digests)
    found = book.data_issues(words(corpus), labels)
    (kept,) = (tmp_path / "work" / "measurements").iterdir()

    assert found.notes == ("swa dev: 1 repaired tags", "swa: 1 test sentences also stand in train")
    assert found.leaked == {"swa": 1}
    assert book.data_issues(words(corpus), labels) == found
    kept.write_text('{"notes": ["from the file"], "leaked": {}}', "utf-8")
    assert book.data_issues(words(corpus), labels).notes == ("from the file",)
    kept.write_text("{", "utf-8")
    assert book.data_issues(words(corpus), labels) == found


def test_a_test_split_with_a_tag_that_training_never_saw_is_an_error_before_any_work(
    tmp_path: Path, digests: Digests, corpus: Path
):
    """
    A model that is still to be trained will know the tags of train and dev, and no others.
    """
    file = corpus / "swa" / "test.txt"
    file.write_text(file.read_text("utf-8") + "\nKitu B-FOO\n", "utf-8")

    with pytest.raises(DataError, match="B-FOO"):
        opened(tmp_path, digests).data_issues(words(corpus), None)


def test_texts_that_contradict_train_are_counted(tmp_path: Path, digests: Digests):
    """
    AfriSenti has test texts that stand in train with another label: no model can be right about both.
    """
    folder = tmp_path / "corpus" / "kin"
    folder.mkdir(parents=True)
    for split, label in {"train": "positive", "dev": "positive", "test": "negative"}.items():
        (folder / f"{split}.tsv").write_text(f"tweet\tlabel\nUmwanya mwiza !\t{label}\n", "utf-8")
    labels = ("negative", "positive")
    found = opened(tmp_path, digests).data_issues(Dataset(folder.parent, ("kin",), "text"), labels)

    assert found.notes == (
        "kin: 1 test texts also stand in train",
        "kin: 1 test texts stand in train labelled otherwise",
    )


def test_labels_that_the_teacher_lacks_are_an_error_before_any_work(tmp_path: Path, digests: Digests, corpus: Path):
    """
    A teacher without LOC would be scored as if it had missed every place. Nothing is kept of the failed look.
    """
    with pytest.raises(DataError, match="the model does not know the tag B-LOC"):
        opened(tmp_path, digests).data_issues(words(corpus), ("O", "B-PER", "I-PER"))

    assert not (tmp_path / "work").exists()


LAYER = {"layer": "a", "tensor": "b", "local_error": 0.1, "largest": 0.1, "mean": 0.1, "flips": 0, "flips_percent": 0.0}
LAYER |= {"lost": {}, "worst": None}


def asked(monkeypatch: pytest.MonkeyPatch) -> list[Mapping[str, Any]]:
    """The requests that workers get from now on, each answered by how many there were."""
    requests: list[Mapping[str, Any]] = []

    def answer(module: str, request: Document, *_: Any) -> dict[str, Any]:
        requests.append({"module": module, **request.to_json()})
        layers = {**LAYER, "words": len(requests)}
        return {"layers": [layers], "on": "dev", "sentences": {}, "rows": [], "int8_arithmetic": "exact", "quality": {}}

    monkeypatch.setattr(measurement_cache, "call_worker", answer)
    return requests


def made(facts: Facts, stage: str) -> Artifact:
    """An artifact of a stage with these facts."""
    manifest = Manifest("torch", "ner", ("swa",), stage, {}, None, {}, {}, facts.to_json())
    return Artifact(Path("/nowhere") / stage, manifest)


def trimmed(factorised: Factorised | None) -> TrimFacts:
    sizes = {"vocabulary_before": 9, "vocabulary": 3, "parameters_before": 9, "parameters": 3}
    return TrimFacts(keep="corpus", **sizes, languages={}, factorised=factorised)


def taught() -> DistillFacts:
    shape = {"layers": 1, "hidden": 8, "heads": 2, "ffn": 16, "parameters_before": 9, "parameters": 3}
    reached = Validation(dev_f1={"swa": 70.0}, dev_f1_average=70.0, best_epoch=1, epochs=())
    return DistillFacts(
        mode="task", inputs=9, teacher_answers_bytes=0, precision="float32", validation=reached, **shape
    )


def test_a_chain_is_compared_once_on_labelled_data_before_raw_text(
    tmp_path: Path, digests: Digests, corpus: Path, monkeypatch: pytest.MonkeyPatch
):
    """
    Every step with what is expected of it: what learns is another model, and so is a factorised table.
    """
    requests = asked(monkeypatch)
    small = made(trimmed(Factorised(rank=64, squares_kept=0.9)), "trim")
    chain = [made(Figures({}), "adopt"), made(taught(), "distill"), small, made(trimmed(None), "trim")]
    for _ in range(2):
        opened(tmp_path, digests).parity(chain, "ner", Sentences(("swa",), words(corpus), tmp_path))
    (request,) = requests

    assert (request["do"], request["data"], request["split"]) == ("parity", str(corpus), "dev")
    assert request["folders"] == [str(item.path) for item in chain]
    assert [(step["stage"], step["another_model"]) for step in request["steps"]] == [
        ("teacher", False),
        ("distill", True),
        ("trim", True),
        ("trim", False),
    ]


def test_a_chain_is_compared_again_when_its_raw_text_has_changed(
    tmp_path: Path, digests: Digests, monkeypatch: pytest.MonkeyPatch
):
    """
    The file counts by what it holds; without any text nothing is compared.
    """
    requests, texts = asked(monkeypatch), tmp_path / "texts"
    texts.mkdir()
    for line in ("Rais", "Rais", "Juma"):
        (texts / "swa.txt").write_text(line, "utf-8")
        opened(tmp_path, digests).parity([artifact()], "ner", Sentences(("swa",), None, texts))

    assert [request["text"] for request in requests] == [str(texts)] * 2
    assert opened(tmp_path, digests).parity([artifact()], "ner", Sentences(("swa",), None, None)) is None


def test_layers_are_measured_once_for_both_graphs(
    tmp_path: Path, digests: Digests, corpus: Path, monkeypatch: pytest.MonkeyPatch
):
    """
    Another graph before it is another measurement.
    """
    requests = asked(monkeypatch)
    after, sentences = artifact("after", "onnx"), Sentences(("swa",), words(corpus), None)
    for name in ("one", "one", "two"):
        found = opened(tmp_path, digests).layers(artifact(name, "onnx"), after, sentences)

    assert [request["before"] for request in requests] == ["/nowhere/one", "/nowhere/two"]
    assert [item.words for item in found] == [2]


def test_what_computes_a_measurement_is_in_its_key(
    tmp_path: Path, digests: Digests, corpus: Path, monkeypatch: pytest.MonkeyPatch
):
    """
    The worker that answers, or the module of the function that is called here; test_cache_key says what that covers.
    """
    asked(monkeypatch)
    named: list[tuple[str, ...]] = []
    monkeypatch.setattr(measurement_cache, "code_digest", lambda digests, *modules: named.append(modules) or "code")
    monkeypatch.setattr(comparison, "compare", lambda *_: QualityComparison())
    book, sentences = opened(tmp_path, digests), Sentences(("swa",), words(corpus), None)
    book.data_issues(words(corpus), ("O", "B-PER", "I-PER", "B-LOC"))
    book.quality(artifact("teacher", "torch"), artifact(), words(corpus), "ner")
    book.parity([artifact()], "ner", sentences)
    book.layers(artifact("one", "onnx"), artifact("two", "onnx"), sentences)

    torch, runtime = (f"{TORCH}.__main__",), (f"{RUNTIME}.__main__",)
    assert named == [(dataset.__name__,), torch, runtime, (comparison.__name__,), torch, torch]
