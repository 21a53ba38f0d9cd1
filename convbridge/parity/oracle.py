"""The definition of every operation, written out as it reads.

One loop over output pixels; inside it, the input positions that the window
looks at, by explicit index arithmetic, and one sum. Padding words, ceil mode
and divisors are worked out here from their own definitions. Nothing is
imported from the rest of convbridge: an oracle that shares code with what it
judges repeats its mistakes.

Sums are accumulated in ``numpy.longdouble``, which on most machines is wider
than float64, so that float64 results can be judged too. Arguments are trusted.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["conv2d", "output_size", "pool2d", "pool2d_sums", "round_to", "sides", "two"]

Array = np.ndarray[Any, Any]
Ends = tuple[int, int]


def two(value: Any) -> Ends:
    """Read a number, or one a height and one a width.

    Parameters
    ----------
    value : int or (int, int)
        As a caller wrote it.

    Returns
    -------
    (int, int)

    Examples
    --------
    >>> two(3), two([1, 2])
    ((3, 3), (1, 2))
    """
    if np.ndim(value) == 0:
        return int(value), int(value)
    height, width = value
    return int(height), int(width)


def sides(padding: Any, size: Ends, window: Ends, stride: Ends) -> tuple[Ends, Ends]:
    """Work out how many elements of padding stand before and after each axis.

    Parameters
    ----------
    padding : int, pair, pair of pairs or str
        As for :func:`convbridge.conv2d`.
    size : (int, int)
        Height and width of the image.
    window : (int, int)
        Height and width that a window spans, dilation included.
    stride : (int, int)
        Steps between windows.

    Returns
    -------
    ((int, int), (int, int))
        ``((top, bottom), (left, right))``.

    Examples
    --------
    >>> sides("SAME", (4, 4), (3, 3), (2, 1)), sides("chapter", (4, 4), (2, 2), (1, 1))
    (((0, 1), (1, 1)), ((1, 0), (1, 0)))
    """
    if not isinstance(padding, str):
        height, width = (padding, padding) if np.ndim(padding) == 0 else padding
        return two(height), two(width)
    word = padding.lower()
    ends = []
    for n, span, step in zip(size, window, stride):
        if word == "valid":
            total = 0
        elif word == "chapter":
            total = span - 1
        else:  # the fewest zeros that allow ceil(n / step) windows
            outputs = -(-n // step)
            total = max((outputs - 1) * step + span - n, 0)
        half, rest = total // 2, total - total // 2
        ends.append((half, rest) if word in ("same", "same_upper") else (rest, half))
    return ends[0], ends[1]


def output_size(n: int, window: int, stride: int, ends: Ends, ceil_mode: bool = False) -> int:
    """Count the windows along one axis.

    Parameters
    ----------
    n : int
        Elements of the image along the axis.
    window : int
        What a window spans, dilation included.
    stride : int
        Steps between windows.
    ends : (int, int)
        Padding before and after.
    ceil_mode : bool, default False
        PyTorch's rule: round up, then drop the last window if it starts beyond
        the image and its leading padding.

    Returns
    -------
    int
        0 or less if no window fits.

    Examples
    --------
    >>> output_size(5, 2, 2, (0, 0)), output_size(5, 2, 2, (0, 0), ceil_mode=True)
    (2, 3)
    """
    room = n + sum(ends) - window
    if not ceil_mode:
        return room // stride + 1
    count = -(-room // stride) + 1
    if (count - 1) * stride >= n + ends[0]:
        count -= 1
    return count


def conv2d(
    X: Any,
    weight: Any,
    bias: Any = None,
    *,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    data_format: str = "NCHW",
) -> Array:
    """Cross-correlate, by the definition.

    ``Y[b, o, i, j] = bias[o] + sum over c, p, q of
    X[b, g C/G + c, i s - top + p d, j s - left + q d] weight[o, c, p, q]``, with
    ``g`` the group of ``o`` and zero outside the image. Zeros of the padding
    are multiplied like any other: times infinity they are NaN.

    Parameters
    ----------
    X, weight, bias, stride, padding, dilation, groups, data_format
        As for :func:`convbridge.conv2d`.

    Returns
    -------
    numpy.ndarray of longdouble

    Examples
    --------
    >>> X, K = np.arange(9).reshape(1, 1, 3, 3), np.arange(4).reshape(1, 1, 2, 2)
    >>> conv2d(X, K)[0, 0].astype(int).tolist()
    [[19, 25], [37, 43]]
    """
    image = np.asarray(X, np.longdouble)
    if data_format == "NHWC":
        image = np.moveaxis(image, 3, 1)
    kernels = np.asarray(weight, np.longdouble)
    batch, channels, height, width = image.shape
    out_channels, per_group, kh, kw = kernels.shape
    (sh, sw), (dh, dw) = two(stride), two(dilation)
    span = (dh * (kh - 1) + 1, dw * (kw - 1) + 1)
    (top, bottom), (left, right) = sides(padding, (height, width), span, (sh, sw))
    out_h = output_size(height, span[0], sh, (top, bottom))
    out_w = output_size(width, span[1], sw, (left, right))

    padded = np.zeros((batch, channels, top + height + bottom, left + width + right), np.longdouble)
    padded[:, :, top : top + height, left : left + width] = image
    blocks = padded.reshape(batch, groups, 1, per_group, *padded.shape[2:])
    banks = kernels.reshape(1, groups, out_channels // groups, per_group, kh, kw)
    result = np.empty((batch, out_channels, out_h, out_w), np.longdouble)
    with np.errstate(invalid="ignore", over="ignore"):
        for i in range(out_h):
            rows = [i * sh + p * dh for p in range(kh)]
            band = blocks[:, :, :, :, rows]
            for j in range(out_w):
                columns = [j * sw + q * dw for q in range(kw)]
                products = band[..., columns] * banks
                result[:, :, i, j] = products.sum(axis=(3, 4, 5)).reshape(batch, out_channels)
        if bias is not None:
            result += np.asarray(bias, np.longdouble)[:, None, None]
    return np.moveaxis(result, 1, 3) if data_format == "NHWC" else result


def _pool(
    X: Any,
    pool_size: Any,
    mode: str,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
    count_include_pad: bool,
    data_format: str,
) -> tuple[Array, Array]:
    """Return every window's maximum or sum, and what an average divides by."""
    image = np.asarray(X, np.longdouble)
    channels_last = data_format == "NHWC" and image.ndim > 2
    if channels_last:
        image = np.moveaxis(image, -1, -3)
    height, width = image.shape[-2:]
    (kh, kw), (dh, dw) = two(pool_size), two(dilation)
    sh, sw = (kh, kw) if stride is None else two(stride)
    span = (dh * (kh - 1) + 1, dw * (kw - 1) + 1)
    (top, bottom), (left, right) = sides(padding, (height, width), span, (sh, sw))
    out_h = output_size(height, span[0], sh, (top, bottom), ceil_mode)
    out_w = output_size(width, span[1], sw, (left, right), ceil_mode)

    result = np.empty((*image.shape[:-2], out_h, out_w), np.longdouble)
    divisors = np.empty((out_h, out_w), np.longdouble)
    with np.errstate(invalid="ignore", over="ignore"):
        for i in range(out_h):
            rows = [i * sh + p * dh - top for p in range(kh)]
            inside_rows = [y for y in rows if 0 <= y < height]
            padded_rows = [y for y in rows if -top <= y < height + bottom]
            band = image[..., inside_rows, :]
            for j in range(out_w):
                columns = [j * sw + q * dw - left for q in range(kw)]
                inside = [x for x in columns if 0 <= x < width]
                counted = [x for x in columns if -left <= x < width + right]
                window = band[..., inside]
                if mode == "max":  # of a NaN and anything it is NaN; of nothing, minus infinity
                    result[..., i, j] = window.max(axis=(-2, -1), initial=-np.inf)
                else:
                    result[..., i, j] = window.sum(axis=(-2, -1))
                divisors[i, j] = (
                    len(padded_rows) * len(counted) if count_include_pad else len(inside_rows) * len(inside)
                )
    divisors = np.broadcast_to(divisors, result.shape)
    if channels_last:
        result, divisors = np.moveaxis(result, -3, -1), np.moveaxis(divisors, -3, -1)
    return result, divisors


