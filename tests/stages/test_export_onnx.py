"""export-onnx: equal logits on a padded batch, versions that every supported onnxruntime reads, free axes."""

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from transformers import BertConfig, BertForTokenClassification

from edgeafri.errors import ModelError
from edgeafri.inference.session import IR_VERSION, forward, open_session
from edgeafri.menu.settings import ExportOnnxSettings
from edgeafri.stages import export_onnx
from edgeafri.stages.models import checkpoint
from edgeafri.util.progress import silent


def test_logits_equal_torchs_on_a_padded_batch(teacher, exported, batch):
    """
    Within 1e-4, the stage's own limit: float32 sums in another order, times a classifier scaled up 200-fold.
    """
    ids, mask = batch
    expected = checkpoint.forward(checkpoint.read_model(teacher.path))(ids, mask)
    found = forward(open_session(exported.path / "model.onnx", threads=1))(ids, mask)

    assert np.abs(expected - found)[mask.astype(bool)].max() < 1e-4


def test_versions_are_pinned(exported):
    """
    Opset and file version are what the settings and the oldest supported onnxruntime say.
    """
    graph = onnx.load(exported.path / "model.onnx")

    assert [(entry.domain, entry.version) for entry in graph.opset_import] == [("", 18)]
    assert graph.ir_version <= IR_VERSION


def test_the_opset_is_a_setting(teacher, tmp_path):
    """
    An older one makes a graph for an older onnxruntime.
    """
    facts = export_onnx.run(teacher, ExportOnnxSettings(opset=15), tmp_path, silent)

    assert onnx.load(tmp_path / "model.onnx").opset_import[0].version == facts.opset == 15


def test_the_facts_name_the_file_version_that_was_written(teacher, tmp_path):
    """
    The pin is the highest version allowed, not the one that is there.
    """
    facts = export_onnx.run(teacher, ExportOnnxSettings(), tmp_path, silent)

    assert facts.ir_version == onnx.load(tmp_path / "model.onnx").ir_version


@pytest.mark.parametrize("shape", [(1, 3), (1, 64), (5, 7)])
def test_batch_and_length_are_free(exported, shape):
    """
    One graph serves every batch and every length up to the model's longest.
    """
    graph = onnx.load(exported.path / "model.onnx").graph
    names = {item.name: [axis.dim_param for axis in item.type.tensor_type.shape.dim] for item in graph.input}
    ids = np.full(shape, 5, dtype=np.int64)

    assert sorted(names) == ["attention_mask", "input_ids"]
    assert all(all(axes) for axes in names.values())
    assert forward(open_session(exported.path / "model.onnx", threads=1))(ids, np.ones_like(ids)).shape == (*shape, 9)


def test_padding_changes_nothing(exported):
    """
    A sentence alone and the same sentence padded have the same logits.
    """
    run = forward(open_session(exported.path / "model.onnx", threads=1))
    alone = run(np.array([[0, 5, 9, 2]]), np.array([[1, 1, 1, 1]]))
    longer = run(np.array([[0, 5, 9, 2, 1, 1]]), np.array([[1, 1, 1, 1, 0, 0]]))

    # The exported mask is a large negative number, not minus infinity; 1e-4 is the stage's own limit.
    assert np.abs(alone - longer[:, :4]).max() < 1e-4


def test_the_graph_is_one_file_beside_its_tokenizer(exported):
    """
    No external data: a graph that is moved alone stays whole.
    """
    names = {file.name for file in exported.path.iterdir()}

    assert {"model.onnx", "config.json", "tokenizer.json", "tokenizer_config.json"} <= names
    assert not [name for name in names if "data" in name or name.endswith(".safetensors")]


def test_logits_that_differ_too_much_are_refused(teacher, tmp_path, monkeypatch):
    """
    The message carries both numbers, the hint the way past it.
    """
    monkeypatch.setattr(export_onnx, "largest_difference", lambda model, graph: 0.25)

    with pytest.raises(ModelError) as caught:
        export_onnx.run(teacher, ExportOnnxSettings(tolerance=1e-3), tmp_path, silent)
    assert caught.value.message == "export-onnx: logits differ from torch by 0.25, allowed are 0.001"
    assert "--set export-onnx.tolerance" in caught.value.hint


def test_logits_that_are_not_numbers_are_refused(teacher, tmp_path, monkeypatch):
    """
    nan is not below any limit.
    """
    monkeypatch.setattr(export_onnx, "largest_difference", lambda model, graph: float("nan"))

    with pytest.raises(ModelError, match="the logits are NaN"):
        export_onnx.run(teacher, ExportOnnxSettings(), tmp_path, silent)


def test_the_difference_is_measured_not_assumed(teacher, exported, tmp_path):
    """
    A graph whose classifier is nudged shows at least the nudge.
    """
    model = checkpoint.read_model(teacher.path)
    model.classifier.bias.data += 0.5

    assert export_onnx.largest_difference(model, exported.path / "model.onnx") == pytest.approx(0.5, abs=1e-3)


def test_a_classifiers_logits_equal_torchs_on_a_padded_batch(classifier, classifier_graphs, batch):
    """
    One row of logits a text, whatever its length; 1e-4 is the stage's own limit.
    """
    ids, mask = batch
    expected = checkpoint.forward(checkpoint.read_model(classifier.path))(ids, mask)
    found = forward(open_session(classifier_graphs["export-onnx"].path / "model.onnx", threads=1))(ids, mask)

    assert found.shape == (3, 3)
    assert np.abs(expected - found).max() < 1e-4


