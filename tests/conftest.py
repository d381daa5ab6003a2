"""What tests share: tiny models and data of their own, an empty cache, no network, the lab data where there is any."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgeafri import menu
from edgeafri.artifact import Artifact, adopt
from edgeafri.builder.jobs import plan_jobs
from edgeafri.device.profile import DeviceProfile, read_profile
from edgeafri.emulator.install import Emulator, ready
from edgeafri.menu.facts import Facts, Figures
from edgeafri.util.files import Digests

os.environ["HF_HUB_OFFLINE"] = "1"

TONES = ("negative", "neutral", "positive")
SENTENCES = {
    "swa": ("Rais Amina Juma alizuru Mombasa Jumatatu .", "PER", "O B-PER I-PER O B-LOC B-DATE O"),
    "hau": ("Gwamna Bala Ɗanjuma ya je Kano ranar Litinin .", "PER", "O B-PER I-PER O O B-LOC O B-DATE O"),
}
GOLDEN = {
    "swa": ("Rais Amina Juma alizuru Mombasa Jumatatu.", "Juma alizuru Mombasa", "Rais Juma 12"),
    "hau": ("Gwamna Bala Ɗanjuma ya je Kano.", "Bala ya je Kano ranar Litinin", "Ɗanjuma", "Bala", "Kano 7", "Litinin"),
}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of the test's own, so that nothing is reused from or left to anyone."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("EDGEAFRI_CACHE", str(folder))
    return folder


class Method:
    """A stage that writes what it was given, counts its runs, and raises `broken` if that is set.

    Its forecast names what it would learn from, and raises `hopeless` if that is set.
    """

    def __init__(self) -> None:
        self.runs = 0
        self.broken: BaseException | None = None
        self.hopeless: BaseException | None = None

    def forecast(self, source: Artifact, settings: Any) -> str:
        if self.hopeless is not None:
            raise self.hopeless
        return f"about 2 h from {source.id}"

    def run(self, source: Artifact, settings: Any, out: Path, progress: Callable[[int, int], None]) -> Facts:
        self.runs += 1
        (out / "model.safetensors").write_text(f"{source.id} {settings}", "utf-8")
        if self.broken is not None:
            raise self.broken
        progress(1, 1)
        return Figures({"runs": self.runs})


@pytest.fixture
def method(monkeypatch: pytest.MonkeyPatch) -> Method:
    """One fake method behind every line of the menu."""
    fake = Method()
    monkeypatch.setattr(menu, "load_stage", lambda name: fake)
    return fake


@pytest.fixture
def digests(tmp_path: Path) -> Digests:
    return Digests(tmp_path / "digests.json")


@pytest.fixture
def source(tmp_path: Path, digests: Digests) -> Artifact:
    """A torch folder that only the engine looks at: its weights are a word."""
    folder = tmp_path / "teacher"
    folder.mkdir()
    (folder / "config.json").write_text("{}", "utf-8")
    (folder / "model.safetensors").write_bytes(b"weights")
    return adopt(folder, "torch", "ner", ("swa",), digests)


@pytest.fixture
def shots(tmp_path: Path) -> Path:
    """Where screenshots go: the folder that EDGEAFRI_SHOTS names, to be looked at, else one of the test's own."""
    folder = Path(os.environ.get("EDGEAFRI_SHOTS") or tmp_path / "shots").absolute()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def lab() -> Path:
    """The folder with real data and the lab's teacher: EDGEAFRI_LAB, else ../shared. Skips where it is missing."""
    folder = Path(os.environ.get("EDGEAFRI_LAB", Path(__file__).parents[2] / "shared")).resolve()
    if not (folder / "models" / "lab-ner").is_dir():
        pytest.skip(f"no lab data at {folder}; set EDGEAFRI_LAB to a folder with models/lab-ner and data/masakhaner")
    return folder


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Labelled data in two languages: one sentence again and again with other numbers; 12 train, 4 dev, 4 test."""
    root = tmp_path_factory.mktemp("data")
    for language, (sentence, _, tags) in SENTENCES.items():
        (root / language).mkdir()
        for split, numbers in {"train": range(12), "dev": range(20, 24), "test": range(30, 34)}.items():
            blocks = [_block(f"{sentence} {number}", f"{tags} O") for number in numbers]
            (root / language / f"{split}.txt").write_text("\n".join(blocks), "utf-8")
    return root


@pytest.fixture(scope="session")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Texts with a tone in two languages, two words of `data` for each tone; 12 train, 6 dev, 12 test."""
    root = tmp_path_factory.mktemp("texts")
    for language, (sentence, *_) in SENTENCES.items():
        (root / language).mkdir()
        for split, numbers in {"train": range(12), "dev": range(20, 26), "test": range(30, 42)}.items():
            rows = [_row(sentence.split(), number) for number in numbers]
            (root / language / f"{split}.tsv").write_text("\n".join(["tweet\tlabel", *rows, ""]), "utf-8")
    return root


