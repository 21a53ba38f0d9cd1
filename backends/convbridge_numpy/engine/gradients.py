"""The backward passes, written by hand: what autograd does, in the open.

Every output is a sum of products; so the gradient of a factor is the sum,
over all products it took part in, of the other factor times the gradient of
the output.

``conv2d_input``
    An input pixel met each kernel element under some window. With stride 1
    that is again a correlation: of the output's gradient, padded to the full,
    with the kernel flipped both ways and its channels swapped. With a stride
    each window's columns are weight^T x dY, added back to where im2col took
    them from (col2im).
``conv2d_weight``
    A kernel element met every pixel of its tap: dY x columns^T, summed over
    blocks of rows and over the batch.
``max_pool2d_input``
    A window hands its gradient to the first element that equals its maximum.
``avg_pool2d_input``
    A window hands an equal share to each of its elements: rows, then columns.

Memory is that of the forward pass: one block of columns at a time.

Source
    *Dive into Deep Learning*, "Learning a Kernel" and the chapter on
    backpropagation; V. Dumoulin and F. Visin, "A guide to convolution
    arithmetic for deep learning", 2016, section 4, for the transposed form.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from convbridge.geometry import Pair, window_size
from convbridge_numpy.engine import convolve

Array = np.ndarray[Any, Any]


def _tap(image: Array, offset: Pair, stride: Pair, outputs: Pair) -> Array:
    """View the pixels that one kernel element meets, one for each output."""
    rows = slice(offset[0], offset[0] + (outputs[0] - 1) * stride[0] + 1, stride[0])
    columns = slice(offset[1], offset[1] + (outputs[1] - 1) * stride[1] + 1, stride[1])
    return image[..., rows, columns]


def conv2d_input(weight: Array, grad: Array, size: Pair, stride: Pair, dilation: Pair, groups: int) -> Array:
    """Return the gradient of a convolution's padded input.

    Parameters
    ----------
    weight : ndarray, shape (O, C / groups, kh, kw)
        The kernels.
    grad : ndarray, shape (N, O, H', W')
        The gradient of the output.
    size : (int, int)
        Height and width of the padded input.
    stride, dilation : (int, int)
        Of the operation.
    groups : int
        Blocks of channels.

    Returns
    -------
    ndarray, shape (N, C, H, W)

    Examples
    --------
    >>> K = np.arange(4.0).reshape(1, 1, 2, 2)
    >>> conv2d_input(K, np.ones((1, 1, 2, 2)), (3, 3), (1, 1), (1, 1), 1)[0, 0]
    array([[0., 1., 1.],
           [2., 6., 4.],
           [2., 5., 3.]])
    """
    out_channels, per_group, kh, kw = weight.shape
    n, _, out_h, out_w = grad.shape
    per_bank = out_channels // groups
    result = np.zeros((n, per_group * groups, *size), grad.dtype)
    if stride == (1, 1):
        border_h, border_w = window_size(kh, dilation[0]) - 1, window_size(kw, dilation[1]) - 1
        full = np.zeros((n, out_channels, out_h + 2 * border_h, out_w + 2 * border_w), grad.dtype)
        full[:, :, border_h : border_h + out_h, border_w : border_w + out_w] = grad
        flipped = weight[:, :, ::-1, ::-1].reshape(groups, per_bank, per_group, kh, kw).transpose(0, 2, 1, 3, 4)
        swapped = np.ascontiguousarray(flipped).reshape(groups * per_group, per_bank, kh, kw)
        return convolve.conv2d(full, swapped, (1, 1), dilation, groups)
    depth = per_group * kh * kw
    transposed = np.ascontiguousarray(weight.reshape(groups, per_bank, depth).transpose(0, 2, 1))
    rows = convolve.rows_in_a_block(depth, out_w, grad.itemsize)
    for sample in range(n):
        for group in range(groups):
            target = result[sample, group * per_group : (group + 1) * per_group]
            source = grad[sample, group * per_bank : (group + 1) * per_bank]
            for top in range(0, out_h, rows):
                bottom = min(top + rows, out_h)
                columns = transposed[group] @ source[:, top:bottom].reshape(per_bank, -1)
                blocks = columns.reshape(per_group, kh, kw, bottom - top, out_w)
                for p in range(kh):
                    for q in range(kw):
                        offset = (top * stride[0] + p * dilation[0], q * dilation[1])
                        _tap(target, offset, stride, (bottom - top, out_w))[...] += blocks[:, p, q]
    return result


def conv2d_weight(image: Array, grad: Array, kernel: Pair, stride: Pair, dilation: Pair, groups: int) -> Array:
    """Return the gradient of a convolution's weight.

    Parameters
    ----------
    image : ndarray, shape (N, C, H, W)
        The input, already padded.
    grad : ndarray, shape (N, O, H', W')
        The gradient of the output.
    kernel, stride, dilation : (int, int)
        Of the operation.
    groups : int
        Blocks of channels.

    Returns
    -------
    ndarray, shape (O, C / groups, kh, kw)

    Examples
    --------
    >>> X = np.arange(9.0).reshape(1, 1, 3, 3)
    >>> conv2d_weight(X, np.ones((1, 1, 2, 2)), (2, 2), (1, 1), (1, 1), 1)[0, 0]
    array([[ 8., 12.],
           [20., 24.]])
    """
    n, channels = image.shape[:2]
    out_channels, out_h, out_w = grad.shape[1:]
    per_group, per_bank = channels // groups, out_channels // groups
    view = convolve.windows(image, kernel, stride, dilation)
    depth = per_group * kernel[0] * kernel[1]
    result = np.zeros((groups, per_bank, depth), grad.dtype)
    rows = convolve.rows_in_a_block(depth, out_w, grad.itemsize)
    columns = np.empty((depth, min(rows, out_h) * out_w), grad.dtype)
    for sample in range(n):
        for group in range(groups):
            source = grad[sample, group * per_bank : (group + 1) * per_bank]
            for top in range(0, out_h, rows):
                bottom = min(top + rows, out_h)
                block = columns[:, : (bottom - top) * out_w]
                block.reshape(per_group, *kernel, bottom - top, out_w)[...] = view[
                    sample, group * per_group : (group + 1) * per_group, :, :, top:bottom
                ]
                result[group] += source[:, top:bottom].reshape(per_bank, -1) @ block.T
    return result.reshape(out_channels, per_group, *kernel)


def max_pool2d_input(image: Array, pooled: Array, grad: Array, pool_size: Pair, stride: Pair, dilation: Pair) -> Array:
    """Return the gradient of a maximum pooling's padded input.

    Parameters
    ----------
    image : ndarray, shape (N, C, H, W)
        The input, already padded.
    pooled : ndarray, shape (N, C, H', W')
        The maxima.
    grad : ndarray, shape (N, C, H', W')
        Their gradient.
    pool_size, stride, dilation : (int, int)
        Of the operation.

    Returns
    -------
    ndarray, shape (N, C, H, W)

    Examples
    --------
    >>> X = np.ones((1, 1, 2, 2))
    >>> max_pool2d_input(X, np.ones((1, 1, 1, 1)), np.ones((1, 1, 1, 1)), (2, 2), (1, 1), (1, 1))[0, 0]
    array([[1., 0.],
           [0., 0.]])
    """
    outputs = (pooled.shape[2], pooled.shape[3])
    result = np.zeros_like(image)
    waiting = np.ones(pooled.shape, bool)
    no_number = np.isnan(pooled)
    for p in range(pool_size[0]):
        for q in range(pool_size[1]):
            offset = (p * dilation[0], q * dilation[1])
            here = _tap(image, offset, stride, outputs)
            chosen = waiting & ((here == pooled) | (no_number & np.isnan(here)))
            # += on a view may meet a pixel twice only from different taps, never within one
            _tap(result, offset, stride, outputs)[...] += np.where(chosen, grad, 0)
            waiting &= ~chosen
    return result


def avg_pool2d_input(grad: Array, size: Pair, pool_size: Pair, stride: Pair, dilation: Pair) -> Array:
    """Return the gradient of a sum pooling's padded input; an average divides ``grad`` first.

    Parameters
    ----------
    grad : ndarray, shape (N, C, H', W')
        The gradient of the sums.
    size : (int, int)
        Height and width of the padded input.
    pool_size, stride, dilation : (int, int)
        Of the operation.

    Returns
    -------
    ndarray, shape (N, C, H, W)

    Examples
    --------
    >>> avg_pool2d_input(np.ones((1, 1, 2, 2)), (3, 3), (2, 2), (1, 1), (1, 1))[0, 0]
    array([[1., 2., 1.],
           [2., 4., 2.],
           [1., 2., 1.]])
    """
    n, c, out_h, out_w = grad.shape
    rows = np.zeros((n, c, size[0], out_w), grad.dtype)
    for p in range(pool_size[0]):
        _tap(rows, (p * dilation[0], 0), (stride[0], 1), (out_h, out_w))[...] += grad
    result = np.zeros((n, c, *size), grad.dtype)
    for q in range(pool_size[1]):
        _tap(result, (0, q * dilation[1]), (1, stride[1]), (size[0], out_w))[...] += rows
    return result
