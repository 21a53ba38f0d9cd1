"""Winograd's minimal filtering: square kernels with fewer multiplications, and more rounding. Only in "fast".

Idea
    A tile of 4 x 4 outputs of a 3x3 kernel depends on 6 x 6 pixels. Read both as
    values of polynomials: the correlation becomes 36 products of transformed
    pixels and transformed weights instead of 144. The sum over channels is
    taken between the transforms, so it is 36 matrix products.

        Y = A^T [ (G W G^T) * (B^T X B) ] A

    Where the matrices come from, and what larger kernels do, stands in
    :mod:`convbridge_numpy.engine.cook_toom`.
Tiles
    The larger, the more is saved, and the more numbers stand for a kernel: 36
    for 3x3 and tiles of 4 x 4, 16 for 2 x 2. Where there are few tiles the
    weights take longer to read than to multiply. Some images divide better into
    tiles of 3 x 3, which also suit a kernel of 7x7: 121 products instead of 441.
How
    Every step is a matrix product, and no copy reorders anything between them.
    ``B`` along the rows turns the image's channels-first rows into numbers with
    adjacent channels, by a product that reads its operand transposed; ``B``
    along the columns then works on long rows; the products with the weights read
    and write every sixth row; ``A`` along the columns works on long rows again;
    and ``A`` along the rows brings the pixels back next to each other. The two
    products that transpose take several tiles at once, with the matrix repeated
    along a diagonal: more multiplications, most of them by zero, and faster.
Dilation
    Pixels that lie as far apart as the kernel's elements are an image without
    dilation; there are as many of them as the dilation says, along either axis.
Cost
    For tiles of 4 x 4 and a 3x3 kernel N O C H' W' 36 / 16 multiply-adds in the
    products instead of 9; about 30 for each pixel of each channel in either
    transform, at a third of the speed.
Memory
    Blocks of tiles of all steps, chosen to stay near the second-level cache, but
    as many tiles at least as are worth reading the weights for: up to 4 MiB
    for a step. And the transformed weights, which a layer keeps
    (:mod:`convbridge_numpy.engine.kept`).
Rounding
    Larger than that of a dot product by a factor of about 10 on average, of
    about 2 for tiles of 2 x 2 and a 3x3 kernel
    (:func:`convbridge.parity.bounds_fast.winograd_bound`). Integers do not come
    out exactly.
Limits
    Square kernels, no stride: with a stride of 2 a tile sees four times as many
    pixels, whose transforms take longer than the products that are saved. A
    pixel that is not finite spreads over its tile, and one that is very large
    overflows on the way. Both are seen in the result, which is then computed in
    another way.
Source
    A. Lavin, S. Gray, "Fast Algorithms for Convolutional Neural Networks", 2016.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import product as pairs
from typing import Any

import numpy as np

from convbridge.geometry import Sides
from convbridge.selection import note_trade
from convbridge_numpy.engine import im2col, products
from convbridge_numpy.engine.arena import Scratch, aligned
from convbridge_numpy.engine.cook_toom import Form, form
from convbridge_numpy.engine.kept import Kept
from convbridge_numpy.engine.machine import SMALL_PRODUCT
from convbridge_numpy.engine.passes import finite
from convbridge_numpy.engine.window import Window, zero_border

Array = np.ndarray[Any, Any]

#: Tiles that are transformed by one product along the rows: of pixels, and of outputs.
TILES_IN, TILES_OUT = 2, 4

#: Bytes of a step of a block of tiles: one step and part of the next stay in the second-level cache.
BLOCK_BYTES = 3 * 2**19

#: Tiles in a block that are worth reading large weights for, and the bytes that they may take for it.
ENOUGH_TILES, MOST_BYTES = 64, 4 * 2**20

#: Tiles in a product at most, and what their number is a multiple of where it can be: what the kernels for small ones
#: compute at a time.
MOST_CHUNK, UNIT = 96, 4


def transform_weights(weight: Array, form: Form) -> Array:
    """Transform a bank of kernels: G W G^T.

    Parameters
    ----------
    weight : ndarray, shape (O, C, k, k)
        Any strides.
    form : Form
        The transforms.

    Returns
    -------
    ndarray, shape (points, points, blocks, C, outputs in a block)
        A block has so many outputs that its part of one product stays near the
        first-level cache. The last one is filled up with zeros.

    Examples
    --------
    >>> transform_weights(np.ones((2, 3, 3, 3)), form(4, 3)).shape
    (6, 6, 1, 3, 2)
    """
    outputs, channels = weight.shape[:2]
    size = -(-outputs // max(1, round(outputs / (32 if channels >= 128 else 64))))
    number = -(-outputs // size)
    blocks = aligned((form.points**2, number, channels, size), weight.dtype)
    blocks[..., outputs - (number - 1) * size :] = 0
    both = np.kron(form.weights, form.weights).astype(weight.dtype)
    step = min(size, 64)
    for block in range(number):
        for first in range(0, size, step):
            part = weight[block * size + first : min(block * size + first + step, (block + 1) * size)]
            turned = np.ascontiguousarray(part.reshape(len(part), -1).T).reshape(channels, form.kernel**2, len(part))
            blocks[:, block, :, first : first + len(part)] = np.matmul(both, turned).transpose(1, 0, 2)
    return blocks.reshape(form.points, form.points, *blocks.shape[1:])


def four_by_four(image: Array, weight: Array, window: Window, result: Array, kept: Kept | None = None) -> None:
    """Convolve by tiles of 4 x 4 outputs.

    Parameters
    ----------
    image : ndarray, shape (N, C, H, W)
        Any strides.
    weight : ndarray, shape (O, C, k, k)
        Any strides.
    window : Window
        Without a stride.
    result : ndarray, shape (N, O, H', W')
        Overwritten.
    kept : Kept, optional
        Where a layer keeps its transformed weights.

    Examples
    --------
    >>> from convbridge.geometry import NO_PADDING
    >>> X, result = np.ones((1, 2, 9, 9)), np.empty((1, 1, 7, 7))
    >>> window = Window.of((9, 9), (3, 3), (1, 1), NO_PADDING, (1, 1))
    >>> four_by_four(X, np.ones((1, 2, 3, 3)), window, result)
    >>> bool(np.allclose(result, 18))
    True
    """
    _convolve(4, image, weight, window, result, kept)


def three_by_three(image: Array, weight: Array, window: Window, result: Array, kept: Kept | None = None) -> None:
    """Convolve by tiles of 3 x 3 outputs.

    Parameters
    ----------
    image, weight, window, result, kept
        As for :func:`four_by_four`.

    Examples
    --------
    >>> from convbridge.geometry import NO_PADDING
    >>> X, result = np.ones((1, 2, 9, 9)), np.empty((1, 1, 3, 3))
    >>> window = Window.of((9, 9), (7, 7), (1, 1), NO_PADDING, (1, 1))
    >>> three_by_three(X, np.ones((1, 2, 7, 7)), window, result)
    >>> bool(np.allclose(result, 98))
    True
    """
    _convolve(3, image, weight, window, result, kept)


def two_by_two(image: Array, weight: Array, window: Window, result: Array, kept: Kept | None = None) -> None:
    """Convolve by tiles of 2 x 2 outputs.

    Parameters
    ----------
    image, weight, window, result, kept
        As for :func:`four_by_four`.

    Examples
    --------
    >>> from convbridge.geometry import NO_PADDING
    >>> X, result = np.ones((1, 2, 9, 9)), np.empty((1, 1, 7, 7))
    >>> window = Window.of((9, 9), (3, 3), (1, 1), NO_PADDING, (1, 1))
    >>> two_by_two(X, np.ones((1, 2, 3, 3)), window, result)
    >>> bool(np.allclose(result, 18))
    True
    """
    _convolve(2, image, weight, window, result, kept)


def _convolve(tile: int, image: Array, weight: Array, window: Window, result: Array, kept: Kept | None) -> None:
    """Convolve block by block; directly if something overflows, or is not finite from the start."""
    own = form(tile, window.kernel[0])
    with np.errstate(over="ignore", invalid="ignore"):
        transformed = transform_weights(weight, own) if kept is None else kept.made_of(weight, transform_weights, own)
        if all(_convolve_finite(own, transformed, *part) for part in _parts(image, window, result)):
            note_trade(own.name)
            return
    im2col.planar(image, weight, window, result)


def _parts(image: Array, window: Window, result: Array) -> Iterator[tuple[Array, Window, Array]]:
    """Split what is dilated into images that are not: some of the pixels and of the results."""
    down, across = window.dilation
    top, _, left, _ = window.padding
    for row, column in pairs(range(min(down, window.outputs[0])), range(min(across, window.outputs[1]))):
        target = result[:, :, row::down, column::across]
        y, x = (row - top) % down, (column - left) % across
        sides = Sides((y + top - row) // down, 0, (x + left - column) // across, 0)
        part = window._replace(padding=sides, dilation=(1, 1), outputs=(target.shape[2], target.shape[3]))
        yield image[:, :, y::down, x::across], part, target


def _convolve_finite(form: Form, transformed: Array, image: Array, window: Window, result: Array) -> bool:
    """Convolve block by block, and tell whether all numbers are finite; else the result is of no use.

    An infinity or a NaN on the way cannot get lost, since whatever it is multiplied by, even by 0, it makes another.
    """
    number, outputs = result.shape[:2]
    down, across = (-(-size // form.tile) for size in window.outputs)
    rows, images = _block(form, transformed, number, down, across)
    points, tile, shared = form.points, form.tile, form.shared
    channels = image.shape[1]
    blocks, _, size = transformed.shape[2:]
    tiles, width = images * rows * across, across * tile + shared
    with Scratch() as scratch:
        # the steps alternate between two memories; what the next block sees again lies in a third
        planes = images * channels * (rows * tile + shared) * width
        lines = images * (rows * tile + shared) * across * points * channels
        first = scratch((max(planes, points**2 * tiles * max(channels, blocks * size)),), image.dtype)
        second = scratch((max(points**2 * tiles * blocks * size, lines if rows == down else 0),), image.dtype)
        third = second if rows == down else scratch((lines,), image.dtype)
        for sample in range(0, number, images):
            target = result[sample : sample + images]
            held = third[: len(target) * (rows * tile + shared) * across * points * channels]
            held = held.reshape(len(target), rows * tile + shared, across, points, channels)
            for above in range(0, down, rows):
                count = min(rows, down - above)
                known = shared if above else 0  # rows that the block before has seen, too
                if known:
                    held[:, :known] = held[:, rows * tile : rows * tile + known]
                span = (above * tile + known, (above + count) * tile + shared)
                plane = _take(first, image[sample : sample + images], window, span, width)
                _pixels_along_rows(form, plane, held[:, known : known + span[1] - span[0]])
                pixels = _pixels_along_columns(form, held, count, first)
                product = _multiply(transformed, pixels, second)
                numbers = _outputs_along_columns(form, product, first)
                numbers = numbers.reshape(tile, len(target), count, across, points, -1)[..., :outputs]
                finished = _outputs_along_rows(form, numbers, second)
                if not finite(finished):
                    return False
                place = target[:, :, above * tile : (above + count) * tile]
                place[...] = finished[:, :, : place.shape[2], : place.shape[3]]
    return True


def _block(form: Form, transformed: Array, number: int, down: int, across: int) -> tuple[int, int]:
    """Return how many rows of tiles a block has, and how many images if it has all rows."""
    blocks, channels, size = transformed.shape[2:]
    tile_bytes = form.points**2 * max(channels, blocks * size) * transformed.itemsize
    tiles = max(1, BLOCK_BYTES // tile_bytes, min(ENOUGH_TILES, MOST_BYTES // tile_bytes))
    if tiles < down * across:
        rows = min(down, max(1, tiles // across))
        return -(-down // -(-down // rows)), 1  # blocks of about the same size
    images = min(number, tiles // (down * across))
    return down, -(-number // -(-number // images))


@lru_cache(maxsize=64)
def _diagonal(form: Form, kind: str, tiles: int, dtype: str) -> Array:
    """Return the transform of pixels or outputs for several tiles in a row, which overlap or not."""
    if kind == "pixels":
        band = np.zeros((tiles * form.points, tiles * form.tile + form.shared), dtype)
        for t in range(tiles):
            band[t * form.points : (t + 1) * form.points, t * form.tile : t * form.tile + form.seen] = form.pixels
    else:
        band = aligned((tiles * form.points, tiles * form.tile), np.dtype(dtype))
        band[...] = np.kron(np.eye(tiles), form.outputs.T)
    band.flags.writeable = False
    return band


def _runs(tiles: int, together: int) -> list[tuple[int, int, int]]:
    """Split a row of tiles: (first tile, number of groups, tiles in a group)."""
    groups, rest = divmod(tiles, together)
    return [run for run in ((0, groups, together), (groups * together, 1, rest)) if run[1] * run[2]]


def _take(memory: Array, image: Array, window: Window, span: tuple[int, int], width: int) -> Array:
    """Copy some rows of the padded image: (N, C, rows, width)."""
    number, channels, height, columns = image.shape
    top, _, left, _ = window.padding
    rows = span[1] - span[0]
    plane = memory[: number * channels * rows * width].reshape(number, channels, rows, width)
    start = span[0] - top
    down = slice(min(max(-start, 0), rows), max(min(rows, height - start), 0))
    across = slice(min(left, width), min(left + columns, width))
    zero_border(plane, (down, across))
    plane[:, :, down, across] = image[:, :, max(start, 0) : max(start + down.stop, 0), : across.stop - across.start]
    return plane


def _pixels_along_rows(form: Form, plane: Array, held: Array) -> None:
    """Transform along the rows: (N, C, rows, width) to (N, rows, tiles, points, C), a group of tiles in a product."""
    number, channels, rows, _ = plane.shape
    across = held.shape[2]
    step_n, step_c, step_y, step_x = plane.strides
    for first, groups, tiles in _runs(across, TILES_IN):
        matrix = _diagonal(form, "pixels", tiles, plane.dtype.char)
        pixels = np.lib.stride_tricks.as_strided(
            plane[..., first * form.tile :],
            (number, rows, groups, matrix.shape[1], channels),
            (step_n, step_y, tiles * form.tile * step_x, step_x, step_c),
            writeable=False,
        )
        target = held[:, :, first : first + groups * tiles]
        np.matmul(matrix, pixels, out=target.reshape(number, rows, groups, tiles * form.points, channels))


def _pixels_along_columns(form: Form, held: Array, count: int, memory: Array) -> Array:
    """Transform along the columns: to (points, tiles, points, C)."""
    number, _, across, points, channels = held.shape
    step_n, step_y, step_t, _, step_c = held.strides
    rows = np.lib.stride_tricks.as_strided(
        held,
        (number, count, across, form.seen, points * channels),
        (step_n, step_y * form.tile, step_t, step_y, step_c),
        writeable=False,
    )
    pixels = memory[: points * number * count * across * points * channels]
    out = pixels.reshape(points, number, count, across, points * channels).transpose(1, 2, 3, 0, 4)
    np.matmul(form.pixels.astype(held.dtype), rows, out=out)
    return pixels.reshape(points, -1, points, channels)


def _multiply(weights: Array, pixels: Array, memory: Array) -> Array:
    """Sum over the channels: (points, tiles, points, C) to (points, tiles, points, O), in small products."""
    points, tiles, _, channels = pixels.shape
    number, _, size = weights.shape[2:]
    product = memory[: points * tiles * points * number * size].reshape(points, tiles, points, number, size)
    turned = pixels.transpose(0, 2, 1, 3)
    chunk = _even(tiles, min(MOST_CHUNK, SMALL_PRODUCT // (channels * size)))
    whole = tiles // chunk * chunk
    np.matmul(
        turned[:, :, :whole].reshape(points, points, 1, -1, chunk, channels),
        weights[:, :, :, None],
        out=product[:, :whole].reshape(points, -1, chunk, points, number, size).transpose(0, 3, 4, 1, 2, 5),
    )
    if whole < tiles:
        np.matmul(turned[:, :, None, whole:], weights, out=product[:, whole:].transpose(0, 2, 3, 1, 4))
    return product


def _even(tiles: int, most: int) -> int:
    """Divide tiles into products of about the same size, of a multiple of :data:`UNIT` if there are several."""
    size = products.even(tiles, most)
    return size if size == tiles else max(1, min(-(-size // UNIT) * UNIT, most // UNIT * UNIT))


def _outputs_along_columns(form: Form, product: Array, memory: Array) -> Array:
    """Transform back along the columns: to (tile, tiles, points, O)."""
    tiles = product.shape[1]
    rows = product.reshape(form.points, tiles, -1)
    numbers = memory[: form.tile * tiles * rows.shape[2]].reshape(form.tile, tiles, -1)
    np.matmul(form.outputs.astype(product.dtype), rows.transpose(1, 0, 2), out=numbers.transpose(1, 0, 2))
    return numbers


def _outputs_along_rows(form: Form, numbers: Array, memory: Array) -> Array:
    """Transform back along the rows: (tile, N, rows, across, points, O) to (N, O, pixels down, pixels across)."""
    tile, number, count, across, points, outputs = numbers.shape
    step_a, step_n, step_y, step_t, step_j, step_o = numbers.strides
    finished = memory[: number * outputs * count * tile * across * tile]
    finished = finished.reshape(number, outputs, count, tile, across * tile)
    for first, groups, tiles in _runs(across, TILES_OUT):
        matrix = _diagonal(form, "outputs", tiles, numbers.dtype.char)
        turned = np.lib.stride_tricks.as_strided(
            numbers[:, :, :, first:],
            (number, count, tile, groups, outputs, tiles * points),
            (step_n, step_y, step_a, tiles * step_t, step_o, step_j),
            writeable=False,
        )
        part = finished[..., first * tile : (first + groups * tiles) * tile]
        part = part.reshape(number, outputs, count, tile, groups, tiles * tile)
        np.matmul(turned, matrix, out=part.transpose(0, 2, 3, 4, 1, 5))
    return finished.reshape(number, outputs, count * tile, across * tile)
