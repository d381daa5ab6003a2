"""mixed_precision: as few layers as the limit asks for go back to float32, whichever sentences they were found on."""

import dataclasses
import shutil

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edgeafri.errors import ConfigError, DataError, ModelError
from edgeafri.menu.facts.conversion import MixedPrecision
from edgeafri.menu.settings import QuantizeSettings
from edgeafri.stages import quantize
from edgeafri.stages.comparison.graph_runner import graph_runner
from edgeafri.stages.comparison.mixed_precision import Held, mixed_precision
from edgeafri.stages.comparison.model_outputs import f1_by_language, sentences_to_compare
from edgeafri.stages.graphs.splice import changed_layers
from edgeafri.util.progress import silent

BOTH = ("swa", "hau")


def graph_of(artifact):
    return onnx.load(artifact.path / "model.onnx")


def held(source, graph, settings, progress=silent, more=()):
    """The graph and the facts."""
    found = mixed_precision(source, graph, settings.mixed, settings, progress, more)
    return found.graph, found.facts


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
    mixed, facts = held(source, graph, settings(0.5), silent)

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
    mixed, facts = held(source, graph, asked, silent)
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
    held(source, graph, settings(0.5), lambda done, total: ticks.append(done / total))

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

    assert held(source, graph, asked, silent)[1].float_layers == ("layer 0 attention value",)


def test_within_the_gate_nothing_is_put_back(texts_gate):
    """
    All may be lost: the graph is the one that was given.
    """
    source, graph, settings = texts_gate
    mixed, facts = held(source, graph, settings(100.0), silent)

    assert facts.float_layers == ()
    assert facts.loss == facts.loss_before
    assert mixed is graph


def test_without_labels_changed_labels_are_the_measure(optimized, bad, text):
    """
    In per cent, of the language where they are most.
    """
    settings = QuantizeSettings(languages=BOTH, text=text, mixed=5.0)
    _, facts = held(optimized, onnx.load(bad / "model.onnx"), settings, silent)

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


def test_a_limit_that_no_layer_can_meet_is_told(texts_gate):
    """
    What is lost outside the layers, float layers do not bring back.
    """
    source, graph, settings = texts_gate
    norms = [weight for weight in graph.graph.initializer if weight.name.endswith("LayerNorm.weight")]
    for weight in norms:
        weight.CopyFrom(numpy_helper.from_array(np.zeros(16, dtype=np.float32), weight.name))
    shipped, facts = held(source, graph, settings(0.5))

    assert shipped is graph
    assert (facts.float_layers, facts.loss) == ((), facts.loss_before)
    assert facts.unreachable > 0.5
    assert any("not reached, with every layer in float32" in note for note in facts.notes())


def test_channels_come_before_layers(texts_gate):
    """
    A graph with more channels that is good enough is taken, and no layer with it; later ones are not even made.
    """
    source, graph, settings = texts_gate
    better, asked = graph_of(source), []
    better.graph.doc_string = "larger" * 10**5

    def more():
        for plan in ({"one": (1,)}, {"one": (1, 2)}):
            asked.append(plan)
            yield plan, better

    found = mixed_precision(source, graph, 0.5, settings(0.5), silent, more())

    assert found.graph is better
    assert (found.plan, asked) == ({"one": (1,)}, [{"one": (1,)}])
    assert found.facts.float_layers == ()
    assert found.facts.added_bytes > 0
    assert any("more outlier channels in float32 add" in note for note in found.facts.notes())


@pytest.mark.parametrize("name", ["mixed", "worst_drop"])
def test_a_demand_that_cannot_be_met_is_an_error_and_a_goal_a_note(optimized, text, tmp_path, monkeypatch, name):
    """
    `mixed` demands; `worst_drop`, which a build gives, is told where it is not reached, and the graph is made.
    """
    facts = MixedPrecision(
        allowed=0.5, measure="F1 on dev", float_layers=(), loss_before={"swa": 2.3}, loss={"swa": 2.3}, unreachable=2.2
    )
    monkeypatch.setattr(quantize, "mixed_precision", lambda source, graph, *more: Held(graph, None, facts))
    settings = QuantizeSettings(languages=BOTH, text=text, **{name: 0.5})

    if name == "worst_drop":
        notes = quantize.run(optimized, settings, tmp_path, silent).notes()
        assert any("2.30 lost in swa, allowed 0.5: not reached" in note and "2.20" in note for note in notes)
    else:
        with pytest.raises(ModelError) as error:
            quantize.run(optimized, settings, tmp_path, silent)
        assert "2.20 is lost with every layer in float32, allowed is 0.5" in error.value.message
        assert "larger --mixed" in error.value.hint


def test_mixed_precision_needs_languages_and_text(optimized, quantized):
    """
    The worst language is one of those that are named; nothing is measured on nothing.
    """
    nameless = dataclasses.replace(optimized, manifest=dataclasses.replace(optimized.manifest, languages=()))
    with pytest.raises(DataError) as languages:
        held(nameless, graph_of(quantized), QuantizeSettings(mixed=1.0), silent)
    with pytest.raises(DataError) as text:
        held(optimized, graph_of(quantized), QuantizeSettings(mixed=1.0), silent)

    assert "none is named" in languages.value.message
    assert "no text to compare" in text.value.message


def test_a_gate_with_nothing_quantized_is_refused():
    """
    Before any work.
    """
    with pytest.raises(ConfigError) as error:
        QuantizeSettings(weights="float32", embeddings="float32", mixed=1.0)

    assert "everything in float32" in error.value.message
