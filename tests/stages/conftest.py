"""What the tests of stages share: the tiny teacher as an artifact, and what each step makes of it, made once."""

from pathlib import Path

import pytest

from edgeafri.artifact import Artifact, adopt
from edgeafri.files import Digests
from edgeafri.progress import silent
from edgeafri.stages import menu

LANGUAGES = ("swa", "hau")


def artifact_of(folder: Path, kind: str) -> Artifact:
    """A folder as the source of a stage."""
    return adopt(folder, kind, "ner", LANGUAGES, Digests(folder.parent / "digests.json"))


@pytest.fixture(scope="session")
def as_artifact():
    """A function: folder and kind to the source of a stage."""
    return artifact_of


@pytest.fixture(scope="session")
def teacher(teacher_folder) -> Artifact:
    """The tiny teacher."""
    return artifact_of(teacher_folder, "torch")


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
    return made("optimize", exported, tmp_path_factory, fuse="attention")


@pytest.fixture(scope="session")
def quantized(optimized, tmp_path_factory) -> Artifact:
    """The folded graph in int8."""
    return made("quantize", optimized, tmp_path_factory)


def made(stage: str, source: Artifact, folders: pytest.TempPathFactory, **settings: str) -> Artifact:
    """What a stage makes of a source, in a folder of its own."""
    folder = folders.mktemp(stage)
    menu.load(stage).run(source, menu.stage(stage).settings(**settings), folder, silent)
    return artifact_of(folder, "onnx")


@pytest.fixture(scope="session")
def batch():
    """Ids and mask of three inputs of unlike length, padded."""
    from edgeafri.predict import padded

    return padded([(0, 5, 9, 17, 22, 31, 40, 2), (0, 12, 2), (0, 7, 7, 48, 33, 2)], pad=1)


@pytest.fixture(scope="session")
def logits_of(batch):
    """A function: an onnx artifact to its logits at the batch's real positions."""
    from edgeafri.session import forward, open_session

    def logits(artifact: Artifact):
        ids, mask = batch
        return forward(open_session(artifact.path / "model.onnx", threads=1))(ids, mask)[mask.astype(bool)]

    return logits
