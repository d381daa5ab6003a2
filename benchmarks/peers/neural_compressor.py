"""Intel Neural Compressor: static int8 of the float graph after SmoothQuant; onnxruntime runs the result.

`variant` is SmoothQuant's alpha, the share of the outliers that moves into the weights: 0.7 changes fewer labels on dev
than the default of 0.5. Neural Compressor wants rows of one length to smooth with; padding would be calibrated on like
text, so the text is cut into rows of LENGTH instead.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx

from benchmarks.peers import onnx_runtime
from benchmarks.peers.inputs import FLOAT, GRAPH, calibration, graph_feed
from edgeafri.inference.predict import Forward, Ids

LENGTH, MOST = 64, 100  # the second is its own default; it holds what every layer is given of every row in memory


class Rows:
    """Calibration text in the form that its `fit` reads: pairs of what the graph is given and a label, here none."""

    batch_size = 1

    def __init__(self, rows: list[Ids], names: list[str]) -> None:
        self.rows, self.names = rows, names

    def __iter__(self) -> Iterator[tuple[dict[str, Ids], None]]:
        for ids in self.rows:
            yield graph_feed(ids, np.ones_like(ids), self.names), None


def make(variant: str, model: Path, inputs: Path, out: Path) -> Path:
    from neural_compressor import PostTrainingQuantConfig, quantization, set_workspace

    set_workspace(str(out.with_name(f"{out.name}-work")))
    graph = out.parent / FLOAT / GRAPH
    names = [item.name for item in onnx.load(graph, load_external_data=False).graph.input]
    rows = equal_rows(calibration(inputs))
    settings = PostTrainingQuantConfig(
        approach="static",
        quant_format="QDQ",
        calibration_sampling_size=[len(rows)],
        recipes={
            "smooth_quant": True,
            "smooth_quant_args": {"alpha": float(variant)},
            # By default what a product gives is rounded as well, which costs more points than all the rest.
            "optypes_to_exclude_output_quant": ["MatMul"],
        },
    )
    out.mkdir(parents=True, exist_ok=True)
    quantization.fit(str(graph), settings, calib_dataloader=Rows(rows, names)).save(str(out / GRAPH))
    return out


def equal_rows(rows: list[Ids]) -> list[Ids]:
    """At most MOST rows of shape (1, LENGTH), spread over the text of all rows."""
    text = np.concatenate(rows, axis=1)
    starts = np.arange(0, text.shape[1] - LENGTH + 1, LENGTH)
    chosen = np.linspace(0, len(starts) - 1, min(len(starts), MOST)).astype(int)
    return [text[:, start : start + LENGTH] for start in starts[chosen]]


def open_model(variant: str, folder: Path, threads: int) -> Forward:
    return onnx_runtime.open_model(variant, folder, threads)
