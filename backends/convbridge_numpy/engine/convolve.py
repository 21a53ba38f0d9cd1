"""Convolution as matrix products: im2col in blocks of output rows.

Idea
    Write every window as one column of a matrix; then all outputs of all
    channels are one product, weight (O x C kh kw) times columns (C kh kw x
    pixels), which BLAS runs near the machine's peak.
Cost
    N O C kh kw H' W' multiply-adds, in GEMM; plus one pass that copies kh kw
    times the input.
Memory
    The whole matrix would be kh kw times the image. It is built for a few
    output rows at a time, so that a block stays in the second-level cache
    (about two megabytes), and thrown away.
Source
    K. Chellapilla, S. Puri, P. Simard, "High Performance Convolutional Neural
    Networks for Document Processing", 2006.

A kernel of one element needs no matrix of windows: the image, subsampled by
the stride, already is it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from convbridge.geometry import Pair, output_size, window_size

Array = np.ndarray[Any, Any]

#: Bytes of one block of columns; about half of a usual second-level cache.
BLOCK_BYTES = 2**20


def windows(image: Array, kernel: Pair, stride: Pair, dilation: Pair) -> Array:
    """View every window of the image, without copying.

    Parameters
    ----------
    image : ndarray, shape (N, C, H, W)
        Already padded.
    kernel, stride, dilation : (int, int)
        Of the operation.

    Returns
    -------
    ndarray, shape (N, C, kh, kw, H', W')
        A read-only view.

    Examples
    --------
    >>> windows(np.arange(9.0).reshape(1, 1, 3, 3), (2, 2), (1, 1), (1, 1))[0, 0, :, :, 0, 0]
    array([[0., 1.],
           [3., 4.]])
    """
    n, c, h, w = image.shape
    (kh, kw), (sh, sw), (dh, dw) = kernel, stride, dilation
    out_h = output_size(h, window_size(kh, dh), sh, 0, 0)
    out_w = output_size(w, window_size(kw, dw), sw, 0, 0)
    step_n, step_c, step_h, step_w = image.strides
    return np.lib.stride_tricks.as_strided(
        image,
        (n, c, kh, kw, out_h, out_w),
        (step_n, step_c, step_h * dh, step_w * dw, step_h * sh, step_w * sw),
        writeable=False,
    )


def rows_in_a_block(depth: int, width: int, item_size: int) -> int:
    """Return how many output rows have columns that fit into a block.

    Parameters
    ----------
    depth : int
        Rows of the matrix of columns, C kh kw.
    width : int
        Outputs in a row.
    item_size : int
        Bytes of an element.

    Returns
    -------
    int
        At least 1.

    Examples
    --------
    >>> rows_in_a_block(576, 56, 4)
    8
    """
    return max(1, BLOCK_BYTES // max(1, depth * width * item_size))


def conv2d(image: Array, weight: Array, stride: Pair, dilation: Pair, groups: int) -> Array:
    """Cross-correlate a padded batch of images with a bank of kernels.

    Parameters
    ----------
    image : ndarray, shape (N, C, H, W)
        Already padded.
    weight : ndarray, shape (O, C / groups, kh, kw)
        Of the same dtype.
    stride, dilation : (int, int)
        Of the operation.
    groups : int
        Blocks of channels.

    Returns
    -------
    ndarray, shape (N, O, H', W')

    Examples
    --------
    >>> X = np.arange(9.0).reshape(1, 1, 3, 3)
    >>> conv2d(X, np.arange(4.0).reshape(1, 1, 2, 2), (1, 1), (1, 1), 1)[0, 0]
    array([[19., 25.],
           [37., 43.]])
    """
    out_channels, per_group, kh, kw = weight.shape
    view = windows(image, (kh, kw), stride, dilation)
    n, _, _, _, out_h, out_w = view.shape
    result = np.empty((n, out_channels, out_h, out_w), image.dtype)
    depth = per_group * kh * kw
    matrices = weight.reshape(groups, out_channels // groups, depth)
    rows = rows_in_a_block(depth, out_w, image.itemsize)
    columns = np.empty((depth, min(rows, out_h) * out_w), image.dtype)
    for sample in range(n):
        for group in range(groups):
            channels = slice(group * per_group, (group + 1) * per_group)
            outputs = slice(group * (out_channels // groups), (group + 1) * (out_channels // groups))
            for top in range(0, out_h, rows):
                bottom = min(top + rows, out_h)
                block = columns[:, : (bottom - top) * out_w]
                block.reshape(per_group, kh, kw, bottom - top, out_w)[...] = view[sample, channels, :, :, top:bottom]
                target = result[sample, outputs].reshape(-1, out_h * out_w)[:, top * out_w : bottom * out_w]
                np.matmul(matrices[group], block, out=target)
    return result
