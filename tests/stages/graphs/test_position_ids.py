"""position_ids: real places keep their numbers on padded batches, padded ones stay in the table; all else stays."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeafri.stages.graphs.position_ids import fold_segments, simplify_positions
from edgeafri.stages.optimize import drop_unused

PAD, ROWS, WIDTH = 1, 12, 4
LONGEST = ROWS - PAD - 1
RANDOM = np.random.default_rng(0)
TABLES = {
    "words": RANDOM.normal(size=(30, WIDTH)).astype(np.float32),
    "segments": RANDOM.normal(size=(2, WIDTH)).astype(np.float32),
    "places": RANDOM.normal(size=(ROWS, WIDTH)).astype(np.float32),
}


def counted(**changed: object) -> list:
    """XLM-R's numbering of places, as nodes; `changed` names what a test makes otherwise."""
    axis, pad, added = changed.get("axis", "one"), changed.get("pad", "pad"), changed.get("added", "pad")
    return [
        helper.make_node("Equal", ["input_ids", pad], ["padded"]),
        helper.make_node("Not", ["padded"], ["real"]),
        helper.make_node("Cast", ["real"], ["ones"], to=TensorProto.INT32),
        helper.make_node("CumSum", ["ones", axis], ["sums"], **changed.get("flags", {})),
        helper.make_node("Mul", ["sums", changed.get("times", "ones")], ["product"]),
        helper.make_node("Cast", ["product"], ["numbers"], to=TensorProto.INT64),
        helper.make_node("Add", [added, "numbers"], ["position"]),
    ]


def embeddings(numbering: list, segments: str = "zeros") -> onnx.ModelProto:
    """Word, segment and position of every place, added up as BERT and XLM-R do."""
    nodes = [
        *numbering,
        helper.make_node("Shape", ["input_ids"], ["shape"]),
        helper.make_node("Expand", [segments, "shape"], ["segment_ids"]),
        helper.make_node("Gather", ["words", "input_ids"], ["word"]),
        helper.make_node("Gather", ["segments", "segment_ids"], ["segment"]),
        helper.make_node("Gather", ["places", "position"], ["place"]),
        helper.make_node("Add", ["word", "segment"], ["inner"]),
        helper.make_node("Add", ["inner", "place"], ["logits"]),
    ]
    numbers = {"pad": np.array(PAD), "one": np.array(1), "zero": np.array(0), "zeros": np.zeros((1, 1), np.int64)}
    numbers |= {"first": np.ones((1, 1), np.int64)}
    weights = [numpy_helper.from_array(values, name) for name, values in {**TABLES, **numbers}.items()]
    graph = helper.make_graph(
        nodes,
        "embeddings",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "length"])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", "length", WIDTH])],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def computed(graph: onnx.ModelProto, ids) -> np.ndarray:
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"input_ids": np.array(ids)})[0]


def copied(graph: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(graph)
    return copy


@pytest.mark.parametrize("length", [1, 3, LONGEST])
def test_real_places_of_a_padded_batch_keep_their_numbers(length):
    """
    Bit for bit, for a sentence that fills the row, one that is one sub-word long, and at the longest length there is.
    """
    graph = embeddings(counted())
    ids = np.full((2, length), PAD)
    ids[0], ids[1, 0] = range(5, 5 + length), 7
    before = computed(graph, ids)
    changed = simplify_positions(graph)
    after = computed(graph, ids)

    assert changed
    assert np.array_equal(after[ids != PAD], before[ids != PAD])


def test_padded_places_go_on_counting():
    """
    Their numbers stand in the table: onnxruntime would stop at an index outside of it.
    """
    graph = embeddings(counted())
    simplify_positions(graph)
    found = computed(graph, np.full((1, LONGEST), PAD))

    assert np.array_equal(found[0], TABLES["words"][PAD] + TABLES["segments"][0] + TABLES["places"][PAD + 1 :])


def test_what_counted_is_gone():
    """
    Nothing is left of it, and nothing of the ids but the words and the length.
    """
    graph = embeddings(counted())
    simplify_positions(graph)
    drop_unused(graph)
    left = {node.op_type for node in graph.graph.node}

    assert left == {"Shape", "Gather", "Slice", "Expand", "Add"}
    onnx.checker.check_model(graph)


@pytest.mark.parametrize(
    "changed",
    [
        {"axis": "zero"},  # counts over the batch
        {"added": "one", "pad": "zero"},  # starts elsewhere than behind the padding's own number
        {"times": "sums"},
        {"flags": {"reverse": 1}},
        {"flags": {"exclusive": 1}},
    ],
)
def test_another_numbering_is_left_as_it_is(changed):
    """
    Only what is known to give the same numbers is replaced.
    """
    graph = embeddings(counted(**changed))
    before = copied(graph)

    assert not simplify_positions(graph)
    assert graph == before


def test_positions_that_are_given_are_left_as_they_are():
    """
    A lookup by something that is not computed at all.
    """
    graph = embeddings([helper.make_node("Identity", ["input_ids"], ["position"])])

    assert not simplify_positions(graph)


def test_one_segment_is_added_to_the_positions():
    """
    Its row goes into theirs; sums in another order differ in the last bit, which 1e-6 allows.
    """
    graph = embeddings(counted())
    ids = [[5, 9, 3], [4, PAD, PAD]]
    before = computed(graph, ids)
    changed = fold_segments(graph)
    drop_unused(graph)
    tables = {weight.name: numpy_helper.to_array(weight) for weight in graph.graph.initializer}

    assert changed
    assert np.array_equal(tables["places"], TABLES["places"] + TABLES["segments"][0])
    assert "segments" not in tables
    assert np.abs(computed(graph, ids) - before).max() < 1e-6


def test_segments_that_are_not_all_the_first_stay():
    """
    Another row, or one that depends on the input.
    """
    for segments in ("first", "input_ids"):
        graph = embeddings(counted(), segments)
        before = copied(graph)

        assert not fold_segments(graph)
        assert graph == before


def test_a_position_table_that_others_read_stays():
    """
    A sum in it would be wrong for them.
    """
    graph = embeddings(counted())
    graph.graph.node.append(helper.make_node("Gather", ["places", "input_ids"], ["other"]))

    assert not fold_segments(graph)
