"""Sessions: what cannot be read is said clearly, what is fed is what the graph asks for, what the processor can do."""

import gc
from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest
from onnx import StringStringEntryProto, TensorProto, helper

from edgeafri.errors import ArtifactError
from edgeafri.inference import session


@pytest.fixture(autouse=True)
def _forgotten():
    """What is remembered of the processor is forgotten before and after each test."""
    remembered = session.multiplies_exactly, session.int8_arithmetic
    for answer in remembered:
        answer.cache_clear()
    yield
    for answer in remembered:
        answer.cache_clear()


class FakeSession:
    """A session whose graph has these inputs; it remembers what it was fed."""

    def __init__(self, *names):
        self.names = names
        self.fed = None

    def get_inputs(self):
        return [SimpleNamespace(name=name) for name in self.names]

    def run(self, outputs, feed):
        assert outputs == ["logits"]
        self.fed = feed
        return [np.zeros((1, 2, 3), dtype=np.float32)]


class FakeOptions:
    """Session options that remember what they were told."""

    def __init__(self):
        self.told = {}

    def add_session_config_entry(self, key, value):
        self.told[key] = value


def told(monkeypatch, exact, **given):
    """What a session over a graph is told on a machine that multiplies exactly, or not."""
    monkeypatch.setattr(onnxruntime, "SessionOptions", FakeOptions)
    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda model, options, providers: options)
    monkeypatch.setattr(session, "check_external", lambda model: {})
    monkeypatch.setattr(session, "multiplies_exactly", lambda: exact)
    return session.open_session("model.onnx", threads=2, **given)


@pytest.mark.parametrize("content", [b"not a graph", b"", b"\x08\x08\x12\x04"])
def test_an_unreadable_graph_is_an_artifact_error(tmp_path, content):
    """
    The message names the file and what is wrong with it, in one line.
    """
    (tmp_path / "model.onnx").write_bytes(content)

    with pytest.raises(ArtifactError, match="not an ONNX file, or cut short") as caught:
        session.open_session(tmp_path / "model.onnx", threads=1)
    assert caught.value.message.startswith(f"{tmp_path / 'model.onnx'}: ")
    assert "\n" not in caught.value.message
    assert caught.value.hint == "Copy the folder again from where it was made, or build it again."


def test_a_graph_that_onnxruntime_refuses_is_an_artifact_error(tmp_path):
    """
    It is well-formed and means nothing: onnxruntime's own first line is given.
    """
    node = helper.make_node("NoSuchOperator", ["x"], ["y"])
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
    graph = helper.make_graph([node], "g", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())

    with pytest.raises(ArtifactError, match=r"onnxruntime cannot read it \(.*NoSuchOperator") as caught:
        session.open_session(tmp_path / "model.onnx", threads=1)
    assert caught.value.hint == "Build the bundle again."


def test_a_graph_in_memory_reads_weights_where_they_are():
    """
    They live as long as the session, whoever else lets go of them; one that is not given is an error.
    """
    place = StringStringEntryProto(key="location", value="memory")
    weight = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[64, 32], data_location=1, external_data=[place])
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, size]) for name, size in (("x", 64), ("y", 32))]
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "g", ends[:1], ends[1:], [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8).SerializeToString()
    opened = session.open_session(model, threads=1, weights={"w": np.full((64, 32), 0.5, np.float32)})
    gc.collect()

    assert (opened.run(None, {"x": np.ones((1, 64), np.float32)})[0] == 32).all()
    with pytest.raises(ArtifactError, match="the graph in memory: onnxruntime cannot read it"):
        session.open_session(model, threads=1)


def test_a_missing_graph_is_an_artifact_error(tmp_path):
    """
    A path without a file is told apart from no error at all.
    """
    with pytest.raises(ArtifactError, match=r"nothing\.onnx: cannot be read"):
        session.open_session(tmp_path / "nothing.onnx", threads=1)


