"""Depthwise convolution: one input channel for each group.

Idea
    With a single channel a group there is no sum over channels, so a matrix
    product would have rows of kh kw numbers: too thin for BLAS. Instead every
    tap of the kernel multiplies a shifted image and adds to the result, a few
    channels at a time, so that both stay in the cache.
Cost
    2 kh kw passes over the result: a multiplication and an addition each, where
    a fused multiply-add would take one.
Memory
    A block of padded channels, and a block of products.
Source
    L. Sifre, "Rigid-Motion Scattering for Image Classification", 2014; the
    passes are the plain ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from convbridge_numpy.engine.arena import Scratch
from convbridge_numpy.engine.window import Window, zero_border

Array = np.ndarray[Any, Any]

#: Bytes of the image, the product and the result of a block of channels.
BLOCK_BYTES = 2**19


def taps(image: Array, weight: Array, window: Window, result: Array) -> None:
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
    >>> taps(X, np.arange(8.0).reshape(2, 1, 2, 2), Window.of((2, 2), (2, 2), (1, 1), NO_PADDING, (1, 1)), result)
    >>> result.ravel()
    array([ 6., 22.])
    """
    number, channels, height, width = image.shape
    multiple = weight.shape[0] // channels
    (kh, kw), (sh, sw), (top, bottom, left, right), (dh, dw), (out_h, out_w) = window
    plane = (top + height + bottom) * (left + width + right) + 2 * out_h * out_w * multiple
    block = min(max(1, BLOCK_BYTES // (plane * image.itemsize)), channels)
    kernels = weight.reshape(channels, multiple, kh, kw)
    with Scratch() as scratch:
        padded = scratch((block, top + height + bottom, left + width + right), image.dtype)
        inside = (slice(top, top + height), slice(left, left + width))
        zero_border(padded, inside)
        product = scratch((block, out_h, out_w), image.dtype)
        total = scratch((block, out_h, out_w), image.dtype)
        for sample in range(number):
            for first in range(0, channels, block):
                last = min(first + block, channels)
                size = last - first
                planes = image[sample, first:last]
                if window.padded:
                    padded[:size, inside[0], inside[1]] = planes
                    planes = padded[:size]
                for which in range(multiple):
                    for p in range(kh):
                        for q in range(kw):
                            rows = slice(p * dh, p * dh + (out_h - 1) * sh + 1, sh)
                            columns = slice(q * dw, q * dw + (out_w - 1) * sw + 1, sw)
                            factor = kernels[first:last, which, p, q, None, None]
                            if p == q == 0:
                                np.multiply(planes[:, rows, columns], factor, out=total[:size])
                            else:
                                np.multiply(planes[:, rows, columns], factor, out=product[:size])
                                np.add(total[:size], product[:size], out=total[:size])
                    result[sample, first * multiple + which : last * multiple : multiple] = total[:size]