@pytest.fixture(scope="session")
def encoder_folder(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained two-layer XLM-R encoder, 16 wide, with a vocabulary learnt from `data`."""
    from edgeafri.menu.settings import ScratchSettings
    from edgeafri.stages import scratch
    from edgeafri.util.progress import silent

    folder = tmp_path_factory.mktemp("encoder")
    settings = ScratchSettings(("swa", "hau"), vocabulary=200, layers=2, hidden=16, heads=2, ffn=32, positions=64)
    with Digests(folder.parent / "digests.json") as digests:
        scratch.run(adopt(data, "corpus", "ner", ("swa", "hau"), digests), settings, folder, silent)
    return folder


@pytest.fixture(scope="session")
def teacher_folder(encoder_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The encoder with an untrained head of nine labels, its classifier scaled up so that labels differ clearly."""
    import torch

    from edgeafri.stages.models import checkpoint

    labels = ["O", *(f"{place}-{kind}" for kind in ("DATE", "PER", "ORG", "LOC") for place in "BI")]
    names = {"id2label": dict(enumerate(labels)), "label2id": {label: index for index, label in enumerate(labels)}}
    torch.manual_seed(0)
    config = {"num_labels": len(labels), **names}
    model = checkpoint.read_model(encoder_folder, "XLMRobertaForTokenClassification", new_head=True, config=config)
    model.classifier.weight.data.mul_(200)
    folder = tmp_path_factory.mktemp("teacher")
    checkpoint.write_model(model, checkpoint.read_tokenizer(encoder_folder), folder)
    return folder


@pytest.fixture(scope="session")
def classifier_folder(encoder_folder: Path, texts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The encoder with a head for three tones, taught the train split of `texts` by heart."""
    from edgeafri.data.dataset import read_split
    from edgeafri.stages.models import checkpoint

    model = checkpoint.with_head(encoder_folder, "ForSequenceClassification", TONES, seed=0)
    tokenizer = checkpoint.read_tokenizer(encoder_folder)
    sentences = [item for code in SENTENCES for item in read_split(texts, code, "train", "text").sentences]
    _teach(model, checkpoint.encoder(tokenizer, 64, "text"), sentences)
    folder = tmp_path_factory.mktemp("classifier")
    checkpoint.write_model(model, tokenizer, folder)
    return folder


@pytest.fixture(scope="session")
def bundle(teacher_folder, data, tmp_path_factory) -> Path:
    """A bundle for Swahili and Hausa, in int8, with golden sentences of words that the tiny model knows."""
    return _built("ner", teacher_folder, data, tmp_path_factory.mktemp("work"))


@pytest.fixture(scope="session")
def text_bundle(classifier_folder, texts, tmp_path_factory) -> Path:
    """The same for the tone of whole texts."""
    return _built("sentiment", classifier_folder, texts, tmp_path_factory.mktemp("work"))


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache folder of an emulator that was really installed; skipped with what this machine lacks."""
    from edgeafri.emulator.install import install
    from edgeafri.emulator.tools import check_tools
    from edgeafri.errors import MissingPackage

    if sys.platform != "linux":
        pytest.skip("the emulator is made for Linux")
    try:
        check_tools()
    except MissingPackage as error:
        pytest.skip(f"{error.message}; {error.hint}")
    folder = tmp_path_factory.mktemp("emulator-cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGEAFRI_CACHE", str(folder))
        install()
    return folder


def _built(task: str, teacher: Path, data: Path, work: Path) -> Path:
    from edgeafri.artifact import adopt
    from edgeafri.builder import pipeline
    from edgeafri.builder.recipe import read_recipe
    from edgeafri.stages import bundle as stage
    from edgeafri.util.files import Digests

    given = {"task": task, "languages": ("swa", "hau"), "data": data, "sample": True}
    jobs = plan_jobs(read_recipe("faithful").steps, "torch", given)
    with Digests(work / "digests.json") as digests, pytest.MonkeyPatch.context() as patch:
        patch.setattr(stage, "golden", GOLDEN.get)
        source = adopt(teacher, "torch", task, ("swa", "hau"), digests)
        return pipeline.run_jobs(jobs, source, work, digests, lambda event: None)[-1].artifact.path


def _teach(model: Any, encoder: Any, sentences: list[Any]) -> None:
    import torch

    from edgeafri.inference.predict import padded

    rows = encoder.encode([item.words for item in sentences])
    ids, mask = (torch.from_numpy(values) for values in padded([row.ids for row in rows], encoder.frame.pad))
    labels = torch.tensor([TONES.index(item.tags[0]) for item in sentences])
    for weight in model.parameters():
        weight.data.mul_(8 if weight.ndim == 2 else 1)  # as it is made new, every text looks the same at its start
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(60):
        optimizer.zero_grad()
        model(input_ids=ids, attention_mask=mask, labels=labels).loss.backward()
        optimizer.step()


def _row(words: list[str], number: int) -> str:
    place = number % 3
    return f"{' '.join(words[2 * place : 2 * place + 2])} {number}\t{TONES[place]}"


def _block(words: str, tags: str) -> str:
    return "".join(f"{word} {tag}\n" for word, tag in zip(words.split(), tags.split(), strict=True))


@pytest.fixture
def rpi4() -> DeviceProfile:
    return read_profile("rpi4")


@pytest.fixture
def emulator(installed: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    """That emulator, in use."""
    monkeypatch.setenv("EDGEAFRI_CACHE", str(installed))
    return ready()


@pytest.fixture(scope="session")
def float_bundle(teacher_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle in float32, without golden sentences."""
    from edgeafri.artifact import adopt
    from edgeafri.builder import pipeline
    from edgeafri.builder.recipe import read_recipe
    from edgeafri.util.files import Digests

    work = tmp_path_factory.mktemp("float")
    steps = [step for step in read_recipe("faithful").steps if step.stage in ("export-onnx", "optimize", "bundle")]
    jobs = plan_jobs(steps, "torch", {"task": "ner", "languages": ("swa", "hau"), "sample": True})
    with Digests(work / "digests.json") as digests:
        source = adopt(teacher_folder, "torch", "ner", ("swa", "hau"), digests)
        return pipeline.run_jobs(jobs, source, work, digests, lambda event: None)[-1].artifact.path
