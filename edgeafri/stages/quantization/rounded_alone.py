"""rounded_alone: what rounding each activation to int8 does to the logits by itself, all else in float32.

Errors of single activations add up in squares to nearly that of all together. How much harm the same error does differs
a thousandfold from place to place, which no range can tell: what layers after it make of it has to be measured.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper

from edgeafri.inference.predict import EncodedInput, padded
from edgeafri.stages.quantization.activation_ranges import Activation, OpenGraph
from edgeafri.stages.quantization.calibration_text import CalibrationInputs
from edgeafri.util.in_threads import in_threads
from edgeafri.util.progress import Progress

_SENTENCES = 24  # over all languages; shares of the squared error hardly change with more


def measure_harm(
    graph: onnx.ModelProto,
    activations: Sequence[Activation],
    text: CalibrationInputs,
    open_graph: OpenGraph,
    progress: Progress,
) -> dict[str, float]:
    """By activation, the mean square of what its rounding changes in the logits, over a few sentences per language."""
    names = [item.name for item in activations]
    session = open_graph(_with_switches(graph, names))
    wanted = {item.name for item in session.get_inputs()}
    each = max(1, _SENTENCES // len(text.rows))
    rows = [row for found in text.rows.values() for row in found[:: -(-len(found) // each)]]

    def changes(row: EncodedInput) -> list[float]:
        ids, mask = padded([row.ids], text.frame.pad)
        given = {"input_ids": ids, "attention_mask": mask}
        switches = {f"{name}/rounds": np.array(False) for name in names}
        feed = {name: value for name, value in {**given, **switches}.items() if name in wanted}
        (exact,) = session.run(["logits"], feed)
        each = (session.run(["logits"], {**feed, f"{name}/rounds": np.array(True)})[0] for name in names)
        return [float(np.mean(np.square(rounded - exact, dtype=np.float64))) for rounded in each]

    found = np.mean(list(in_threads(changes, rows, progress)), axis=0)
    return dict(zip(names, found.tolist(), strict=True))


def _with_switches(graph: onnx.ModelProto, names: Sequence[str]) -> onnx.ModelProto:
    """The graph with an input per activation that says whether its products read it rounded, as int8 products do."""
    switched = onnx.ModelProto()
    switched.CopyFrom(graph)
    body = switched.graph
    switched_names = {name: f"{name}/switched" for name in names}
    for node in body.node:
        if node.op_type == "MatMul":
            node.input[0] = switched_names.get(node.input[0], node.input[0])
    nodes = [part for node in body.node for part in (node, *_switches(node, switched_names))]
    del body.node[:]
    body.node.extend(nodes)
    body.input.extend(helper.make_tensor_value_info(f"{name}/rounds", TensorProto.BOOL, []) for name in names)
    return switched


def _switches(node: onnx.NodeProto, switched: Mapping[str, str]) -> list[onnx.NodeProto]:
    """What stands behind a node that makes an activation."""
    made = []
    for name in switched.keys() & set(node.output):
        rounded = [f"{name}/codes", f"{name}/scale", f"{name}/zero"]
        made += [
            helper.make_node("DynamicQuantizeLinear", [name], rounded),
            helper.make_node("DequantizeLinear", rounded, [f"{name}/rounded"]),
            helper.make_node("Where", [f"{name}/rounds", f"{name}/rounded", name], [switched[name]]),
        ]
    return made