@pytest.mark.parametrize("shape", [(1, 3), (1, 64), (5, 7)])
def test_a_classifiers_batch_and_length_are_free(classifier_graphs, shape):
    """
    The head reads the first position alone, which must not fix the others.
    """
    ids = np.full(shape, 5, dtype=np.int64)
    session = open_session(classifier_graphs["export-onnx"].path / "model.onnx", threads=1)

    assert forward(session)(ids, np.ones_like(ids)).shape == (shape[0], 3)


def test_a_classifiers_difference_is_measured_not_assumed(classifier, classifier_graphs):
    """
    A graph whose last layer is nudged shows at least the nudge.
    """
    model = checkpoint.read_model(classifier.path)
    model.classifier.out_proj.bias.data += 0.5
    graph = classifier_graphs["export-onnx"].path / "model.onnx"

    assert export_onnx.largest_difference(model, graph) == pytest.approx(0.5, abs=1e-3)


@pytest.fixture(scope="module")
def masked_graph(masked, tmp_path_factory, as_artifact):
    """A masked LM as a graph."""
    folder = tmp_path_factory.mktemp("masked")
    source = as_artifact(masked.path, "torch", "mask")
    export_onnx.run(source, ExportOnnxSettings(), folder, silent)
    return folder / "model.onnx"


def test_a_masked_lms_logits_equal_torchs_on_a_padded_batch(masked, masked_graph, batch):
    """
    A logit for every sub-word of the vocabulary at every place; 1e-4 is the stage's own limit.
    """
    ids, mask = batch
    expected = checkpoint.forward(checkpoint.read_model(masked.path))(ids, mask)
    found = forward(open_session(masked_graph, threads=1))(ids, mask)

    assert found.shape == (*ids.shape, checkpoint.read_config(masked.path)["vocab_size"])
    assert np.abs(expected - found)[mask.astype(bool)].max() < 1e-4


def test_a_masked_lms_batch_and_length_are_free(masked_graph):
    """
    As those of the other heads.
    """
    ids = np.full((5, 7), 5)

    assert forward(open_session(masked_graph, threads=1))(ids, np.ones_like(ids)).shape[:2] == (5, 7)


def test_a_shared_embedding_is_in_the_file_once(masked, masked_graph):
    """
    The head turns the table of the words over; written down twice it would be the largest thing in the file.
    """
    rows = checkpoint.read_config(masked.path)["vocab_size"]
    weights = {weight.name: weight for weight in onnx.load(masked_graph).graph.initializer}
    tables = [name for name, weight in weights.items() if len(weight.dims) == 2 and rows in weight.dims]
    learnt = 4 * checkpoint.parameters(checkpoint.read_model(masked.path))

    assert tables == ["roberta.embeddings.word_embeddings.weight"]
    assert sum(numpy_helper.to_array(weight).nbytes for weight in weights.values()) <= learnt


@pytest.mark.parametrize("name", ["teacher", "classifier", "masked"])
def test_equal_input_gives_equal_bytes(name, tmp_path, request, as_artifact):
    """
    The cache key promises it: names do not count on from the export before.
    """
    source = request.getfixturevalue(name)
    source = as_artifact(source.path, "torch", "mask" if name == "masked" else source.manifest.task)
    written = []
    for number in "12":
        (tmp_path / number).mkdir()
        export_onnx.run(source, ExportOnnxSettings(), tmp_path / number, silent)
        written.append((tmp_path / number / "model.onnx").read_bytes())

    assert written[0] == written[1]


def test_a_model_too_large_for_one_file_is_refused(teacher, tmp_path, monkeypatch):
    """
    Before minutes of tracing, with the way to make it smaller.
    """
    monkeypatch.setattr(export_onnx, "LARGEST_BYTES", 1000)

    with pytest.raises(ModelError) as caught:
        export_onnx.run(teacher, ExportOnnxSettings(), tmp_path, silent)
    assert caught.value.message == f"export-onnx: {teacher.path}: 0.0 GB of weights, an ONNX file ends at 2.1"
    assert "edgeafri trim MODEL" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_an_encoder_without_a_head_is_refused(encoder, tmp_path):
    """
    It labels nothing; the exporter would end in an error of its own.
    """
    with pytest.raises(ModelError) as caught:
        export_onnx.run(encoder, ExportOnnxSettings(), tmp_path, silent)
    assert caught.value.message == f"export-onnx: {encoder.path} is an encoder without a head"
    assert caught.value.hint.startswith("Fine-tune it first: edgeafri finetune")


def test_a_graph_of_bert_asks_for_no_segments(teacher, tmp_path, as_artifact):
    """
    Devices give ids and mask; one sentence is all first segment, as torch takes it where nothing is said.
    """
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    model = BertForTokenClassification(BertConfig(vocab_size=60, max_position_embeddings=64, pad_token_id=1, **sizes))
    checkpoint.write_model(model, checkpoint.read_tokenizer(teacher.path), tmp_path / "bert")
    (tmp_path / "out").mkdir()
    facts = export_onnx.run(as_artifact(tmp_path / "bert", "torch"), ExportOnnxSettings(), tmp_path / "out", silent)
    graph = onnx.load(tmp_path / "out" / "model.onnx")

    assert [item.name for item in graph.graph.input] == ["input_ids", "attention_mask"]
    assert facts.max_logit_difference < 1e-4  # the stage's own limit
