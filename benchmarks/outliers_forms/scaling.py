"""scaling: numbers that are exact to take out of an activation and to give back: one per channel, or one per token.

Per channel,  x @ W = (x / s) @ (s W):  s goes into the matrices that read the activation, and 1 / s into what makes it.
A layer norm takes 1 / s into its weight and bias, and whatever else reads it, as the residual sum, gets it multiplied
by s again. An attention's output takes 1 / s into the matrix of its values. Elsewhere, as behind GELU, which is not
homogeneous, the activation is multiplied itself.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import helper

from benchmarks.outliers_forms.rewriting import Floats, Rewriting
from edgeafri.stages.quantization.activation_ranges import Activation

_SMALLEST = 1e-5  # of a scale, as in SmoothQuant's own code
_TINY = np.float32(1e-30)  # for a token whose numbers are all zero
_AXES_ARE_INPUTS = 18


def gamma_scales(graph: Rewriting, least: float = 1e-2) -> dict[str, Floats]:
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


def smooth_scales(graph: Rewriting, ranges: Sequence[Activation], alpha: float) -> dict[str, Floats]:
    """SmoothQuant's scales (Xiao et al. 2023, arXiv 2211.10438, equation 4), from ranges on calibration text."""
    found = {}
    for item in ranges:
        rows = np.max([np.abs(graph.matrix(node)).max(axis=1) for node in graph.readers(item.name)], axis=0)
        scales = np.maximum(item.reach, _SMALLEST) ** alpha / np.maximum(rows, _SMALLEST) ** (1 - alpha)
        found[item.name] = np.maximum(scales, _SMALLEST).astype(np.float32)
    return found


def scale_channels(graph: Rewriting, scales: Mapping[str, Floats], shifts: Mapping[str, Floats] | None = None) -> None:
    """Make activations x into (x - shift) / scale per channel, and their matrices and biases to what gives the same.

    Nothing is shifted behind what is neither a layer norm nor an attention whose values have a bias.
    """
    for name, scale in scales.items():
        shift = (shifts or {}).get(name, np.zeros_like(scale))
        products = graph.readers(name)
        matrices = [graph.matrix(node) for node in products]
        maker, values = graph.maker(name), graph.values_product(name)
        if maker is not None and maker.op_type == "LayerNormalization":
            _move_norm(graph, maker, scale, shift, products)
        elif values is not None and values[1] is not None:
            graph.set_input(values[0], 1, graph.matrix(values[0]) / scale)
            graph.change_bias(values[1], lambda before, shift=shift, scale=scale: (before - shift) / scale)
        else:
            _scale_itself(graph, name, scale, products)
            shift = np.zeros_like(scale)
        for node, matrix in zip(products, matrices, strict=True):
            graph.set_input(node, 1, matrix * scale[:, None])
            if shift.any():
                graph.add_behind(node, shift @ matrix)


def is_movable(graph: Rewriting, name: str) -> bool:
    """Whether the channels of an activation can be moved in weights: behind a layer norm, and out of an attention."""
    maker, values = graph.maker(name), graph.values_product(name)
    behind_norm = maker is not None and maker.op_type == "LayerNormalization"
    return behind_norm or (values is not None and values[1] is not None)


def _move_norm(
    graph: Rewriting, norm: onnx.NodeProto, scale: Floats, shift: Floats, products: Sequence[onnx.NodeProto]
) -> None:
    """Move what a layer norm gives, and move it back for all but the products."""
    graph.set_input(norm, 1, graph.value(norm.input[1]) / scale)
    graph.set_input(norm, 2, (graph.value(norm.input[2]) - shift) / scale)
    name = norm.output[0]
    scaled, whole = f"{name}/scaled", f"{name}/whole"
    back = [helper.make_node("Mul", [name, graph.constant(f"{name}/scale", scale)], [scaled], scaled)]
    others = [node for node in graph.graph.node if name in node.input and node not in products]
    biases = [_bias_beside(graph, node, name) for node in others if node.op_type != "Shape"]
    if all(bias is not None for bias in biases):
        for bias in biases:
            graph.change_bias(bias, lambda before: before + shift)
        whole = scaled
    else:
        back.append(helper.make_node("Add", [scaled, graph.constant(f"{name}/shift", shift)], [whole], whole))
    for node in others:
        node.input[:] = [whole if given == name else given for given in node.input]
    graph.after(name, back)


def _bias_beside(graph: Rewriting, node: onnx.NodeProto, name: str) -> onnx.NodeProto | None:
    """The sum with a bias that a residual sum adds an activation to; None for what is no such sum."""
    makers = [graph.maker(given) for given in node.input if given != name]
    maker = makers[0] if node.op_type == "Add" and len(makers) == 1 else None
    if maker is None or maker.op_type != "Add" or not any(given in graph.weights for given in maker.input):
        return None
    readers = [other for other in graph.graph.node if maker.output[0] in other.input]
    return maker if len(readers) == 1 else None


def _scale_itself(graph: Rewriting, name: str, scale: Floats, products: Sequence[onnx.NodeProto]) -> None:
    scaled = f"{name}/scaled"
    for node in products:
        node.input[0] = scaled
    inverse = graph.constant(f"{name}/scale", 1 / scale)
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
