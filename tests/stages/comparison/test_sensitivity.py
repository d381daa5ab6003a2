"""sensitivity: each layer alone in the float graph, so that a bad one is named among all."""

import onnx
import pytest

from edgeafri.documents.torch_requests import LayersRequest
from edgeafri.stages.comparison.sensitivity import measure_layers
from edgeafri.stages.graphs.splice import changed_layers
from edgeafri.util.progress import silent

BOTH = ("swa", "hau")


def graph_of(artifact):
    return onnx.load(artifact.path / "model.onnx")


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
