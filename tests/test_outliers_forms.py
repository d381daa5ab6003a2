"""benchmarks/outliers_forms: rewritings give the logits of before, and take from int8 what they are there to take."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeafri.data.dataset import Sentence, Split
from edgeafri.inference.predict import SentenceLogits
from edgeafri.inference.session import open_session
from edgeafri.stages.comparison.model_outputs import ModelOutputs
from edgeafri.stages.graphs.cleanup import drop_unused
from edgeafri.stages.graphs.float_channels import split_channels
from edgeafri.stages.quantization.activation_ranges import Activation, Product

WIDTH, HEADS, NEURONS, TOKENS, LABELS = 8, 2, 16, 5, 3
OUTLIER = 3  # a channel that reaches much farther than the others
MATRICES = {"q": (8, 8), "k": (8, 8), "v": (8, 8), "out": (8, 8), "up": (8, 16), "down": (16, 8), "head": (8, 3)}
ATTENTION, NEURON_VALUES = "merged", "gelu"
Rewrite = Callable[[ModuleType, ModuleType, object], None]


@pytest.fixture
def part(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """A module of benchmarks/outliers_forms, by its name."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent.parent))
    return lambda name: import_module(f"benchmarks.outliers_forms.{name}")


@pytest.fixture
def graph() -> onnx.ModelProto:
    """An encoder layer as a post-layer-norm BERT has it, with an outlier channel behind its first layer norm."""
    draw = np.random.default_rng(0)
    values = {name: draw.normal(size=shape) for name, shape in MATRICES.items()}
    values |= {f"{name}_bias": draw.normal(size=shape[1]) for name, shape in MATRICES.items()}
    for norm in ("first", "second"):
        values |= {f"{norm}_gamma": draw.uniform(0.5, 1.5, WIDTH), f"{norm}_beta": draw.normal(size=WIDTH)}
    values["first_gamma"][OUTLIER] = 40
    values |= {"one": np.array(1.0), "half": np.array(0.5)}
    constants = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in values.items()]
    shapes = {"split": [0, 0, HEADS, WIDTH // HEADS], "merge": [0, 0, WIDTH]}
    constants += [numpy_helper.from_array(np.array(shape), name) for name, shape in shapes.items()]
    nodes = [*_attention(), *_feed_forward(), *_linear("normed", "head", "logits")]
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, TOKENS, WIDTH])
    made = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, TOKENS, LABELS])
    body = helper.make_graph(nodes, "layer", [given], [made], constants)
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def _attention() -> list[onnx.NodeProto]:
    nodes = [_norm("x", "first", "hidden")]
    for name in ("q", "k", "v"):
        nodes += _linear("hidden", name, f"{name}_all")
        nodes.append(helper.make_node("Reshape", [f"{name}_all", "split"], [f"{name}_heads"], f"{name}_split"))
        order = [0, 2, 3, 1] if name == "k" else [0, 2, 1, 3]
        nodes.append(helper.make_node("Transpose", [f"{name}_heads"], [f"{name}_turned"], f"{name}_turn", perm=order))
    nodes += [
        helper.make_node("MatMul", ["q_turned", "k_turned"], ["scores"], "scores_product"),
        helper.make_node("Softmax", ["scores"], ["shares"], "softmax", axis=-1),
        helper.make_node("MatMul", ["shares", "v_turned"], ["context"], "context_product"),
        helper.make_node("Transpose", ["context"], ["context_turned"], "context_turn", perm=[0, 2, 1, 3]),
        helper.make_node("Reshape", ["context_turned", "merge"], [ATTENTION], "context_merge"),
    ]
    return [*nodes, *_linear(ATTENTION, "out", "attended")]


def _feed_forward() -> list[onnx.NodeProto]:
    """With an activation function that is not homogeneous, as GELU is not."""
    return [
        helper.make_node("Add", ["attended", "hidden"], ["sum"], "residual"),
        *_linear("sum", "up", "neurons"),
        helper.make_node("Erf", ["neurons"], ["erf"], "erf"),
        helper.make_node("Add", ["erf", "one"], ["erf_one"], "erf_one"),
        helper.make_node("Mul", ["neurons", "erf_one"], ["doubled"], "doubled"),
        helper.make_node("Mul", ["doubled", "half"], [NEURON_VALUES], "gelu"),
        *_linear(NEURON_VALUES, "down", "given"),
        helper.make_node("Add", ["given", "sum"], ["last"], "second_residual"),
        _norm("last", "second", "normed"),
    ]


