"""Depthwise and grouped convolution: few input channels for each group.

Idea
    A group of few channels is too little for a call of its own: each group is
    the product of its kernels (one or a few rows of weights) with the matrix of
    its own windows. The windows of some groups are copied side by side, in a
    block that fits the cache, and one call multiplies them all.
Long runs
    The image is sorted into as many images as there are steps in a stride, and
    each is taken as one long line: then every tap is one run of a line, however
    narrow the image is. Results that fall into the seam between two rows of the
    image are computed and left out.
Channels last
    On narrow images runs are short, and with one channel a group the product
    has a single row. There the channels are made adjacent instead, and
    ``numpy.einsum`` multiplies runs of channels and adds them up in one pass
    for each tap, without a copy of the windows. It does so only if its innermost
    loop is over a run: planar, where it is over the taps, it takes many times as
    long. With few channels the weights are repeated for every pixel of a row, so
    that the whole row is a run.
Cost
    N C kh kw H' W' multiply-adds for each output of a group, and a copy of
    kh kw / (sh sw) times the input, which takes longer than they do with one
    channel: there :mod:`convbridge_numpy.engine.banded` and
    :mod:`convbridge_numpy.engine.shifted` take over, where BLAS has kernels for
    small products. Channels last: input and output are turned instead.
Memory
    :data:`BLOCK_BYTES` of windows, or of rows and of their results, and the
    repeated weights.
Source
    L. Sifre, "Rigid-Motion Scattering for Image Classification", 2014, for the
    operation; the lowering is that of :mod:`convbridge_numpy.engine.im2col`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from convbridge_numpy.engine.arena import Scratch
from convbridge_numpy.engine.passes import LINE, Spread
from convbridge_numpy.engine.products import even
from convbridge_numpy.engine.window import Window

Array = np.ndarray[Any, Any]

#: Bytes of a block of windows; and of rows with adjacent channels, about a second-level cache.
BLOCK_BYTES, STRIP_BYTES = 2**19, 3 * 2**19

#: Channels that are a run by themselves, and that are taken together at most.
LONG_RUN, MOST_CHANNELS = 512, 767

#: Channels of which an image is turned at once: a line of each, and what is written, stay in the first-level cache.
TURNED = 256

#: Bytes that lie between pixels of so many channels that they share their place in the cache.
CLOSE = 2**9


def by_group(image: Array, weight: Array, window: Window, result: Array) -> None:
    """Convolve each group by itself.

    Parameters
    ----------
    image : ndarray, shape (N, G c, H, W)
        Any strides.
    weight : ndarray, shape (G o, c, kh, kw)
        ``o`` kernels for each group of ``c`` channels.
    window : Window
        Any.
    result : ndarray, shape (N, G o, H', W')
        Overwritten.

    Examples
    --------
    >>> from convbridge.geometry import NO_PADDING
    >>> X, result = np.ones((1, 2, 2, 2)), np.empty((1, 2, 1, 1))
    >>> window = Window.of((2, 2), (2, 2), (1, 1), NO_PADDING, (1, 1))
    >>> by_group(X, np.arange(8.0).reshape(2, 1, 2, 2), window, result)
    >>> result.ravel()
    array([ 6., 22.])
    """
    number, channels, height, width = image.shape
    each = weight.shape[1]
    groups = channels // each
    multiple = len(weight) // groups
    (kh, kw), (sh, sw), (top, bottom, left, right), (dh, dw), (out_h, out_w) = window
    depth = each * kh * kw
    kernels = np.ascontiguousarray(weight).reshape(groups, multiple, depth)
    phase_h, phase_w = -(-(top + height + bottom) // sh), -(-(left + width + right) // sw)
    row_bytes = depth * phase_w * image.itemsize
    rows = min(out_h, max(1, BLOCK_BYTES // row_bytes))
    block = min(groups, max(1, BLOCK_BYTES // (row_bytes * rows))) if rows == out_h else 1
    # by phase of row and column: where the phase's image begins, and what it holds of the image
    phases = [(_phase(a, top, height, sh), _phase(b, left, width, sw), a, b) for a in range(sh) for b in range(sw)]
    with Scratch() as scratch:
        # behind its last row, a line goes on as far as the last window's seam may look
        lines = scratch((block, each, sh, sw, phase_h * phase_w + (kw - 1) * dw // sw), image.dtype)
        lines[...] = 0
        lowered = scratch((block, depth, rows * phase_w), image.dtype)
        product = scratch((block, multiple, rows * phase_w), image.dtype)
        for sample in range(number):
            for first in range(0, groups, block):
                last = min(first + block, groups)
                size = last - first
                planes = lines[:size, ..., : phase_h * phase_w].reshape(size, each, sh, sw, phase_h, phase_w)
                own = image[sample, first * each : last * each].reshape(size, each, height, width)
                for (here_y, there_y), (here_x, there_x), a, b in phases:
                    planes[:, :, a, b, here_y, here_x] = own[:, :, there_y, there_x]
                target = result[sample, first * multiple : last * multiple]
                for above in range(0, out_h, rows):
                    count = min(rows, out_h - above)
                    length = count * phase_w
                    taps, out = lowered[:size, :, :length], product[:size, :, :length]
                    for tap in range(kh * kw):
                        (down, a), (across, b) = divmod(tap // kw * dh, sh), divmod(tap % kw * dw, sw)
                        start = (above + down) * phase_w + across
                        taps[:, tap :: kh * kw] = lines[:size, :, a, b, start : start + length]
                    np.matmul(kernels[first:last], taps, out=out)
                    target[:, above : above + count] = out.reshape(-1, count, phase_w)[:, :, :out_w]


def channels_last(image: Array, weight: Array, window: Window, result: Array) -> None:
    """Convolve each channel by itself, all of them side by side.

    Parameters
    ----------
    image : ndarray, shape (N, C, H, W)
        Any strides.
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
    >>> channels_last(X, np.arange(8.0).reshape(2, 1, 2, 2), window, result)
    >>> result.ravel()
    array([ 6., 22.])
    """
    channels = image.shape[1]
    multiple = len(weight) // channels
    block = even(channels, MOST_CHANNELS)
    for first in range(0, channels, block):
        some, own = slice(first, first + block), slice(first * multiple, (first + block) * multiple)
        _add_up(image[:, some], weight[own], window, result[:, own])


def _add_up(image: Array, weight: Array, window: Window, result: Array) -> None:
    """Convolve so many channels side by side that a run of them is long and their rows stay near."""
    number, channels, height, width = image.shape
    multiple = len(weight) // channels
    (kh, kw), (sh, sw), (top, _, left, right), (dh, dw), (out_h, out_w) = window
    # a run of channels is long enough by itself, but for a batch longer ones are worth the repeated weights
    across = out_w if sw == 1 and (channels < LONG_RUN or number > 1) else 1
    padded_width = left + width + right
    # pixels that lie a power of two apart share their place in the cache: a line more between them
    apart = channels + LINE // image.itemsize if channels * image.itemsize % CLOSE == 0 else channels
    rows = min(out_h, max(1, (STRIP_BYTES // (padded_width * apart * image.itemsize) - (kh - 1) * dh - 1) // sh + 1))
    strip_rows = (rows - 1) * sh + (kh - 1) * dh + 1
    images = 1
    if rows == out_h:
        images = even(number, STRIP_BYTES // (strip_rows * padded_width * apart * image.itemsize))
    with Scratch() as scratch:
        kernels = scratch((multiple, kh, kw, across, apart), image.dtype)
        kernels[..., channels:] = 0
        kernels[..., :channels] = weight.reshape(channels, multiple, kh, kw, 1).transpose(1, 2, 3, 4, 0)
        kernels = kernels.reshape(multiple, kh, kw, across * apart)
        strip = scratch((images, strip_rows, padded_width, apart), image.dtype)
        sums = scratch((images, rows, out_w // across, across * apart), image.dtype)
        spread = Spread(image, strip_rows * width, scratch)
        strip[:, :, :left] = 0
        strip[:, :, left + width :] = 0
        strip[..., channels:] = 0
        over, down, along, _ = strip.strides
        seen = np.lib.stride_tricks.as_strided(
            strip,
            (images, rows, out_w // across, kh, kw, across * apart),
            (over, down * sh, along * sw, down * dh, along * dw, image.itemsize),
            writeable=False,
        )
        for sample in range(0, number, images):
            together = min(images, number - sample)
            for first in range(0, out_h, rows):
                count = min(rows, out_h - first)
                start = first * sh - top
                stop = start + (count - 1) * sh + (kh - 1) * dh + 1
                inside = slice(max(start, 0), max(min(stop, height), 0))
                target = slice(inside.start - start, max(inside.stop, inside.start) - start)
                strip[:together, : target.start, :, :channels] = 0
                strip[:together, target.stop : stop - start, :, :channels] = 0
                for index in range(together):
                    turned = spread(image[sample + index, :, inside]).transpose(1, 2, 0)
                    place = strip[index, target, left : left + width, :channels]
                    for some in (slice(at, at + TURNED) for at in range(0, channels, TURNED)):
                        place[..., some] = turned[..., some]
                for index, kernel in enumerate(kernels):
                    np.einsum("nyxpqr,pqr->nyxr", seen[:together, :count], kernel, out=sums[:together, :count])
                    added = sums[:together, :count].reshape(together, count, out_w, apart)[..., :channels]
                    own = result[sample : sample + together, index::multiple, first : first + count]
                    own[...] = added.transpose(0, 3, 1, 2)


def _phase(phase: int, before: int, size: int, stride: int) -> tuple[slice, slice]:
    """Return where a phase of a padded axis holds elements of the image, and which."""
    first = (phase - before) % stride
    count = max(0, -(-(size - first) // stride))
    start = (first + before - phase) // stride
    return slice(start, start + count), slice(first, size, stride)
