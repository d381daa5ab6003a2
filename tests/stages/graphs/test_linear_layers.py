"""linear: every form's layers are found with their weights and bits, and products of activations are not layers."""

import onnx
import pytest

from edgeafri.menu.settings import QuantizeSettings
from edgeafri.stages import quantize
from edgeafri.stages.graphs.linear_layers import linear_layers
from edgeafri.util.progress import silent


@pytest.mark.parametrize(
    ("asked", "bits", "blocks"),
    [
        ({"weights": "float32"}, 32, False),
        ({"form": "dynamic"}, 8, False),
        ({"form": "dynamic", "isa": "avx2"}, 8, False),
        ({"form": "static"}, 8, False),
        ({"form": "weights"}, 4, True),
        ({"form": "weights", "weights": "int8"}, 8, True),
    ],
)
def test_a_graph_has_the_same_layers_in_every_form(optimized, text, tmp_path, asked, bits, blocks):
    """
    Six a layer and the classifier, as many weights as in float32.
    """
    quantize.run(optimized, QuantizeSettings(text=text, languages=("swa", "hau"), **asked), tmp_path, silent)
    before, after = (linear_layers(onnx.load(folder / "model.onnx")) for folder in (optimized.path, tmp_path))

    assert len(after) == 13
    assert [layer.weights for layer in after] == [layer.weights for layer in before]
    assert {(layer.bits, layer.blocks) for layer in after} == {(bits, blocks)}


def test_fused_attention_is_one_layer(fused, tmp_path):
    """
    Its three matrices lie in one.
    """
    quantize.run(fused, QuantizeSettings(), tmp_path, silent)
    before, after = (linear_layers(onnx.load(folder / "model.onnx")) for folder in (fused.path, tmp_path))

    assert len(before) == len(after) == 2 * 4 + 1
    assert sum(layer.weights for layer in before) == sum(layer.weights for layer in after)
