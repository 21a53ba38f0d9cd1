"""Pooling, rows first and then columns.

Idea
    The maximum of a window is the maximum of its rows' maxima, and a sum
    likewise; so kh + kw passes over the image do what kh kw comparisons per
    output would. Each pass is one vectorised ufunc on a strided view.
Cost
    (kh - 1) H' W + (kw - 1) H' W' operations per channel.
Memory
    One intermediate of H' x W per channel, and the result.
Source
    J. Gil and M. Werman, "Computing 2-D Min, Median, and Max Filters", 1993,
    for separability; the passes themselves are the plain ones.

``numpy.maximum`` keeps a NaN that it meets, which is convbridge's rule.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from convbridge.geometry import Pair, output_size, window_size

Array = np.ndarray[Any, Any]


def _reduce_axis(image: Array, axis: int, kernel: int, stride: int, dilation: int, combine: np.ufunc) -> Array:
    """Combine every window along one axis."""
    count = output_size(image.shape[axis], window_size(kernel, dilation), stride, 0, 0)

    def tap(offset: int) -> Array:
        start = offset * dilation
        chosen = slice(start, start + (count - 1) * stride + 1, stride)
        return image[(slice(None),) * axis + (chosen,)]

    if kernel == 1:
        return np.array(tap(0))
    result: Array = combine(tap(0), tap(1))
    for offset in range(2, kernel):
        combine(result, tap(offset), out=result)
    return result


def reduce_windows(image: Array, pool_size: Pair, stride: Pair, dilation: Pair, combine: np.ufunc) -> Array:
    """Combine the elements of every window of a padded batch of images.

    Parameters
    ----------
    image : ndarray, shape (N, C, H, W)
        Already padded.
    pool_size, stride, dilation : (int, int)
        Of the operation.
    combine : numpy.ufunc
        ``numpy.maximum`` or ``numpy.add``.

    Returns
    -------
    ndarray, shape (N, C, H', W')

    Examples
    --------
    >>> reduce_windows(np.arange(9.0).reshape(1, 1, 3, 3), (2, 2), (1, 1), (1, 1), np.maximum)[0, 0]
    array([[4., 5.],
           [7., 8.]])
    """
    rows = _reduce_axis(image, 2, pool_size[0], stride[0], dilation[0], combine)
    return _reduce_axis(rows, 3, pool_size[1], stride[1], dilation[1], combine)
