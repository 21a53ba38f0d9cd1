"""Depthwise convolution: one input channel for each group.

Idea
    With a single channel a group there is no sum over channels: each channel is
    a product of a row (its kh kw weights) with the matrix of its own windows.
    The windows of a few channels are copied side by side, in a block that fits
    the cache, and one call multiplies them all.
Long runs
    The image is sorted into as many images as there are steps in a stride, and
    each is taken as one long line: then every tap is one run of a line, however
    narrow the image is. Results that fall into the seam between two rows of the
    image are computed and left out.
Cost
    N C kh kw H' W' multiply-adds, and a copy of kh kw / (sh sw) times the input,
    which takes longer than they do: the weak spot of this engine.
Memory
    :data:`BLOCK_BYTES` of windows.
Source
    L. Sifre, "Rigid-Motion Scattering for Image Classification", 2014, for the
    operation; the lowering is that of :mod:`convbridge_numpy.engine.im2col`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from convbridge_numpy.engine.arena import Scratch
from convbridge_numpy.engine.window import Window

Array = np.ndarray[Any, Any]

#: Bytes of the windows of a block of channels.
BLOCK_BYTES = 2**19


def by_channel(image: Array, weight: Array, window: Window, result: Array) -> None:
    """Convolve each channel by itself.

    Parameters
    ----------
    image : ndarray, shape (N, C, H, W)
        Any strides.
    weight : ndarray, shape (C * m, 1, kh, kw)
        ``m`` kernels for each channel.
    window : Window
        Any.
    result : ndarray, shape (N, C * m, H', W')
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
    number, channels, height, width = image.shape
    multiple = weight.shape[0] // channels
    (kh, kw), (sh, sw), (top, bottom, left, right), (dh, dw), (out_h, out_w) = window
    kernels = np.ascontiguousarray(weight).reshape(channels, multiple, kh * kw)
    phase_h, phase_w = -(-(top + height + bottom) // sh), -(-(left + width + right) // sw)
    row_bytes = kh * kw * phase_w * image.itemsize
    rows = min(out_h, max(1, BLOCK_BYTES // row_bytes))
    block = min(channels, max(1, BLOCK_BYTES // (row_bytes * rows))) if rows == out_h else 1
    # by phase of row and column: where the phase's image begins, and what it holds of the image
    phases = [(_phase(a, top, height, sh), _phase(b, left, width, sw), a, b) for a in range(sh) for b in range(sw)]
    with Scratch() as scratch:
        # behind its last row, a line goes on as far as the last window's seam may look
        lines = scratch((block, sh, sw, phase_h * phase_w + (kw - 1) * dw // sw), image.dtype)
        lines[...] = 0
        lowered = scratch((block, kh * kw, rows * phase_w), image.dtype)
        product = scratch((block, multiple, rows * phase_w), image.dtype)
        for sample in range(number):
            for first in range(0, channels, block):
                last = min(first + block, channels)
                size = last - first
                planes = lines[:size, :, :, : phase_h * phase_w].reshape(size, sh, sw, phase_h, phase_w)
                for (here_y, there_y), (here_x, there_x), a, b in phases:
                    planes[:, a, b, here_y, here_x] = image[sample, first:last, there_y, there_x]
                target = result[sample, first * multiple : last * multiple]
                for above in range(0, out_h, rows):
                    count = min(rows, out_h - above)
                    length = count * phase_w
                    taps, out = lowered[:size, :, :length], product[:size, :, :length]
                    for tap in range(kh * kw):
                        (down, a), (across, b) = divmod(tap // kw * dh, sh), divmod(tap % kw * dw, sw)
                        start = (above + down) * phase_w + across
                        taps[:, tap] = lines[:size, a, b, start : start + length]
                    np.matmul(kernels[first:last], taps, out=out)
                    target[:, above : above + count] = out.reshape(-1, count, phase_w)[:, :, :out_w]


def _phase(phase: int, before: int, size: int, stride: int) -> tuple[slice, slice]:
    """Return where a phase of a padded axis holds elements of the image, and which."""
    first = (phase - before) % stride
    count = max(0, -(-(size - first) // stride))
    start = (first + before - phase) // stride
    return slice(start, start + count), slice(first, size, stride)
