"""Passes over arrays that take less time than NumPy's obvious ones."""

from __future__ import annotations

import sys
from functools import cache
from typing import Any

import numpy as np

from convbridge_numpy.engine.arena import Scratch

Array = np.ndarray[Any, Any]

#: Numbers below which a pass takes no longer than a call; and that are one row of a product.
WORTH, RUN = 2**11, 2**10

#: Bytes of a cache line; and, where so many lie between them, numbers have the same few places in a cache. Planes fewer
#: than these find room there all the same.
LINE, CLOSE, MANY_PLANES = 2**6, 2**10, 16


def finite(array: Array) -> bool:
    """Tell whether there is neither a NaN nor an infinity.

    Parameters
    ----------
    array : ndarray
        Best in one piece; else it is copied.

    Returns
    -------
    bool

    Notes
    -----
    Times 0 all else is 0, and products with 0 are added up by BLAS in a third
    of the time that ``isfinite`` takes. NumPy may report an infinity as an
    invalid value: the caller knows whether that is news.

    Examples
    --------
    >>> with np.errstate(invalid="ignore"):
    ...     finite(np.ones(3)), finite(np.array([1.0, np.inf]))
    (True, False)
    """
    numbers = array.reshape(-1)
    rest = numbers.size // RUN * RUN
    if (numbers[:rest].reshape(-1, RUN) @ _zeros(array.dtype.char)).any():  # NaN is true
        return False
    return rest == numbers.size or not (numbers[rest:] * 0).any()


@cache
def _zeros(dtype: str) -> Array:
    return np.zeros(RUN, dtype)


def copy_columns(target: Array, rows: Array, columns: slice) -> None:
    """Copy some columns of an image's rows.

    Parameters
    ----------
    target : ndarray, shape (..., count)
        Overwritten.
    rows : ndarray, shape (..., W)
        Any strides.
    columns : slice
        Which, with start, stop and step.

    Notes
    -----
    Every second number of four bytes is the lower half of every number of
    eight, which processors extract as vectors: half of the time of a copy with
    a stride, which moves one number after the other.

    Examples
    --------
    >>> target = np.empty((1, 2))
    >>> copy_columns(target, np.arange(5.0)[None], slice(1, 4, 2))
    >>> target
    array([[1., 3.]])
    """
    halves = columns.step == 2 and target.itemsize == target.strides[-1] == rows.strides[-1] == 4
    if not (halves and target.size >= WORTH and sys.byteorder == "little"):
        target[...] = rows[..., columns]
        return
    count, start = target.shape[-1], columns.start
    pairs = min(count, (rows.shape[-1] - start) // 2)
    whole = rows[..., start : start + 2 * pairs].view(np.int64)
    np.copyto(target[..., :pairs].view(np.int32), whole, casting="unsafe")
    if pairs < count:  # the row ends with the first half of a pair
        target[..., pairs] = rows[..., start + 2 * pairs]


class Spread:
    """Planes of an image, copied where they do not push each other out of the cache.

    To turn an image, so that its channels are adjacent, is to read all of its
    planes at once. If they lie a power of two apart, as those of 32 x 32 pixels
    do, they all have the same few places in the cache, and every line is read
    once for each of its numbers: five times as long as from a copy whose planes
    lie a cache line further apart.

    Parameters
    ----------
    image : ndarray, shape (N, C, H, W)
        Whose planes they are.
    size : int
        Pixels of a plane that are copied at most.
    scratch : Scratch
        Where the copy lies, if there is one.

    Attributes
    ----------
    copies : bool
        Whether there is one.

    Examples
    --------
    >>> image = np.zeros((1, 16, 16, 16), np.float32)
    >>> with Scratch() as scratch:
    ...     Spread(image, 256, scratch)(image[0]).strides, image[0].strides
    ((1088, 64, 4), (1024, 64, 4))
    """

    def __init__(self, image: Array, size: int, scratch: Scratch) -> None:
        self._memory: Array | None = None
        channels, apart = image.shape[1], image.strides[1]
        self.copies = channels >= MANY_PLANES and apart != 0 and apart % CLOSE == 0
        if self.copies:
            if size * image.itemsize % CLOSE == 0:
                size += LINE // image.itemsize
            self._memory = scratch((channels, size), image.dtype)

    def __call__(self, pixels: Array) -> Array:
        """Return (C, h, w) pixels, or a copy that is valid until the next."""
        if self._memory is None:
            return pixels
        copy = self._memory[: len(pixels), : pixels[0].size].reshape(pixels.shape)
        copy[...] = pixels
        return copy
