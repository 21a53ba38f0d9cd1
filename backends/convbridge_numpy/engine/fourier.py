"""Filtering one channel with a large kernel by Fourier transforms. Only in "fast".

Idea
    A correlation is a product of spectra. The image is cut into tiles that
    overlap by a kernel; of each tile's circular correlation, what did not wrap
    around is the result (overlap-save).
Cost
    Of an output: two transforms of a tile, 5 log2(size) operations a pixel, whatever
    the kernel; directly it is 2 kh kw. They meet near 24 x 24.
Memory
    A tile, its spectrum, and the kernels' spectra, in float64.
Rounding
    All in float64, so that a result in float32 is mostly better than a sum's.
    But the error is one of the whole tile: an output that sees only zeros is
    not zero (:func:`convbridge.parity.bounds_fast.fourier_bound`).
Limits
    No stride, no dilation. What is not finite would spread over its tile;
    images and weights that hold such numbers go another way.
Source
    T. Stockham, "High-speed convolution and correlation", 1966.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from convbridge.selection import note_trade
from convbridge_numpy.engine import toeplitz
from convbridge_numpy.engine.window import Window

Array = np.ndarray[Any, Any]

#: As :func:`convbridge.selection.note_trade` and :mod:`convbridge.parity.bounds_fast` know it.
NAME = "Fourier"

#: Pixels of a tile along an axis, at least; and kernels for one.
SMALLEST, KERNELS = 256, 4

#: Absolute values up to which no sum of products of a tile overflows in float64.
LARGEST = 2.0**480


def filter_image(image: Array, weight: Array, window: Window, result: Array) -> None:
    """Correlate images of one channel.

    Parameters
    ----------
    image : ndarray, shape (N, 1, H, W)
        Any strides.
    weight : ndarray, shape (O, 1, kh, kw)
        Any strides.
    window : Window
        Without stride and dilation.
    result : ndarray, shape (N, O, H', W')
        Overwritten.

    Examples
    --------
    >>> from convbridge.geometry import NO_PADDING
    >>> X, result = np.ones((1, 1, 9, 9)), np.empty((1, 1, 7, 7))
    >>> window = Window.of((9, 9), (3, 3), (1, 1), NO_PADDING, (1, 1))
    >>> filter_image(X, np.ones((1, 1, 3, 3)), window, result)
    >>> bool(np.allclose(result, 9))
    True
    """
    if not all(max(float(array.max(initial=0)), -float(array.min(initial=0))) <= LARGEST for array in (image, weight)):
        toeplitz.filter_image(image, weight, window, result)  # also where one is NaN
        return
    note_trade(NAME)
    out_h, out_w = window.outputs
    top, _, left, _ = window.padding
    rows, columns = (max(SMALLEST, 2 ** (KERNELS * k - 1).bit_length()) for k in window.kernel)
    step_y, step_x = rows - window.kernel[0] + 1, columns - window.kernel[1] + 1
    spectra = np.conj(np.fft.rfft2(weight[:, 0].astype(np.float64), (rows, columns)))
    tile = np.empty((rows, columns))
    for sample, planes in zip(image[:, 0], result):
        for y in range(0, out_h, step_y):
            for x in range(0, out_w, step_x):
                above, before = max(0, top - y), max(0, left - x)
                seen = sample[max(0, y - top) : max(0, y - top + rows), max(0, x - left) : max(0, x - left + columns)]
                tile[...] = 0
                tile[above : above + seen.shape[0], before : before + seen.shape[1]] = seen
                spectrum = np.fft.rfft2(tile)
                for plane, kernel in zip(planes, spectra):
                    target = plane[y : y + step_y, x : x + step_x]
                    whole = np.fft.irfft2(spectrum * kernel, (rows, columns))
                    target[...] = whole[: target.shape[0], : target.shape[1]]
