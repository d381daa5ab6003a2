"""factorised: a word embedding of lower rank, through save, load and the exporter like any other model."""

import numpy as np
import pytest
import torch

from edgeafri.errors import ConfigError, ModelError
from edgeafri.inference.session import forward, open_session
from edgeafri.menu.settings import ExportOnnxSettings, OptimizeSettings, QuantizeSettings
from edgeafri.stages import export_onnx, optimize, quantize
from edgeafri.stages.models import checkpoint
from edgeafri.stages.models.factorised_embedding import FactorisedEmbedding, factorise
from edgeafri.stages.trim import cut_embeddings
from edgeafri.util.progress import silent

IDS = np.array([[0, 5, 9, 17, 22, 31, 2]])
MASK = np.ones_like(IDS)


@pytest.fixture
def model(teacher_folder):
    return checkpoint.read_model(teacher_folder)


def test_the_table_is_the_best_of_its_rank(model):
    """
    What the truncated singular value decomposition of numpy gives, and the share of the squares that it keeps.
    """
    weight = model.get_input_embeddings().weight.detach().numpy().astype(float)
    left, strengths, right = np.linalg.svd(weight, full_matrices=False)
    kept = factorise(model, 5)
    found = model.get_input_embeddings()(torch.arange(len(weight))).detach().numpy()

    assert np.allclose(found, (left[:, :5] * strengths[:5]) @ right[:5], atol=1e-5)
    assert kept == pytest.approx((strengths[:5] ** 2).sum() / (strengths**2).sum())


def test_nearly_all_ranks_give_nearly_the_same_answers(model):
    """
    Only the four weakest of 16 directions are missing.
    """
    before = checkpoint.forward(model)(IDS, MASK)
    factorise(model, 12)
    off = np.abs(checkpoint.forward(model)(IDS, MASK) - before).max()

    assert 0 < off < np.abs(before).max()


def test_it_is_saved_read_and_exported(model, teacher_folder, as_artifact, tmp_path):
    """
    The same logits from the folder, from the graph, and nearly the same in int8.
    """
    factorise(model, 6)
    expected = checkpoint.forward(model)(IDS, MASK)
    folders = [tmp_path / name for name in ("torch", "onnx", "lean", "int8")]
    for folder in folders:
        folder.mkdir()
    checkpoint.write_model(model, checkpoint.read_tokenizer(teacher_folder), folders[0])
    again = checkpoint.read_model(folders[0])
    export_onnx.run(as_artifact(folders[0], "torch"), ExportOnnxSettings(), folders[1], silent)
    optimize.run(as_artifact(folders[1], "onnx"), OptimizeSettings(), folders[2], silent)
    quantize.run(as_artifact(folders[2], "onnx"), QuantizeSettings(), folders[3], silent)
    graphs = [forward(open_session(folder / "model.onnx", threads=1))(IDS, MASK) for folder in folders[1:]]

    assert isinstance(again.get_input_embeddings(), FactorisedEmbedding)
    assert np.array_equal(checkpoint.forward(again)(IDS, MASK), expected)
    assert np.abs(graphs[0] - expected).max() < 1e-4
    assert np.abs(graphs[1] - expected).max() < 1e-4
    assert np.abs(graphs[2] - expected).max() < 0.1 * np.abs(expected).max()


def test_rows_are_cut_from_a_factorised_table_too(model):
    """
    A second trim takes rows of the small table and leaves the other matrix.
    """
    factorise(model, 6)
    before = checkpoint.forward(model)(IDS, MASK)
    kept = sorted({*IDS[0].tolist(), 1, 3, 40})
    cut_embeddings(model, kept)
    after = checkpoint.forward(model)(np.array([[kept.index(piece) for piece in IDS[0]]]), MASK)

    assert model.get_input_embeddings().weight.shape == (len(kept), 6)
    assert np.array_equal(before, after)


def test_a_rank_that_saves_nothing_is_refused(model):
    """
    The message names the largest that does.
    """
    with pytest.raises(ConfigError) as caught:
        factorise(model, 16)
    most = int(caught.value.hint.removeprefix("Use ").removesuffix(" or less."))
    pieces = model.config.vocab_size

    assert most * (pieces + 16) < pieces * 16 <= (most + 1) * (pieces + 16)
    assert caught.value.message.startswith("trim: rank 16 makes")


def test_a_shared_table_and_a_second_time_are_refused(model, masked):
    """
    A masked-LM head reads the same table; a table of two matrices has none left to make two of.
    """
    with pytest.raises(ModelError, match="a masked-LM head shares the word embedding"):
        factorise(checkpoint.read_model(masked.path), 4)
    factorise(model, 6)
    with pytest.raises(ModelError, match="factorised already"):
        factorise(model, 4)


def test_it_takes_no_masked_lm_head(model, teacher_folder, tmp_path):
    """
    Such a head shares the table's rows, which are as wide as the rank now.
    """
    factorise(model, 5)
    checkpoint.write_model(model, checkpoint.read_tokenizer(teacher_folder), tmp_path)

    with pytest.raises(ModelError) as caught:
        checkpoint.with_head(tmp_path, "ForMaskedLM", None, seed=0)
    assert caught.value.message == f"{tmp_path}: a masked-LM head shares the word embedding, which is factorised here"
    assert caught.value.hint == "Do this with the model before trim --factorise, and factorise last."
