"""Depthwise convolution of wide images, and filtering with small kernels: a banded matrix for each channel.

Idea
    One channel with one kernel is a product with a single row, for which BLAS
    is no faster than memory. So B rows of outputs are computed at once: they
    see (B - 1) sh + kh rows of the image, through a matrix that holds the
    kernel in every row, sh image rows further each time (a band; the rest is
    zero). The matrices of all channels and of all stretches of B rows are one
    call.
Layout
    As in :mod:`convbridge_numpy.engine.lowered`, planar, with a channel in each
    group: L[c][y][q][x], so that the rows which a stretch sees follow each
    other in memory, and two stretches share some.
Cost
    N C H' W' kw ((B - 1) sh + kh) multiply-adds instead of kh kw, but in
    products of B rows; and a copy of kw / sw times the image.
Memory
    :data:`BLOCK_BYTES` of lowered rows, of some channels or of a part of one,
    and the matrices.
Rounding
    That of a dot product: what is added are exact zeros. That holds while all
    numbers are finite: zero times infinity is NaN. Then the result is not
    finite either, and is computed again in another way.
Source
    The banded form of a discrete convolution: G. H. Golub and C. F. Van Loan,
    *Matrix Computations*, section 4.7.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from itertools import product as steps_of
from typing import Any

import numpy as np

from convbridge_numpy.engine import depthwise
from convbridge_numpy.engine.arena import Scratch
from convbridge_numpy.engine.passes import copy_columns, finite
from convbridge_numpy.engine.products import even
from convbridge_numpy.engine.window import Window, columns_inside, overlapping

Array = np.ndarray[Any, Any]

#: Bytes of a block of lowered rows: to start a block takes longer than to bring its numbers from a third-level cache.
BLOCK_BYTES = 3 * 2**20

#: B: more would multiply more zeros. Less with a stride along the height, and for rows of so many pixels that a call
#: takes long enough even so.
STRETCH, SHORT_STRETCH, WIDE = 4, 2, 512


@lru_cache(maxsize=64)
def _places(kernel: tuple[int, int], stride: int, dilation: int, rows: int, dtype: str) -> Array:
    """Return where a band holds which element of the kernel: ones in (kh kw, B, image rows, kw)."""
    kh, kw = kernel
    places = np.zeros((kh, kw, rows, (rows - 1) * stride + (kh - 1) * dilation + 1, kw), dtype)
    for row in range(rows):
        for down in range(kh):
            for across in range(kw):
                places[down, across, row, row * stride + down * dilation, across] = 1
    places.flags.writeable = False
    return places.reshape(kh * kw, rows, -1, kw)


def bands(weight: Array, rows: int, stride: int, scratch: Scratch, dilation: int = 1) -> Array:
    """Build the matrices: the kernel once in each row.

    Parameters
    ----------
    weight : ndarray, shape (C, 1, kh, kw)
        The kernels, any strides.
    rows : int
        B.
    stride : int
        Along the height.
    scratch : Scratch
        Where they lie.
    dilation : int
        Along the height.

    Returns
    -------
    ndarray, shape (C, B, ((B - 1) stride + (kh - 1) dilation + 1) kw)

    Notes
    -----
    As a product with zeros and ones, which takes a third of the time of copying
    runs of kw numbers.

    Examples
    --------
    >>> with Scratch() as scratch:
    ...     bands(np.array([[[[1.0], [2.0]]]]), 3, 1, scratch)[0]
    array([[1., 2., 0., 0.],
           [0., 1., 2., 0.],
           [0., 0., 1., 2.]])
    """
    channels, _, kh, kw = weight.shape
    places = _places((kh, kw), stride, dilation, rows, weight.dtype.str)
    matrices = scratch((channels, rows, places.shape[2] * kw), weight.dtype)
    flat = np.ascontiguousarray(weight).reshape(channels, kh * kw)
    np.matmul(flat, places.reshape(kh * kw, -1), out=matrices.reshape(channels, -1))
    return matrices


def by_channel(image: Array, weight: Array, window: Window, result: Array) -> None:
    """Convolve each channel by itself.

    Parameters
    ----------
    image : ndarray, shape (N, C, H, W)
        Any strides.
    weight : ndarray, shape (C m, 1, kh, kw)
        ``m`` kernels for each channel.
    window : Window
        Not dilated along the height.
    result : ndarray, shape (N, C m, H', W')
        Overwritten.

    Examples
    --------
    >>> from convbridge.geometry import NO_PADDING
    >>> X, result = np.ones((1, 2, 2, 2)), np.empty((1, 2, 1, 1))
    >>> window = Window.of((2, 2), (2, 2), (1, 1), NO_PADDING, (1, 1))
    >>> by_channel(X, np.arange(8.0).reshape(2, 1, 2, 2), window, result)
    >>> result.ravel()
    array([ 6., 22.])
    """
    unless_finite_by_group(_convolve_finite, image, weight, window, result)


def unless_finite_by_group(
    convolve_finite: Callable[[Array, Array, Window, Array], bool],
    image: Array,
    weight: Array,
    window: Window,
    result: Array,
) -> None:
    """Convolve with bands; by :func:`convbridge_numpy.engine.depthwise.by_group` where their zeros meet infinities.

    Parameters
    ----------
    convolve_finite : callable
        Takes the rest, and tells whether what it wrote is finite.
    image, weight, window, result
        As for :func:`by_channel`.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        if convolve_finite(image, weight, window, result):
            return
    depthwise.by_group(image, weight, window, result)


