"""Filtering images of one channel: banded Toeplitz matrices, along the width.

Idea
    With one channel and one kernel the usual product has a single row, and BLAS
    is no faster than memory. So a whole stretch of outputs of a row is computed
    at once: B neighbouring outputs see B + kw - 1 neighbouring pixels, through
    a matrix that holds the kernel's row once in every column, one lower each
    time (a band; most of the rest is zero). The rows of a kernel follow each
    other as in :mod:`convbridge_numpy.engine.lowered`.
Cost
    N H' W' kh (B + kw - 1) multiply-adds instead of kh kw, but in matrix
    products with B columns; and a copy of (B + kw - 1) / B times the image.
Memory
    A block of rows, and the matrix.
Rounding
    That of a dot product: what is added are exact zeros. That holds while all
    pixels are finite: zero times infinity is NaN. So pixels are looked at
    first, and an image that holds others goes another way.
Source
    The banded form of a discrete convolution: G. H. Golub and C. F. Van Loan,
    *Matrix Computations*, section 4.7.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from convbridge_numpy.engine import im2col
from convbridge_numpy.engine.arena import Scratch
from convbridge_numpy.engine.window import Padded, Window

Array = np.ndarray[Any, Any]

#: Bytes of a block of rows.
BLOCK_BYTES = 2**20

#: B, the outputs that one product computes side by side: a full vector. More would multiply more zeros.
STRETCH = 16


def band(weight: Array, length: int, window: Window) -> Array:
    """Build the matrix, (kh, pixels, O, B): the kernel's row once in each column.

    Parameters
    ----------
    weight : ndarray, shape (O, 1, kh, kw)
        The kernels.
    length : int
        B.
    window : Window
        For stride and dilation along the width.

    Returns
    -------
    ndarray

    Examples
    --------
    >>> from convbridge.geometry import NO_PADDING
    >>> window = Window.of((1, 4), (1, 2), (1, 1), NO_PADDING, (1, 1))
    >>> band(np.array([[[[1.0, 2.0]]]]), 3, window)[0, :, 0]
    array([[1., 0., 0.],
           [2., 1., 0.],
           [0., 2., 1.],
           [0., 0., 2.]])
    """
    outputs, _, kh, kw = weight.shape
    stride, dilation = window.stride[1], window.dilation[1]
    pixels = (length - 1) * stride + (kw - 1) * dilation + 1
    matrix = np.zeros((kh, pixels, outputs, length), weight.dtype)
    for column in range(length):
        start = column * stride
        matrix[:, start : start + (kw - 1) * dilation + 1 : dilation, :, column] = weight[:, 0].transpose(1, 2, 0)
    return matrix


def filter_image(image: Array, weight: Array, window: Window, result: Array) -> None:
    """Convolve images of one channel.

    Parameters
    ----------
    image : ndarray, shape (N, 1, H, W)
        Any strides.
    weight : ndarray, shape (O, 1, kh, kw)
        Any strides.
    window : Window
        Not dilated along the height.
    result : ndarray, shape (N, O, H', W')
        Overwritten.

    Examples
    --------
    >>> from convbridge.geometry import NO_PADDING
    >>> X, result = np.arange(9.0).reshape(1, 1, 3, 3), np.empty((1, 1, 2, 2))
    >>> window = Window.of((3, 3), (2, 2), (1, 1), NO_PADDING, (1, 1))
    >>> filter_image(X, np.arange(4.0).reshape(1, 1, 2, 2), window, result)
    >>> result[0, 0]
    array([[19., 25.],
           [37., 43.]])
    """
    # a sum is finite only if all its terms are; if it overflows, the other way is right as well
    if not np.isfinite(image.sum()):
        im2col.planar(image, weight, window, result)
        return
    outputs, kh = len(weight), window.kernel[0]
    out_h, out_w = window.outputs
    stride = window.stride[0]
    length = min(STRETCH, out_w)
    whole = out_w // length
    matrix = band(weight, length, window)
    pixels = matrix.shape[1]
    depth, step = kh * pixels, length * window.stride[1]
    # what is left over at the end of the rows is one more stretch, which begins earlier
    starts = whole + (out_w % length > 0)
    rows = min(out_h, max(1, (BLOCK_BYTES // (starts * pixels * image.itemsize) - kh) // stride + 1))
    with Scratch() as scratch:
        padded = Padded(image, window.padding, scratch)
        lowered = scratch((starts, (rows - 1) * stride + kh, pixels), image.dtype)
        product = scratch((rows, starts, outputs * length), image.dtype)
        for sample in range(len(image)):
            plane = padded[sample][0, 0]
            for first in range(0, out_h, rows):
                count = min(rows, out_h - first)
                needed = (count - 1) * stride + kh
                part = plane[first * stride : first * stride + needed]
                step_y, step_x = part.strides
                lowered[:whole, :needed] = np.lib.stride_tricks.as_strided(
                    part, (whole, needed, pixels), (step * step_x, step_y, step_x), writeable=False
                )
                if starts > whole:
                    last = (out_w - length) * window.stride[1]
                    lowered[whole, :needed] = part[:, last : last + pixels]
                across, down, along = lowered.strides
                stacked = np.lib.stride_tricks.as_strided(
                    lowered, (count, starts, depth), (down * stride, across, along), writeable=False
                )
                np.matmul(stacked, matrix.reshape(depth, outputs * length), out=product[:count])
                parts = product[:count].reshape(count, starts, outputs, length).transpose(2, 0, 1, 3)
                target = result[sample, :, first : first + count]
                target[..., : whole * length].reshape(outputs, count, whole, length)[...] = parts[:, :, :whole]
                if starts > whole:
                    target[..., out_w - length :] = parts[:, :, whole]
