"""Scratch memory that is used again instead of allocated.

Idea
    A convolution needs a megabyte or two for blocks of columns. Fresh memory
    costs page faults, which take longer than filling it; memory that was just
    used still lies in the cache.
How
    Each thread keeps a few buffers. :class:`Scratch` takes them out while it
    works and puts them back at the end, so nested calls never share one.
Where
    At the start of a cache line, unlike most arrays: a vector of 64 bytes that
    lies across two lines takes as long as two, which costs a product of small
    matrices up to a fifth. What is kept longer is made by :func:`aligned`.
Memory
    A thread keeps at most :data:`KEPT_BYTES`; larger buffers are given back
    to the system at once, all of them when the thread ends, and those of the
    calling thread by :func:`release`.
"""

from __future__ import annotations

import threading
from math import prod
from types import TracebackType
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

#: What a thread keeps between calls.
KEPT_BYTES = 6 * 2**20

#: A cache line, and the width of the widest vectors.
ALIGNMENT = 64


class _Kept(threading.local):
    """The buffers of one thread that nobody uses now."""

    def __init__(self) -> None:
        self.buffers: list[Array] = []


_kept = _Kept()


def release() -> None:
    """Give the calling thread's scratch memory back.

    Examples
    --------
    >>> release()
    """
    _kept.buffers.clear()


class Scratch:
    """Memory for the length of a ``with`` block.

    Examples
    --------
    >>> with Scratch() as scratch:
    ...     scratch((2, 3), np.dtype("float32")).shape
    (2, 3)
    """

    def __init__(self) -> None:
        self._taken: list[Array] = []

    def __enter__(self) -> Scratch:
        """Start with nothing taken."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Put back what was taken, as far as it may be kept."""
        kept = _kept.buffers
        held = sum(buffer.nbytes for buffer in kept)
        for buffer in self._taken:
            if held + buffer.nbytes <= KEPT_BYTES:
                kept.append(buffer)
                held += buffer.nbytes
        self._taken.clear()

    def __call__(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """Return an array with arbitrary contents, aligned to a cache line.

        Parameters
        ----------
        shape : tuple of int
            Any.
        dtype : numpy.dtype
            Any.

        Returns
        -------
        ndarray
            C-contiguous; valid until the block ends.
        """
        size = prod(shape) * dtype.itemsize
        kept = _kept.buffers
        best = -1
        for index, buffer in enumerate(kept):
            if buffer.nbytes >= size and (best < 0 or buffer.nbytes < kept[best].nbytes):
                best = index
        if best < 0 and kept:  # what is too small now would only be in the way of the larger one
            kept.pop()
        buffer = kept.pop(best) if best >= 0 else _bytes(size)
        self._taken.append(buffer)
        return buffer[:size].view(dtype).reshape(shape)


def aligned(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Return a new array, not scratch, that begins at a cache line: vectors of it never lie across two.

    Parameters
    ----------
    shape, dtype
        As for :class:`Scratch`, whose memory is used again.

    Returns
    -------
    ndarray
        C-contiguous, with arbitrary contents.

    Examples
    --------
    >>> aligned((2, 3), np.dtype("float32")).ctypes.data % ALIGNMENT
    0
    """
    return _bytes(prod(shape) * dtype.itemsize).view(dtype).reshape(shape)


def _bytes(size: int) -> Array:
    """Allocate bytes that begin at a cache line."""
    memory = np.empty(size + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    return memory[start : start + size]