def _convolve_finite(image: Array, weight: Array, window: Window, result: Array) -> bool:
    """Convolve block by block, and tell whether all numbers are finite; else the result is of no use."""
    number, channels, height, width = image.shape
    multiple = len(weight) // channels
    kh, kw = window.kernel
    out_h, out_w = window.outputs
    stride, top = window.stride[0], window.padding.top
    rows = min(out_h, STRETCH if stride == 1 and out_w <= WIDE else SHORT_STRETCH)
    depth = ((rows - 1) * stride + kh) * kw
    fitting = BLOCK_BYTES // (kw * out_w * image.itemsize)  # lowered rows of a block: of some channels, or part of one
    at_once, block = out_h, even(channels, fitting // ((out_h - 1) * stride + kh))
    if fitting < (out_h - 1) * stride + kh:
        at_once = min(out_h, max(1, (fitting - kh) // stride // rows) * rows)
    seen = columns_inside(window, width)
    with Scratch() as scratch:
        matrices = bands(weight, rows, stride, scratch).reshape(channels, multiple, 1, rows, depth)
        lowered = scratch((block, (at_once - 1) * stride + kh, kw, out_w), image.dtype)
        for tap, (here, _) in enumerate(seen):
            lowered[:, :, tap, : here.start] = 0
            lowered[:, :, tap, here.stop :] = 0
        step_c, step_y, step_q, step_x = lowered.strides
        steps = (step_c, 0, step_y * stride * rows, step_q, step_x)
        # a product is written where it belongs if the pixels of a row are adjacent there
        apart = result.strides[3] != result.itemsize
        product = scratch((block, multiple, at_once, out_w), image.dtype) if apart else result
        for sample, first, above in steps_of(range(number), range(0, channels, block), range(0, out_h, at_once)):
            size, count = min(block, channels - first), min(at_once, out_h - above)
            start, needed = above * stride - top, (count - 1) * stride + kh
            inside = slice(max(start, 0), max(min(start + needed, height), 0))
            target = slice(inside.start - start, max(inside.stop, inside.start) - start)
            lowered[:size, : target.start] = 0
            lowered[:size, target.stop : needed] = 0
            own = image[sample, first : first + size, inside]
            for tap, (here, there) in enumerate(seen):
                copy_columns(lowered[:size, target, tap, here], own, there)
            place = result[sample, first * multiple : (first + size) * multiple, above : above + count]
            split = product[:size, :, :count] if apart else place.reshape(size, multiple, count, out_w)
            some, (whole, rest) = matrices[first : first + size], divmod(count, rows)
            np.matmul(
                some,
                overlapping(lowered, (size, 1, whole, depth, out_w), steps),
                out=split[:, :, : whole * rows].reshape(size, multiple, whole, rows, out_w),
            )
            if rest:
                last_depth = ((rest - 1) * stride + kh) * kw
                below = lowered[:size, whole * rows * stride : needed].reshape(size, 1, last_depth, out_w)
                np.matmul(some[:, :, 0, :rest, :last_depth], below, out=split[:, :, whole * rows :])
            if not finite(split):
                return False
            if apart:
                place[...] = split.reshape(-1, count, out_w)
    return True
