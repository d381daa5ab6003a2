"""Weights beside the graph: the same numbers, the same bytes every time, small tensors inside."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeafri.inference.external_data import check_external
from edgeafri.inference.session import IR_VERSION, OPSET, forward, open_session
from edgeafri.stages.graphs.external_weights import batch_tokens, weights_mb, write_beside


def graph_of(*sizes: int, operator: str = "Identity") -> onnx.ModelProto:
    """A graph with float weights of these sizes and one node."""
    draw = np.random.default_rng(0)
    weights = [numpy_helper.from_array(draw.random(size, np.float32), f"w{size}") for size in sizes]
    node = helper.make_node(operator, [f"w{sizes[0]}"], ["y"])
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [sizes[0]])
    graph = helper.make_graph([node], "g", [], [output], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)


def written(folder, *sizes):
    """The folder with a graph of these sizes."""
    folder.mkdir()
    write_beside(graph_of(*sizes), folder)
    return folder


def test_large_weights_stand_at_multiples_of_a_page(tmp_path):
    """
    What is mapped must begin where a page does; what is smaller than one stays in the graph.
    """
    folder = written(tmp_path / "a", 2000, 10, 1024, 3000)
    tensors = onnx.load(folder / "model.onnx", load_external_data=False).graph.initializer
    offsets = {item.name: int(item.external_data[1].value) for item in tensors if item.external_data}

    assert offsets == {"w2000": 0, "w1024": 8192, "w3000": 12288}
    assert check_external(folder / "model.onnx") == {"model.onnx.data": 12288 + 12000}


def test_the_numbers_are_the_same(tmp_path):
    """
    onnx and onnxruntime read them back as they were.
    """
    folder = written(tmp_path / "a", 2000, 10)
    expected = [numpy_helper.to_array(item) for item in graph_of(2000, 10).graph.initializer]
    found = [numpy_helper.to_array(item) for item in onnx.load(folder / "model.onnx").graph.initializer]

    assert all(np.array_equal(one, other) for one, other in zip(expected, found, strict=True))
    assert np.array_equal(open_session(folder / "model.onnx", 1).run(None, {})[0], expected[0])


def test_equal_graphs_give_equal_bytes(tmp_path):
    """
    A rebuilt bundle has the id of the first.
    """
    one, two = (written(tmp_path / name, 2000, 10, 3000) for name in "ab")

    assert all((one / name).read_bytes() == (two / name).read_bytes() for name in ("model.onnx", "model.onnx.data"))


def test_packed_four_bits_are_moved_as_they_are(tmp_path):
    """
    Two codes a byte stay two codes a byte.
    """
    graph = graph_of(10)
    graph.graph.initializer.add(name="q", data_type=TensorProto.INT4, dims=[16384], raw_data=bytes(8192))
    write_beside(graph, tmp_path)

    assert (tmp_path / "model.onnx.data").read_bytes() == bytes(8192)


def test_only_what_could_stand_beside_is_counted():
    """
    A graph of many small tensors gains nothing.
    """
    assert weights_mb(graph_of(2000, 10, 1023)) == pytest.approx(0.008)


@pytest.mark.parametrize(
    ("operator", "expected"),
    [("DynamicQuantizeLinear", 0), ("QAttention", 0), ("MatMulNBits", 0), ("QuantizeLinear", 128), ("MatMul", 128)],
)
def test_sentences_whose_neighbours_would_matter_are_computed_alone(operator, expected):
    """
    A scale that comes from the whole batch makes an answer hang on its neighbours; a fixed one, or none, does not.
    """
    assert batch_tokens(graph_of(10, operator=operator)) == expected


def test_a_float_graph_answers_alike_alone_and_together(optimized):
    """
    The reason why it may be computed together. Sums are taken in another order, so the last digits may differ.
    """
    run = forward(open_session(optimized.path / "model.onnx", threads=1))
    ids = np.array([[0, 5, 6, 7, 2], [0, 8, 2, 1, 1]])
    mask = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
    alone = [run(ids[:1], mask[:1])[0], run(ids[1:, :3], mask[1:, :3])[0]]
    together = run(ids, mask)

    assert np.allclose(together[0], alone[0], atol=1e-4)
    assert np.allclose(together[1, :3], alone[1], atol=1e-4)
