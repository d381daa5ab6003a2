"""activation_ranges: least and largest of every channel as numpy finds them; NaN and infinity are named."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeafri.bundle import Frame
from edgeafri.errors import ModelError
from edgeafri.inference.predict import EncodedInput
from edgeafri.stages.comparison.graph_runner import open_graph
from edgeafri.stages.quantization.activation_ranges import measure_ranges
from edgeafri.stages.quantization.calibration_text import CalibrationInputs
from edgeafri.util.progress import silent

TABLE = np.random.default_rng(0).normal(size=(20, 6)).astype(np.float32)
MATRIX = np.random.default_rng(1).normal(size=(6, 4)).astype(np.float32)
SENTENCES = ((1, 2, 3), (4, 5), (6,))


def graph_of(table=TABLE, opset=18):
    """A table and one product."""
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["x"], "look-up"),
        helper.make_node("MatMul", ["x", "matrix"], ["logits"], "product"),
    ]
    weights = [numpy_helper.from_array(table, "table"), numpy_helper.from_array(MATRIX, "matrix")]
    body = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, [None, None])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)],
        weights,
    )
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def text_of(sentences=SENTENCES):
    rows = tuple(EncodedInput(0, ids, (), ()) for ids in sentences)
    return CalibrationInputs({"swa": rows}, Frame(0, 2, 1))


@pytest.mark.parametrize("opset", [13, 18])
def test_ranges_are_numpys(opset):
    """
    For every sentence and channel, over the tokens of the sentence; energy is the mean over tokens.
    """
    (found,) = measure_ranges(graph_of(opset=opset), text_of(), open_graph, silent)
    (product,) = found.products
    read = [TABLE[list(ids)] for ids in SENTENCES]

    assert found.name == "x"
    assert np.allclose(found.low, [values.min(axis=0) for values in read])
    assert np.allclose(found.high, [values.max(axis=0) for values in read])
    assert np.allclose(found.reach, np.abs(np.concatenate(read)).max(axis=0))
    assert np.allclose(product.energy, [np.square(values @ MATRIX).sum(axis=1).mean() for values in read], rtol=1e-5)


def test_the_rounding_error_is_that_of_rounding():
    """
    The estimate is within a half of what rounding numbers to 255 steps does to the product.
    """
    table = np.random.default_rng(2).normal(size=(200, 6)).astype(np.float32)
    ids = tuple(range(200))
    (found,) = measure_ranges(graph_of(table), text_of((ids,)), open_graph, silent)
    step = (table.max() - table.min()) / 255
    rounded = np.rint(table / step) * step
    true = np.square((rounded - table) @ MATRIX).sum() / np.square(table @ MATRIX).sum()

    assert found.rounding_error() == pytest.approx(true, rel=0.5)


def test_a_channel_that_reaches_far_causes_the_error():
    """
    Ten times the reach of the others: without that channel a hundredth of the error is left, and a little more.
    """
    table = TABLE.copy()
    table[:, 2] *= 30
    (found,) = measure_ranges(graph_of(table), text_of(), open_graph, silent)

    assert found.rounding_error((2,)) < found.rounding_error() / 50
    assert found.rounding_error((0,)) > found.rounding_error() / 2


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("row", [1, 2, 3])
def test_what_no_scale_holds_is_named(value, row):
    """
    Wherever in the sentence it stands: reductions for the largest number drop a NaN that does not come first.
    """
    table = TABLE.copy()
    table[row, 4] = value

    with pytest.raises(ModelError, match=r"in x, channel 4"):
        measure_ranges(graph_of(table), text_of(), open_graph, silent)
