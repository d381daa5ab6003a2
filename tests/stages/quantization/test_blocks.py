"""blocks: every block has its own scale and uses its whole range; two codes share a byte."""

import numpy as np
import pytest

from edgeafri.stages.quantization.blocks import packed, quantize_blocks, read_blocks


def rows_of(count: int, width: int) -> np.ndarray:
    """Rows of unlike size."""
    random = np.random.default_rng(0)
    return (random.normal(size=(count, width)) * np.logspace(-4, 2, count)[:, None]).astype(np.float32)


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("block", [32, 64])
def test_a_weight_is_off_by_half_a_scale(bits, block):
    """
    By a whole one where it is nearly as large as the block's largest and of the other sign; 1e-5 is float32 itself.
    """
    rows = rows_of(50, 128)
    codes, scales = quantize_blocks(rows, block, bits)
    read = read_blocks(codes, scales, bits, 128)
    off = np.abs(read - rows).reshape(50, -1, block) / np.abs(scales)[:, :, None]

    assert (codes.dtype, scales.dtype) == (np.uint8, np.float32)
    assert (codes.shape, scales.shape) == ((50, 128 // block, block), (50, 128 // block))
    assert off[codes < 2**bits - 1].max() <= 0.5 + 1e-5
    assert off.max() <= 1 + 1e-5


@pytest.mark.parametrize("bits", [4, 8])
def test_the_largest_weight_of_a_block_is_exact(bits):
    """
    It gets code 0, the end of the range that has no counterpart, whatever its sign.
    """
    rows = rows_of(50, 64)
    codes, scales = quantize_blocks(rows, 32, bits)
    largest = np.abs(rows).reshape(50, 2, 32).argmax(axis=2)[:, :, None]
    read = read_blocks(codes, scales, bits, 64).reshape(50, 2, 32)

    assert (np.take_along_axis(codes, largest, 2) == 0).all()
    np.testing.assert_allclose(
        np.take_along_axis(read, largest, 2), np.take_along_axis(rows.reshape(50, 2, 32), largest, 2), rtol=1e-6
    )


def test_a_row_is_filled_up_with_zeros():
    """
    A width that is no multiple of the block: the last block has zeros, which are never read.
    """
    rows = rows_of(3, 40)
    codes, scales = quantize_blocks(rows, 32, 4)

    assert codes.shape == (3, 2, 32)
    assert (codes[:, 1, 8:] == 8).all()
    assert read_blocks(codes, scales, 4, 40).shape == (3, 40)


def test_a_block_of_zeros_stays_zero():
    """
    Its scale must not divide by zero.
    """
    codes, scales = quantize_blocks(np.zeros((2, 32), np.float32), 32, 4)

    assert not read_blocks(codes, scales, 4, 32).any()
    assert np.isfinite(scales).all()


def test_two_codes_lie_in_a_byte():
    """
    The first in the lower half.
    """
    low, high = np.array([0, 1, 15], np.uint8), np.array([15, 2, 0], np.uint8)

    assert packed(low, high).tolist() == [0xF0, 0x21, 0x0F]
