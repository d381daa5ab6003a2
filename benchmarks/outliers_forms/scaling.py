"""scaling: numbers that are exact to take out of an activation and to give back: one per channel, or one per token.

Per channel,  x @ W = (x / s) @ (s W):  s goes into the matrices that read the activation, and 1 / s into what makes it.
A layer norm takes 1 / s into its weight and bias, and whatever else reads it, as the residual sum, gets it multiplied
by s again. An attention's output takes 1 / s into the matrix of its values. Elsewhere, as behind GELU, which is not
homogeneous, the activation is multiplied itself.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from benchmarks.outliers_forms.rewriting import Rewriting
from edgeafri.stages.quantization.activation_ranges import Activation

Scales = NDArray[np.float32]
_SMALLEST = 1e-5  # of a scale, as in SmoothQuant's own code
_TINY = np.float32(1e-30)  # for a token whose numbers are all zero
_AXES_ARE_INPUTS = 18


def gamma_scales(graph: Rewriting, least: float = 1e-2) -> dict[str, Scales]:
    """The weight of every layer norm: what it makes then has a variance of one in every channel.

    Gamma migration of Outlier Suppression (Wei et al. 2022, arXiv 2209.13325). Weights smaller than `least` stay where
    they are: the bias is divided by them.
    """
    found = {}
    for name in graph.activations():
        maker = graph.maker(name)
        if maker is not None and maker.op_type == "LayerNormalization":
            gamma = graph.value(maker.input[1])
            found[name] = np.where(np.abs(gamma) < least, 1, gamma).astype(np.float32)
    return found


def smooth_scales(graph: Rewriting, ranges: Sequence[Activation], alpha: float) -> dict[str, Scales]:
    """SmoothQuant's scales (Xiao et al. 2023, arXiv 2211.10438, equation 4), from ranges on calibration text."""
    found = {}
    for item in ranges:
        rows = np.max([np.abs(graph.matrix(node)).max(axis=1) for node in graph.readers(item.name)], axis=0)
        scales = np.maximum(item.reach, _SMALLEST) ** alpha / np.maximum(rows, _SMALLEST) ** (1 - alpha)
        found[item.name] = np.maximum(scales, _SMALLEST).astype(np.float32)
    return found


def scale_channels(graph: Rewriting, scales: Mapping[str, Scales]) -> None:
    """Divide every channel of these activations by its scale, and multiply the rows of the matrices by it."""
    for name, found in scales.items():
        products = graph.readers(name)
        for node in products:
            graph.set_input(node, 1, graph.matrix(node) * found[:, None])
        maker, values = graph.maker(name), graph.values_product(name)
        if maker is not None and maker.op_type == "LayerNormalization":
            _scale_norm(graph, maker, found, products)
        elif values is not None:
            graph.scale_outputs(*values, 1 / found)
        else:
            _scale_itself(graph, name, found, products)


def _scale_norm(graph: Rewriting, norm: onnx.NodeProto, scales: Scales, products: Sequence[onnx.NodeProto]) -> None:
    for place in (1, 2):
        graph.set_input(norm, place, graph.value(norm.input[place]) / scales)
    name = norm.output[0]
    whole = f"{name}/whole"
    others = [node for node in graph.graph.node if name in node.input and node not in products]
    for node in others:
        node.input[:] = [whole if given == name else given for given in node.input]
    graph.after(name, [helper.make_node("Mul", [name, graph.constant(f"{name}/scales", scales)], [whole], whole)])


def _scale_itself(graph: Rewriting, name: str, scales: Scales, products: Sequence[onnx.NodeProto]) -> None:
    scaled = f"{name}/scaled"
    for node in products:
        node.input[0] = scaled
    inverse = graph.constant(f"{name}/scales", 1 / scales)
    graph.after(name, [helper.make_node("Mul", [name, inverse], [scaled], scaled)])


def scale_tokens(graph: Rewriting) -> None:
    """Divide every token's numbers by the largest absolute one, and multiply what the products give by it.

    Every token then reaches to 1, so that the scale per tensor, which DynamicQuantizeLinear finds, is one per token.
    """
    opset = next(entry.version for entry in graph.model.opset_import if entry.domain in ("", "ai.onnx"))
    tiny, axis = graph.constant("tokens/tiny", np.array(_TINY)), graph.constant("tokens/axis", np.array([-1]))
    for name in graph.activations():
        made = {part: f"{name}/{part}" for part in ("size", "largest", "token", "even")}
        if opset >= _AXES_ARE_INPUTS:
            largest = helper.make_node("ReduceMax", [made["size"], axis], [made["largest"]], made["largest"])
        else:
            largest = helper.make_node("ReduceMax", [made["size"]], [made["largest"]], made["largest"], axes=[-1])
        products = graph.readers(name)
        for node in products:
            node.input[0] = made["even"]
            graph.behind_product(node, "Mul", made["token"])
        nodes = [
            helper.make_node("Abs", [name], [made["size"]], made["size"]),
            largest,
            helper.make_node("Max", [made["largest"], tiny], [made["token"]], made["token"]),
            helper.make_node("Div", [name, made["token"]], [made["even"]], made["even"]),
        ]
        graph.after(name, nodes)