def _linear(name: str, layer: str, output: str) -> list[onnx.NodeProto]:
    product = helper.make_node("MatMul", [name, layer], [f"{layer}_product"], f"{layer}/MatMul")
    return [product, helper.make_node("Add", [f"{layer}_bias", f"{layer}_product"], [output], f"{layer}/Add")]


def _norm(name: str, norm: str, output: str) -> onnx.NodeProto:
    return helper.make_node("LayerNormalization", [name, f"{norm}_gamma", f"{norm}_beta"], [output], f"{norm}_norm")


def values_of(model: onnx.ModelProto, *names: str) -> list[np.ndarray]:
    """Tensors of a graph by name, for a fixed input."""
    shown = onnx.ModelProto()
    shown.CopyFrom(model)
    shown.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name != "logits")
    x = np.random.default_rng(1).normal(size=(1, TOKENS, WIDTH)).astype(np.float32)
    return open_session(shown.SerializeToString(), threads=1).run(list(names), {"x": x})


def read_by_products(rewriting) -> list[np.ndarray]:
    """What the int8 products of a rewritten graph read."""
    return values_of(rewriting.model, *rewriting.activations())


def gamma(part, rewriting):
    part("scaling").scale_channels(rewriting, part("scaling").gamma_scales(rewriting))


def smooth(part, rewriting):
    names = rewriting.activations()
    reach = {
        name: np.abs(value).max(axis=(0, 1)) for name, value in zip(names, read_by_products(rewriting), strict=True)
    }
    ranges = [Reach(name, found) for name, found in reach.items()]
    part("scaling").scale_channels(rewriting, part("scaling").smooth_scales(rewriting, ranges, alpha=0.5))


class Reach:
    """What smoothing reads of an activation."""

    def __init__(self, name, reach):
        self.name, self.reach = name, reach


def fit(part, rewriting):
    """Scales and shifts of what can be moved, as `fitted` finds them."""
    names = [name for name in rewriting.activations() if part("scaling").is_movable(rewriting, name)]
    assert names == ["hidden", ATTENTION, "normed"]
    found = {}
    for name, value in zip(names, values_of(rewriting.model, *names), strict=True):
        matrices = [rewriting.matrix(node) for node in rewriting.readers(name)]
        found[name] = part("fitting").fit(*read_by(part, name, value, matrices), shifted=True)
        assert found[name].shift.any()
    part("scaling").scale_channels(rewriting, *part("fitting").as_moves(found))


def read_by(part, name, value, matrices):
    """An activation of one sentence as ranges and moments tell of it, and the matrices that read it."""
    products = tuple(
        Product(
            name, name, matrix.shape[1], np.square(matrix).sum(axis=1), np.square(value @ matrix).sum(axis=2).mean(1)
        )
        for matrix in matrices
    )
    moments = part("fitting").Moments(value.mean(axis=(0, 1)), np.square(value).mean(axis=(0, 1)))
    return Activation(name, value.min(axis=1), value.max(axis=1), products), matrices, moments


def tokens(part, rewriting):
    part("scaling").scale_tokens(rewriting)


