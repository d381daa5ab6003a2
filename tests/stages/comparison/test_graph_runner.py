"""graph_runner: a graph in memory computes what it computes from a file."""

from dataclasses import replace

import numpy as np
import onnx

from edgeafri.inference.predict import padded
from edgeafri.inference.session import forward, open_session
from edgeafri.stages.comparison.graph_runner import graph_runner, open_graph
from edgeafri.stages.comparison.model_outputs import sentences_to_compare

BOTH = ("swa", "hau")


def test_memory_and_file_give_the_same(optimized, quantized):
    """
    In float32 and in int8; the graph stays as it is.
    """
    ids, mask = padded([(0, 5, 9, 17, 22, 31, 40, 2)], pad=1)
    for artifact in (optimized, quantized):
        graph = onnx.load(artifact.path / "model.onnx")
        kept = graph.SerializeToString()
        found = forward(open_graph(graph))(ids, mask)

        assert np.array_equal(found, forward(open_session(artifact.path / "model.onnx", threads=1))(ids, mask))
        assert graph.SerializeToString() == kept


def test_large_weights_are_given_and_not_written(monkeypatch, tmp_path):
    """
    A graph as one message ends at 2 GiB; a session in memory does not.
    """
    weight = onnx.numpy_helper.from_array(np.arange(64 * 32, dtype=np.float32).reshape(64, 32), "table")
    ids = onnx.helper.make_tensor_value_info("input_ids", onnx.TensorProto.INT64, [1, None])
    found = onnx.helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, [1, None, 32])
    node = onnx.helper.make_node("Gather", ["table", "input_ids"], ["logits"])
    graph = onnx.helper.make_model(
        onnx.helper.make_graph([node], "g", [ids], [found], [weight]),
        opset_imports=[onnx.helper.make_opsetid("", 18)],
        ir_version=8,
    )
    sizes = []

    def told(model, threads, weights):
        sizes.append(len(model))
        return open_session(model, threads, weights=weights)

    monkeypatch.setattr("edgeafri.stages.comparison.graph_runner.open_session", told)
    rows = forward(open_graph(graph))(np.array([[3, 1]]), np.ones((1, 2), np.int64))

    assert sizes[0] < 1000 < len(weight.raw_data)
    assert rows[0, :, 0].tolist() == [96, 32]


def test_outputs_of_one_number_are_added_up(optimized, data):
    """
    Over all sentences; progress is told by sentence.
    """
    graph = onnx.load(optimized.path / "model.onnx")
    graph.graph.node.append(onnx.helper.make_node("ReduceSumSquare", ["logits"], ["squares"], keepdims=0))
    graph.graph.output.append(onnx.ValueInfoProto(name="squares"))
    runner, splits = graph_runner(optimized.path, "word"), sentences_to_compare(BOTH, data, None, "word", 3)
    ticks = []
    each = [
        runner.sums(graph, ["squares"], [replace(split, sentences=(sentence,))])["squares"]
        for split in splits
        for sentence in split.sentences
    ]
    sums = runner.sums(graph, ["squares"], splits, lambda *progress: ticks.append(progress))

    assert sums == {"squares": sum(each)}
    assert ticks == [(number, 6) for number in range(1, 7)]