def pool2d(
    X: Any,
    pool_size: Any,
    mode: str = "max",
    *,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    data_format: str = "NCHW",
) -> Array:
    """Pool, by the definition.

    A window's maximum and sum are those of the image's elements in it. An
    average divides by the number of elements of the window that lie in the
    padded image, or in the image alone; what sticks out in ceil mode never
    counts. With dilation a window may straddle the image without an element in
    it: its maximum is minus infinity, and its average over the image alone is
    0/0, NaN.

    Parameters
    ----------
    X, pool_size, mode, stride, padding, dilation, ceil_mode, count_include_pad, data_format
        As for :func:`convbridge.pool2d`.

    Returns
    -------
    numpy.ndarray of longdouble

    Examples
    --------
    >>> pool2d(np.arange(16).reshape(4, 4), 3, stride=2, padding=1).astype(int).tolist()
    [[5, 7], [13, 15]]
    """
    result, divisors = _pool(X, pool_size, mode, stride, padding, dilation, ceil_mode, count_include_pad, data_format)
    if mode == "max":
        return result
    with np.errstate(invalid="ignore"):
        return np.asarray(result / divisors)


def pool2d_sums(X: Any, pool_size: Any, **keywords: Any) -> tuple[Array, Array]:
    """Return the two numbers whose quotient is an average.

    Where the sums are exact, as those of small integers are, one division in
    the dtype of the result is the correctly rounded average; a division in
    longdouble that is then rounded again need not be.

    Parameters
    ----------
    X, pool_size
        As for :func:`pool2d`.
    **keywords
        Those of :func:`pool2d`.

    Returns
    -------
    sums, divisors : numpy.ndarray of longdouble
        With the shape of the result.

    Examples
    --------
    >>> sums, divisors = pool2d_sums(np.arange(4).reshape(2, 2), 2)
    >>> int(sums[0, 0]), int(divisors[0, 0])
    (6, 4)
    """
    defaults = {
        "stride": 1,
        "padding": 0,
        "dilation": 1,
        "ceil_mode": False,
        "count_include_pad": True,
        "data_format": "NCHW",
    }
    return _pool(X, pool_size, "avg", **{**defaults, **keywords})


def round_to(values: Array, dtype: str) -> Array:
    """Round once, to nearest even, to the numbers that a dtype has.

    Parameters
    ----------
    values : numpy.ndarray
        Of any float dtype; for bfloat16 of float64 or narrower.
    dtype : str
        "bfloat16", "float16", "float32" or "float64".

    Returns
    -------
    numpy.ndarray
        Of that dtype; float32 for bfloat16, which NumPy does not have.

    Examples
    --------
    >>> round_to(np.array([1 + 2**-9, 1 + 2**-7]), "bfloat16").tolist()
    [1.0, 1.0078125]
    """
    if dtype != "bfloat16":
        with np.errstate(over="ignore"):
            return values.astype(dtype)
    exact = values.astype(np.float64)
    bits = exact.view(np.uint64)
    # of the 52 bits of the fraction bfloat16 keeps 7; a carry goes into the exponent, where it belongs
    dropped = np.uint64(45)
    even = (bits >> dropped) & np.uint64(1)
    rounded = (bits + (np.uint64(2**44 - 1) + even)) >> dropped << dropped
    return np.where(np.isfinite(exact), rounded.view(np.float64), exact).astype(np.float32)
