"""graph_runner: graphs that stand in no folder yet, run with the tokenizer, limits and labels of one that does."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import numpy_helper

from edgeafri.data.dataset import Split, Unit
from edgeafri.inference.predict import EncodedInput, Encoder, Predictor, padded
from edgeafri.inference.session import forward, open_session
from edgeafri.stages.comparison.model_outputs import ModelOutputs, read_outputs
from edgeafri.stages.graphs.external_weights import batch_tokens
from edgeafri.stages.models import checkpoint
from edgeafri.util.in_threads import cores, in_threads
from edgeafri.util.progress import Progress, silent

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

_SMALL = 4096  # bytes of a tensor that stays in the graph: shapes are inferred from what stands in it


@dataclass(frozen=True)
class GraphRunner:
    """What is needed beside a graph to compute sentences: the way to its inputs, and its labels."""

    encoder: Encoder
    labels: tuple[str, ...]

    def outputs(self, graph: onnx.ModelProto, splits: Sequence[Split], progress: Progress = silent) -> ModelOutputs:
        """What a graph computes for all sentences, each alone, as on a device, where others would change its scales."""
        run, tokens = forward(open_graph(graph)), batch_tokens(graph)
        with ThreadPoolExecutor(cores()) as threads:
            predictor = Predictor(self.encoder, self.labels, run, tokens or 1, tokens or None, threads.map)
            return read_outputs(predictor, splits, progress)

    def sums(
        self, graph: onnx.ModelProto, names: Sequence[str], splits: Sequence[Split], progress: Progress = silent
    ) -> dict[str, float]:
        """The sums over all sentences of a graph's outputs that are one number each."""
        session = open_graph(graph)
        wanted = {item.name for item in session.get_inputs()}
        rows = self.encoder.encode([sentence.words for split in splits for sentence in split.sentences])

        def run(row: EncodedInput) -> Sequence[float]:
            ids, mask = padded([row.ids], self.encoder.frame.pad)
            feed = {"input_ids": ids, "attention_mask": mask}
            values: Sequence[float] = session.run(list(names), {name: feed[name] for name in wanted})
            return values

        total = np.sum(list(in_threads(run, rows, progress)), axis=0)
        return dict(zip(names, total.tolist(), strict=True))


def graph_runner(folder: Path, unit: Unit) -> GraphRunner:
    """What runs graphs of the model in a folder."""
    return GraphRunner(checkpoint.read_encoder(folder, unit), checkpoint.labels_of(checkpoint.read_config(folder)))


def open_graph(graph: onnx.ModelProto) -> "InferenceSession":
    """A session over a graph in memory. Its weights are not copied, so a graph may have more than 2 GiB of them."""
    bare, weights = onnx.ModelProto(ir_version=graph.ir_version, opset_import=graph.opset_import), {}
    bare.graph.name = graph.graph.name
    for own, theirs in (
        (bare.graph.node, graph.graph.node),
        (bare.graph.input, graph.graph.input),
        (bare.graph.output, graph.graph.output),
    ):
        own.extend(theirs)
    for weight in graph.graph.initializer:
        if len(weight.raw_data) < _SMALL:
            bare.graph.initializer.append(weight)
        else:
            weights[weight.name] = numpy_helper.to_array(weight)
            bare.graph.initializer.append(_named(weight))
    return open_session(bare.SerializeToString(), threads=1, weights=weights)


def _named(weight: onnx.TensorProto) -> onnx.TensorProto:
    """A weight without its values, which are given to the session."""
    place = onnx.StringStringEntryProto(key="location", value="memory")
    outside = onnx.TensorProto.EXTERNAL
    return onnx.TensorProto(
        name=weight.name, data_type=weight.data_type, dims=weight.dims, data_location=outside, external_data=[place]
    )
