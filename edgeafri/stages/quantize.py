"""quantize: fewer bits a weight, in embedding tables and, in one of three forms, in linear layers.

`dynamic` and `static` multiply in int8, with scales of activations found as they come, or beforehand on calibration
text; `weights` keeps 4 or 8 bits with a scale a block. What a device computes right is for arithmetic.py to know.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx

from edgeafri.artifact import Artifact
from edgeafri.menu.settings import Quantize
from edgeafri.stages.comparison.sensitivity import mixed_precision
from edgeafri.stages.graphs.cleanup import drop_unused
from edgeafri.stages.graphs.graph import GRAPH, carry, read_graph, write_graph
from edgeafri.stages.graphs.linear_layers import linear_layers
from edgeafri.stages.quantization.arithmetic import BITS, Choice, choose
from edgeafri.stages.quantization.calibration_text import calibration
from edgeafri.stages.quantization.dynamic import quantize_as_it_comes
from edgeafri.stages.quantization.embedding_tables import quantize_tables
from edgeafri.stages.quantization.static import quantize_by_text
from edgeafri.stages.quantization.unsigned import make_unsigned
from edgeafri.stages.quantization.weight_only import quantize_weights
from edgeafri.util.progress import Progress


def run(source: Artifact, settings: Quantize, out: Path, progress: Progress) -> Mapping[str, Any]:
    """Quantize embeddings, then linear layers; what a setting leaves in float32 stays as it is."""
    progress(0, 3)
    choice = choose(settings)
    graph = read_graph(source.path / GRAPH)
    embedding_bits = BITS[settings.embeddings]
    tables = quantize_tables(graph, embedding_bits, settings.block) if embedding_bits < 32 else []
    progress(1, 3)
    linear, facts = quantize_linear(graph, choice, settings, source, out / GRAPH)
    if settings.mixed is not None:
        linear, facts["mixed"] = mixed_precision(source, linear, settings, progress)
    progress(2, 3)
    drop_unused(linear)
    write_graph(linear, out / GRAPH)
    carry(source.path, out)
    return {
        "form": choice.form,
        "isa": settings.isa,
        "reason": choice.reason,
        "weight_bits": choice.bits,
        "embedding_bits": embedding_bits,
        "tables": len(tables),
        "linear_layers": sum(layer.bits < 32 for layer in linear_layers(linear)),
        **({"block": settings.block} if choice.form == "weights" or embedding_bits == 4 else {}),
        **facts,
    }


def quantize_linear(
    graph: onnx.ModelProto, choice: Choice, settings: Quantize, source: Artifact, scratch: Path
) -> tuple[onnx.ModelProto, dict[str, Any]]:
    """The graph with its linear layers as chosen, and what that was based on. May change `graph` and write `scratch`.

    `source` has tokenizer and configuration, for calibration text. The names of what layers read and give stay.
    """
    if choice.form == "none":
        return graph, {}
    if choice.form == "weights":
        return quantize_weights(graph, choice.bits, settings.block), {}
    facts = {}
    if choice.form == "static":
        languages = settings.languages or source.manifest.languages
        text = calibration(source.path, languages, settings.text, settings.data, settings.sentences)
        facts = {"calibrated_on": {code: len(rows) for code, rows in text.rows.items()}}
        made = quantize_by_text(graph, scratch, text, settings.calibration)
    else:
        made = quantize_as_it_comes(graph, scratch)
    if not choice.signed:
        make_unsigned(made)
    return made, facts
