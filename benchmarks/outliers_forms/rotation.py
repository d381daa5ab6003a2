"""rotation: an orthogonal matrix R spreads what one channel holds over many before the int8 product, x @ W = xR @ R'W.

As in QuaRot (Ashkboos et al. 2024, arXiv 2404.00456) and SpinQuant (Liu et al. 2024, arXiv 2405.16406), with Hadamard
matrices in blocks. What is exact without a product more: R' in the matrices that read the activation, and R in the
matrix of the values where the activation is an attention's output. The residual stream cannot be rotated once for the
model, as it can where an RMS norm stands in front of every layer: behind a layer norm its weight acts on single
channels, and the sum after it reads them. So layer norms and GELU get an explicit product in float32.
"""

import numpy as np
from numpy.typing import NDArray
from onnx import helper

from benchmarks.outliers_forms.rewriting import Rewriting

Matrix = NDArray[np.float32]


def hadamard(size: int) -> Matrix:
    """The orthogonal Hadamard matrix of a power of two, by Sylvester's construction."""
    found = np.ones((1, 1))
    while len(found) < size:
        found = np.block([[found, found], [found, -found]])
    return (found / np.sqrt(size)).astype(np.float32)


def block_of(width: int, most: int) -> int:
    """The largest power of two that divides a width, and is not above `most`."""
    block = 1
    while 2 * block <= most and width % (2 * block) == 0:
        block *= 2
    return block


def rotate(graph: Rewriting, most: int, head: int) -> None:
    """Rotate activations in blocks of at most `most` channels, the output of an attention within heads of `head`."""
    for name in graph.activations():
        products = graph.readers(name)
        width = len(graph.matrix(products[0]))
        values = graph.values_product(name)
        turn = hadamard(block_of(head if values else width, most))
        for node in products:
            graph.set_input(node, 1, _in_blocks(turn.T, graph.matrix(node)))
        if values is None:
            _turn_itself(graph, name, turn)
            continue
        node, bias = values
        graph.set_input(node, 1, _in_blocks(turn.T, graph.matrix(node).T).T)
        if bias is not None:
            graph.change_bias(bias, lambda before, turn=turn: _in_blocks(turn.T, before[:, None])[:, 0])


def _in_blocks(turn: Matrix, rows: Matrix) -> Matrix:
    """The block diagonal matrix of `turn` times a matrix."""
    found: Matrix = (turn @ rows.reshape(-1, len(turn), rows.shape[1])).reshape(rows.shape)
    return found


def _turn_itself(graph: Rewriting, name: str, turn: Matrix) -> None:
    made = {part: f"{name}/{part}" for part in ("shape", "blocks", "product", "turned")}
    products = graph.readers(name)
    blocks = graph.constant(f"{name}/to_blocks", np.array([-1, len(turn)]))
    matrix = graph.constant(f"{name}/rotation", turn)
    for node in products:
        node.input[0] = made["turned"]
    graph.in_float.add(made["product"])
    nodes = [
        helper.make_node("Shape", [name], [made["shape"]], made["shape"]),
        helper.make_node("Reshape", [name, blocks], [made["blocks"]], made["blocks"]),
        helper.make_node("MatMul", [made["blocks"], matrix], [made["product"]], made["product"]),
        helper.make_node("Reshape", [made["product"], made["shape"]], [made["turned"]], made["turned"]),
    ]
    graph.after(name, nodes)
