"""Winograd's minimal filtering: 3x3 kernels with fewer multiplications, and more rounding. Only in "fast".

Idea
    A tile of 4 x 4 outputs of a 3x3 kernel depends on 6 x 6 pixels. Read both as
    values of polynomials: the correlation becomes 36 products of transformed
    pixels and transformed weights instead of 144. The sum over channels is
    taken between the transforms, so it is 36 matrix products.

        Y = A^T [ (G W G^T) * (B^T X B) ] A

Cost
    N O C H' W' 36 / 16 multiply-adds in matrix products, a quarter of the direct
    9; and the transforms, which are products with matrices of six rows.
Memory
    Blocks of tiles, before and after a step, of at most 4 MiB each; and the
    transformed weights, four times the weights, which a layer keeps
    (:mod:`convbridge_numpy.engine.kept`).
Rounding
    The entries of the transforms are as large as 8, and what they add cancels:
    the error is larger than that of a dot product by a factor of about 10 on
    average (:func:`convbridge.parity.bounds_fast.winograd_bound`). Integers do
    not come out exactly.
Limits
    3x3, no stride, no dilation. A pixel that is not finite would spread over
    its tile, and one that is very large would overflow on the way; images and
    weights that hold one go another way.
Source
    A. Lavin, S. Gray, "Fast Algorithms for Convolutional Neural Networks", 2016.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from convbridge.selection import note_trade
from convbridge_numpy.engine import im2col, products
from convbridge_numpy.engine.arena import Scratch
from convbridge_numpy.engine.kept import Kept
from convbridge_numpy.engine.machine import SMALL_PRODUCT
from convbridge_numpy.engine.window import Window, zero_border

Array = np.ndarray[Any, Any]

#: As :func:`convbridge.selection.note_trade` and :mod:`convbridge.parity.bounds_fast` know it.
NAME = "Winograd F(4x4, 3x3)"

#: Outputs of a tile along an axis, and the pixels that they see.
TILE, SEEN = 4, 6

#: The transforms of pixels, weights and products, for the points 0, 1, -1, 2, -2 and infinity.
PIXELS = np.array(
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ],
    dtype=float,
)
WEIGHTS = np.array([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]], dtype=float) / 24
OUTPUTS = np.array([[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]], dtype=float)

#: How many times larger than its operands a number on the way may be: a pixel, and, for each channel, a product. The
#: largest sums of absolute values in a row of the transforms, squared: those of pixels 10, of weights 1, of outputs 18.
PIXEL_GROWTH, PRODUCT_GROWTH = 10**2, 18**2

#: Bytes of the transformed pixels of a block of tiles.
BLOCK_BYTES = 2**20

#: Tiles in a block that are worth reading the weights for, and the bytes that they may take for it.
ENOUGH_TILES, MOST_BYTES = 64, 4 * 2**20


def transform_weights(weight: Array) -> Array:
    """Transform a bank of kernels: G W G^T.

    Parameters
    ----------
    weight : ndarray, shape (O, C, 3, 3)
        Any strides.

    Returns
    -------
    ndarray, shape (36, C, O)

    Examples
    --------
    >>> transform_weights(np.ones((2, 3, 3, 3))).shape
    (36, 3, 2)
    """
    outputs, channels = weight.shape[:2]
    both = np.kron(WEIGHTS, WEIGHTS).astype(weight.dtype)
    result = np.empty((SEEN * SEEN, channels, outputs), weight.dtype)
    for first in range(0, outputs, products.BLOCK):
        part = weight[first : first + products.BLOCK]
        turned = np.ascontiguousarray(part.reshape(len(part), -1).T).reshape(channels, 9, len(part))
        result[:, :, first : first + len(part)] = np.matmul(both, turned).transpose(1, 0, 2)
    return result


def four_by_four(image: Array, weight: Array, window: Window, result: Array, kept: Kept | None = None) -> None:
    """Convolve by tiles of 4 x 4 outputs.

    Parameters
    ----------
    image : ndarray, shape (N, C, H, W)
        Any strides.
    weight : ndarray, shape (O, C, 3, 3)
        Any strides.
    window : Window
        Without stride and dilation.
    result : ndarray, shape (N, O, H', W')
        Overwritten.
    kept : Kept, optional
        Where a layer keeps its transformed weights.

    Examples
    --------
    >>> from convbridge.geometry import NO_PADDING
    >>> X, result = np.ones((1, 2, 9, 9)), np.empty((1, 1, 7, 7))
    >>> window = Window.of((9, 9), (3, 3), (1, 1), NO_PADDING, (1, 1))
    >>> four_by_four(X, np.ones((1, 2, 3, 3)), window, result)
    >>> bool(np.allclose(result, 18))
    True
    """
    if not _stays_finite(image, weight):
        im2col.planar(image, weight, window, result)
        return
    note_trade(NAME)
    number, channels, height, width = image.shape
    outputs = len(weight)
    out_h, out_w = window.outputs
    top, _, left, _ = window.padding
    down, across = -(-out_h // TILE), -(-out_w // TILE)
    transformed = transform_weights(weight) if kept is None else kept.made_of(weight, transform_weights)
    pixels_matrix, outputs_matrix = PIXELS.astype(image.dtype), OUTPUTS.astype(image.dtype)
    row_bytes = SEEN * SEEN * across * max(channels, outputs) * image.itemsize
    rows = min(down, max(1, BLOCK_BYTES // row_bytes, min(-(-ENOUGH_TILES // across), MOST_BYTES // row_bytes)))
    rows = -(-down // -(-down // rows))  # blocks of about the same size: a small one reads all weights for little
    # whole tiles: the image is padded to a multiple of them, and what lies beyond the result is dropped
    padded_h, padded_w = down * TILE + SEEN - TILE, across * TILE + SEEN - TILE
    with Scratch() as scratch:
        turned = scratch((padded_h, padded_w, channels), image.dtype)
        inside = (slice(top, min(top + height, padded_h)), slice(left, min(left + width, padded_w)))
        zero_border(turned.transpose(2, 0, 1), inside)
        size = rows * across
        first_memory = scratch((SEEN * SEEN * size * max(channels, outputs),), image.dtype)
        second_memory = scratch((SEEN * SEEN * size * max(channels, outputs),), image.dtype)
        step_y, step_x, step_c = turned.strides
        for sample in range(number):
            source = image[sample, :, : inside[0].stop - top, : inside[1].stop - left]
            turned[inside] = source.transpose(1, 2, 0)
            for above in range(0, down, rows):
                count = min(rows, down - above)
                tiles = count * across
                gathered = first_memory[: SEEN * SEEN * tiles * channels].reshape(SEEN, SEEN, tiles, channels)
                half = second_memory[: gathered.size].reshape(gathered.shape)
                gathered.reshape(SEEN, SEEN, count, across, channels)[...] = np.lib.stride_tricks.as_strided(
                    turned[above * TILE :],
                    (SEEN, SEEN, count, across, channels),
                    (step_y, step_x, TILE * step_y, TILE * step_x, step_c),
                    writeable=False,
                )
                flat = (SEEN, SEEN, tiles * channels)
                _down(pixels_matrix, gathered.reshape(flat), half.reshape(flat))
                np.matmul(pixels_matrix, half.reshape(flat), out=gathered.reshape(flat))
                summed = second_memory[: SEEN * SEEN * outputs * tiles].reshape(SEEN * SEEN, outputs, tiles)
                _multiply(transformed, gathered.reshape(SEEN * SEEN, tiles, channels), summed)
                part = first_memory[: TILE * SEEN * outputs * tiles].reshape(TILE, SEEN, outputs * tiles)
                _down(outputs_matrix, summed.reshape(SEEN, SEEN, -1), part)
                done = second_memory[: TILE * TILE * outputs * tiles].reshape(TILE, TILE, outputs * tiles)
                np.matmul(outputs_matrix, part, out=done)
                places = done.reshape(TILE, TILE, outputs, count, across)
                for a in range(TILE):
                    for b in range(TILE):
                        target = result[sample, :, above * TILE + a : (above + count) * TILE : TILE, b::TILE]
                        target[...] = places[a, b, :, : target.shape[1], : target.shape[2]]


def _stays_finite(image: Array, weight: Array) -> bool:
    """Tell whether nothing on the way can overflow; where anything is NaN or infinite it cannot be told."""
    largest, factor = (max(float(array.max(initial=0)), -float(array.min(initial=0))) for array in (image, weight))
    pixel = PIXEL_GROWTH * largest
    most = float(np.finfo(image.dtype).max)
    return pixel < most and PRODUCT_GROWTH * image.shape[1] * pixel * factor < most  # neither, where one is NaN


def _down(matrix: Array, tiles: Array, out: Array) -> None:
    """Multiply along the first axis, a column of the tiles at a time: products that stay small."""
    np.matmul(matrix, tiles.transpose(1, 0, 2), out=out.transpose(1, 0, 2))


def _multiply(transformed: Array, pixels: Array, summed: Array) -> None:
    """Sum over the channels: 36 products, (O, C) with (C, tiles), in small ones where that is possible."""
    _, channels, outputs = transformed.shape
    tiles = pixels.shape[1]
    block = min(outputs, products.BLOCK)
    chunk = min(tiles, max(8, SMALL_PRODUCT // (channels * block) // 8 * 8))
    whole = tiles // chunk * chunk
    for first in range(0, outputs, block):
        weights = transformed[:, :, first : first + block].transpose(0, 2, 1)
        target = summed[:, first : first + block]
        np.matmul(
            weights[:, None],
            pixels[:, :whole].reshape(len(pixels), -1, chunk, channels).transpose(0, 1, 3, 2),
            out=target[:, :, :whole].reshape(*target.shape[:2], -1, chunk).transpose(0, 2, 1, 3),
        )
        if whole < tiles:
            np.matmul(weights, pixels[:, whole:].transpose(0, 2, 1), out=target[:, :, whole:])
