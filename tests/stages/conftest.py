"""What the tests of stages share: the tiny models as artifacts, what each step makes of them, and a kill half-way."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from edgeafri import menu
from edgeafri.artifact import Artifact, adopt
from edgeafri.util.files import Digests
from edgeafri.util.progress import silent

LANGUAGES = ("swa", "hau")
LINES = {
    "swa": (30, "Rais Amina Juma alizuru Mombasa Jumatatu ya {} .", "Watoto {} walicheza mpira karibu na mto ."),
    "hau": (10, "Gwamna Bala Ɗanjuma ya je Kano ranar Litinin {} .", "Yara {} sun yi wasa kusa da kogi ."),
}


class Killed(Exception):  # not an error, a kill
    """What ends a run in the middle."""


def artifact_of(folder: Path, kind: str, task: str = "ner") -> Artifact:
    """A folder as the source of a stage."""
    return adopt(folder, kind, task, LANGUAGES, Digests(folder.parent / "digests.json"))


@pytest.fixture(scope="session")
def as_artifact():
    """A function: folder and kind to the source of a stage."""
    return artifact_of


@pytest.fixture(scope="session")
def teacher(teacher_folder) -> Artifact:
    """The tiny teacher."""
    return artifact_of(teacher_folder, "torch")


@pytest.fixture(scope="session")
def encoder(encoder_folder) -> Artifact:
    """The tiny encoder, without a head."""
    return artifact_of(encoder_folder, "torch")


@pytest.fixture(scope="session")
def masked(encoder_folder, tmp_path_factory) -> Artifact:
    """The encoder with a masked-LM head, its matrices scaled up so that answers and attention differ clearly."""
    from edgeafri.stages.models import checkpoint

    model = checkpoint.with_head(encoder_folder, "ForMaskedLM", None, seed=0)
    for weight in model.parameters():
        weight.data.mul_(8 if weight.ndim == 2 else 1)
    folder = tmp_path_factory.mktemp("masked")
    checkpoint.write_model(model, checkpoint.read_tokenizer(encoder_folder), folder)
    return artifact_of(folder, "torch")


@pytest.fixture
def without_mask(tmp_path):
    """A function: a source to a copy whose tokenizer names no mask token."""

    def copied(source: Artifact) -> Artifact:
        folder = shutil.copytree(source.path, tmp_path / "unmasked")
        for name in ("tokenizer_config.json", "special_tokens_map.json"):
            values = json.loads((folder / name).read_text("utf-8"))
            (folder / name).write_text(json.dumps({**values, "mask_token": None}), "utf-8")
        return artifact_of(folder, "torch")

    return copied


@pytest.fixture(scope="session")
def text(tmp_path_factory) -> Path:
    """Raw text in two languages: two sentences again and again with other numbers; 30 lines and 10."""
    root = tmp_path_factory.mktemp("text")
    for language, (count, *sentences) in LINES.items():
        lines = [sentences[number % 2].format(number) for number in range(count)]
        (root / f"{language}.txt").write_text("\n".join(lines), "utf-8")
    return root


@pytest.fixture
def killed_and_resumed(tmp_path):
    """A function: what differs between a run in one go and one that was killed after a step, and where that went on."""
    import torch
    from safetensors.torch import load_file

    def compare(run, source: Artifact, settings, step: tuple[int, int]) -> tuple[list[str], tuple[int, int]]:
        whole, killed = tmp_path / "whole", tmp_path / "killed"
        whole.mkdir()
        killed.mkdir()
        facts = run(source, settings, whole, silent).to_json()
        with pytest.raises(Killed):
            run(source, settings, killed, _killer(step))
        torch.manual_seed(99)  # another process would not go on from this one's random numbers
        ticks: list[tuple[int, int]] = []
        again = run(source, settings, killed, lambda *progress: ticks.append(progress)).to_json()
        one, other = (load_file(folder / "model.safetensors") for folder in (whole, killed))
        differing = [name for name in one if not one[name].equal(other[name])]
        return differing + [name for name in facts if facts[name] != again[name]], ticks[0]

    return compare


@pytest.fixture(scope="session")
def classifier(classifier_folder) -> Artifact:
    """The tiny classifier of whole texts."""
    return artifact_of(classifier_folder, "torch", "sentiment")


@pytest.fixture(scope="session")
def exported(teacher, tmp_path_factory) -> Artifact:
    """The teacher as a graph."""
    return made("export-onnx", teacher, tmp_path_factory)


@pytest.fixture(scope="session")
def optimized(exported, tmp_path_factory) -> Artifact:
    """The graph, folded."""
    return made("optimize", exported, tmp_path_factory)


@pytest.fixture(scope="session")
def fused(exported, tmp_path_factory) -> Artifact:
    """The graph with onnxruntime's attention nodes."""
    return made("optimize", exported, tmp_path_factory, fuse=("attention", "layernorm", "gelu"))


