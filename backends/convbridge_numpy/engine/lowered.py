"""Convolution with only one axis of the windows copied: memory-efficient lowering, in small products.

Idea
    im2col copies every pixel kh kw times. But windows that lie below each other
    share rows: if for each row of the image the kw pixels of every window are
    copied side by side, and the rows follow each other in memory, then the kh
    rows of a window follow each other too, and are one row of the matrix: the
    next window down starts one row later and overlaps it. Matrix products take
    such overlapping operands as they are.
Two layouts
    planar          L[y][c][q][x]: for few channels, in all or in each group. Runs
                    of a row's outputs.
    channels last   L[x][y][q][c]: for many. Runs of kw C numbers, which copy
                    fastest, but the image must be turned first.
Cost
    N O C kh kw H' W' multiply-adds in small products, and a copy of kw / sw
    times the image instead of kh kw / (sh sw) times.
Narrow images
    lie side by side, so that a tile does not end with a row of one of them;
    their results are then distributed. In the planar layout, where that copies
    in short runs, only for few outputs.
Blocks
    of an image follow each other downwards and share kh - sh rows, which are
    turned once (:class:`Strip`).
Memory
    A block of rows that fits the second-level cache, and the weights of those
    channels.
Limits
    Dilated rows only without a stride, and channels last: they fall apart into
    as many images as the dilation says. A tile holds a million multiplications:
    with large kernels of many channels those would be few pixels, so the
    products of some channels at a time are added up.
Source
    M. Cho, D. Brand, "MEC: Memory-efficient Convolution for Deep Neural
    Network", 2017.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np

from convbridge_numpy.engine import products
from convbridge_numpy.engine.arena import Scratch
from convbridge_numpy.engine.kept import Kept
from convbridge_numpy.engine.passes import Spread, copy_columns
from convbridge_numpy.engine.plan import COPIED_WEIGHTS
from convbridge_numpy.engine.window import Window, columns_inside, overlapping

Array = np.ndarray[Any, Any]

#: Bytes of a block of lowered rows: with weights and results it fills a second-level cache; and in the planar layout.
BLOCK_BYTES, PLANAR_BYTES = 5 * 2**18, 3 * 2**18

#: Channels below which the runs that are copied are better a row's pixels.
FEW_CHANNELS = 8

#: The same in the planar layout, for few outputs, where a row's product takes no longer than its call; and two vectors.
NARROW_PLANAR, FEW_OUTPUTS, PAIR = 16, 16, 32

#: What adding an output to another costs, in multiplications of a tile; and what the channels of a part are a multiple
#: of, a cache line.
ADDING, LEAST_CHANNELS = 112, 16


def _rows_in_a_block(window: Window, depth: int, item_size: int, size: int) -> int:
    """Return how many output rows have lowered rows that fit into a block."""
    row = window.outputs[1] * depth * item_size
    fitting = (size // row - window.kernel[0]) // window.stride[0] + 1
    return min(max(fitting, 1), window.outputs[0])


class Strip:
    """Rows of an image with zeros around them, channels adjacent.

    Parameters
    ----------
    image : ndarray, shape (N, C, H, W)
        Any strides.
    window : Window
        Not dilated along the height.
    rows : int
        What there is memory for.
    scratch : Scratch
        Where they lie.

    Attributes
    ----------
    rows : ndarray, shape (rows, left + W + right, C)
        What was turned last, and whatever was there below.

    Examples
    --------
    >>> from convbridge.geometry import Sides
    >>> X, window = np.arange(4.0).reshape(1, 2, 1, 2), Window((1, 1), (1, 1), Sides(0, 0, 0, 1), (1, 1), (1, 3))
    >>> with Scratch() as scratch:
    ...     strip = Strip(X, window, 1, scratch)
    ...     strip.turn(0, 0, 1)
    ...     strip.rows[0]
    array([[0., 2.],
           [1., 3.],
           [0., 0.]])
    """

    def __init__(self, image: Array, window: Window, rows: int, scratch: Scratch) -> None:
        _, channels, _, width = image.shape
        left, right = window.padding[2:]
        self.rows = scratch((rows, left + width + right, channels), image.dtype)
        self.rows[:, :left] = 0
        self.rows[:, left + width :] = 0
        self._inside = slice(left, left + width)
        self._image, self._window = image, window
        self._next, self._turned = (-1, 0), 0
        self._spread = Spread(image, rows * width, scratch)

    def turn(self, sample: int, first: int, count: int) -> None:
        """Copy what ``count`` rows of the result need, from row ``first`` on.

        Parameters
        ----------
        sample, first, count : int
            Which image and which rows. What the last call turned for the rows
            just above is not turned again.
        """
        height, kh, stride = self._image.shape[2], self._window.kernel[0], self._window.stride[0]
        start, needed = first * stride - self._window.padding.top, (count - 1) * stride + kh
        kept = max(kh - stride, 0) if self._next == (sample, first) else 0
        if kept:
            self.rows[:kept] = self.rows[self._turned : self._turned + kept]
        inside = slice(max(start + kept, 0), max(min(start + needed, height), 0))
        target = slice(inside.start - start, max(inside.stop, inside.start) - start)
        self.rows[kept : target.start] = 0
        self.rows[target.stop : needed] = 0
        pixels, rows = self._image[sample, :, inside], self.rows[target, self._inside]
        if len(pixels) < FEW_CHANNELS:
            for channel, plane in enumerate(pixels):
                rows[..., channel] = plane
        else:
            rows[...] = self._spread(pixels).transpose(1, 2, 0)
        self._next, self._turned = (sample, first + count), count * stride


def planar(image: Array, weight: Array, window: Window, result: Array, kept: Kept | None = None) -> None:
    """Convolve images of few channels.

    Parameters
    ----------
    image : ndarray, shape (N, C, H, W)
        Any strides.
    weight : ndarray, shape (O, C, kh, kw)
        Any strides.
    window : Window
        Not dilated along the height.
    result : ndarray, shape (N, O, H', W')
        Overwritten.
    kept : Kept, optional
        Where a layer keeps its weights in the order that products read.

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
    channels, (kh, kw), out_w = image.shape[1], window.kernel, window.outputs[1]
    with Scratch() as scratch:
        blocks = products.weight_blocks(weight, scratch, channels_last=False, kept=kept)
        beside = out_w < NARROW_PLANAR and len(weight) <= FEW_OUTPUTS and channels * kh * kw >= 4 * FEW_OUTPUTS
        apart = None
        for samples, rows, pixels in _lower(image, 1, window, scratch, beside=beside):
            own, across = result[samples, :, rows], pixels.shape[-1]
            if across == out_w:
                chunk = products.chunk_of_pixels(out_w, channels * kh * kw, blocks[0].array.shape[2], across=True)
                products.multiply(blocks, pixels[:, 0], own, chunk)
                continue
            apart = scratch((own.size,), image.dtype) if apart is None else apart
            product = apart[: own.size].reshape(1, len(weight), own.shape[2], across)
            products.multiply(blocks, pixels[:, 0], product, min(across, PAIR))
            own[...] = product.reshape(*product.shape[1:3], len(own), out_w).transpose(2, 0, 1, 3)


