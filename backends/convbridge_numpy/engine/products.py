"""Many small matrix products in one call.

Idea
    A large product is cut into tiles of at most a million multiplications, all
    of them computed by a single call of ``numpy.matmul`` on arrays of tiles,
    which are views. Then BLAS takes its kernels for small products (see
    :mod:`convbridge_numpy.engine.machine`), and Python runs once for all tiles.
Layout
    weight^T in blocks of up to 64 outputs: (blocks, K, outputs). Pixels as
    (images, rows, K, P), with either K or P adjacent in memory; the result as
    (images, O, rows, P), with P adjacent, or O (channels last).
Memory
    A second copy of the weights.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from convbridge_numpy.engine.arena import Scratch, aligned
from convbridge_numpy.engine.kept import Kept
from convbridge_numpy.engine.machine import SMALL_PRODUCT

Array = np.ndarray[Any, Any]

#: Outputs in a block of weights.
BLOCK = 64

#: Pixels in a tile at most: more would not stay in the first-level cache.
MOST_PIXELS = 128

#: Outputs in a row below which images of a batch lie side by side, and share tiles.
NARROW = 28


class Block(NamedTuple):
    """Some of the outputs' weights: ``array`` is (blocks, K, outputs in a block)."""

    first: int
    last: int
    array: Array


def weight_matrix(weight: Array) -> Array:
    """Return a bank of kernels as the matrix (O, C kh kw), as BLAS can read it.

    Parameters
    ----------
    weight : ndarray, shape (O, C, kh, kw)
        With any strides.

    Returns
    -------
    ndarray
        A view where one of its axes is adjacent in memory, else a copy:
        ``numpy.matmul`` multiplies any other matrix without BLAS, thirty times
        more slowly.

    Examples
    --------
    >>> weight_matrix(np.ones((4, 4, 3, 3))[::2, :, ::2, ::2]).flags.c_contiguous
    True
    """
    matrix = weight.reshape(weight.shape[0], -1)
    rows, columns = matrix.strides
    size = matrix.itemsize
    fits = (columns == size and rows >= matrix.shape[1] * size) or (rows == size and columns >= len(matrix) * size)
    return matrix if fits else np.ascontiguousarray(matrix)


def weight_blocks(
    weight: Array, scratch: Scratch, *, channels_last: bool, block: int = BLOCK, kept: Kept | None = None
) -> list[Block]:
    """Lay a bank of kernels out for :func:`multiply`.

    Parameters
    ----------
    weight : ndarray, shape (O, C, kh, kw)
        The kernels, with any strides.
    scratch : Scratch
        Where the copy lies.
    channels_last : bool
        Order of the rows K: (kh, kw, C), else (kh, C, kw).
    block : int
        Outputs in a block.
    kept : Kept, optional
        Where a layer keeps the copy, if it need not compare its weights.

    Returns
    -------
    list of Block
        One, and another for the outputs that are left over.

    Notes
    -----
    Transposing a large matrix at once misses the cache at every element; block
    by block, and with whole rows moved afterwards, it takes a fifth of the time.
    """
    found = None if kept is None else kept.ordered(weight, _own_blocks, channels_last, block)
    if found is not None:
        return found
    return _blocks(weight, scratch, scratch((weight.size,), weight.dtype), channels_last, block)


def _own_blocks(weight: Array, channels_last: bool, block: int) -> list[Block]:
    """Lay weights out in memory of their own."""
    with Scratch() as scratch:
        return _blocks(weight, scratch, aligned((weight.size,), weight.dtype), channels_last, block)