@pytest.fixture(scope="session")
def quantized(optimized, tmp_path_factory) -> Artifact:
    """The folded graph in int8."""
    return made("quantize", optimized, tmp_path_factory)


@pytest.fixture(scope="session")
def split(optimized, tmp_path_factory):
    """The folded graph in int8; of the first layer, 2 neurons and channel 3 of what attention reads in float32.

    So four narrow products stand beside others: queries, keys, values and the second of the feed-forward layer.
    """
    import onnx

    from edgeafri.stages.graphs.float_channels import split_channels
    from edgeafri.stages.quantization.dynamic import quantize_as_it_comes
    from edgeafri.stages.quantization.embedding_tables import quantize_tables

    graph = onnx.load(optimized.path / "model.onnx")
    reads = {node.name: node.input[0] for node in graph.graph.node if "layer.0" in node.name}
    attention = next(read for name, read in reads.items() if name.endswith("query/MatMul"))
    neurons = next(read for name, read in reads.items() if name.endswith("layer.0/output/dense/MatMul"))
    quantize_tables(graph, bits=8, block=128)
    in_float = split_channels(graph, {attention: (3,), neurons: (1, 30)})
    return quantize_as_it_comes(graph, tmp_path_factory.mktemp("split") / "model.onnx", in_float)


@pytest.fixture(scope="session")
def forms(optimized, text, tmp_path_factory):
    """A function: settings of quantize to the graph that they make of the folded one, in both languages."""
    import onnx

    def graph(**settings: Any):
        made_of_it = made("quantize", optimized, tmp_path_factory, languages=LANGUAGES, text=text, **settings)
        return onnx.load(made_of_it.path / "model.onnx")

    return graph


@pytest.fixture(scope="session")
def classifier_graphs(classifier, tmp_path_factory) -> dict[str, Artifact]:
    """The classifier exported, folded, and in int8, by the name of the stage."""
    made_by, source = {}, classifier
    for stage in ("export-onnx", "optimize", "quantize"):
        source = made_by[stage] = made(stage, source, tmp_path_factory)
    return made_by


def _killer(step: tuple[int, int]):
    """A progress that ends the run at a step of a total."""

    def progress(done: int, total: int) -> None:
        if (done, total) == step:
            raise Killed

    return progress


def made(stage: str, source: Artifact, folders: pytest.TempPathFactory, **settings: Any) -> Artifact:
    """What a stage makes of a source, in a folder of its own."""
    folder = folders.mktemp(stage)
    menu.load_stage(stage).run(source, menu.stage(stage).settings(**settings), folder, silent)
    return artifact_of(folder, "onnx", source.manifest.task)


@pytest.fixture(scope="session")
def batch():
    """Ids and mask of three inputs of unlike length, padded."""
    from edgeafri.inference.predict import padded

    return padded([(0, 5, 9, 17, 22, 31, 40, 2), (0, 12, 2), (0, 7, 7, 48, 33, 2)], pad=1)


@pytest.fixture(scope="session")
def logits_of(batch):
    """A function: an onnx artifact to its logits at the batch's real positions."""
    from edgeafri.inference.session import forward, open_session

    def logits(artifact: Artifact):
        ids, mask = batch
        return forward(open_session(artifact.path / "model.onnx", threads=1))(ids, mask)[mask.astype(bool)]

    return logits
