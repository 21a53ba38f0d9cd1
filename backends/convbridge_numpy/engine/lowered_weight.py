"""The gradient of a convolution's weight from lowered rows, in small products.

Idea
    A kernel element met every pixel of its tap, so its gradient is
    dY (O x pixels) times the tap's pixels (pixels x C). With im2col the taps
    are copied kh kw times. But if the kw pixels of every window are copied side
    by side, channels adjacent, the pixels of a kernel's row p are those of its
    row 0 some rows further down: the same matrix, begun p rows later. dY serves
    as it lies, and with 64 channels every factor is as OpenBLAS's small kernels
    like it best.
Layout
    L[y][x][p][q][c], with as many rows p as the stride: row y begins where
    the windows of row y begin, and what is left of them is in the rows below.
Cost
    N O C kh kw H' W' multiply-adds in small products, and a copy of kw / sw
    times the image instead of kh kw / (sh sw) times. The gradient itself is
    added up once for every block of pixels and reordered once, which does not
    pay with few pixels, nor with 1x1 kernels, where turning the image takes
    longer than im2col saves.
Memory
    The gradient of up to :data:`CHANNELS` channels twice, and a block of lowered rows.
Source
    As :mod:`convbridge_numpy.engine.lowered`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from convbridge_numpy.engine import machine, products
from convbridge_numpy.engine.arena import Scratch
from convbridge_numpy.engine.lowered import BLOCK_BYTES, Strip
from convbridge_numpy.engine.window import Window

Array = np.ndarray[Any, Any]

#: Channels whose lowered rows are made at a time, and the columns of a product.
CHANNELS = COLUMNS = 64

#: Bytes of the gradient of such channels.
GRADIENT_BYTES = 2**21

#: Output pixels of an image, and of a batch, from which on adding products up is worth it.
LEAST_PIXELS, LEAST_TOGETHER = 160, 600


def fits(shape: tuple[int, ...], outputs: int, window: Window) -> bool:
    """Tell whether this is faster than im2col.

    Parameters
    ----------
    shape : tuple of int
        Of the images, (N, C, H, W).
    outputs : int
        O.
    window : Window
        Of the operation.

    Returns
    -------
    bool

    Examples
    --------
    >>> from convbridge.geometry import NO_PADDING
    >>> fits((1, 64, 56, 56), 64, Window.of((56, 56), (1, 1), (1, 1), NO_PADDING, (1, 1)))
    False
    """
    number, channels = shape[:2]
    kw, pixels = window.kernel[1], window.outputs[0] * window.outputs[1]
    enough = pixels >= LEAST_PIXELS and number * pixels >= LEAST_TOGETHER
    wide = kw > 1 and window.stride[0] * kw * channels >= COLUMNS and outputs % 8 == 0
    return machine.small_products() and enough and wide and window.dilation[0] == 1


def weight_gradient(image: Array, grad: Array, window: Window, result: Array) -> None:
    """Compute the gradient.

    Parameters
    ----------
    image : ndarray, shape (N, C, H, W)
        Any strides, at least one image.
    grad : ndarray, shape (N, O, H', W')
        The gradient of the output.
    window : Window
        Not dilated along the height.
    result : ndarray, shape (O, C, kh, kw)
        Overwritten.

    Examples
    --------
    >>> from convbridge.geometry import NO_PADDING
    >>> X, result = np.arange(9.0).reshape(1, 1, 3, 3), np.empty((1, 1, 2, 2))
    >>> window = Window.of((3, 3), (2, 2), (1, 1), NO_PADDING, (1, 1))
    >>> weight_gradient(X, np.ones((1, 1, 2, 2)), window, result)
    >>> result[0, 0]
    array([[ 8., 12.],
           [20., 24.]])
    """
    outputs, channels, kh, kw = result.shape
    most = max(1, min(CHANNELS, GRADIENT_BYTES // (outputs * kh * kw * result.itemsize)))
    size = products.even(channels, most)
    for first in range(0, channels, size):
        some = slice(first, first + size)
        _some_channels(image[:, some], grad, window, result[:, some])


def _some_channels(image: Array, grad: Array, window: Window, result: Array) -> None:
    """Compute the gradient of channels whose lowered rows fit a block."""
    outputs, channels, kh, kw = result.shape
    (stride, across), (out_h, out_w) = window.stride, window.outputs
    depth, row = channels * kh * kw, stride * kw * channels
    below = -(-kh // stride) - 1  # rows of windows, besides its first, that a window meets
    rows = min(out_h, max(1, BLOCK_BYTES // (out_w * row * image.itemsize) - below))
    with Scratch() as scratch:
        strip = Strip(image, window, (rows + below) * stride, scratch)
        lowered = scratch((rows + below, out_w, stride, kw, channels), image.dtype)
        total = scratch((outputs, depth), image.dtype)
        product = None
        step_y, step_x, step_c = strip.rows.strides
        seen = np.lib.stride_tricks.as_strided(
            strip.rows,
            lowered.shape,
            (step_y * stride, step_x * across, step_y, step_x * window.dilation[1], step_c),
            writeable=False,
        )
        pixels = lowered.reshape(-1, row)
        for sample in range(len(image)):
            for first in range(0, out_h, rows):
                count = min(rows, out_h - first)
                strip.turn(sample, first, count)
                lowered[: count + below] = seen[: count + below]
                outer = grad[sample, :, first : first + count].reshape(outputs, count * out_w)
                for start, stop in _chunks(count * out_w, outputs, min(row, depth)):
                    fresh = sample == first == start == 0
                    if not fresh and product is None:
                        product = scratch(total.shape, image.dtype)
                    target = total if product is None else product
                    for part in range(below + 1):
                        columns = slice(part * row, min(part * row + row, depth))
                        down = slice(part * out_w + start, part * out_w + stop)
                        _multiply(
                            outer[:, start:stop], pixels[down, : columns.stop - columns.start], target[:, columns]
                        )
                    if not fresh:
                        np.add(total, target, out=total)
        taps = total.reshape(outputs, kh, kw, channels)
        for p in range(kh):  # an element of all kernels at a time: all at once would copy in runs of kw numbers
            for q in range(kw):
                result[:, :, p, q] = taps[:, p, q]


def _outputs_in_a_tile(outputs: int) -> int:
    """Few, for the sake of many pixels, which are fewer products to add up."""
    return next((size for size in (16, 8) if outputs % size == 0), outputs)


def _chunks(pixels: int, outputs: int, row: int) -> list[tuple[int, int]]:
    """Divide pixels so that a product of some outputs with some columns is small."""
    size = products.even(pixels, machine.SMALL_PRODUCT // (min(row, COLUMNS) * _outputs_in_a_tile(outputs)))
    return [(start, min(start + size, pixels)) for start in range(0, pixels, size)]


def _multiply(outer: Array, inner: Array, target: Array) -> None:
    """Multiply (O, P) with (P, K), in tiles of some outputs and some columns, and another for the columns left over."""
    (outputs, pixels), depth = outer.shape, inner.shape[1]
    size, columns = _outputs_in_a_tile(outputs), min(depth, COLUMNS)
    tiles, whole = depth // columns, depth // columns * columns
    rows = outer.reshape(-1, size, pixels)
    np.matmul(
        rows[:, None],
        inner[:, :whole].reshape(pixels, tiles, columns).swapaxes(0, 1),
        out=target[:, :whole].reshape(-1, size, tiles, columns).swapaxes(1, 2),
    )
    if whole < depth:
        np.matmul(rows, inner[:, whole:], out=target[:, whole:].reshape(-1, size, depth - whole))
