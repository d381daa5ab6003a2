"""sensitivity: a bad layer is named among all, and mixed precision puts back as few layers as the gate asks for."""

import dataclasses
import shutil

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edgeafri.documents.torch_requests import LayersRequest
from edgeafri.errors import ConfigError, DataError, ModelError
from edgeafri.menu.settings import QuantizeSettings
from edgeafri.stages import quantize
from edgeafri.stages.comparison.sensitivity import measure_layers, mixed_precision
from edgeafri.stages.graphs.splice import changed_layers
from edgeafri.util.progress import silent

BOTH = ("swa", "hau")


def graph_of(artifact):
    return onnx.load(artifact.path / "model.onnx")


def planted(before, after, name, factor):
    """`after` with the scales of one layer's int8 weights made wrong; in place."""
    layer = next(item for item in changed_layers(before, after) if item.name == name)
    makers = {output: node for node in after.graph.node for output in node.output}
    weights = {weight.name: weight for weight in after.graph.initializer}
    mul = makers[layer.output]
    scale = next(found for found in makers[mul.input[1]].input if found in weights)
    weights[scale].CopyFrom(numpy_helper.from_array(factor * numpy_helper.to_array(weights[scale]), scale))
    return after


@pytest.fixture(scope="module")
def bad(optimized, quantized, tmp_path_factory):
    """The int8 graph with one bad layer, as a folder."""
    folder = tmp_path_factory.mktemp("bad") / "graph"
    shutil.copytree(quantized.path, folder)
    onnx.save_model(planted(graph_of(optimized), graph_of(quantized), "layer 1 output", -40.0), folder / "model.onnx")
    return folder


def layers(before, after, ticks=silent, **where):
    request = LayersRequest(before=before, after=after, source="", task="ner", languages=BOTH, sentences=4, **where)
    return measure_layers(request, ticks).layers


@pytest.mark.parametrize("kind", ["data", "text"])
def test_a_bad_layer_is_named_first(optimized, bad, data, text, kind):
    """
    With labels and without; its own error and what it does to the answers both show it.
    """
    found = layers(optimized.path, bad, **{kind: {"data": data, "text": text}[kind]})
    first, second = found[:2]

    assert first.layer == "layer 1 output"
    assert first.local_error == max(item.local_error for item in found) == pytest.approx(41, rel=0.1)
    assert first.flips > 0 or first.mean > 5 * second.mean


def test_every_layer_has_its_row(optimized, quantized, data):
    """
    Tables and products, their own error within what eight bits allow; ticks go up to their number.
    """
    ticks = []
    found = layers(optimized.path, quantized.path, lambda *progress: ticks.append(progress), data=data)

    assert len(found) == len(changed_layers(graph_of(optimized), graph_of(quantized))) == ticks[-1][1]
    assert ticks[-1] == (len(found), len(found))
    assert all(0 < item.local_error < 0.05 for item in found if "token type" not in item.layer)
    assert set(found[0].lost) == set(BOTH)


def test_equal_graphs_have_no_layers_to_tell_of(optimized, data):
    """
    Nothing is computed otherwise.
    """
    assert layers(optimized.path, optimized.path, data=data) == ()


@pytest.fixture
def texts_gate(classifier_graphs, texts):
    """The taught classifier, its int8 graph with a bad layer that costs F1, and settings for a gate."""
    source, after = classifier_graphs["optimize"], graph_of(classifier_graphs["quantize"])
    graph = planted(graph_of(source), after, "layer 0 attention value", -20.0)
    return source, graph, lambda gate: QuantizeSettings(languages=BOTH, data=texts, mixed=gate)


def test_the_layer_that_costs_f1_stays_in_float(texts_gate):
    """
    One of all layers is enough; the loss of every language on dev is given before and after.
    """
    source, graph, settings = texts_gate
    mixed, facts = mixed_precision(source, graph, settings(0.5), silent)

    assert facts.float_layers == ("layer 0 attention value",)
    assert facts.measure == "F1 on dev"
    assert max(facts.loss_before.values()) > 0.5 >= max(facts.loss.values())
    assert set(facts.loss) == set(BOTH)
    assert len(changed_layers(graph_of(source), mixed)) == len(changed_layers(graph_of(source), graph)) - 1