def rotate(part, rewriting):
    part("rotation").rotate(rewriting, 8, WIDTH // HEADS)


@pytest.mark.parametrize("rewrite", [gamma, smooth, fit, tokens, rotate])
def test_a_rewriting_is_exact(part, graph, rewrite):
    """
    The logits are those of before; the tolerance is some rounding errors of float32 beside numbers of 40.
    """
    before = values_of(graph, "logits")[0]

    rewrite(part, part("rewriting").Rewriting(graph))

    onnx.checker.check_model(graph)
    assert values_of(graph, "logits")[0] == pytest.approx(before, abs=1e-3)


@pytest.mark.parametrize("rewrite", [gamma, smooth, fit, rotate])
def test_an_outlier_reaches_less_far(part, graph, rewrite):
    """
    Of what the first products read, the largest number is nearer to the median than it was.
    """
    rewriting = part("rewriting").Rewriting(graph)
    before = read_by_products(rewriting)[0]

    rewrite(part, rewriting)
    after = read_by_products(rewriting)[0]

    assert peak(after) < 0.5 * peak(before)


def peak(values: np.ndarray) -> float:
    return float(np.abs(values).max() / np.median(np.abs(values)))


def test_every_token_reaches_to_one(part, graph):
    """
    So that one scale for the tensor is one for every token.
    """
    rewriting = part("rewriting").Rewriting(graph)

    tokens(part, rewriting)

    assert all(np.abs(value).max(axis=-1) == pytest.approx(1) for value in read_by_products(rewriting))


def test_values_of_an_attention_are_changed_in_their_matrix(part, graph):
    """
    Smoothing and rotation add nothing behind an attention: its weighted mean takes what its values are multiplied by.
    """
    smooth(part, part("rewriting").Rewriting(graph))
    readers = [node.op_type for node in graph.graph.node if ATTENTION in node.input]
    behind_gelu = [node.op_type for node in graph.graph.node if NEURON_VALUES in node.input]

    assert readers == ["MatMul"]
    assert behind_gelu == ["Mul"]


def test_fitted_channels_add_a_product_to_residual_branches_alone(part, graph):
    """
    Shifts go into biases. One layer norm has a residual branch here, and what another is moved back by nothing reads.
    """
    before = [node.op_type for node in graph.graph.node]

    fit(part, part("rewriting").Rewriting(graph))
    drop_unused(graph)

    assert sorted(node.op_type for node in graph.graph.node) == sorted([*before, "Mul"])


def test_what_fitting_expects_is_what_rounding_does(part, graph):
    """
    The error that ranges and moments predict is that of rounding both sides; within a half, as errors are random.
    """
    matrix = values_in(graph, "q")
    value = values_of(graph, "hidden")[0]
    found = part("fitting").fit(*read_by(part, "hidden", value, [matrix]), shifted=True)
    scale, shift = found.scale.astype(np.float32), found.shift.astype(np.float32)

    moved, weights = (value - shift) / scale, matrix * scale[:, None]
    steps = np.abs(weights).max(axis=0) / 127
    rounded = np.rint(weights / steps) * steps
    error = np.square(by_runtime(moved) @ rounded - moved @ weights).sum(axis=2).mean()

    assert error / np.square(value @ matrix).sum(axis=2).mean() == pytest.approx(found.error, rel=0.5)


def values_in(model: onnx.ModelProto, name: str) -> np.ndarray:
    return next(numpy_helper.to_array(item) for item in model.graph.initializer if item.name == name)


def test_channels_saturate_where_scales_are_fixed(part, graph):
    """
    An outlier that is in float32 is left out of the range and needs no mask; its own part of the logits is exact.
    """
    before = values_of(graph, "logits", "hidden")
    bounds = Bounds("hidden", before[1])
    plain, split = onnx.ModelProto(), onnx.ModelProto()
    plain.CopyFrom(graph)
    split.CopyFrom(graph)
    rewriting = part("rewriting").Rewriting(split, split_channels(split, {"hidden": [OUTLIER]}))

    part("fixed").fix_scales(rewriting, [bounds], {"hidden": [OUTLIER]}, ["hidden"])
    part("fixed").fix_scales(part("rewriting").Rewriting(plain), [bounds], {}, ["hidden"])

    assert [node.op_type for node in split.graph.node if "hidden" in node.input].count("QuantizeLinear") == 1
    assert not any("hidden/rest" in node.input for node in split.graph.node)
    assert apart(values_of(split, "logits")[0], before[0]) < 0.5 * apart(values_of(plain, "logits")[0], before[0])


class Bounds:
    """What a fixed scale reads of an activation, here of one sentence."""

    def __init__(self, name, value):
        self.name, self.low, self.high = name, value.min(axis=1), value.max(axis=1)


def apart(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one - other).mean())


def test_a_hadamard_matrix_is_orthogonal(part):
    """
    Its entries are of one size, so that an outlier spreads evenly.
    """
    found = part("rotation").hadamard(8)

    assert found @ found.T == pytest.approx(np.eye(8), abs=1e-6)
    assert np.abs(found) == pytest.approx(np.full((8, 8), 8**-0.5))


@pytest.mark.parametrize(("width", "most", "block"), [(384, 128, 128), (384, 512, 128), (768, 32, 32), (6, 4, 2)])
def test_a_block_divides_the_width(part, width, most, block):
    """
    384 is three times 128: a Hadamard matrix of 384 is not made.
    """
    assert part("rotation").block_of(width, most) == block


