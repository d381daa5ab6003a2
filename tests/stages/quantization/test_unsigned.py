"""unsigned: weights + 128 with zero point 128 stand for the same numbers, in every form that multiplies in int8."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from edgeafri.menu.settings import QuantizeSettings
from edgeafri.stages import quantize
from edgeafri.stages.quantization.unsigned import make_unsigned
from edgeafri.util.progress import silent


def codes_of(folder) -> dict[str, np.ndarray]:
    """The 8-bit weights of the linear layers, and their zero points."""
    found = {
        weight.name: numpy_helper.to_array(weight) for weight in onnx.load(folder / "model.onnx").graph.initializer
    }
    return {name: codes for name, codes in found.items() if codes.dtype in (np.int8, np.uint8) and "embedd" not in name}


@pytest.mark.parametrize("form", ["dynamic", "static"])
def test_every_weight_moves_by_128_and_its_zero_point_with_it(optimized, text, tmp_path, form):
    """
    Scales stay, and so does what is multiplied with them.
    """
    for isa in ("vnni", "avx2"):
        (tmp_path / isa).mkdir()
        settings = QuantizeSettings(form=form, isa=isa, text=text, languages=("swa", "hau"))
        quantize.run(optimized, settings, tmp_path / isa, silent)
    signed, unsigned = codes_of(tmp_path / "vnni"), codes_of(tmp_path / "avx2")
    moved = [name for name, codes in signed.items() if codes.dtype == np.int8]

    assert signed.keys() == unsigned.keys()
    assert len(moved) == 2 * 13
    assert all(unsigned[name].dtype == np.uint8 for name in moved)
    assert all((unsigned[name].astype(int) == signed[name].astype(int) + 128).all() for name in moved)


@pytest.mark.parametrize("form", ["dynamic", "static"])
def test_the_twin_gives_the_same_logits(optimized, text, tmp_path, logits_of, as_artifact, form):
    """
    The integers are equal; 1e-5 is for the order in which the float steps around them are taken.
    """
    logits = []
    for isa in ("vnni", "avx2"):
        (tmp_path / isa).mkdir()
        settings = QuantizeSettings(form=form, isa=isa, text=text, languages=("swa", "hau"))
        quantize.run(optimized, settings, tmp_path / isa, silent)
        logits.append(logits_of(as_artifact(tmp_path / isa, "onnx")))

    np.testing.assert_allclose(logits[0], logits[1], atol=1e-5)


def test_fused_attention_has_a_twin_too(fused, tmp_path, logits_of, as_artifact):
    """
    QAttention names its zero point in another place.
    """
    logits = []
    for isa in ("vnni", "avx2"):
        (tmp_path / isa).mkdir()
        quantize.run(fused, QuantizeSettings(isa=isa), tmp_path / isa, silent)
        logits.append(logits_of(as_artifact(tmp_path / isa, "onnx")))

    np.testing.assert_allclose(logits[0], logits[1], atol=1e-5)


def test_nothing_moves_twice(quantized):
    """
    What is unsigned already stays, and the int8 tables are no weights of linear layers.
    """
    graph = onnx.load(quantized.path / "model.onnx")
    make_unsigned(graph)
    once = graph.SerializeToString()
    make_unsigned(graph)

    assert graph.SerializeToString() == once
    assert sum(weight.data_type == TensorProto.INT8 for weight in graph.graph.initializer) == 2
