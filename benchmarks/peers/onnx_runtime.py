"""onnxruntime: optimum's export in float32, and what optimum's quantizer makes of it for a processor."""

from pathlib import Path

import onnxruntime

from benchmarks.peers.inputs import FLOAT, GRAPH, graph_feed
from edgeafri.inference.predict import Forward, Ids, Logits


def make(variant: str, model: Path, inputs: Path, out: Path) -> Path:
    """`variant` is fp32, or the name of one of optimum's AutoQuantizationConfig."""
    from optimum.exporters.onnx import main_export
    from optimum.onnxruntime import ORTQuantizer
    from optimum.onnxruntime.configuration import AutoQuantizationConfig

    if variant == "fp32":
        main_export(str(model), output=out, task="token-classification", do_validation=False)
        return out
    settings = getattr(AutoQuantizationConfig, variant)(is_static=False)
    ORTQuantizer.from_pretrained(out.parent / FLOAT, file_name=GRAPH).quantize(settings, save_dir=out)
    return out


def open_model(variant: str, folder: Path, threads: int) -> Forward:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    (graph,) = sorted(folder.glob("*.onnx"))
    session = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    names = [item.name for item in session.get_inputs()]

    def run(ids: Ids, mask: Ids) -> Logits:
        logits: Logits = session.run(None, graph_feed(ids, mask, names))[0]
        return logits

    return run
