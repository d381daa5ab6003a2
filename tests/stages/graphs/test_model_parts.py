"""groups: every weight of a graph counts for the module that reads it, whatever form it has."""

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeafri.menu.settings import BundleSettings, QuantizeSettings
from edgeafri.stages import bundle, quantize
from edgeafri.stages.graphs import external_weights
from edgeafri.stages.graphs.model_parts import group_bytes
from edgeafri.util.progress import silent

_HIDDEN, _FFN, _LAYERS, _PLACES = 16, 32, 2, 66


def groups_of(artifact):
    return group_bytes(onnx.load(artifact.path / "model.onnx"))


def close(found, expected):
    """Equal but for what the names of some tensors take in the file."""
    return found == pytest.approx(expected, rel=0.01, abs=2200)


def rows(artifact):
    return json.loads((artifact.path / "config.json").read_text("utf-8"))["vocab_size"] + _PLACES


def test_a_float_graph_is_counted_by_hand(optimized):
    """
    Four bytes a weight: tables, four matrices of attention a layer, two of the feed-forward layer, biases and norms.
    """
    found = groups_of(optimized)
    attention = _LAYERS * (4 * _HIDDEN * _HIDDEN + 4 * _HIDDEN + 2 * _HIDDEN)
    ffn = _LAYERS * (2 * _HIDDEN * _FFN + _FFN + _HIDDEN + 2 * _HIDDEN)

    assert close(found["embeddings"], 4 * (rows(optimized) * _HIDDEN + 2 * _HIDDEN))
    assert close(found["attention"], 4 * attention)
    assert close(found["ffn"], 4 * ffn)


def test_codes_and_scales_belong_to_their_layer(optimized, quantized):
    """
    In int8 every group shrinks, and none loses its weights to another.
    """
    before, after = groups_of(optimized), groups_of(quantized)

    assert close(after["embeddings"], rows(optimized) * (_HIDDEN + 4))
    assert all(0.25 * before[name] < after[name] < 0.75 * before[name] for name in before)


@pytest.mark.parametrize(
    "settings",
    [
        QuantizeSettings(embeddings="int4", block=32),
        QuantizeSettings(form="weights", embeddings="int4", block=32),
        QuantizeSettings(form="weights", weights="int8", block=32),
        QuantizeSettings(embeddings="float32"),
    ],
)
def test_weights_in_blocks_are_found(optimized, settings, tmp_path):
    """
    Two codes a byte, with a scale a block, in tables and in products; a float table stays one.
    """
    quantize.run(optimized, settings, tmp_path, silent)
    before, after = groups_of(optimized), group_bytes(onnx.load(tmp_path / "model.onnx"))

    assert close(after["embeddings"], before["embeddings"]) is (settings.embeddings == "float32")
    assert all(0 < after[name] < before[name] for name in ("attention", "ffn"))


def test_channels_in_float32_belong_to_their_layer(quantized, split):
    """
    Three narrow matrices of attention, two of the feed-forward layer, and no weights that no group has.
    """
    before, after = groups_of(quantized), group_bytes(split)

    # A part's name is longer, its scale and zero point stay: some 100 bytes a tensor beside 4 x 48 and 3 x 64.
    assert 4 * 48 <= after["attention"] - before["attention"] < 4 * 48 + 600
    assert 3 * 64 <= after["ffn"] - before["ffn"] < 3 * 64 + 900


def test_fused_attention_is_attention(fused, optimized):
    """
    It has lost its modules' names, and is one matrix in place of three.
    """
    found, apart = groups_of(fused), groups_of(optimized)

    assert close(found["attention"], apart["attention"])
    assert close(found["ffn"], apart["ffn"])
    assert found["embeddings"] == apart["embeddings"]


@pytest.mark.parametrize("external", ["yes", "no"])
def test_the_groups_of_a_bundle_are_its_files(quantized, tmp_path, external, monkeypatch):
    """
    With the head and the graph's own description they are the graph's files, to the byte; the tokenizer is its file.
    """
    monkeypatch.setattr(bundle, "golden", lambda code: ())
    monkeypatch.setattr(external_weights, "_PAGE", 64)
    found = bundle.run(quantized, BundleSettings(("swa", "hau"), external=external), tmp_path, silent).group_bytes
    sizes = {file.name: file.stat().st_size for file in tmp_path.iterdir()}

    assert list(found) == ["embeddings", "attention", "ffn", "other", "tokenizer"]
    assert found["tokenizer"] == sizes["tokenizer.json"]
    assert sum(found.values()) == sum(sizes[name] for name in sizes if name.startswith(("model.onnx", "tokenizer")))
    assert min(found.values()) > 0


def graph_of(*nodes, kept):
    """A graph of nodes (kind, inputs, output, name) and weights by name."""
    made = [helper.make_node(kind, inputs, [output], name=name) for kind, inputs, output, name in nodes]
    values = [numpy_helper.from_array(np.zeros(size, np.float32), name) for name, size in kept.items()]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("x", "y")]
    return helper.make_model(helper.make_graph(made, "g", ends[:1], ends[1:], values))


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("/distilbert/transformer/layer.0/attention/q_lin/MatMul", "attention"),
        ("/distilbert/transformer/layer.0/sa_layer_norm/Mul", "attention"),
        ("/distilbert/transformer/layer.0/ffn/lin1/MatMul", "ffn"),
        ("/deberta/encoder/rel_embeddings/Gather", "embeddings"),
        ("/deberta/encoder/layer.3/output/dense/MatMul", "ffn"),
        ("/albert/encoder/albert_layer_groups.0/albert_layers.0/attention/query/MatMul", "attention"),
        ("/roberta/embeddings/word_embeddings/up/MatMul", "embeddings"),
        ("/classifier/MatMul", None),
        ("", None),
    ],
)
def test_modules_are_known_by_their_names(name, group):
    """
    As the families call them; a head belongs to no group.
    """
    found = group_bytes(graph_of(("MatMul", ["x", "w"], "y", name), kept={"w": 100}))

    assert {key for key, size in found.items() if size} == ({group} if group else set())


def test_a_weight_is_followed_through_its_scales():
    """
    Static quantization puts a node between a weight and its layer; its name says nothing.
    """
    nodes = (
        ("DequantizeLinear", ["w", "s"], "d", "onnx::MatMul_7_DequantizeLinear"),
        ("MatMul", ["x", "d"], "y", "/bert/encoder/layer.1/intermediate/dense/MatMul"),
    )
    found = group_bytes(graph_of(*nodes, kept={"w": 100, "s": 1}))

    assert found["ffn"] > 404
    assert found["attention"] == found["embeddings"] == 0


def test_a_weight_of_two_readers_counts_once():
    """
    Equal weights are stored once; the first reader has it.
    """
    nodes = (
        ("MatMul", ["x", "w"], "h", "/bert/encoder/layer.0/attention/self/query/MatMul"),
        ("MatMul", ["h", "w"], "y", "/bert/encoder/layer.0/output/dense/MatMul"),
    )
    found = group_bytes(graph_of(*nodes, kept={"w": 100}))

    assert found["attention"] > 400
    assert found["ffn"] == 0


def test_a_weight_may_say_itself_where_it_belongs():
    """
    Fused nodes are numbered, but the norms keep their modules' names.
    """
    node = ("SkipLayerNormalization", ["x", "bert.encoder.layer.0.output.LayerNorm.weight"], "y", "SkipLayerNorm_3")
    found = group_bytes(graph_of(node, kept={"bert.encoder.layer.0.output.LayerNorm.weight": 16}))

    assert found["ffn"] > 64
