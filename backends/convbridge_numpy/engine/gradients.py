"""The backward passes, written by hand: what autograd does, in the open.

Every output is a sum of products; so the gradient of a factor is the sum,
over all products it took part in, of the other factor times the gradient of
the output.

``conv2d_input``
    An input pixel met each kernel element under some window. With stride 1
    that is again a correlation: of the output's gradient, padded to the full,
    with the kernel flipped both ways and its channels swapped. With a stride s
    the pixels fall into s x s classes, each of which met every s-th element of
    the kernel: s x s correlations with smaller kernels, and no product that is
    known to be zero. Where there are few input channels, or the kernel is
    dilated as well, or where reordering the weights would take longer than using
    them, each window's columns are weight^T x dY instead, added back
    to where im2col took them from (col2im).
``conv2d_weight``
    A kernel element met every pixel of its tap: dY x columns^T, summed over
    blocks of rows and images; with many pixels without columns, see
    :mod:`convbridge_numpy.engine.lowered_weight`.
``max_pool2d_input``
    A window hands its gradient to the first element that equals its maximum.
``avg_pool2d_input``
    A window hands an equal share to each of its elements: rows, then columns.

Memory is that of the forward pass: one block of columns at a time.

Source
    *Dive into Deep Learning*, "Learning a Kernel" and the chapter on
    backpropagation; V. Dumoulin and F. Visin, "A guide to convolution
    arithmetic for deep learning", 2016, section 4, for the transposed form; W.
    Shi et al., "Is the deconvolution layer the same as a convolutional
    layer?", 2016, for the classes of pixels.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from convbridge.geometry import Pair, Sides, window_size
from convbridge_numpy.engine import convolve, im2col, lowered_weight, machine
from convbridge_numpy.engine.arena import Scratch
from convbridge_numpy.engine.plan import COPIED_WEIGHTS
from convbridge_numpy.engine.window import Window

Array = np.ndarray[Any, Any]

#: Output pixels of a batch below which the weights are better left as they lie.
FEW_PIXELS = 300

#: Pixels of an image from which on its gradient of a 1x1 kernel is not joined with others.
ENOUGH_ALONE = 512

#: Output pixels of a batch, and elements of a kernel, from which on adding columns back is worth it with stride 1.
MANY_PIXELS, LARGE_KERNEL = 4096, 25

#: Input channels from which on correlations are faster than adding columns back.
MANY_CHANNELS = 12


def _tap(image: Array, offset: Pair, stride: Pair, outputs: Pair) -> Array:
    """View the pixels that one kernel element meets, one for each output."""
    rows = slice(offset[0], offset[0] + (outputs[0] - 1) * stride[0] + 1, stride[0])
    columns = slice(offset[1], offset[1] + (outputs[1] - 1) * stride[1] + 1, stride[1])
    return image[..., rows, columns]


def conv2d_input(
    weight: Array, grad: Array, size: Pair, stride: Pair, padding: Sides, dilation: Pair, groups: int
) -> Array:
    """Return the gradient of a convolution's input.

    Parameters
    ----------
    weight : ndarray, shape (O, C / groups, kh, kw)
        The kernels.
    grad : ndarray, shape (N, O, H', W')
        The gradient of the output.
    size : (int, int)
        Height and width of the input.
    stride, dilation : (int, int)
        Of the operation.
    padding : Sides
        Of the operation.
    groups : int
        Blocks of channels.

    Returns
    -------
    ndarray, shape (N, C, H, W)

    Examples
    --------
    >>> from convbridge.geometry import NO_PADDING
    >>> K = np.arange(4.0).reshape(1, 1, 2, 2)
    >>> conv2d_input(K, np.ones((1, 1, 2, 2)), (3, 3), (1, 1), NO_PADDING, (1, 1), 1)[0, 0]
    array([[0., 1., 1.],
           [2., 6., 4.],
           [2., 5., 3.]])
    """
    per_group = weight.shape[1]
    strided, one_tap, small = stride != (1, 1), weight.shape[2:] == (1, 1), machine.small_products()
    pixels = grad.shape[0] * grad.shape[2] * grad.shape[3]
    few_channels = groups == 1 and per_group < MANY_CHANNELS
    many_outputs = groups == 1 and len(weight) >= 32
    by_columns = (
        (strided and (dilation != (1, 1) or few_channels))
        or (many_outputs and few_channels and pixels >= MANY_PIXELS)
        or (many_outputs and not small and prod(weight.shape[2:]) >= LARGE_KERNEL and len(weight) >= 2 * per_group)
    )
    too_heavy = (weight.nbytes // groups > COPIED_WEIGHTS and not small) or pixels < FEW_PIXELS
    if by_columns or (too_heavy and groups == 1 and not one_tap):
        return _columns_back(weight, grad, size, stride, padding, dilation, groups)
    shape = (grad.shape[0], per_group * groups, *size)
    swapped = _swap(weight, groups)
    if stride == (1, 1):
        result = np.empty(shape, grad.dtype)
        starts = (-padding.top, -padding.left)
        _correlate_back(swapped, grad, starts, dilation, groups, result)
        return result
    result = np.zeros(shape, grad.dtype)
    for row in range(stride[0]):
        for column in range(stride[1]):
            # the first pixel of the class in the image, and which of the class it is, counted from the padding's edge
            first = [(phase - before) % step for phase, before, step in zip((row, column), padding[::2], stride)]
            part = result[:, :, first[0] :: stride[0], first[1] :: stride[1]]
            taps = swapped[:, :, row :: stride[0], column :: stride[1]]
            if 0 in part.shape or 0 in taps.shape:
                continue
            numbers = [(f + b - p) // s for f, b, p, s in zip(first, padding[::2], (row, column), stride)]
            together = np.empty(part.shape, grad.dtype)
            _correlate_back(taps, grad, (-numbers[0], -numbers[1]), (1, 1), groups, together)
            part[...] = together
    return result


def _swap(weight: Array, groups: int) -> Array:
    """Exchange the roles of input and output channels, (C, O / groups, kh, kw)."""
    out_channels, per_group, kh, kw = weight.shape
    if groups == 1:
        return weight.transpose(1, 0, 2, 3)
    banks = weight.reshape(groups, out_channels // groups, per_group, kh, kw).transpose(0, 2, 1, 3, 4)
    return banks.reshape(groups * per_group, out_channels // groups, kh, kw)


def _correlate_back(swapped: Array, grad: Array, starts: Pair, dilation: Pair, groups: int, result: Array) -> None:
    """Correlate the gradient, padded to the full, with the flipped kernel; stride 1.

    ``starts`` counts from the first pixel of ``result`` to that which the first
    tap of the first window met.
    """
    ends: list[int] = []
    cropped = grad
    for axis, start in enumerate(starts):
        span = window_size(swapped.shape[2 + axis], dilation[axis]) - 1
        before = span + start
        after = result.shape[2 + axis] - start - grad.shape[2 + axis]
        if before < 0 or after < 0:  # gradients of windows that lie in the padding altogether
            kept = slice(max(-before, 0), grad.shape[2 + axis] - max(-after, 0))
            cropped = cropped[:, :, kept] if axis == 0 else cropped[:, :, :, kept]
        ends += [max(before, 0), max(after, 0)]
    window = Window.of(
        (cropped.shape[2], cropped.shape[3]),
        (swapped.shape[2], swapped.shape[3]),
        (1, 1),
        Sides(*ends),
        dilation,
    )
    last = cropped.strides[1] == cropped.itemsize
    convolve.into(cropped, swapped[:, :, ::-1, ::-1], window, groups, result, channels_last=last)


def _columns_back(
    weight: Array, grad: Array, size: Pair, stride: Pair, padding: Sides, dilation: Pair, groups: int
) -> Array:
    """Add each window's columns back to where they came from."""
    out_channels, per_group, kh, kw = weight.shape
    number, out_w = grad.shape[0], grad.shape[3]
    per_bank, depth = out_channels // groups, per_group * kh * kw
    top, bottom, left, right = padding
    window = Window((kh, kw), stride, padding, dilation, (grad.shape[2], out_w))
    result = np.empty((number, per_group * groups, *size), grad.dtype)
    with Scratch() as scratch:
        memory = gathered = None
        padded = scratch((per_group, top + size[0] + bottom, left + size[1] + right), grad.dtype)
        for group in range(groups):
            own = slice(group * per_group, (group + 1) * per_group)
            bank = slice(group * per_bank, (group + 1) * per_bank)
            matrix = weight[bank].reshape(per_bank, depth).T
            for images, rows in im2col.blocks(number, window, depth, grad.itemsize):
                count, height = images.stop - images.start, rows.stop - rows.start
                source = grad[images, bank, rows]
                if count > 1:
                    gathered = scratch((source.size,), grad.dtype) if gathered is None else gathered
                    together = gathered[: source.size].reshape(per_bank, count, height, out_w)
                    together[...] = source.transpose(1, 0, 2, 3)
                    source = together
                size_now = depth * count * height * out_w
                memory = scratch((size_now,), grad.dtype) if memory is None else memory
                columns = memory[:size_now].reshape(depth, -1)
                np.matmul(matrix, source.reshape(per_bank, -1), out=columns)
                blocks = columns.reshape(per_group, kh, kw, count, height, out_w)
                for index in range(count):
                    if rows.start == 0:
                        padded[...] = 0
                    for p in range(kh):
                        for q in range(kw):
                            offset = (rows.start * stride[0] + p * dilation[0], q * dilation[1])
                            _tap(padded, offset, stride, (height, out_w))[...] += blocks[:, p, q, index]
                    if rows.stop == window.outputs[0]:
                        inside = padded[:, top : top + size[0], left : left + size[1]]
                        result[images.start + index, own] = inside
    return result


