"""Kernels of one element: the image, subsampled by the stride, already is the matrix.

Idea
    No window is copied: weight (O x C) times image (C x pixels) is the result.
    What is left is to choose the product. Few channels: small products on the
    image as it lies. Few pixels: the images of a batch side by side, so that
    the weights are read once. Else one large product for each image.
Cost
    N O C H' W' multiply-adds.
Memory
    None; with a stride or a merged batch, a copy of what is used of the input;
    :data:`BLOCK_BYTES` of pixels.
Source
    *Dive into Deep Learning*, "Multiple Input and Multiple Output Channels".
"""

from __future__ import annotations

from typing import Any

import numpy as np

from convbridge_numpy.engine import products
from convbridge_numpy.engine.arena import Scratch
from convbridge_numpy.engine.kept import Kept
from convbridge_numpy.engine.passes import copy_columns
from convbridge_numpy.engine.window import Window

Array = np.ndarray[Any, Any]

#: Bytes of a block of pixels: a quarter of a second-level cache.
BLOCK_BYTES = 2**19

#: Outputs in a block of weights for such pixels: more leaves fewer pixels in a tile.
BLOCK = 32


def _used(image: Array, window: Window) -> Array:
    """View the pixels that are used, (N, C, H', W')."""
    (out_h, out_w), (stride_h, stride_w) = window.outputs, window.stride
    return image[:, :, : (out_h - 1) * stride_h + 1 : stride_h, : (out_w - 1) * stride_w + 1 : stride_w]


def _copy_used(target: Array, image: Array, window: Window) -> None:
    """Copy them to ``target``, (N, C, H', W')."""
    (out_h, out_w), (stride_h, stride_w) = window.outputs, window.stride
    rows = image[:, :, : (out_h - 1) * stride_h + 1 : stride_h]
    copy_columns(target, rows, slice(0, (out_w - 1) * stride_w + 1, stride_w))


def large(image: Array, weight: Array, window: Window, result: Array) -> None:
    """Multiply image by image.

    Parameters
    ----------
    image : ndarray, shape (N, C, H, W)
        Any strides.
    weight : ndarray, shape (O, C, 1, 1)
        Any strides.
    window : Window
        Without padding.
    result : ndarray, shape (N, O, H', W')
        Overwritten.

    Examples
    --------
    >>> from convbridge.geometry import NO_PADDING
    >>> X, result = np.arange(8.0).reshape(1, 2, 2, 2), np.empty((1, 1, 2, 2))
    >>> large(X, np.ones((1, 2, 1, 1)), Window.of((2, 2), (1, 1), (1, 1), NO_PADDING, (1, 1)), result)
    >>> result[0, 0]
    array([[ 4.,  6.],
           [ 8., 10.]])
    """
    outputs, channels = weight.shape[:2]
    used, matrix = _used(image, window), products.weight_matrix(weight)
    with Scratch() as scratch:
        copy = None if window.stride == (1, 1) else scratch((1, *used.shape[1:]), image.dtype)
        for sample, target in enumerate(result):
            pixels = used[sample]
            if copy is not None:
                _copy_used(copy, image[sample : sample + 1], window)
                pixels = copy[0]
            np.matmul(matrix, pixels.reshape(channels, -1), out=target.reshape(outputs, -1))


def merged(image: Array, weight: Array, window: Window, result: Array) -> None:
    """Multiply all images of the batch at once.

    Parameters
    ----------
    image, weight, window, result
        As for :func:`large`.

    Examples
    --------
    >>> from convbridge.geometry import NO_PADDING
    >>> X, result = np.arange(8.0).reshape(2, 1, 2, 2), np.empty((2, 1, 2, 2))
    >>> merged(X, np.ones((1, 1, 1, 1)), Window.of((2, 2), (1, 1), (1, 1), NO_PADDING, (1, 1)), result)
    >>> bool((result == X).all())
    True
    """
    number, (outputs, channels) = len(image), weight.shape[:2]
    out_h, out_w = window.outputs
    with Scratch() as scratch:
        pixels = scratch((channels, number, out_h, out_w), image.dtype)
        _copy_used(pixels.transpose(1, 0, 2, 3), image, window)
        product = scratch((outputs, number, out_h, out_w), image.dtype)
        matrix = products.weight_matrix(weight)
        np.matmul(matrix, pixels.reshape(channels, -1), out=product.reshape(outputs, -1))
        result[...] = product.transpose(1, 0, 2, 3)


