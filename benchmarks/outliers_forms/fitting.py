"""fitting: the shift and scale of every channel that rounding to int8 is expected to cost least with, by search.

As in Outlier Suppression+ (Wei et al. 2023, arXiv 2304.09145): a channel is moved by the middle of its range, and those
that reach beyond a threshold are divided down to it. Here thresholds are found on what rounding the activation and
rounding the matrix are expected to do together, as a share of what comes out, and channels below a threshold may keep
some of their differences (an exponent below 1), or give way to rows of the matrix that are large, as in SmoothQuant.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from edgeafri.inference.predict import padded
from edgeafri.stages.comparison.graph_runner import open_graph
from edgeafri.stages.quantization.activation_ranges import Activation
from edgeafri.stages.quantization.calibration_text import CalibrationInputs

Values = NDArray[np.float64]
_STEPS, _WEIGHT_STEPS = 255, 127
_EXPONENTS, _ROW_EXPONENTS = (1.0, 0.85, 0.7, 0.55, 0.4), (0.0, 0.15, 0.3, 0.5)
_QUANTILES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 1.0)
_TINY = 1e-6
_SENTENCES = 8  # a language, for moments: they are means over all tokens


@dataclass(frozen=True)
class Moments:
    """The mean of every channel and of its square, over all tokens; both of shape (channels,)."""

    mean: Values
    square: Values


@dataclass(frozen=True)
class Fitted:
    """What (x - shift) / scale is expected to cost: rounding the activation, and rounding its matrices."""

    scale: Values
    shift: Values
    activation_error: float
    weight_error: float

    @property
    def error(self) -> float:
        return self.activation_error + self.weight_error


def measure_moments(graph: onnx.ModelProto, names: Sequence[str], text: CalibrationInputs) -> dict[str, Moments]:
    """The moments of these activations on a few sentences of every language."""
    measuring = onnx.ModelProto()
    measuring.CopyFrom(graph)
    body = measuring.graph
    body.initializer.append(numpy_helper.from_array(np.array([0, 1]), "moments/tokens"))
    del body.output[:]
    for name in names:
        body.node.append(helper.make_node("Mul", [name, name], [f"{name}/squares"]))
        for given, made in ((name, f"{name}/mean"), (f"{name}/squares", f"{name}/square")):
            body.node.append(helper.make_node("ReduceMean", [given, "moments/tokens"], [made], keepdims=0))
            body.output.append(onnx.ValueInfoProto(name=made))
    session = open_graph(measuring)
    wanted = [item.name for item in session.get_inputs()]
    rows = [row.ids for found in text.rows.values() for row in found[:_SENTENCES]]
    total = [np.zeros(1)] * (2 * len(names))
    for row in rows:
        ids, mask = padded([row], text.frame.pad)
        feed = {"input_ids": ids, "attention_mask": mask}
        found = session.run(None, {name: feed[name] for name in wanted})
        total = [before + value * ids.size for before, value in zip(total, found, strict=True)]
    means = [value / sum(map(len, rows)) for value in total]
    return {name: Moments(*pair) for name, *pair in zip(names, means[::2], means[1::2], strict=True)}


def fit(item: Activation, matrices: Sequence[NDArray[np.float32]], moments: Moments, shifted: bool) -> Fitted:
    """The best of a grid of scales, and where channels may be `shifted` of shifts by the middle of ranges or none."""
    low, high = item.low.min(axis=0), item.high.max(axis=0)
    shifts = [np.zeros_like(low), (low + high) / 2] if shifted else [np.zeros_like(low)]
    tried = (
        _expected(item, matrices, moments, scale, shift)
        for shift in shifts
        for scale in _scales(np.maximum(high - shift, shift - low), matrices)
    )
    return min(tried, key=lambda found: found.error)


def _scales(reach: Values, matrices: Sequence[NDArray[np.float32]]) -> Iterator[Values]:
    rows = np.maximum(np.max([np.abs(matrix).max(axis=1) for matrix in matrices], axis=0), _TINY)
    for exponent in _EXPONENTS:
        for row_exponent in _ROW_EXPONENTS:
            wanted = np.maximum(reach, _TINY) ** exponent / rows**row_exponent
            for least in np.quantile(wanted, _QUANTILES):
                scales = np.maximum(wanted, least)
                yield scales / np.median(scales)


def _expected(
    item: Activation, matrices: Sequence[NDArray[np.float32]], moments: Moments, scale: Values, shift: Values
) -> Fitted:
    """Errors are taken as uniform in a step, a twelfth of its square each; those of all products are added."""
    width = ((item.high - shift) / scale).max(axis=1, initial=0) - ((item.low - shift) / scale).min(axis=1, initial=0)
    step = (width / _STEPS) ** 2 / 12
    square = (moments.square - 2 * shift * moments.mean + shift**2) / scale**2
    activation = weight = 0.0
    for product, matrix in zip(item.products, matrices, strict=True):
        rows = np.abs(matrix) * scale[:, None]
        activation += float(np.mean(step * (product.rows * scale**2).sum() / product.energy))
        weight_step = (rows.max(axis=0) / _WEIGHT_STEPS) ** 2 / 12
        weight += float(weight_step.sum() * square.sum() * np.mean(1 / product.energy))
    return Fitted(scale, shift, activation, weight)


def as_moves(found: Mapping[str, Fitted]) -> tuple[dict[str, NDArray[np.float32]], dict[str, NDArray[np.float32]]]:
    """Scales and shifts by activation."""
    scales = {name: item.scale.astype(np.float32) for name, item in found.items()}
    return scales, {name: item.shift.astype(np.float32) for name, item in found.items()}