def conv2d_weight(
    image: Array, grad: Array, kernel: Pair, stride: Pair, padding: Sides, dilation: Pair, groups: int
) -> Array:
    """Return the gradient of a convolution's weight.

    Parameters
    ----------
    image : ndarray, shape (N, C, H, W)
        The input.
    grad : ndarray, shape (N, O, H', W')
        The gradient of the output.
    kernel, stride, dilation : (int, int)
        Of the operation.
    padding : Sides
        Of the operation.
    groups : int
        Blocks of channels.

    Returns
    -------
    ndarray, shape (O, C / groups, kh, kw)

    Examples
    --------
    >>> from convbridge.geometry import NO_PADDING
    >>> X = np.arange(9.0).reshape(1, 1, 3, 3)
    >>> conv2d_weight(X, np.ones((1, 1, 2, 2)), (2, 2), (1, 1), NO_PADDING, (1, 1), 1)[0, 0]
    array([[ 8., 12.],
           [20., 24.]])
    """
    channels, out_channels = image.shape[1], grad.shape[1]
    per_group, per_bank = channels // groups, out_channels // groups
    result = np.empty((out_channels, per_group, *kernel), grad.dtype)
    window = Window(kernel, stride, padding, dilation, (grad.shape[2], grad.shape[3]))
    by_rows = lowered_weight.fits((len(image), per_group, *image.shape[2:]), per_bank, window)
    for group in range(groups):
        own, bank = slice(group * per_group, (group + 1) * per_group), slice(group * per_bank, (group + 1) * per_bank)
        compute = lowered_weight.weight_gradient if by_rows else _weight_of_group
        compute(image[:, own], grad[:, bank], window, result[bank])
    return result