def _blocks(weight: Array, scratch: Scratch, copy: Array, channels_last: bool, block: int) -> list[Block]:
    outputs, channels, kh, kw = weight.shape
    depth = channels * kh * kw
    block = min(block, outputs)
    moved = kh * kw > 1 and channels > 1
    turned = scratch((depth * block,), weight.dtype) if moved else copy
    for first in range(0, outputs, block):
        size = min(block, outputs - first)
        part = weight[first : first + size].reshape(size, depth).T
        target = copy[first * depth : (first + size) * depth]
        if not moved:
            target.reshape(depth, size)[...] = part
            continue
        rows = turned[: depth * size]
        rows.reshape(depth, size)[...] = part
        wanted = rows.reshape(channels, kh, kw, size).transpose((1, 2, 0, 3) if channels_last else (1, 0, 2, 3))
        target.reshape(wanted.shape)[...] = wanted
    whole = outputs // block * block
    blocks = [Block(0, whole, copy[: whole * depth].reshape(whole // block, depth, block))]
    if whole < outputs:
        blocks.append(Block(whole, outputs, copy[whole * depth :].reshape(1, depth, outputs - whole)))
    return blocks


def even(number: int, most: int) -> int:
    """Divide images or the like into groups of about the same size.

    Parameters
    ----------
    number, most : int
        How many there are, and at most in a group.

    Returns
    -------
    int
        How many there are in a group; the last one may have fewer.

    Examples
    --------
    >>> even(8, 7)
    4
    """
    groups = -(-number // max(most, 1))
    return -(-number // groups)


@lru_cache(maxsize=512)
def chunk_of_pixels(pixels: int, depth: int, outputs: int, *, across: bool = False) -> int:
    """Choose how many pixels a tile has.

    Parameters
    ----------
    pixels : int
        How many there are in a row of tiles.
    depth : int
        K.
    outputs : int
        In a block of weights.
    across : bool
        Whether the pixels are adjacent in memory, else K.

    Returns
    -------
    int
        As many as fit a small product, with the row's end in mind.

    Examples
    --------
    >>> chunk_of_pixels(56, 576, 64), chunk_of_pixels(56, 147, 32, across=True)
    (24, 56)
    """
    most = min(pixels, max(1, SMALL_PRODUCT // (depth * outputs)))
    step = 16 if across else 4
    candidates: set[int] = {*range(step, min(most, MOST_PIXELS) + 1, step)}
    if most == pixels <= MOST_PIXELS or not candidates:
        candidates.add(most)
    costs = {size: (row_cost(pixels, size, across=across), -size) for size in candidates}
    return min(candidates, key=costs.__getitem__)


def row_cost(pixels: int, size: int, *, across: bool = False) -> float:
    """Estimate what a row of tiles costs, in units of a pixel of a perfect tile.

    Parameters
    ----------
    pixels : int
        In the row.
    size : int
        In a tile; the last one has what is left.
    across : bool
        As for :func:`chunk_of_pixels`.

    Returns
    -------
    float

    Notes
    -----
    Each tile costs a call. Where K is adjacent, the vectors hold outputs, and
    the kernels take four pixels at a time: one, two or three that are left over
    cost about as much as four. Where pixels are adjacent, the vectors hold
    pixels, and work in pairs of sixteen.

    Examples
    --------
    >>> row_cost(56, 8), row_cost(56, 54) > row_cost(56, 28)
    (63.0, True)
    """
    whole, rest = divmod(pixels, size)

    def cost(count: int) -> float:
        if not count:
            return 0.0
        if across:
            return 32 * (count // 32) + (20 if 0 < count % 32 <= 16 else 32 if count % 32 else 0) + 2
        return count // 4 * 4 + (0.0, 3.0, 3.0, 5.0)[count % 4] + 1

    return whole * cost(size) + cost(rest)


def multiply(blocks: list[Block], pixels: Array, result: Array, chunk: int) -> None:
    """Multiply all blocks of weights with all pixels.

    Parameters
    ----------
    blocks : list of Block
        From :func:`weight_blocks`.
    pixels : ndarray, shape (images, rows, K, P)
        With either of the last two axes adjacent.
    result : ndarray, shape (images, O, rows, P)
        Overwritten.
    chunk : int
        Pixels in a tile.

    Examples
    --------
    >>> with Scratch() as scratch:
    ...     blocks = weight_blocks(np.arange(6.0).reshape(3, 2, 1, 1), scratch, channels_last=False)
    ...     result = np.empty((1, 3, 1, 4))
    ...     multiply(blocks, np.ones((1, 1, 2, 4)), result, 2)
    >>> result[0, :, 0, 0]
    array([1., 5., 9.])
    """
    images, rows, _, count = pixels.shape
    whole = count // chunk * chunk
    for first, last, array in blocks:
        weights = array.transpose(0, 2, 1)
        number, outputs, depth = weights.shape
        target = result[:, first:last]
        if whole:
            tiles = whole // chunk
            tiled = target[..., :whole].reshape(images, number, outputs, rows, tiles, chunk)
            np.matmul(
                weights[:, None, None, None],
                pixels[..., :whole].reshape(images, rows, depth, tiles, chunk).transpose(0, 1, 3, 2, 4),
                out=tiled.transpose(1, 0, 3, 4, 2, 5),
            )
        if whole < count:
            rest = target[..., whole:].reshape(images, number, outputs, rows, count - whole)
            np.matmul(weights[:, None, None], pixels[..., whole:], out=rest.transpose(1, 0, 3, 2, 4))