def test_the_worst_language_stands_beside_the_mean(part):
    """
    One of two words of swa changes its label, and it was the only entity: 50 % and 100 points, in hau nothing.
    """
    quality = part("quality")
    splits = tuple(Split(code, "dev", (Sentence(("a", "b"), ("B-PER", "O")),), {}) for code in ("swa", "hau"))
    right, wrong = outputs(((0, 9), (9, 0))), outputs(((9, 0), (9, 0)))
    before = ModelOutputs(("O", "B-PER"), {"swa": right, "hau": right})
    after = ModelOutputs(("O", "B-PER"), {"swa": wrong, "hau": right})

    found = quality.compared(before, after, splits)

    assert (found["flips"], found["flips_worst"]) == (25, ["swa", 50])
    assert (found["lost_mean"], found["lost_worst"]) == (50, ["swa", 100])
    assert found["f1"] == {"swa": 0, "hau": 100}


def outputs(logits: tuple[tuple[float, ...], ...]) -> tuple[SentenceLogits, ...]:
    values = np.array(logits, np.float32)
    return (SentenceLogits(values, np.ones(len(values), bool)),)


def test_the_page_has_a_row_for_every_form(part):
    """
    A form that was left out after the sample has dashes, one that failed its reason.
    """
    sample = {"logits": 0.08, "flips": 0.5}
    whole = {"logits": 0.02, "flips": 0.1, "lost_mean": -0.05, "lost_interval": [-0.2, 0.1], "lost_worst": ["kin", 0.4]}
    whole["lost"] = {"kin": 0.4, "swa": -0.5}
    instructions = {"rpi4": {"total": 200.0}}
    rows = {
        "tensor": {"what": "today", "mb": 38.158, "sample": sample, "instructions": instructions},
        "ours": {
            "what": "new",
            "mb": 38.4,
            "sample": sample,
            "dev": whole,
            "test": whole,
            "time": {"times_base": 1.02},
        },
        "static": {"what": "fixed", "error": "no text"},
    }
    rows["ours"]["instructions"] = {"rpi4": {"total": 205.0}}
    document = {
        "command": "c",
        "device": "d",
        "conditions": {"cores": 2, "load_average_1min": 1},
        "base": "tensor",
        "ours": "ours",
    }

    found = part("page").page({**document, "rounds": 3, "most": 40, "within": 2.0, "forms": rows})

    assert "| tensor | today | 38.16 | - | - | 0.0800 | 0.50 | - | - | - | - | - | - | - | - |" in found
    assert "| 0.0200 | 0.10 | -0.05 (-0.20 to 0.10) | 0.40 kin |" in found
    assert "| ours | 205.0 (+2.5 %) |" in found
    assert "- static: not made: no text" in found


def test_int8_in_training_rounds_as_the_runtime_does(part):
    """
    Each sentence as DynamicQuantizeLinear rounds it alone; padding, here 90, does not widen its range.
    """
    torch = pytest.importorskip("torch")
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 4, 6)).astype(np.float32))
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
    x[1, 2:] = 90

    found = import_module("benchmarks.outliers_qat").round_input(x, mask)

    assert found[0].numpy() == pytest.approx(by_runtime(x[:1].numpy())[0], abs=1e-5)
    assert found[1, :2].numpy() == pytest.approx(by_runtime(x[1:, :2].numpy())[0], abs=1e-5)


def by_runtime(x: np.ndarray) -> np.ndarray:
    """What is left of numbers after DynamicQuantizeLinear."""
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["codes", "scale", "zero"]),
        helper.make_node("DequantizeLinear", ["codes", "scale", "zero"], ["y"]),
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, x.shape) for name in ("x", "y")]
    body = helper.make_graph(nodes, "rounding", ends[:1], ends[1:])
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    return open_session(model.SerializeToString(), threads=1).run(None, {"x": x})[0]


def test_int8_in_training_has_gradients(part):
    """
    Through the rounding as if it were not there, into inputs and weights.
    """
    torch = pytest.importorskip("torch")
    qat = import_module("benchmarks.outliers_qat")
    x, weight = torch.randn(1, 3, 4, requires_grad=True), torch.randn(2, 4, requires_grad=True)

    (qat.round_input(x, torch.ones(1, 3)) @ qat.round_rows(weight).T).sum().backward()

    assert x.grad.abs().min() > 0
    assert weight.grad.abs().min() > 0
