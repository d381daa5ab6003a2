"""ranking: one pass finds the layer that is bad, and what it says of layers is what they do to the logits."""

import math

import numpy as np
import onnx
import pytest

from edgeafri.menu import load_stage, stage
from edgeafri.stages.comparison.graph_runner import graph_runner
from edgeafri.stages.comparison.model_outputs import over_all, sentences_to_compare
from edgeafri.stages.comparison.ranking import rank_layers
from edgeafri.stages.comparison.sensitivity import measured_layers
from edgeafri.stages.graphs.splice import changed_layers
from edgeafri.util.progress import silent

BOTH = ("swa", "hau")


def graph_of(artifact):
    return onnx.load(artifact.path / "model.onnx")


def logits_apart(runner, splits, before, after):
    """|y' - y| / |y| of all logits."""
    ours, theirs = (runner.outputs(graph, splits).sentences for graph in (before, after))
    pairs = [(one.logits, two.logits) for code in ours for one, two in zip(ours[code], theirs[code], strict=True)]
    off, size = (np.concatenate(side) for side in ([two - one for one, two in pairs], [one for one, _ in pairs]))
    return float(np.linalg.norm(off) / np.linalg.norm(size))


@pytest.fixture(scope="module")
def ranked(optimized, data):
    """A function: a graph after the folded one to its ranked layers."""
    splits = sentences_to_compare(BOTH, data, None, "word", 4)

    def rank(after, progress=silent):
        return rank_layers(graph_of(optimized), after, graph_runner(optimized.path, "word"), splits, progress)

    return rank


def test_a_bad_layer_is_first(optimized, quantized, planted, ranked):
    """
    Its own error is what its scales were made wrong by, and most of the harm is its own.
    """
    found = ranked(planted(graph_of(optimized), graph_of(quantized), "layer 1 output", -40.0))

    assert found[0].layer.name == "layer 1 output"
    assert found[0].local_error == pytest.approx(41, rel=0.1)
    assert found[0].harm > 5 * found[1].harm


def test_every_layer_is_ranked_and_its_harm_falls(optimized, quantized, ranked):
    """
    Progress ends with everything.
    """
    ticks = []
    found = ranked(graph_of(quantized), lambda *progress: ticks.append(progress))
    harm = [item.harm for item in found]

    assert {item.layer for item in found} == set(changed_layers(graph_of(optimized), graph_of(quantized)))
    assert harm == sorted(harm, reverse=True)
    assert all(done <= total for done, total in ticks)
    assert ticks[-1][0] == ticks[-1][1] > len(BOTH)


def test_the_squares_of_harm_are_what_the_logits_are_off(optimized, quantized, ranked, data):
    """
    So a layer's square is its share of the loss.
    """
    runner, splits = graph_runner(optimized.path, "word"), sentences_to_compare(BOTH, data, None, "word", 4)
    whole = logits_apart(runner, splits, graph_of(optimized), graph_of(quantized))

    assert math.hypot(*(item.harm for item in ranked(graph_of(quantized)))) == pytest.approx(whole, rel=0.01)


def test_a_layer_that_gives_nan_is_first(optimized, quantized, planted, ranked):
    """
    It has no error that is a number, and no layer harms more.
    """
    after = planted(graph_of(optimized), graph_of(quantized), "layer 0 output", math.nan)
    first = ranked(after)[0]

    assert (first.layer.name, first.local_error, first.harm) == ("layer 0 output", None, math.inf)


def test_equal_graphs_have_nothing_to_rank(optimized, ranked):
    """
    Nothing is computed otherwise.
    """
    assert ranked(graph_of(optimized)) == []


@pytest.mark.slow
def test_on_a_real_model_those_are_first_that_do_most(lab, tmp_path, as_artifact):
    """
    One pass against the truth, each layer alone: of what the layers do to the logits, the half that is ranked first
    does as much as the worst half, but a twentieth.
    """
    made = [as_artifact(lab / "models" / "lab-ner", "torch")]
    for name in ("export-onnx", "optimize", "quantize"):
        (tmp_path / name).mkdir()
        load_stage(name).run(made[-1], stage(name).settings(), tmp_path / name, silent)
        made.append(as_artifact(tmp_path / name, "onnx"))
    *_, source, quantized = made
    runner = graph_runner(source.path, "word")
    splits = sentences_to_compare(BOTH, lab / "data" / "masakhaner", None, "word", 4)
    asked = graph_of(source), graph_of(quantized), runner, splits, silent
    truth = {item.layer: over_all(item.gaps).mean ** 2 for item in measured_layers(*asked)}
    ranked = [truth[item.layer] for item in rank_layers(*asked)]
    half = len(ranked) // 2

    assert sum(ranked[:half]) > 0.95 * sum(sorted(ranked, reverse=True)[:half])