def _weight_of_group(image: Array, grad: Array, window: Window, result: Array) -> None:
    """Write the gradient of one group's weight to ``result``."""
    channels, out_channels, out_w = image.shape[1], grad.shape[1], grad.shape[3]
    depth = channels * prod(window.kernel)
    as_it_is = window.kernel == window.stride == (1, 1) and not window.padded
    parts = im2col.blocks(len(image), window, depth, grad.itemsize)
    if as_it_is and grad.shape[2] * out_w >= ENOUGH_ALONE:  # images as they lie, one by one
        parts = ((slice(index, index + 1), slice(0, grad.shape[2])) for index in range(len(image)))
    with Scratch() as scratch:
        lower: im2col.Lowering | None = None
        memory = gathered = None
        # BLAS is a little faster with the longer side in front, which pays where transposing back is cheap
        turned = out_channels <= 128 and depth * out_channels <= 2**18
        total = scratch((depth, out_channels), grad.dtype) if turned else result.reshape(out_channels, depth)
        product = None
        for images, rows in parts:
            count, height = images.stop - images.start, rows.stop - rows.start
            source = grad[images, :, rows]
            if count > 1:
                gathered = scratch((source.size,), grad.dtype) if gathered is None else gathered
                together = gathered[: source.size].reshape(out_channels, count, height, out_w)
                together[...] = source.transpose(1, 0, 2, 3)
                outer = together.reshape(out_channels, -1)
            else:
                outer = source[0].reshape(out_channels, height * out_w)
            if as_it_is and count == 1:
                inner = image[images.start, :, rows].reshape(channels, -1)
            else:
                shape = (channels, *window.kernel, count, height, out_w)
                memory = scratch((prod(shape),), grad.dtype) if memory is None else memory
                columns = memory[: prod(shape)].reshape(shape)
                lower = im2col.lowering(image, window, count, height, scratch) if lower is None else lower
                lower(images, rows, columns)
                inner = columns.reshape(depth, -1)
            factors = (inner, outer.T) if turned else (outer, inner.T)
            if images.start == rows.start == 0:
                np.matmul(*factors, out=total)
                continue
            product = scratch(total.shape, grad.dtype) if product is None else product
            np.matmul(*factors, out=product)
            np.add(total, product, out=total)
        if turned:
            result.reshape(out_channels, depth)[...] = total.T


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