def test_the_mask_is_fed_when_the_graph_asks_for_it():
    """
    Ids and mask go in under the names of the graph's inputs.
    """
    fake = FakeSession("input_ids", "attention_mask")
    logits = session.forward(fake)(np.array([[5, 6]]), np.array([[1, 1]]))

    assert sorted(fake.fed) == ["attention_mask", "input_ids"]
    assert logits.shape == (1, 2, 3)


def test_the_mask_stays_out_when_the_graph_has_none():
    """
    onnxruntime refuses inputs that a graph does not have.
    """
    fake = FakeSession("input_ids")
    session.forward(fake)(np.array([[5, 6]]), np.array([[1, 1]]))

    assert list(fake.fed) == ["input_ids"]


def test_a_session_spins_no_threads_keeps_no_patterns_and_fuses_no_norms(monkeypatch):
    """
    Spinning burns a battery, patterns take memory for every length seen, and the fused norm is the slower one.
    """
    options = told(monkeypatch, exact=True)

    assert (options.intra_op_num_threads, options.inter_op_num_threads, options.enable_mem_pattern) == (2, 1, False)
    assert options.told == {
        "session.intra_op.allow_spinning": "0",
        "optimization.disable_specified_optimizers": "SkipLayerNormFusion",
    }


def test_prepacking_is_left_out_on_request(monkeypatch):
    """
    Weights beside the graph then stay in their file.
    """
    assert told(monkeypatch, exact=True, prepack=False).told["session.disable_prepacking"] == "1"


def test_the_twin_is_computed_only_where_products_are_not_exact(monkeypatch):
    """
    With VNNI it would take twice the time for the same integers.
    """
    assert "session.x64quantprecision" not in told(monkeypatch, exact=True).told
    assert told(monkeypatch, exact=False).told["session.x64quantprecision"] == "1"


def test_the_products_graph_is_what_onnx_writes():
    """
    The bytes in the source are those of a graph that a reader can check.
    """
    kinds = {"x": (TensorProto.UINT8, [1, 64]), "w": (TensorProto.INT8, [64, 8]), "y": (TensorProto.INT32, [1, 8])}
    x, w, y = (helper.make_tensor_value_info(name, *kind) for name, kind in kinds.items())
    graph = helper.make_graph([helper.make_node("MatMulInteger", ["x", "w"], ["y"])], "product", [x, w], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)

    assert model.SerializeToString() == session._PRODUCT


@pytest.mark.parametrize(("sum_of_products", "expected"), [(64 * 255 * 127, True), (32 * 32767, False)])
def test_the_processor_is_asked_what_it_multiplies(monkeypatch, sum_of_products, expected):
    """
    Sixteen bits hold 32767, and not 2 * 255 * 127; one wrong column is enough.
    """
    answer = np.full((1, 8), 64 * 255 * 127, np.int32)
    answer[0, 5] = sum_of_products
    asked = SimpleNamespace(run=lambda outputs, feed: [answer])
    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda *_, **__: asked)

    assert session.multiplies_exactly() is expected


@pytest.mark.parametrize(
    ("machine", "exact", "expected"),
    [
        ("aarch64", False, "exact"),
        ("x86_64", True, "u8 x s8 with VNNI, exact"),
        ("AMD64", True, "u8 x s8 with VNNI, exact"),
        ("x86_64", False, "no VNNI: the exact u8 x u8 twin is computed (weights + 128, zero point 128)"),
    ],
)
def test_int8_arithmetic_in_words(monkeypatch, machine, exact, expected):
    """
    A measurement's conditions say which products this processor computes.
    """
    monkeypatch.setattr(session, "multiplies_exactly", lambda: exact)
    monkeypatch.setattr(session.platform, "machine", lambda: machine)

    assert session.int8_arithmetic() == expected


def test_without_onnxruntime_nobody_knows(monkeypatch):
    """
    `edgeafri doctor` asks also where it is what is missing.
    """

    def missing():
        raise ModuleNotFoundError("onnxruntime")

    monkeypatch.setattr(session, "multiplies_exactly", missing)
    monkeypatch.setattr(session.platform, "machine", lambda: "x86_64")

    assert session.int8_arithmetic() == "not known without onnxruntime"
