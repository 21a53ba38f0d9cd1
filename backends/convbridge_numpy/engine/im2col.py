"""Convolution as large matrix products: im2col in blocks.

Idea
    Write every window as one column of a matrix; then all outputs of all
    channels are one product, weight (O x C kh kw) times columns (C kh kw x
    pixels), which BLAS runs near the machine's peak.
Two layouts
    planar          (C, kh, kw, pixels): the weights serve as they are. Best where
                    there are more weights than pixels. The image is copied once
                    for each column of the kernel, and from there in long runs.
    channels last   (pixels, kh, kw, C): copied in runs of kw C numbers. The
                    images are turned first and the weights reordered, which
                    pays with many pixels; those of several images join in one
                    product, so that the weights are read once for all.
Cost
    N O C kh kw H' W' multiply-adds, in GEMM; plus a copy of kh kw / (sh sw)
    times the input.
Memory
    A few output rows, or images, at a time: :data:`BLOCK_BYTES` of columns.
Source
    K. Chellapilla, S. Puri, P. Simard, "High Performance Convolutional Neural
    Networks for Document Processing", 2006.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any, Protocol

import numpy as np

from convbridge_numpy.engine.arena import Scratch
from convbridge_numpy.engine.passes import copy_columns
from convbridge_numpy.engine.products import weight_matrix
from convbridge_numpy.engine.window import Padded, PaddedLast, Window, columns_inside, windows

Array = np.ndarray[Any, Any]

#: Bytes of one block of columns: a usual second-level cache.
BLOCK_BYTES = 2**21

#: Numbers in a block of columns from which on shorter copies are worth more steps, and bytes of what lies between image
#: and columns then, if one image does not take more.
MANY_NUMBERS, LINES_BYTES = 2**16, 2**20

#: Pixels in a block that are worth reading the weights for, and the bytes that their columns may take for it.
ENOUGH_PIXELS, MOST_BYTES = 600, 5 * 2**20


def blocks(number: int, window: Window, depth: int, item_size: int, copied: int = 0) -> Iterator[tuple[slice, slice]]:
    """Divide the outputs of a batch into blocks: whole images, or rows of one.

    Parameters
    ----------
    number : int
        Images.
    window : Window
        For the number of outputs.
    depth : int
        Rows of the matrix of columns, C kh kw.
    item_size : int
        Bytes of an element.
    copied : int
        Bytes of weights that are copied as well, and take from what is allowed.

    Yields
    ------
    images, rows : slice
        The first block is the largest.

    Examples
    --------
    >>> from convbridge.geometry import NO_PADDING
    >>> window = Window.of((58, 58), (3, 3), (1, 1), NO_PADDING, (1, 1))
    >>> [rows.stop for images, rows in blocks(1, window, 576, 4)]
    [16, 32, 48, 56]
    """
    out_h, out_w = window.outputs
    column = max(1, depth * item_size)
    size = max(BLOCK_BYTES, min(MOST_BYTES, ENOUGH_PIXELS * column, MOST_BYTES + BLOCK_BYTES - copied))
    rows = min(max(1, size // (column * out_w)), out_h)
    images = min(max(1, size // (column * out_w * out_h)), number) if rows == out_h else 1
    for sample in range(0, number, images):
        for first in range(0, out_h, rows):
            yield slice(sample, min(sample + images, number)), slice(first, min(first + rows, out_h))


def planar(image: Array, weight: Array, window: Window, result: Array) -> None:
    """Convolve, weights as they are.

    Parameters
    ----------
    image : ndarray, shape (N, C, H, W)
        Any strides.
    weight : ndarray, shape (O, C, kh, kw)
        Any strides.
    window : Window
        Any.
    result : ndarray, shape (N, O, H', W')
        Overwritten.

    Examples
    --------
    >>> from convbridge.geometry import NO_PADDING
    >>> X, result = np.arange(9.0).reshape(1, 1, 3, 3), np.empty((1, 1, 2, 2))
    >>> window = Window.of((3, 3), (2, 2), (1, 1), NO_PADDING, (1, 1))
    >>> planar(X, np.arange(4.0).reshape(1, 1, 2, 2), window, result)
    >>> result[0, 0]
    array([[19., 25.],
           [37., 43.]])
    """
    _, channels, kh, kw = weight.shape
    out_w = window.outputs[1]
    depth = channels * kh * kw
    matrix = weight_matrix(weight)
    with Scratch() as scratch:
        memory = None
        product = _Product(scratch)
        lower: Lowering | None = None
        for images, rows in blocks(len(image), window, depth, image.itemsize):
            shape = (channels, kh, kw, images.stop - images.start, rows.stop - rows.start, out_w)
            if memory is None or lower is None:  # the first block is the largest
                memory = scratch((prod(shape),), image.dtype)
                lower = lowering(image, window, shape[3], shape[4], scratch)
            columns = memory[: prod(shape)].reshape(shape)
            lower(images, rows, columns)
            product(matrix, columns.reshape(depth, -1), result[images, :, rows])


class Lowering(Protocol):
    """Writes columns of some images, (C, kh, kw, images, rows, W'), for some rows of outputs."""

    def __call__(self, images: slice, rows: slice, columns: Array) -> None:
        """Take some images of the batch."""


def lowering(image: Array, window: Window, images: int, rows: int, scratch: Scratch) -> Lowering:
    """Choose how columns are written.

    Parameters
    ----------
    image : ndarray, shape (N, C, H, W)
        Any strides.
    window : Window
        Any.
    images, rows : int
        How many, and rows of outputs, at a time, at most.
    scratch : Scratch
        For what lies between image and columns.

    Returns
    -------
    callable

    Examples
    --------
    >>> from convbridge.geometry import NO_PADDING
    >>> X, columns = np.arange(4.0).reshape(1, 1, 2, 2), np.empty((1, 2, 1, 1, 1, 2))
    >>> window = Window.of((2, 2), (2, 1), (1, 1), NO_PADDING, (1, 1))
    >>> with Scratch() as scratch:
    ...     lowering(X, window, 1, 1, scratch)(slice(0, 1), slice(0, 1), columns)
    >>> columns.reshape(2, 2)
    array([[0., 1.],
           [2., 3.]])
    """
    many = images * image.shape[1] * prod(window.kernel) * rows * window.outputs[1] >= MANY_NUMBERS
    if many and window.kernel[0] > 1:
        return _Shifted(image, window, images, rows, scratch)
    return _Viewed(image, window, scratch)


class _Viewed:
    """Copies windows, of all images at once or, where there is padding, of one after the other: the fewest steps."""

    def __init__(self, image: Array, window: Window, scratch: Scratch) -> None:
        self._padded = Padded(image, window.padding, scratch) if window.padded else None
        seen = image if self._padded is None else self._padded[0]
        self._view = windows(seen, window.kernel, window.stride, window.dilation).transpose(1, 2, 3, 0, 4, 5)

    def __call__(self, images: slice, rows: slice, columns: Array) -> None:
        """Write the columns of some rows of outputs, (C, kh, kw, images, rows, W')."""
        if self._padded is None:
            columns[...] = self._view[:, :, :, images, rows]
            return
        for index in range(images.stop - images.start):
            _ = self._padded[images.start + index]  # in the memory that is viewed
            columns[:, :, :, index] = self._view[:, :, :, 0, rows]


class _Shifted:
    """Copies images once for each column of the kernel, and what each of its rows sees of that in one run.

    In a row of W' pixels a copy moves few numbers between steps; the runs that
    kernel rows see are as long as the image.
    """

    def __init__(self, image: Array, window: Window, images: int, rows: int, scratch: Scratch) -> None:
        _, channels, _, width = image.shape
        (kh, kw), stride, dilation = window.kernel, window.stride[0], window.dilation[0]
        self._image, self._window = image, window
        self._seen = columns_inside(window, width)
        self._needed = (kh - 1) * dilation // stride
        self._phases = sorted({row * dilation % stride for row in range(kh)})
        one = (channels, kw, stride, rows + self._needed, window.outputs[1])
        self._together = min(images, max(1, LINES_BYTES // (prod(one) * image.itemsize)))
        self._memory = scratch((self._together, *one), image.dtype)
        for tap, (here, _) in enumerate(self._seen):
            self._memory[:, :, tap, ..., : here.start] = 0
            self._memory[:, :, tap, ..., here.stop :] = 0

    def __call__(self, images: slice, rows: slice, columns: Array) -> None:
        """Write the columns of some rows of outputs, (C, kh, kw, images, rows, W')."""
        for first in range(images.start, images.stop, self._together):
            last = min(first + self._together, images.stop)
            place = columns[:, :, :, first - images.start : last - images.start]
            self._lower(slice(first, last), rows, place)

    def _lower(self, images: slice, rows: slice, columns: Array) -> None:
        stride, dilation = self._window.stride[0], self._window.dilation[0]
        count = rows.stop - rows.start
        memory = self._memory[: images.stop - images.start]
        for phase in self._phases:
            start = rows.start * stride - self._window.padding.top + phase
            first = max(0, -(start // stride))
            last = max(first, min(count + self._needed, (self._image.shape[2] - 1 - start) // stride + 1))
            lines = memory[:, :, :, phase, : count + self._needed]
            lines[:, :, :, :first] = 0
            lines[:, :, :, last:] = 0
            source = self._image[images, :, start + first * stride : start + last * stride : stride]
            for tap, (here, there) in enumerate(self._seen):
                copy_columns(lines[:, :, tap, first:last, here], source, there)
        for row in range(self._window.kernel[0]):
            down, phase = divmod(row * dilation, stride)
            columns[:, row] = memory[:, :, :, phase, down : down + count].transpose(1, 2, 0, 3, 4)


def channels_last(image: Array, weight: Array, window: Window, result: Array) -> None:
    """Convolve, with images and weights reordered.

    Parameters
    ----------
    image : ndarray, shape (N, C, H, W)
        Any strides.
    weight : ndarray, shape (O, C, kh, kw)
        Any strides.
    window : Window
        Any.
    result : ndarray, shape (N, O, H', W')
        Overwritten.

    Examples
    --------
    >>> from convbridge.geometry import NO_PADDING
    >>> X, result = np.arange(9.0).reshape(1, 1, 3, 3), np.empty((1, 1, 2, 2))
    >>> window = Window.of((3, 3), (2, 2), (1, 1), NO_PADDING, (1, 1))
    >>> channels_last(X, np.arange(4.0).reshape(1, 1, 2, 2), window, result)
    >>> result[0, 0]
    array([[19., 25.],
           [37., 43.]])
    """
    outputs, channels, kh, kw = weight.shape
    out_w = window.outputs[1]
    depth = channels * kh * kw
    with Scratch() as scratch:
        matrix = scratch((outputs, kh * kw, channels), image.dtype)
        matrix.reshape(outputs, kh, kw, channels)[...] = weight.transpose(0, 2, 3, 1)
        product = _Product(scratch)
        memory = None
        padded = PaddedLast(image, window.padding, scratch)
        for images, rows in blocks(len(image), window, depth, image.itemsize, matrix.nbytes):
            shape = (images.stop - images.start, rows.stop - rows.start, out_w, kh, kw, channels)
            memory = scratch((prod(shape),), image.dtype) if memory is None else memory
            columns = memory[: prod(shape)].reshape(shape)
            for index in range(images.start, images.stop):
                view = windows(padded[index], window.kernel, window.stride, window.dilation)
                columns[index - images.start] = view[0].transpose(3, 4, 1, 2, 0)[rows]
            product(matrix.reshape(outputs, depth), columns.reshape(-1, depth).T, result[images, :, rows])


class _Product:
    """The product of a block, written to where it belongs."""

    def __init__(self, scratch: Scratch) -> None:
        self._scratch = scratch
        self._memory: Array | None = None

    def __call__(self, matrix: Array, columns: Array, target: Array) -> None:
        """Multiply; ``target`` is (images, O, rows, W'), where the rows of an image follow each other."""
        images, outputs, rows, out_w = target.shape
        if images == 1:
            np.matmul(matrix, columns, out=target[0].reshape(outputs, rows * out_w))
            return
        if self._memory is None:  # the first block is the largest
            self._memory = self._scratch((target.size,), matrix.dtype)
        product = self._memory[: target.size].reshape(outputs, images, rows, out_w)
        np.matmul(matrix, columns, out=product.reshape(outputs, -1))
        target[...] = product.transpose(1, 0, 2, 3)
