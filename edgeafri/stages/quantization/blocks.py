"""blocks: weights in 4 or 8 bits with a scale for every block of them, and how two 4-bit codes lie in a byte."""

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.uint8]
Floats = NDArray[np.float32]


def quantize_blocks(rows: Floats, block: int, bits: int) -> tuple[Codes, Floats]:
    """Codes (rows, blocks, block) and scales (rows, blocks) of float32 rows; weight = (code - middle) * scale.

    The middle is 2^(bits - 1). A block's weight of largest size gets code 0, so that no code is wasted where the range
    is not symmetric; its scale has the opposite sign of that weight. Off by half a scale at most, and by a whole one
    for weights of nearly that size and the other sign. A row is filled up to whole blocks with zeros.
    """
    middle = 2 ** (bits - 1)
    fill = -rows.shape[1] % block
    parts = np.pad(rows, ((0, 0), (0, fill))).reshape(len(rows), -1, block)
    largest = np.abs(parts).argmax(axis=2, keepdims=True)
    scales = np.take_along_axis(parts, largest, axis=2) / np.float32(-middle)
    scales[scales == 0] = 1
    codes = np.clip(np.rint(parts / scales), -middle, middle - 1) + middle
    return codes.astype(np.uint8), scales[:, :, 0]


def read_blocks(codes: Codes, scales: Floats, bits: int, width: int) -> Floats:
    """The float32 rows (rows, width) that codes and scales stand for."""
    weights = (codes.astype(np.float32) - 2 ** (bits - 1)) * scales[:, :, None]
    found: Floats = weights.reshape(len(codes), -1)[:, :width]
    return found


def packed(low: Codes, high: Codes) -> Codes:
    """Two 4-bit codes in a byte: `low` in its lower half, `high` in its upper."""
    return low | (high << np.uint8(4))
