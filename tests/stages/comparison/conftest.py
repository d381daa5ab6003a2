"""What the tests of comparisons share: an int8 graph with one layer that is bad."""

import shutil

import onnx
import pytest
from onnx import numpy_helper

from edgeafri.stages.graphs.splice import changed_layers


def graph_of(artifact):
    return onnx.load(artifact.path / "model.onnx")


@pytest.fixture(scope="session")
def planted():
    """A function: the graph before and that after to the second, one layer's scales made wrong in place."""

    def plant(before, after, name, factor):
        layer = next(item for item in changed_layers(before, after) if item.name == name)
        makers = {output: node for node in after.graph.node for output in node.output}
        weights = {weight.name: weight for weight in after.graph.initializer}
        mul = makers[layer.output]
        scale = next(found for found in makers[mul.input[1]].input if found in weights)
        weights[scale].CopyFrom(numpy_helper.from_array(factor * numpy_helper.to_array(weights[scale]), scale))
        return after

    return plant


@pytest.fixture(scope="session")
def bad(optimized, quantized, planted, tmp_path_factory):
    """The int8 graph with one bad layer, as a folder."""
    folder = tmp_path_factory.mktemp("bad") / "graph"
    shutil.copytree(quantized.path, folder)
    graph = planted(graph_of(optimized), graph_of(quantized), "layer 1 output", -40.0)
    onnx.save_model(graph, folder / "model.onnx")
    return folder
