"""Depthwise convolution with a stride, and of narrow images: a product for each column of a kernel, moved and added up.

Idea
    As in :mod:`convbridge_numpy.engine.banded`, B rows of outputs at once are
    the product of a band with the rows of the image that they see. But there
    the image is copied once for each column of the kernel, moved by the place
    of that column. Here each column has a product of its own, for which the
    rows serve where they lie, and the products are moved while they are added
    up.
Long runs
    To move all rows of all images by one pixel is to take one line, however
    narrow they are, from one number later on. So the sum takes one pass for
    each column. What would move from one row into the next is set to zero
    before.
Stride
    The image is sorted into as many images as there are steps in a stride
    along its width, again as one line; each column of the kernel sees one.
Cost
    N C H' W' kw ((B - 1) sh + kh) multiply-adds, and kw passes over the
    result, where :mod:`convbridge_numpy.engine.banded` takes kw over the part
    of the image that is seen, in runs of a row.
Memory
    :data:`BLOCK_BYTES` of products and of sorted images, and the matrices.
Rounding
    That of a dot product, as in :mod:`convbridge_numpy.engine.banded`; what is
    not finite is computed again in another way, as there.
Source
    As there; to add up moved products is the other way round of lowering:
    M. Cho and D. Brand, "MEC: Memory-efficient Convolution for Deep Neural
    Network", 2017.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from convbridge_numpy.engine.arena import Scratch
from convbridge_numpy.engine.banded import bands, unless_finite_by_group
from convbridge_numpy.engine.passes import LINE, copy_columns, finite
from convbridge_numpy.engine.products import even
from convbridge_numpy.engine.window import Window, overlapping

Array = np.ndarray[Any, Any]

#: Bytes of a block of products: to start a block takes longer than to bring its numbers from a third-level cache.
BLOCK_BYTES = 3 * 2**20

#: B, at most, for rows of few pixels and of more.
STRETCH, SHORT_STRETCH, FEW_PIXELS = 7, 4, 32


class _Piece(NamedTuple):
    """Stretches of outputs that see as many rows of the image."""

    above: int  # rows of outputs before them
    stretches: int
    rows: int  # of each
    first: int  # of the rows that a stretch would see, those that are inside the image
    last: int
    start: int  # where in the image the first stretch's first row inside is


@lru_cache(maxsize=512)
def _pieces(window: Window, height: int, rows: int) -> tuple[_Piece, ...]:
    """Divide the rows of outputs into stretches, and join those that are alike."""
    (kh, _), (stride, _), (top, *_), (dh, _), (out_h, _) = window
    pieces: list[_Piece] = []
    for above in range(0, out_h, rows):
        some = min(rows, out_h - above)
        start, needed = above * stride - top, (some - 1) * stride + (kh - 1) * dh + 1
        first = min(max(-start, 0), needed)
        last = max(min(height - start, needed), first)
        if pieces and pieces[-1][2:5] == (some, first, last):
            pieces[-1] = pieces[-1]._replace(stretches=pieces[-1].stretches + 1)
        else:
            pieces.append(_Piece(above, 1, some, first, last, start + first))
    return tuple(pieces)


@lru_cache(maxsize=512)
def _columns(window: Window, line: int) -> tuple[tuple[int, int, int], ...]:
    """Return which image each column of the kernel sees, how far it is moved, and which one it is; by image."""
    (_, kw), (_, stride), (_, _, left, _), (_, dilation), _ = window
    places = [(tap * dilation - left, tap) for tap in range(kw)]
    return tuple(sorted((at % stride, max(-line, min(at // stride, line)), tap) for at, tap in places))


def by_channel(image: Array, weight: Array, window: Window, result: Array) -> None:
    """Convolve each channel by itself.

    Parameters
    ----------
    image : ndarray, shape (N, C, H, W)
        Any strides; best in one piece.
    weight : ndarray, shape (C m, 1, kh, kw)
        ``m`` kernels for each channel.
    window : Window
        Any.
    result : ndarray, shape (N, C m, H', W')
        Overwritten.

    Examples
    --------
    >>> from convbridge.geometry import NO_PADDING
    >>> X, result = np.ones((1, 2, 2, 2)), np.empty((1, 2, 1, 1))
    >>> window = Window.of((2, 2), (2, 2), (1, 1), NO_PADDING, (1, 1))
    >>> by_channel(X, np.arange(8.0).reshape(2, 1, 2, 2), window, result)
    >>> result.ravel()
    array([ 6., 22.])
    """
    unless_finite_by_group(_convolve_finite, image, weight, window, result)


def _convolve_finite(image: Array, weight: Array, window: Window, result: Array) -> bool:
    """Convolve block by block, and tell whether all numbers are finite; else the result is of no use."""
    number, channels, height, width = image.shape
    multiple = len(weight) // channels
    (kh, kw), (sh, sw), _, (dh, _), (out_h, out_w) = window
    line = max(out_w, -(-width // sw))  # pixels from one row to the next
    columns = _columns(window, line)
    phases = sorted({phase for phase, _, _ in columns})
    in_place = sw == 1 and line == width and image.flags.c_contiguous
    adjacent = line == out_w and result.flags.c_contiguous
    rows = even(out_h, STRETCH if line <= FEW_PIXELS else SHORT_STRETCH)
    pieces = _pieces(window, height, rows)
    # lines of one channel: products, sorted rows, and their sum if it cannot be written where it belongs
    lines = multiple * out_h * (kw + (not adjacent)) + height * len(phases) * (not in_place)
    fitting = BLOCK_BYTES // (lines * line * image.itemsize)
    block = even(channels, fitting)
    images = even(number, fitting // channels) if block == channels else 1
    plane, margin = multiple * out_h * line, -(-max(abs(shift) for _, shift, _ in columns) // LINE) * LINE
    with Scratch() as scratch:
        by_column = weight[:, 0].transpose(2, 0, 1)[[tap for _, _, tap in columns]].reshape(-1, 1, kh, 1)
        matrices = bands(by_column, rows, sh, scratch, dh)
        matrices = matrices.reshape(kw, 1, channels, multiple, *matrices.shape[1:])
        memory = scratch((kw, images * block * plane + 2 * margin), image.dtype)
        memory[:, :margin] = 0
        total = None if adjacent else scratch((images * block * plane,), image.dtype)
        sorted_rows = None if in_place else scratch((len(phases), images, block, height, line), image.dtype)
        for sample in range(0, number, images):
            for first in range(0, channels, block):
                own = image[sample : sample + images, first : first + block]
                together, size = own.shape[:2]
                place = result[sample : sample + images, first * multiple : (first + size) * multiple]
                end = margin + together * size * plane
                memory[:, end : end + margin] = 0
                products = memory[:, margin:end].reshape(kw, together, size, multiple, out_h, line)
                for index, phase in enumerate(phases):
                    seen = own
                    if sorted_rows is not None:
                        seen = sorted_rows[index, :together, :size]
                        _sort(seen, own, phase, sw)
                    which = [tap for tap, column in enumerate(columns) if column[0] == phase]
                    these = slice(which[0], which[-1] + 1)
                    _multiply(matrices[these, :, first : first + size], seen, pieces, sh, products[these])
                for tap, (_, shift, _) in enumerate(columns):
                    if shift:
                        products[tap, ..., slice(shift) if shift > 0 else slice(shift, None)] = 0
                sums = place.reshape(-1) if total is None else total[: end - margin]
                moved = [memory[tap, margin + shift : end + shift] for tap, (_, shift, _) in enumerate(columns)]
                _add_up(moved, sums)
                if not finite(sums):
                    return False
                if total is not None:
                    place[...] = sums.reshape(together, -1, out_h, line)[..., :out_w]
    return True


def _sort(target: Array, image: Array, phase: int, stride: int) -> None:
    """Copy every stride-th column from one on; what is beyond the image is zero."""
    width, line = image.shape[3], target.shape[3]
    if width == line * stride and image.flags.c_contiguous:
        copy_columns(target.reshape(1, -1), image.reshape(1, -1), slice(phase, image.size, stride))
        return
    count = len(range(phase, width, stride))
    copy_columns(target[..., :count], image, slice(phase, width, stride))
    target[..., count:] = 0


def _multiply(matrices: Array, image: Array, pieces: tuple[_Piece, ...], stride: int, products: Array) -> None:
    """Multiply the bands of some columns with the rows that each stretch of outputs sees."""
    (*others, _, line), (together, channels, *_) = products.shape, image.shape
    over, across, down, along = image.strides
    for above, stretches, rows, first, last, start in pieces:
        out = products[..., above : above + stretches * rows, :].reshape(*others, stretches, rows, line)
        if first == last:  # padding only
            out[...] = 0
            continue
        shape = (1, together, channels, 1, stretches, last - first, line)
        seen = overlapping(image, shape, (0, over, across, 0, down * stride * rows, down, along), start * down)
        np.matmul(matrices[..., None, :rows, first:last], seen, out=out)


def _add_up(lines: list[Array], sums: Array) -> None:
    """Add lines in one pass for each, in the order of the kernel's columns as they are sorted."""
    if len(lines) == 1:
        sums[...] = lines[0]
        return
    np.add(lines[0], lines[1], out=sums)
    for line in lines[2:]:
        np.add(sums, line, out=sums)
