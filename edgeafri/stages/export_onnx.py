"""export-onnx: the model as an ONNX graph, through optimum, with its logits checked against torch."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
from optimum.exporters.onnx import onnx_export_from_model

from edgeafri.artifact import Artifact
from edgeafri.errors import ModelError
from edgeafri.inference.session import forward, open_session
from edgeafri.menu.facts.conversion import ExportOnnxFacts
from edgeafri.menu.settings import ExportOnnxSettings
from edgeafri.stages.graphs.graph import GRAPH, LARGEST_BYTES, carry, write_graph
from edgeafri.stages.models import checkpoint
from edgeafri.tasks import task
from edgeafri.util.progress import Progress

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_SEGMENTS = "token_type_ids"


def run(source: Artifact, settings: ExportOnnxSettings, out: Path, progress: Progress) -> ExportOnnxFacts:
    """Trace the graph with dynamic batch and sequence axes, pin its versions, compare logits on a padded batch.

    A word embedding that a masked-LM head shares stands in the file once.
    """
    progress(0, 3)
    checkpoint.check_head(source.path, "export-onnx")
    model = checkpoint.read_model(source.path)
    _check_size(model, source.path)
    onnx_export_from_model(
        model,
        out,
        opset=settings.opset,
        task=task(source.manifest.task).export,
        do_validation=False,
        no_dynamic_axes=False,
    )
    progress(1, 3)
    graph = onnx.load(out / GRAPH)
    fill_segments(graph)
    write_graph(graph, out / GRAPH)
    carry(source.path, out)
    progress(2, 3)
    difference = largest_difference(model, out / GRAPH)
    if not difference <= settings.tolerance:
        if np.isnan(difference):
            raise ModelError("export-onnx: the logits are NaN", "The weights hold NaN: save the model again.")
        message = f"export-onnx: logits differ from torch by {difference:.2g}, allowed are {settings.tolerance:g}"
        raise ModelError(message, "Report the model's architecture; --set export-onnx.tolerance=... lets it pass.")
    found = float(f"{difference:.1e}")
    return ExportOnnxFacts(opset=settings.opset, ir_version=graph.ir_version, max_logit_difference=found)


def largest_difference(model: "PreTrainedModel", graph: Path) -> float:
    """The largest absolute difference of torch's and onnxruntime's logits on one padded batch of random ids."""
    return checkpoint.largest_difference(model, forward(open_session(graph, threads=1)))


def fill_segments(graph: onnx.ModelProto) -> None:
    """Put zeros in the place of the segments that BERT asks for: one sentence is all first segment. Changes `graph`."""
    asked = next((item for item in graph.graph.input if item.name == _SEGMENTS), None)
    if asked is None:
        return
    graph.graph.input.remove(asked)
    size = onnx.helper.make_node("Shape", ["input_ids"], [f"{_SEGMENTS}_shape"])
    zero = onnx.helper.make_tensor("value", onnx.TensorProto.INT64, [1], [0])
    zeros = onnx.helper.make_node("ConstantOfShape", [f"{_SEGMENTS}_shape"], [_SEGMENTS], value=zero)
    for place, node in enumerate((size, zeros)):
        graph.graph.node.insert(place, node)


def _check_size(model: "PreTrainedModel", path: Path) -> None:
    size = checkpoint.weight_bytes(model)
    if size > LARGEST_BYTES:
        hint = "Most of it is vocabulary of other languages: edgeafri trim MODEL --languages LANG --text DIR --out DIR."
        raise ModelError(f"export-onnx: {path}: {size / 1e9:.1f} GB of weights, an ONNX file ends at 2.1", hint)
