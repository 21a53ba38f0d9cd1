"""Where the windows of a convolution lie, and the image around which zeros stand."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from convbridge.geometry import Pair, Sides, output_size, window_size
from convbridge_numpy.engine.arena import Scratch
from convbridge_numpy.engine.passes import Spread

Array = np.ndarray[Any, Any]

#: Bytes of an image that are turned at a time, where they are copied before.
SOME_BYTES = 2**18


class Window(NamedTuple):
    """The geometry of a convolution.

    Attributes
    ----------
    kernel, stride, dilation : (int, int)
        Of the operation.
    padding : Sides
        Zeros around the image.
    outputs : (int, int)
        Height and width of the result.
    """

    kernel: Pair
    stride: Pair
    padding: Sides
    dilation: Pair
    outputs: Pair

    @classmethod
    def of(cls, size: Pair, kernel: Pair, stride: Pair, padding: Sides, dilation: Pair) -> Window:
        """Work out how many outputs there are.

        Parameters
        ----------
        size : (int, int)
            Height and width of the image without its padding.
        kernel, stride, dilation : (int, int)
            Of the operation.
        padding : Sides
            Around the image.

        Returns
        -------
        Window

        Examples
        --------
        >>> Window.of((8, 8), (3, 3), (2, 2), Sides(1, 1, 1, 1), (1, 1)).outputs
        (4, 4)
        """
        height = output_size(size[0], window_size(kernel[0], dilation[0]), stride[0], padding.top, padding.bottom)
        width = output_size(size[1], window_size(kernel[1], dilation[1]), stride[1], padding.left, padding.right)
        return cls(kernel, stride, padding, dilation, (height, width))

    @property
    def padded(self) -> bool:
        """Whether there is any padding."""
        return any(self.padding)


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


def overlapping(block: Array, shape: tuple[int, ...], strides: tuple[int, ...], start: int = 0) -> Array:
    """View memory that lies in one piece in another shape, whose elements may share it; to be read.

    Parameters
    ----------
    block : ndarray
        In one piece, from whose start it is counted.
    shape, strides : tuple of int
        Of the view; strides in bytes.
    start : int
        Bytes of the block before the view.

    Returns
    -------
    ndarray

    Raises
    ------
    ValueError
        For a view that leaves the block.

    Notes
    -----
    ``numpy.lib.stride_tricks.as_strided`` takes any array, eight times as long,
    and does not look where the view ends.

    Examples
    --------
    >>> overlapping(np.arange(4.0), (3, 2), (8, 8))
    array([[0., 1.],
           [1., 2.],
           [2., 3.]])
    """
    return np.ndarray(shape, block.dtype, block, start, strides)


@lru_cache(maxsize=512)
def columns_inside(window: Window, width: int) -> tuple[tuple[slice, slice], ...]:
    """Return for each column of a kernel which outputs of a row meet the image with it, and where.

    Parameters
    ----------
    window : Window
        The geometry.
    width : int
        Of the image, without its padding.

    Returns
    -------
    tuple of (slice, slice)
        Outputs, and columns of the image; both empty where there are none.

    Examples
    --------
    >>> columns_inside(Window.of((4, 4), (1, 3), (1, 2), Sides(0, 0, 1, 1), (1, 1)), 4)[0]
    (slice(1, 2, None), slice(1, 2, 2))
    """
    return tuple(_columns_of_a_tap(window, tap, width) for tap in range(window.kernel[1]))


def _columns_of_a_tap(window: Window, tap: int, width: int) -> tuple[slice, slice]:
    stride, offset = window.stride[1], tap * window.dilation[1] - window.padding.left
    first = max(0, -(offset // stride))
    last = min(window.outputs[1], (width - 1 - offset) // stride + 1)
    if last <= first:
        return slice(0, 0), slice(0, 0)
    start = first * stride + offset
    return slice(first, last), slice(start, start + (last - first - 1) * stride + 1, stride)


def zero_border(padded: Array, inside: tuple[slice, slice]) -> None:
    """Write zeros around what ``inside`` covers of the last two axes.

    Parameters
    ----------
    padded : ndarray, shape (..., H, W)
        Changed in place.
    inside : (slice, slice)
        Rows and columns.

    Examples
    --------
    >>> X = np.ones((2, 3))
    >>> zero_border(X, (slice(1, 2), slice(0, 2)))
    >>> X
    array([[0., 0., 0.],
           [1., 1., 0.]])
    """
    rows, columns = inside
    padded[..., : rows.start, :] = 0
    padded[..., rows.stop :, :] = 0
    padded[..., rows, : columns.start] = 0
    padded[..., rows, columns.stop :] = 0


class Padded:
    """A batch of images, each with zeros around it, one at a time in the same memory.

    Parameters
    ----------
    image : ndarray, shape (N, C, H, W)
        Any strides.
    padding : Sides
        How many zeros.
    scratch : Scratch
        Where the padded image lies.

    Examples
    --------
    >>> with Scratch() as scratch:
    ...     Padded(np.ones((1, 1, 1, 1)), Sides(1, 0, 0, 1), scratch)[0][0, 0]
    array([[0., 0.],
           [1., 0.]])
    """

    def __init__(self, image: Array, padding: Sides, scratch: Scratch) -> None:
        self._image = image
        self._memory: Array | None = None
        self._held = -1
        if any(padding):
            _, c, h, w = image.shape
            top, bottom, left, right = padding
            self._memory = scratch((1, c, top + h + bottom, left + w + right), image.dtype)
            self._inside = (slice(top, top + h), slice(left, left + w))
            zero_border(self._memory, self._inside)

    def __getitem__(self, index: int) -> Array:
        """Return one image, (1, C, H, W), valid until the next one is asked for."""
        if self._memory is None:
            return self._image[index : index + 1]
        if index != self._held:
            self._memory[0, :, self._inside[0], self._inside[1]] = self._image[index]
            self._held = index
        return self._memory


class PaddedLast(Padded):
    """The same with the channels adjacent in memory; the shape of an image stays (1, C, H, W).

    Examples
    --------
    >>> with Scratch() as scratch:
    ...     PaddedLast(np.ones((1, 2, 1, 1)), Sides(0, 0, 0, 1), scratch)[0].strides
    (32, 8, 32, 16)
    """

    def __init__(self, image: Array, padding: Sides, scratch: Scratch) -> None:
        _, c, h, w = image.shape
        top, bottom, left, right = padding
        turned = scratch((1, top + h + bottom, left + w + right, c), image.dtype)
        self._image = image
        self._memory = self._turned = turned.transpose(0, 3, 1, 2)
        self._held = -1
        self._inside = (slice(top, top + h), slice(left, left + w))
        if any(padding):
            zero_border(self._memory, self._inside)
        rows = min(h, max(1, SOME_BYTES // (c * w * image.itemsize)))
        self._spread = Spread(image, rows * w, scratch)
        self._rows = rows if self._spread.copies else h

    def __getitem__(self, index: int) -> Array:
        """Return one image, (1, C, H, W), valid until the next one is asked for."""
        if index != self._held:
            image, inside = self._image[index], self._turned[0][:, self._inside[0], self._inside[1]]
            for first in range(0, image.shape[1], self._rows):
                rows = slice(first, first + self._rows)
                inside[:, rows] = self._spread(image[:, rows])
            self._held = index
        return self._turned
