"""Pooling, rows first and then columns, a block that fits the cache at a time.

Idea
    The maximum of a window is the maximum of its rows' maxima, and a sum
    likewise; so kh + kw passes over the image do what kh kw comparisons per
    output would. Each pass is one vectorised ufunc on shifted views.
Doubling
    With stride 1, neighbouring windows share almost everything. From windows of
    1, 2, 4, ... elements, each made of two of the one before, any length is
    put together as its binary digits say: about 2 log2 k passes instead of k.
    A sum by doubling rounds at most as often as one element by element.
One window
    The sum of a whole image is a product with a vector of ones.
Cost
    (kh - 1) H' W + (kw - 1) H' W' operations per channel, or the doubling's.
Memory
    Blocks of some planes, or some rows of one: :data:`BLOCK_BYTES`.
Source
    J. Gil and M. Werman, "Computing 2-D Min, Median, and Max Filters", 1993,
    for separability; M. van Herk, "A fast algorithm for local minimum and
    maximum filters", 1992, for sharing between windows.

``numpy.maximum`` keeps a NaN that it meets, which is convbridge's rule.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from convbridge.geometry import NO_PADDING, Pair, Sides, output_size, window_size
from convbridge_numpy.engine.arena import Scratch

Array = np.ndarray[Any, Any]

#: Bytes of the input of a block; what is made of it takes as much again.
BLOCK_BYTES = 2**19

#: The shortest window for which doubling is less work.
DOUBLING = 4


def _cut(image: Array, axis: int, start: int, count: int, step: int = 1) -> Array:
    """View ``count`` elements of an axis."""
    return image[(slice(None),) * axis + (slice(start, start + (count - 1) * step + 1, step),)]


def _reduce_axis(
    image: Array, axis: int, kernel: int, stride: int, dilation: int, combine: np.ufunc, out: Array, scratch: Scratch
) -> None:
    """Combine every window along one axis."""
    count = out.shape[axis]
    if kernel == 1:
        out[...] = _cut(image, axis, 0, count, stride)
    elif stride == 1 and kernel >= DOUBLING:
        _double(image, axis, kernel, dilation, combine, out, scratch)
    else:
        first, second = _cut(image, axis, 0, count, stride), _cut(image, axis, dilation, count, stride)
        combine(first, second, out=out)
        for tap in range(2, kernel):
            combine(out, _cut(image, axis, tap * dilation, count, stride), out=out)


def _double(
    image: Array, axis: int, kernel: int, dilation: int, combine: np.ufunc, out: Array, scratch: Scratch
) -> None:
    """Combine windows of any length from windows of powers of two."""
    count = out.shape[axis]
    length, covered, width = image.shape[axis], 0, 1
    spares = [scratch(image.shape, image.dtype), scratch(image.shape, image.dtype)]
    while True:
        if kernel & width:
            piece = _cut(image, axis, covered * dilation, count)
            if covered:
                combine(out, piece, out=out)
            else:
                out[...] = piece
            covered += width
        if covered == kernel:
            return
        length -= width * dilation
        doubled = _cut(spares[0], axis, 0, length)
        combine(_cut(image, axis, 0, length), _cut(image, axis, width * dilation, length), out=doubled)
        image, width = doubled, 2 * width
        spares.reverse()


def reduce_windows(
    image: Array,
    pool_size: Pair,
    stride: Pair,
    dilation: Pair,
    combine: np.ufunc,
    padding: Sides = NO_PADDING,
    fill: float = 0.0,
    divisor: int = 1,
) -> Array:
    """Combine the elements of every window.

    Parameters
    ----------
    image : ndarray, shape (planes, H, W) or (N, H, W, C)
        Any strides.
    pool_size, stride, dilation : (int, int)
        Of the operation.
    combine : numpy.ufunc
        ``numpy.maximum`` or ``numpy.add``.
    padding : Sides
        Around the image.
    fill : float
        What the padding holds.
    divisor : int
        What every result is divided by, while it is still in the cache.

    Returns
    -------
    ndarray, shape (planes, H', W') or (N, H', W', C)

    Examples
    --------
    >>> reduce_windows(np.arange(9.0).reshape(1, 3, 3), (2, 2), (1, 1), (1, 1), np.maximum)[0]
    array([[4., 5.],
           [7., 8.]])
    """
    planes, height, width, *inner = image.shape
    (kh, kw), (sh, sw), (dh, dw), (top, bottom, left, right) = pool_size, stride, dilation, padding
    out_h = output_size(height, window_size(kh, dh), sh, top, bottom)
    out_w = output_size(width, window_size(kw, dw), sw, left, right)
    result = np.empty((planes, out_h, out_w, *inner), image.dtype)
    whole = (out_h, out_w, kh, kw) == (1, 1, height, width) and not any(padding)
    if whole and combine is np.add and image.flags.c_contiguous and not inner:
        np.matmul(image.reshape(planes, -1), np.ones(height * width, image.dtype), out=result.reshape(planes))
        result /= divisor
        return result
    padded_width = left + width + right
    row_bytes = padded_width * image.itemsize * (inner[0] if inner else 1)
    rows = min(out_h, max(1, (BLOCK_BYTES // row_bytes - window_size(kh, dh)) // sh + 1))
    block = max(1, BLOCK_BYTES // (row_bytes * (top + height + bottom))) if rows == out_h else 1
    for first in range(0, planes, block):
        for above in range(0, out_h, rows):
            target = result[first : first + block, above : above + rows]
            start = above * sh - top
            needed = (target.shape[1] - 1) * sh + window_size(kh, dh)
            with Scratch() as scratch:
                if start >= 0 and start + needed <= height and padded_width == width:
                    part = image[first : first + block, start : start + needed]
                else:
                    inside = slice(max(start, 0), min(start + needed, height))
                    part = scratch((len(target), needed, padded_width, *inner), image.dtype)
                    part[:, : inside.start - start] = fill
                    part[:, inside.stop - start :] = fill
                    part[:, :, :left] = fill
                    part[:, :, left + width :] = fill
                    centre = part[:, inside.start - start : inside.stop - start, left : left + width]
                    centre[...] = image[first : first + block, inside]
                lines = scratch((len(target), target.shape[1], padded_width, *inner), image.dtype)
                _reduce_axis(part, 1, kh, sh, dh, combine, lines, scratch)
                _reduce_axis(lines, 2, kw, sw, dw, combine, target, scratch)
                if divisor != 1:
                    np.divide(target, divisor, out=target)
    return result
