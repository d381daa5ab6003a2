"""external_weights: weights in a file of their own beside the graph, which onnxruntime maps from disk.

Inside the graph, weights are read into memory, parsed and copied; beside it, pages of the file are the memory. The file
follows onnx's rules for external data: a plain file name, tensors at multiples of a page.
"""

from pathlib import Path

import onnx

from edgeafri.bundle import GRAPH, WEIGHTS

BATCH_TOKENS = 128  # measured in float32: 10 to 15 % less processor time than one by one, and more gains nothing
_PAGE = 4096
_ALONE = ("DynamicQuantizeLinear", "DynamicQuantizeMatMul", "QAttention", "MatMulNBits")


def write_beside(graph: onnx.ModelProto, folder: Path) -> None:
    """Write a graph's weights of a page and more to a file of their own, and the graph without them. Changes `graph`.

    Equal graphs give equal bytes. Small tensors stay inside: shapes are inferred from them.
    """
    with (folder / WEIGHTS).open("wb") as file:
        for weight in graph.graph.initializer:
            content = weight.raw_data
            if len(content) >= _PAGE:
                file.write(bytes(-file.tell() % _PAGE))
                _point(weight, file.tell(), len(content))
                file.write(content)
    (folder / GRAPH).write_bytes(graph.SerializeToString(deterministic=True))


def weights_mb(graph: onnx.ModelProto) -> float:
    """How many 10^6 bytes of a graph could stand beside it."""
    return sum(len(weight.raw_data) for weight in graph.graph.initializer if len(weight.raw_data) >= _PAGE) / 1e6


def batch_tokens(graph: onnx.ModelProto) -> int:
    """How many tokens of several sentences may be computed at once; 0: each sentence alone.

    Other sentences of a batch must not change the logits. Activations that are quantized at run time share one scale in
    a batch, and products with weights in blocks are computed differently in a batch: logits were up to 0.0075 apart.
    """
    return 0 if any(node.op_type in _ALONE for node in graph.graph.node) else BATCH_TOKENS


def _point(weight: onnx.TensorProto, offset: int, length: int) -> None:
    weight.ClearField("raw_data")
    weight.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", WEIGHTS), ("offset", str(offset)), ("length", str(length))):
        weight.external_data.add(key=key, value=value)
