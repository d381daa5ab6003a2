"""Noise: float32 vectors of a graph move by a few units in the last place, and nothing else moves."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeafri.inference.noise import SHARE, moved


def graph(*tensors: onnx.TensorProto) -> bytes:
    """A graph that only has these weights."""
    nodes = [helper.make_node("Identity", [tensor.name], [f"{tensor.name}-out"]) for tensor in tensors]
    outputs = [helper.make_tensor_value_info(f"{item.name}-out", item.data_type, item.dims) for item in tensors]
    made = helper.make_graph(nodes, "g", [], outputs, list(tensors))
    return helper.make_model(made).SerializeToString()


def weights(model: bytes) -> dict[str, np.ndarray]:
    return {item.name: numpy_helper.to_array(item) for item in onnx.load_model_from_string(model).graph.initializer}


VECTOR = numpy_helper.from_array(np.linspace(0.5, 2, 64, dtype=np.float32), "norm")
OTHERS = (
    numpy_helper.from_array(np.ones((8, 8), dtype=np.float32), "matrix"),
    numpy_helper.from_array(np.ones(8, dtype=np.int8), "zero_points"),
    numpy_helper.from_array(np.float32(0.5), "scalar"),
)


def test_vectors_move_a_little_and_the_rest_stays():
    """
    Norms, biases and scales are what every layer's values go through.
    """
    model = graph(VECTOR, *OTHERS)
    before, after = weights(model), weights(moved(model, seed=1) or b"")
    share = np.abs(after["norm"] / before["norm"].astype(np.float64) - 1)

    assert (after["norm"] != before["norm"]).mean() > 0.5
    assert share.max() <= SHARE + 6e-8  # half a unit in the last place, from rounding
    assert all((after[item.name] == before[item.name]).all() for item in OTHERS)


def test_a_seed_makes_the_same_noise_again():
    """
    Another seed makes another.
    """
    model = graph(VECTOR)

    assert moved(model, 1) == moved(model, 1) != moved(model, 2)


def test_a_graph_without_vectors_has_no_noise():
    """
    Then it is not known what noise does, which is not the same as nothing.
    """
    assert moved(graph(*OTHERS), 1) is None


@pytest.mark.parametrize("beside", [TensorProto.EXTERNAL])
def test_vectors_beside_the_graph_stay(beside: int):
    """
    What stands in another file is not touched.
    """
    vector = onnx.TensorProto()
    vector.CopyFrom(VECTOR)
    vector.ClearField("raw_data")
    vector.data_location = beside
    vector.external_data.add(key="location", value="w.data")

    assert moved(graph(vector), 1) is None
