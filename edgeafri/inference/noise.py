"""Noise: a graph whose float32 vectors are moved by a few units in the last place, to see what rounding alone does.

Another processor adds in another order, which moves float32 values by about this much. Int8 activations round what
they get, so that there a few labels may change which nobody did wrong.
"""

from collections.abc import Iterator

import numpy as np

from edgeafri.inference.external_data import LENGTH, VARINT, every_field, varint

SHARE = 3e-7  # of each value at most: two to five units in the last place of float32
_GRAPH, _TENSOR, _DIMENSION, _TYPE, _RAW = 7, 5, 1, 2, 9  # fields of onnx.proto
_FLOAT32 = 1


def moved(model: bytes, seed: int) -> bytes | None:
    """The ONNX file with each float32 vector that stands in it (biases, norms, scales) moved by up to 3e-7 of itself.

    None where it holds no such vector.
    """
    changed, generator, any_moved = bytearray(model), np.random.default_rng(seed), False
    for begin, stop in _vectors(model):
        values = np.frombuffer(model[begin:stop], dtype="<f4").astype(np.float64)
        values *= 1 + SHARE * generator.uniform(-1, 1, values.shape)
        changed[begin:stop] = values.astype("<f4").tobytes()
        any_moved = True
    return bytes(changed) if any_moved else None


def _vectors(model: bytes) -> Iterator[tuple[int, int]]:
    """Where the values of each float32 vector of the graph lie."""
    for number, _, begin, stop in every_field(model, 0, len(model)):
        if number == _GRAPH:
            for inner, _, low, high in every_field(model, begin, stop):
                if inner == _TENSOR:
                    yield from _values(model, low, high)


def _values(model: bytes, begin: int, stop: int) -> Iterator[tuple[int, int]]:
    dimensions, of_float, raw = 0, False, (0, 0)
    for number, kind, low, high in every_field(model, begin, stop):
        if number == _DIMENSION and kind == VARINT:
            dimensions += 1
        elif number == _TYPE and kind == VARINT:
            of_float = varint(model, low)[0] == _FLOAT32
        elif number == _RAW and kind == LENGTH:
            raw = (low, high)
    if of_float and dimensions == 1 and raw[1] > raw[0]:
        yield raw