def small(image: Array, weight: Array, window: Window, result: Array, kept: Kept | None = None) -> None:
    """Multiply in small products.

    Parameters
    ----------
    image, weight, window, result
        As for :func:`large`.
    kept : Kept, optional
        Where a layer keeps its weights in the order that products read.

    Examples
    --------
    >>> from convbridge.geometry import NO_PADDING
    >>> X, result = np.arange(8.0).reshape(1, 2, 2, 2), np.empty((1, 1, 2, 2))
    >>> small(X, np.ones((1, 2, 1, 1)), Window.of((2, 2), (1, 1), (1, 1), NO_PADDING, (1, 1)), result)
    >>> result[0, 0]
    array([[ 4.,  6.],
           [ 8., 10.]])
    """
    number, (outputs, channels) = len(image), weight.shape[:2]
    used, count = _used(image, window), window.outputs[0] * window.outputs[1]
    with Scratch() as scratch:
        blocks = products.weight_blocks(weight, scratch, channels_last=False, kept=kept)
        if window.stride != (1, 1):
            copy = scratch(used.shape, image.dtype)
            _copy_used(copy, image, window)
            used = copy
        pixels = used.reshape(number, channels, count)
        chunk = products.chunk_of_pixels(count, channels, blocks[0].array.shape[2], across=True)
        products.multiply(blocks, pixels[:, None], result.reshape(number, outputs, 1, count), chunk)


def blocked(image: Array, weight: Array, window: Window, result: Array, kept: Kept | None = None) -> None:
    """Multiply in small products, block by block of pixels.

    Parameters
    ----------
    image, weight, window, result
        As for :func:`large`.
    kept : Kept, optional
        Where a layer keeps its weights in the order that products read.

    Examples
    --------
    >>> from convbridge.geometry import NO_PADDING
    >>> X, result = np.arange(8.0).reshape(1, 2, 2, 2), np.empty((1, 1, 2, 2))
    >>> blocked(X, np.ones((1, 2, 1, 1)), Window.of((2, 2), (1, 1), (1, 1), NO_PADDING, (1, 1)), result)
    >>> result[0, 0]
    array([[ 4.,  6.],
           [ 8., 10.]])
    """
    number, (outputs, channels) = len(image), weight.shape[:2]
    used, count = _used(image, window), window.outputs[0] * window.outputs[1]
    pixels = used.reshape(number, channels, count)
    target = result.reshape(number, outputs, 1, count)
    with Scratch() as scratch:
        blocks = products.weight_blocks(weight, scratch, channels_last=False, block=BLOCK, kept=kept)
        tile = products.chunk_of_pixels(min(count, 64), channels, blocks[0].array.shape[2], across=True)
        size = max(1, BLOCK_BYTES // (channels * image.itemsize * tile)) * tile
        memory = scratch((channels * min(size, count),), image.dtype)
        for sample in range(number):
            for first in range(0, count, size):
                part = pixels[sample, :, first : first + size]
                copy = memory[: part.size].reshape(part.shape)
                copy[...] = part
                products.multiply(
                    blocks, copy[None, None], target[sample : sample + 1, ..., first : first + size], tile
                )


def grouped(image: Array, weight: Array, window: Window, result: Array) -> None:
    """Multiply group by group and image by image, all in one call.

    Parameters
    ----------
    image : ndarray, shape (N, G c, H, W)
        Any strides.
    weight : ndarray, shape (G o, c, 1, 1)
        Any strides.
    window, result
        As for :func:`large`.

    Examples
    --------
    >>> from convbridge.geometry import NO_PADDING
    >>> X, result = np.arange(4.0).reshape(1, 4, 1, 1), np.empty((1, 2, 1, 1))
    >>> grouped(X, np.ones((2, 2, 1, 1)), Window.of((1, 1), (1, 1), (1, 1), NO_PADDING, (1, 1)), result)
    >>> result.ravel()
    array([1., 5.])
    """
    outputs, each = weight.shape[:2]
    groups = image.shape[1] // each
    used = np.ascontiguousarray(_used(image, window))
    target = result.reshape(len(image), groups, outputs // groups, -1)
    np.matmul(
        products.weight_matrix(weight).reshape(groups, -1, each),
        used.reshape(len(image), groups, each, -1),
        out=target,
    )
