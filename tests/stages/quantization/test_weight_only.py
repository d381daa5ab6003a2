"""weight_only: MatMulNBits gives what numpy makes of the same codes and scales; the graph around it stays."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeafri.errors import ModelError
from edgeafri.stages.quantization.blocks import quantize_blocks, read_blocks
from edgeafri.stages.quantization.weight_only import quantize_weights

RANDOM = np.random.default_rng(0)


def product(kind: str, matrix: np.ndarray, bias: np.ndarray | None = None, **attributes) -> onnx.ModelProto:
    """A graph of one layer."""
    inputs = ["x", "w", *([] if bias is None else ["b"])]
    node = helper.make_node(kind, inputs, ["y"], name="layer", **attributes)
    transposed = attributes.get("transB", 0)
    width, outputs = matrix.shape[::-1] if transposed else matrix.shape
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", width])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", outputs])
    weights = [numpy_helper.from_array(matrix, "w")]
    weights += [] if bias is None else [numpy_helper.from_array(bias, "b")]
    graph = helper.make_graph([node], "product", [x], [y], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def answer(graph: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


def matrix_of(width: int, outputs: int) -> np.ndarray:
    return RANDOM.normal(size=(width, outputs)).astype(np.float32)


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize(("width", "block"), [(128, 32), (128, 128), (48, 32), (16, 64)])
def test_the_operator_reads_our_bytes_as_numpy_does(bits, width, block):
    """
    Blocks that end with the row and blocks that do not. One percent is what int8 activations cost.
    """
    matrix, x = matrix_of(width, 24), RANDOM.normal(size=(5, width)).astype(np.float32)
    expected = x @ read_blocks(*quantize_blocks(matrix.T, block, bits), bits, width).T
    found = answer(quantize_weights(product("MatMul", matrix), bits, block), x)

    assert np.abs(found - expected).max() < 0.01 * np.abs(expected).max() + 1e-4


@pytest.mark.parametrize("transposed", [0, 1])
def test_gemm_keeps_its_bias_and_its_output(transposed):
    """
    As the head of a classifier has it: the matrix may lie the other way, the bias is added behind.
    """
    matrix, bias = matrix_of(32, 8), RANDOM.normal(size=8).astype(np.float32)
    given = np.ascontiguousarray(matrix.T) if transposed else matrix
    graph = quantize_weights(product("Gemm", given, bias, transB=transposed), 8, 32)
    x = RANDOM.normal(size=(3, 32)).astype(np.float32)

    assert [node.op_type for node in graph.graph.node] == ["MatMulNBits", "Add"]
    assert [list(node.output) for node in graph.graph.node] == [["y_product"], ["y"]]
    assert np.abs(answer(graph, x) - (x @ matrix + bias)).max() < 0.2


@pytest.mark.parametrize("bits", [4, 8])
def test_weights_take_their_bits_and_four_bytes_a_block(bits):
    """
    Nothing is kept of the float matrix.
    """
    graph = quantize_weights(product("MatMul", matrix_of(128, 24)), bits, 64)
    sizes = {weight.name: len(weight.raw_data) for weight in graph.graph.initializer}

    assert sizes == {f"w_int{bits}": 128 * 24 * bits // 8, "w_scale": 2 * 24 * 4}


def test_a_matrix_that_two_layers_share_is_kept_once():
    """
    As tied layers are.
    """
    graph = product("MatMul", matrix_of(32, 32))
    graph.graph.node.append(helper.make_node("MatMul", ["x", "w"], ["z"], name="again"))
    quantize_weights(graph, 4, 32)

    assert [weight.name for weight in graph.graph.initializer] == ["w_int4", "w_scale"]


def test_a_scaled_gemm_stays_as_it_is():
    """
    The operator has no factor; exporters of our models write none.
    """
    graph = quantize_weights(product("Gemm", matrix_of(32, 8), alpha=0.5), 4, 32)

    assert [node.op_type for node in graph.graph.node] == ["Gemm"]


def test_fused_attention_is_refused(fused):
    """
    Its three matrices would silently stay float32.
    """
    with pytest.raises(ModelError, match="form 'weights' cannot read the matrices inside fused attention") as error:
        quantize_weights(onnx.load(fused.path / "model.onnx"), 4, 32)

    assert error.value.hint == "Run optimize without fuse, or use form dynamic."
