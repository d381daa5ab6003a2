"""OpenVINO: its float form, NNCF's post-training int8, and int8 or int4 of the weights alone.

For a model of type TRANSFORMER, NNCF smooths before it quantizes (SmoothQuant, alpha 0.95) unless it is told otherwise.
"""

from pathlib import Path
from typing import Any

import numpy as np
import openvino

from benchmarks.peers.inputs import FLOAT, GRAPH, calibration, graph_feed
from edgeafri.inference.predict import Forward, Ids, Logits

XML = "model.xml"


def make(variant: str, model: Path, inputs: Path, out: Path) -> Path:
    graph = openvino.convert_model(out.parent / FLOAT / GRAPH)
    out.mkdir(parents=True, exist_ok=True)
    openvino.save_model(compressed(graph, variant, inputs), out / XML, compress_to_fp16=False)
    return out


def compressed(graph: Any, variant: str, inputs: Path) -> Any:
    import nncf

    if variant == "fp32":
        return graph
    if variant == "ptq-int8":
        names = [item.any_name for item in graph.inputs]
        feed = [graph_feed(ids, np.ones_like(ids), names) for ids in calibration(inputs)]
        data, kind = nncf.Dataset(feed), nncf.ModelType.TRANSFORMER
        return nncf.quantize(graph, data, model_type=kind, subset_size=len(feed))
    if variant == "weights-int8":
        return nncf.compress_weights(graph, mode=nncf.CompressWeightsMode.INT8_SYM)
    mode = nncf.CompressWeightsMode.INT4_SYM
    return nncf.compress_weights(graph, mode=mode, group_size=64, ratio=1.0, all_layers=True)


def open_model(variant: str, folder: Path, threads: int) -> Forward:
    settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1}
    compiled = openvino.Core().compile_model(folder / XML, "CPU", settings)
    request = compiled.create_infer_request()
    names = [item.any_name for item in compiled.inputs]

    def run(ids: Ids, mask: Ids) -> Logits:
        logits: Logits = request.infer(graph_feed(ids, mask, names))[0]
        return logits

    return run
