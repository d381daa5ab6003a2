"""What this processor reaches in matrix products alone: torch in float32, onnxruntime in int8."""

import time
from collections.abc import Callable

import numpy as np
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper

from edgeafri.inference.session import IR_VERSION, OPSET

# Rows, inputs, outputs. A large product, and one whose weights stay in the cache, which a busy machine slows less.
PRODUCTS = ((2048, 2048, 2048), (512, 768, 768))


def measure(threads: int) -> dict[str, float]:
    """10^9 operations a second, the better of the two products, each the median of several."""
    return {
        "fp32_gflops": max(rate(float_product(threads, size), size) for size in PRODUCTS),
        "int8_gops": max(rate(int8_product(threads, size), size) for size in PRODUCTS),
    }


def rate(product: Callable[[], object], size: tuple[int, int, int]) -> float:
    operations = 2 * size[0] * size[1] * size[2]
    product()
    times = []
    for _ in range(5 if size[0] > 1000 else 20):
        began = time.perf_counter()
        product()
        times.append(time.perf_counter() - began)
    return float(operations / np.median(times) / 1e9)


def float_product(threads: int, size: tuple[int, int, int]) -> Callable[[], object]:
    torch.set_num_threads(threads)
    rows, inner, columns = size
    left, right, out = torch.randn(rows, inner), torch.randn(inner, columns), torch.empty(rows, columns)
    return lambda: torch.matmul(left, right, out=out)


def int8_product(threads: int, size: tuple[int, int, int]) -> Callable[[], object]:
    rows, inner, columns = size
    draw = np.random.default_rng(0)
    weights = numpy_helper.from_array(draw.integers(-127, 128, (inner, columns), dtype=np.int8), "weights")
    node = helper.make_node("MatMulInteger", ["left", "weights"], ["out"])
    taken = helper.make_tensor_value_info("left", TensorProto.UINT8, [rows, inner])
    given = helper.make_tensor_value_info("out", TensorProto.INT32, [rows, columns])
    graph = helper.make_graph([node], "product", [taken], [given], [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    left = draw.integers(0, 256, (rows, inner), dtype=np.uint8)
    return lambda: session.run(None, {"left": left})
