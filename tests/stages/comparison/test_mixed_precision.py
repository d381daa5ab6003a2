"""mixed_precision: as few layers as the limit asks for go back to float32, whichever sentences they were found on."""

import dataclasses
import shutil

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edgeafri.errors import ConfigError, DataError, ModelError
from edgeafri.menu.settings import QuantizeSettings
from edgeafri.stages import quantize
from edgeafri.stages.comparison.graph_runner import graph_runner
from edgeafri.stages.comparison.mixed_precision import mixed_precision
from edgeafri.stages.comparison.model_outputs import f1_by_language, sentences_to_compare
from edgeafri.stages.graphs.splice import changed_layers
from edgeafri.util.progress import silent

BOTH = ("swa", "hau")


def graph_of(artifact):
    return onnx.load(artifact.path / "model.onnx")


@pytest.fixture
def texts_gate(classifier_graphs, planted, texts):
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


@pytest.mark.parametrize("sentences", [1, 64])
def test_what_few_sentences_say_is_checked_on_all(texts_gate, sentences):
    """
    The loss that is told is that of all of dev, and within the limit.
    """
    source, graph, settings = texts_gate
    asked = dataclasses.replace(settings(0.5), sentences=sentences)
    mixed, facts = mixed_precision(source, graph, asked, silent)
    runner, dev = graph_runner(source.path, "text"), sentences_to_compare(BOTH, asked.data, None, "text", None)
    before, after = (f1_by_language(runner.outputs(item, dev), dev) for item in (graph_of(source), mixed))

    assert facts.loss == {code: pytest.approx(before[code] - after[code], abs=0.01) for code in BOTH}
    assert max(facts.loss.values()) <= 0.5


def test_progress_has_totals_and_never_goes_back(texts_gate):
    """
    From the first sentence to the last check.
    """
    source, graph, settings = texts_gate
    ticks = []
    mixed_precision(source, graph, settings(0.5), lambda done, total: ticks.append(done / total))

    assert ticks == sorted(ticks)
    assert 0 < ticks[0] < 0.25
    assert 0.8 < ticks[-1] <= 1
    assert len(ticks) > 20


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