def grouped(image: Array, weight: Array, window: Window, result: Array) -> None:
    """Convolve images of few channels a group, all groups in one call.

    Parameters
    ----------
    image : ndarray, shape (N, G c, H, W)
        Any strides.
    weight : ndarray, shape (G o, c, kh, kw)
        Any strides.
    window : Window
        Not dilated along the height.
    result : ndarray, shape (N, G o, H', W')
        Overwritten.

    Examples
    --------
    >>> from convbridge.geometry import NO_PADDING
    >>> X, result = np.ones((1, 4, 2, 2)), np.empty((1, 2, 1, 1))
    >>> window = Window.of((2, 2), (2, 2), (1, 1), NO_PADDING, (1, 1))
    >>> grouped(X, np.arange(16.0).reshape(2, 2, 2, 2), window, result)
    >>> result.ravel()
    array([28., 92.])
    """
    outputs, each, kh, kw = weight.shape
    groups = image.shape[1] // each
    with Scratch() as scratch:
        kernels = scratch((groups, kh, each, kw, outputs // groups), image.dtype)
        kernels[...] = weight.reshape(groups, -1, each, kh, kw).transpose(0, 3, 2, 4, 1)
        matrices = kernels.reshape(groups, 1, kh * each * kw, -1).swapaxes(2, 3)
        for samples, rows, pixels in _lower(image, groups, window, scratch):
            own = result[samples, :, rows]
            parts = own.reshape(len(own), groups, -1, *own.shape[2:])
            np.matmul(matrices, pixels, out=parts.transpose(0, 1, 3, 2, 4))


def _lower(
    image: Array, groups: int, window: Window, scratch: Scratch, *, beside: bool = False
) -> Iterator[tuple[slice, slice, Array]]:
    """Lower images block by block, planar.

    Yields which samples and rows of the result it is about, and the matrices
    (samples, groups, rows, kh c kw, W'), or with images side by side
    (1, groups, rows, kh c kw, samples W').
    """
    number, channels, height, width = image.shape
    kh, kw = window.kernel
    out_h, out_w = window.outputs
    stride, top = window.stride[0], window.padding.top
    rows = _rows_in_a_block(window, channels * kw, image.itemsize, PLANAR_BYTES)
    lowered_rows = (rows - 1) * stride + kh
    images = 1
    if rows == out_h:  # several images at once
        images = products.even(number, PLANAR_BYTES // (lowered_rows * channels * kw * out_w * image.itemsize))
    columns = columns_inside(window, width)
    divided = image.reshape(number, groups, channels // groups, height, width)
    if beside:
        block = scratch((groups, lowered_rows, channels // groups, kw, images, out_w), image.dtype)
        memory = block.transpose(4, 0, 1, 2, 3, 5)
    else:
        memory = block = scratch((images, groups, lowered_rows, channels // groups, kw, out_w), image.dtype)
    for sample in range(0, number, images):
        lowered = memory[: min(images, number - sample)]
        samples = slice(sample, sample + len(lowered))
        for first in range(0, out_h, rows):
            count = min(rows, out_h - first)
            start = first * stride - top
            stop = start + (count - 1) * stride + kh
            inside = slice(max(start, 0), max(min(stop, height), 0))
            target = slice(inside.start - start, max(inside.stop, inside.start) - start)
            lowered[:, :, : target.start] = 0
            lowered[:, :, target.stop : stop - start] = 0
            source = divided[samples, :, :, inside].swapaxes(2, 3)
            for tap, (here, there) in enumerate(columns):
                if here != slice(0, out_w):
                    lowered[:, :, target, :, tap, : here.start] = 0
                    lowered[:, :, target, :, tap, here.stop :] = 0
                copy_columns(lowered[:, :, target, :, tap, here], source, there)
            step_n, step_g, step_y, _, step_q, step_x = lowered.strides
            apart, across = (1, len(lowered) * out_w) if beside else (len(lowered), out_w)
            pixels = overlapping(
                block,
                (apart, groups, count, kh * (channels // groups) * kw, across),
                (step_n, step_g, step_y * stride, step_q, step_x),
            )
            yield samples, slice(first, first + count), pixels


def channels_last(image: Array, weight: Array, window: Window, result: Array, kept: Kept | None = None) -> None:
    """Convolve images of many channels.

    Parameters
    ----------
    image : ndarray, shape (N, C, H, W)
        Any strides.
    weight : ndarray, shape (O, C, kh, kw)
        Any strides.
    window : Window
        Along the height either dilated or with a stride.
    result : ndarray, shape (N, O, H', W')
        Overwritten.
    kept : Kept, optional
        Where a layer keeps its weights in the order that products read.

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
    apart = window.dilation[0]
    for phase in range(min(apart, window.outputs[0])):  # rows that lie as far apart as the kernel's are an image
        own = result[:, :, phase::apart]
        first = (phase - window.padding.top) % apart
        sides = window.padding._replace(top=(first + window.padding.top - phase) // apart)
        shape = (own.shape[2], own.shape[3])
        part = window._replace(padding=sides, dilation=(1, window.dilation[1]), outputs=shape)
        row = shape[1] * (len(image) if shape[1] < products.NARROW else 1)
        size = _channels_in_a_part(row, *weight.shape, weight.itemsize)
        for start in range(0, weight.shape[1], size):
            some = slice(start, start + size)
            own_part = None if kept is None else kept.part(some.start)
            _add_channels(image[:, some, first::apart], weight[:, some], part, own, own_part, add=start > 0)


@lru_cache(maxsize=512)
def _channels_in_a_part(row: int, outputs: int, channels: int, kh: int, kw: int, item_size: int) -> int:
    """Return of how many channels the products are added up at a time; ``row`` is a row of pixels in tiles.

    With fewer there are more pixels in a tile, but each result is read and
    written again for every part, which costs as much as :data:`ADDING`
    multiplications. The weights of a part are copied.
    """
    units = -(-channels // LEAST_CHANNELS)
    sizes = [channels, *(-(-units // parts) * LEAST_CHANNELS for parts in range(2, units + 1))]
    light = [size for size in sizes if size * kh * kw * outputs * item_size <= COPIED_WEIGHTS]

    def cost(size: int) -> float:
        chunk = products.chunk_of_pixels(row, size * kh * kw, min(outputs, products.BLOCK))
        return channels * kh * kw * products.row_cost(row, chunk) + -(-channels // size) * row * ADDING

    return min(light or sizes[-1:], key=cost)


def _add_channels(image: Array, weight: Array, window: Window, result: Array, kept: Kept | None, *, add: bool) -> None:
    """Convolve with rows that are not dilated, and write to ``result`` or add to it."""
    number, channels = image.shape[:2]
    outputs, (kh, kw), (out_h, out_w) = len(weight), window.kernel, window.outputs
    stride = window.stride[0]
    rows = _rows_in_a_block(window, channels * kw, image.itemsize, BLOCK_BYTES)
    strip_rows = (rows - 1) * stride + kh
    images = 1
    if rows == out_h and out_w < products.NARROW:  # several images side by side
        images = products.even(number, BLOCK_BYTES // (strip_rows * channels * kw * out_w * image.itemsize))
    with Scratch() as scratch:
        blocks = products.weight_blocks(weight, scratch, channels_last=True, kept=kept)
        strip = Strip(image, window, strip_rows, scratch)
        lowered = scratch((images, out_w, strip_rows, kw, channels), image.dtype)
        apart = scratch((rows, images * out_w, outputs), image.dtype) if add or images > 1 else None
        step_y, step_x, step_c = strip.rows.strides
        seen = overlapping(
            strip.rows,
            (out_w, strip_rows, kw, channels),
            (step_x * window.stride[1], step_y, step_x * window.dilation[1], step_c),
        )
        for sample in range(0, number, images):
            together = min(images, number - sample)
            for first in range(0, out_h, rows):
                count = min(rows, out_h - first)
                needed = (count - 1) * stride + kh
                for index in range(together):
                    strip.turn(sample + index, first, count)
                    lowered[index, :, :needed] = seen[:, :needed]
                _, across, down = lowered.strides[:3]
                pixels = overlapping(
                    lowered, (1, count, kh * kw * channels, together * out_w), (0, down * stride, step_c, across)
                )
                chunk = products.chunk_of_pixels(together * out_w, channels * kh * kw, blocks[0].array.shape[2])
                own = result[sample : sample + together, :, first : first + count]
                if apart is None:
                    products.multiply(blocks, pixels, own, chunk)
                    continue
                product = apart.reshape(-1)[: own.size].reshape(1, outputs, count, together * out_w)
                if result.strides[1] < result.strides[3]:  # laid out as the result
                    product = product.reshape(1, count, together * out_w, outputs).transpose(0, 3, 1, 2)
                products.multiply(blocks, pixels, product, chunk)
                parts = product.reshape(outputs, count, together, out_w).transpose(2, 0, 1, 3)
                if add:
                    np.add(own, parts, out=own)
                else:
                    own[...] = parts