def test_test_is_never_read(texts_gate, tmp_path):
    """
    The choice is made on dev alone; a test file that cannot be read is no matter.
    """
    source, graph, settings = texts_gate
    for code in BOTH:
        shutil.copytree(settings(1).data / code, tmp_path / code)
        (tmp_path / code / "test.tsv").write_text("broken", "utf-8")
    asked = dataclasses.replace(settings(0.5), data=tmp_path)

    assert mixed_precision(source, graph, asked, silent)[1].float_layers == ("layer 0 attention value",)


def test_within_the_gate_nothing_is_put_back(texts_gate):
    """
    All may be lost: the graph is the one that was given.
    """
    source, graph, settings = texts_gate
    mixed, facts = mixed_precision(source, graph, settings(100.0), silent)

    assert facts.float_layers == ()
    assert facts.loss == facts.loss_before
    assert mixed is graph


def test_without_labels_changed_labels_are_the_measure(optimized, bad, text):
    """
    In per cent, of the language where they are most.
    """
    settings = QuantizeSettings(languages=BOTH, text=text, mixed=5.0)
    _, facts = mixed_precision(optimized, onnx.load(bad / "model.onnx"), settings, silent)

    assert facts.measure == "labels changed on text"
    assert facts.float_layers[0] == "layer 1 output"
    assert max(facts.loss_before.values()) > 5 >= max(facts.loss.values())


@pytest.mark.parametrize("form", ["dynamic", "static"])
def test_quantize_keeps_layers_in_float_by_itself(optimized, text, form, tmp_path):
    """
    With a gate of nothing, as many as it takes; the same input gives the same bytes.
    """
    settings = QuantizeSettings(form=form, languages=BOTH, text=text, mixed=0.0)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    facts = [quantize.run(optimized, settings, tmp_path / name, silent) for name in ("one", "two")]
    graph = onnx.load(tmp_path / "one" / "model.onnx")
    plain = len(changed_layers(graph_of(optimized), graph))

    assert max(facts[0].mixed.loss.values()) == 0
    assert plain + len(facts[0].mixed.float_layers) >= 15
    assert (tmp_path / "one" / "model.onnx").read_bytes() == (tmp_path / "two" / "model.onnx").read_bytes()
    assert facts[0] == facts[1]


def test_a_gate_that_no_layer_can_meet_is_an_error(texts_gate):
    """
    What is lost outside the layers, float layers do not bring back.
    """
    source, graph, settings = texts_gate
    norms = [weight for weight in graph.graph.initializer if weight.name.endswith("LayerNorm.weight")]
    for weight in norms:
        weight.CopyFrom(numpy_helper.from_array(np.zeros(16, dtype=np.float32), weight.name))
    with pytest.raises(ModelError) as error:
        mixed_precision(source, graph, settings(0.5), silent)

    assert "is lost with every layer in float32, allowed is 0.5" in error.value.message
    assert "larger --mixed" in error.value.hint


def test_mixed_precision_needs_languages_and_text(optimized, quantized):
    """
    The worst language is one of those that are named; nothing is measured on nothing.
    """
    nameless = dataclasses.replace(optimized, manifest=dataclasses.replace(optimized.manifest, languages=()))
    with pytest.raises(DataError) as languages:
        mixed_precision(nameless, graph_of(quantized), QuantizeSettings(mixed=1.0), silent)
    with pytest.raises(DataError) as text:
        mixed_precision(optimized, graph_of(quantized), QuantizeSettings(mixed=1.0), silent)

    assert "none is named" in languages.value.message
    assert "no text to compare" in text.value.message


def test_a_gate_with_nothing_quantized_is_refused():
    """
    Before any work.
    """
    with pytest.raises(ConfigError) as error:
        QuantizeSettings(weights="float32", embeddings="float32", mixed=1.0)

    assert "everything in float32" in error.value.message
