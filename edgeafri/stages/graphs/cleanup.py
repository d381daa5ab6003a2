"""cleanup: what nothing reads leaves a graph, and a table that stands in it twice is kept once."""

import numpy as np
import onnx
from onnx import helper, numpy_helper

from edgeafri.stages.graphs.graph import nodes_of


def drop_unused(graph: onnx.ModelProto) -> None:
    """Remove nodes and weights that nothing reads, and name just the operator sets that nodes use. Changes `graph`."""
    read, alive = {item.name for item in graph.graph.output}, []
    for node in reversed(graph.graph.node):
        if read.intersection(node.output):
            read.update(name for part in nodes_of(node) for name in part.input)
            alive.append(node)
    kept = [weight for weight in graph.graph.initializer if weight.name in read]
    del graph.graph.node[:], graph.graph.initializer[:]
    graph.graph.node.extend(reversed(alive))
    graph.graph.initializer.extend(kept)
    domains = {node.domain for node in graph.graph.node} | {""}
    opsets = {entry.domain: entry.version for entry in graph.opset_import}
    del graph.opset_import[:]
    graph.opset_import.extend(onnx.helper.make_opsetid(name, opsets.get(name, 1)) for name in sorted(domains))


def tie_tables(graph: onnx.ModelProto) -> None:
    """Where a weight is a table that stands there too, turned over, keep the table alone. Changes `graph`.

    A masked-LM head shares the word embedding; folding constants would write it down once more.
    """
    weights = {weight.name: weight for weight in graph.graph.initializer}
    tables = {node.input[0] for node in graph.graph.node if node.op_type == "Gather" and node.input[0] in weights}
    for table, weight in [(weights[name], weight) for name in sorted(tables) for weight in weights.values()]:
        if weight.name not in tables and len(weight.dims) == 2 and _is_turned(weight, table):
            graph.graph.initializer.remove(weight)
            turn = helper.make_node("Transpose", [table.name], [weight.name], name=f"{weight.name}_turn", perm=[1, 0])
            graph.graph.node.insert(0, turn)


def _is_turned(weight: onnx.TensorProto, table: onnx.TensorProto) -> bool:
    if list(weight.dims) != list(table.dims)[::-1] or weight.data_type != table.data_type:
        return False
    return np.array_equal(numpy_helper.to_array(weight).T, numpy_helper.to_array(table))
