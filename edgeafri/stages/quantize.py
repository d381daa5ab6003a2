"""quantize: fewer bits a weight, in embedding tables and, in one of three forms, in linear layers.

`dynamic` and `static` multiply in int8, with scales of activations computed at run time, or beforehand on calibration
text; `weights` keeps 4 or 8 bits with one scale per block. What a device computes right is for arithmetic.py to know.
"""

from pathlib import Path
from types import MappingProxyType

import onnx

from edgeafri.artifact import Artifact
from edgeafri.errors import ModelError
from edgeafri.menu.facts.conversion import MixedPrecision, QuantizeFacts
from edgeafri.menu.settings import QuantizeSettings
from edgeafri.stages.comparison.mixed_precision import mixed_precision
from edgeafri.stages.comparison.outlier_search import FoundOutliers, find_outliers, why_not
from edgeafri.stages.graphs.cleanup import drop_unused
from edgeafri.stages.graphs.float_channels import split_channels
from edgeafri.stages.graphs.graph import GRAPH, carry, read_graph, write_graph
from edgeafri.stages.graphs.linear_layers import linear_layers
from edgeafri.stages.quantization.arithmetic import BITS, LinearForm, choose_form
from edgeafri.stages.quantization.calibration_text import CalibrationInputs, calibration_inputs
from edgeafri.stages.quantization.dynamic import quantize_as_it_comes
from edgeafri.stages.quantization.embedding_tables import quantize_tables
from edgeafri.stages.quantization.outliers import Plan
from edgeafri.stages.quantization.static import quantize_by_text
from edgeafri.stages.quantization.unsigned import make_unsigned
from edgeafri.stages.quantization.weight_only import quantize_weights
from edgeafri.util.progress import Progress, part_of


def run(source: Artifact, settings: QuantizeSettings, out: Path, progress: Progress) -> QuantizeFacts:
    """Quantize embeddings, then linear layers; what a setting leaves in float32 stays as it is."""
    progress(0, 3)
    form = choose_form(settings)
    graph = read_graph(source.path / GRAPH)
    embedding_bits = BITS[settings.embeddings]
    tables = quantize_tables(graph, embedding_bits, settings.block) if embedding_bits < 32 else []
    searches = settings.outliers == "auto" and form.name in ("dynamic", "static")
    unknown = why_not(source, settings) if searches else None
    found = _find_outliers(source, graph, form, settings, out, progress) if searches and unknown is None else None
    plan = found.plan if found else {}
    progress(1, 3)
    text = _calibration(source, settings) if form.name == "static" else None

    def quantized(plan: Plan) -> onnx.ModelProto:
        return quantize_linear(_copy(graph), form, settings, text, out / GRAPH, plan)

    linear, mixed = quantized(plan), None
    limit = _limit(settings, form)
    if limit is not None:
        more = ((plan, quantized(plan)) for plan in found.more()) if found else ()
        held = mixed_precision(source, linear, limit, settings, part_of(progress, 1, 3), more)
        _check_reached(held.facts, settings)
        linear, plan, mixed = held.graph, held.plan or plan, held.facts
    progress(2, 3)
    drop_unused(linear)
    write_graph(linear, out / GRAPH)
    carry(source.path, out)
    return QuantizeFacts(
        form=form.name,
        isa=settings.isa,
        reason=form.reason,
        weight_bits=form.bits,
        embedding_bits=embedding_bits,
        tables=len(tables),
        linear_layers=sum(layer.bits < 32 for layer in linear_layers(linear)),
        block=settings.block if form.name == "weights" or embedding_bits == 4 else None,
        calibrated_on={code: len(rows) for code, rows in text.rows.items()} if text else None,
        outliers=found.document(plan) if found else None,
        outliers_unknown=unknown,
        mixed=mixed,
    )


def quantize_linear(
    graph: onnx.ModelProto,
    form: LinearForm,
    settings: QuantizeSettings,
    text: CalibrationInputs | None,
    scratch: Path,
    in_float: Plan = MappingProxyType({}),
) -> onnx.ModelProto:
    """The graph with its linear layers in that form. May change `graph` and write the file `scratch`.

    With `text`, scales of activations are fixed on it; without, they are found as activations come. The channels
    `in_float`, by activation, are multiplied in float32. The names of what layers read and give stay.
    """
    if form.name == "none":
        return graph
    if form.name == "weights":
        return quantize_weights(graph, form.bits, settings.block)
    nodes = split_channels(graph, in_float)
    if text is None:
        made = quantize_as_it_comes(graph, scratch, nodes)
    else:
        made = quantize_by_text(graph, scratch, text, settings.calibration, nodes)
    if not form.signed:
        make_unsigned(made)
    return made


def _find_outliers(
    source: Artifact,
    graph: onnx.ModelProto,
    form: LinearForm,
    settings: QuantizeSettings,
    out: Path,
    progress: Progress,
) -> FoundOutliers:
    """The channels to keep in float32; trials find scales as activations come, whatever form the graph gets."""

    def trial(plan: Plan) -> onnx.ModelProto:
        return quantize_linear(_copy(graph), form, settings, None, out / GRAPH, plan)

    return find_outliers(source, settings, trial, part_of(progress, 0, 3))


def _limit(settings: QuantizeSettings, form: LinearForm) -> float | None:
    """What the worst language may lose. Who asks for weights in blocks wants the small file first."""
    if settings.mixed is not None or form.name not in ("dynamic", "static"):
        return settings.mixed
    return settings.worst_drop


def _check_reached(facts: MixedPrecision, settings: QuantizeSettings) -> None:
    if settings.mixed is not None and facts.unreachable is not None:
        message = (
            f"quantize: {facts.unreachable:.2f} is lost with every layer in float32, allowed is {settings.mixed:g}"
        )
        raise ModelError(message, "Give a larger --mixed; what is lost does not come from the layers.")


def _copy(graph: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(graph)
    return copy


def _calibration(source: Artifact, settings: QuantizeSettings) -> CalibrationInputs:
    languages = settings.languages or source.manifest.languages
    return calibration_inputs(source.path, languages, settings.text, settings.data, settings.sentences)
