"""Every operation and its gradients a second time, by another idea.

:mod:`convbridge.parity.oracle` walks over output pixels and adds up what each
window sees. Here nothing is walked. Along one axis, an operation is a table:
*window* ``i`` looks through *tap* ``p`` at *pixel* ``y``. A convolution is the
sum of the products ``X[y, x] weight[p, q] grad_output[i, j]`` over two such
tables, and what is wanted of it is that sum sorted by one of the three columns:

* by window, without ``grad_output``: the result;
* by tap, without ``weight``: dW;
* by pixel, without ``X``: dX.

The tables are found by enumeration: windows by sliding one along the axis until
it no longer fits, the padding of a word by dealing out zeros one at a time. A
pooling is the same two tables with a maximum or a sum over the taps.

Products that are in no table are never formed, so NaN and infinities come out
as the definition says. Numbers are ``numpy.longdouble``. Nothing is imported
from the rest of convbridge, least of all the first oracle; the two are held
against each other by :mod:`convbridge.parity.agreement`. Arguments are trusted.
"""

from __future__ import annotations

from itertools import count
from typing import Any, NamedTuple

import numpy as np

__all__ = ["conv2d", "conv2d_vjp", "pool2d", "pool2d_vjp"]

Array = np.ndarray[Any, Any]


class Axis(NamedTuple):
    """Who meets whom along one axis.

    Attributes
    ----------
    pixels : numpy.ndarray of int, shape (windows, taps)
        The pixel that a window sees through a tap; ``size`` stands for every
        place outside the image.
    counted : numpy.ndarray of bool, shape (windows, taps)
        Whether that place is in the image or in the padding that was asked
        for, and not beyond its end.
    size : int
        Pixels of the image.
    """

    pixels: Array
    counted: Array
    size: int


def _window_starts(first: int, end: int, size: int, reach: int, step: int, ceil_mode: bool) -> list[int]:
    """Slide a window from ``first`` on, and note where it starts as long as it may.

    Its last tap is ``reach`` behind its start and lies before ``end``. In ceil
    mode it may stick out, by less than a step, if it starts before the image
    ends.
    """
    over = step - 1 if ceil_mode else 0
    return [s for s in range(first, end, step) if s + reach < end + over and (s < size or not ceil_mode)]


def _padding_of_a_word(word: str, size: int, reach: int, step: int) -> tuple[int, int]:
    """Deal out zeros, one at a time, to the two ends of an axis."""
    if word == "valid":
        enough = 0
    elif word == "chapter":
        enough = reach
    else:  # as many windows as there are whole steps on the image, and no zero more
        wanted = len(range(0, size, step))
        enough = next(n for n in count() if len(_window_starts(0, size + n, size, reach, step, False)) >= wanted)
    turns = [turn % 2 for turn in range(enough)]
    fewer, more = sum(turns), len(turns) - sum(turns)
    return (fewer, more) if word in ("same", "same_upper") else (more, fewer)


def _axes(image: Array, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool = False) -> list[Axis]:
    """Build the tables of the last two axes of an image."""
    sizes = image.shape[-2:]
    taps, steps, spread = (np.broadcast_to(pair, 2).tolist() for pair in (kernel, stride, dilation))
    reaches = [(taps[axis] - 1) * spread[axis] for axis in (0, 1)]
    if isinstance(padding, str):
        ends = [_padding_of_a_word(padding.lower(), *facts) for facts in zip(sizes, reaches, steps)]
    else:
        numbers = np.asarray(padding)
        ends = np.broadcast_to(numbers[:, None] if numbers.ndim == 1 else numbers, (2, 2)).tolist()
    axes = []
    for size, reach, step, apart, (before, after) in zip(sizes, reaches, steps, spread, ends):
        starts = np.array(_window_starts(-before, size + after, size, reach, step, ceil_mode), int)
        places = np.add.outer(starts, np.arange(0, reach + 1, apart))
        inside = (places >= 0) & (places < size)
        axes.append(Axis(np.where(inside, places, size), places < size + after, size))
    return axes


def _channels_first(data_format: str, *arrays: Any) -> list[Array]:
    """Convert to longdouble, with height and width as the last two axes."""
    wide = [np.asarray(array, np.longdouble) for array in arrays]
    return [np.moveaxis(array, -1, -3) if data_format == "NHWC" and array.ndim > 2 else array for array in wide]


def _as_given(data_format: str, result: Array) -> Array:
    return np.moveaxis(result, -3, -1) if data_format == "NHWC" and result.ndim > 2 else result


def _windows(image: Array, rows: Axis, columns: Axis, outside: float) -> Array:
    """Look every pixel up that a table names; (..., H, W) becomes (..., i, p, j, q)."""
    one_more = [(0, 0)] * (image.ndim - 2) + [(0, 1), (0, 1)]
    extended = np.pad(image, one_more, constant_values=outside)
    found: Array = extended[..., rows.pixels[:, :, None, None], columns.pixels]
    return found


def _by_pixel(products: Array, rows: Axis, columns: Axis) -> Array:
    """Add up, for each pixel, all products that it has part in; (..., i, p, j, q) becomes (..., H, W)."""
    sums = products.reshape(*products.shape[:-4], rows.pixels.size, columns.pixels.size)
    for position, axis in ((-2, rows), (-1, columns)):
        pixels = axis.pixels.ravel()
        order = np.argsort(pixels, kind="stable")
        seen, starts = np.unique(pixels[order], return_index=True)
        seen_sums = np.add.reduceat(np.moveaxis(sums, position, 0)[order], starts)
        sums = np.zeros((axis.size + 1, *seen_sums.shape[1:]), np.longdouble)
        sums[seen] = seen_sums
        sums = np.moveaxis(sums[:-1], 0, position)  # the last one is what lies outside
    return sums


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
    """Cross-correlate: products of pixels and taps, sorted by window.

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
    (image,), (kernels,) = _channels_first(data_format, X), _channels_first("OIHW", weight)
    rows, columns = _axes(image, kernels.shape[2:], stride, padding, dilation)
    with np.errstate(invalid="ignore", over="ignore"):
        seen = _windows(_grouped(image, 1, groups), rows, columns, 0)
        result = np.einsum("ngcipjq,gocpq->ngoij", seen, _grouped(kernels, 0, groups))
        result = result.reshape(len(image), len(kernels), *result.shape[3:])
        if bias is not None:
            result += np.asarray(bias, np.longdouble)[:, None, None]
    return _as_given(data_format, result)


def _grouped(array: Array, axis: int, groups: int) -> Array:
    """Split an axis of channels into (groups, channels of a group)."""
    shape = array.shape
    return array.reshape(*shape[:axis], groups, shape[axis] // groups, *shape[axis + 1 :])


def conv2d_vjp(
    X: Any,
    weight: Any,
    bias: Any,
    grad_output: Any,
    *,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    data_format: str = "NCHW",
) -> tuple[Array, Array, Array | None]:
    """Differentiate a convolution: the other two ways to sort its products.

    Parameters
    ----------
    X, weight, bias, grad_output, stride, padding, dilation, groups, data_format
        As for :func:`convbridge.conv2d_vjp`.

    Returns
    -------
    dX, dW, db : numpy.ndarray of longdouble
        db is None where bias is.

    Examples
    --------
    >>> X, K = np.arange(9).reshape(1, 1, 3, 3), np.arange(4).reshape(1, 1, 2, 2)
    >>> dX, dW, db = conv2d_vjp(X, K, np.zeros(1), np.ones((1, 1, 2, 2)))
    >>> dX[0, 0].astype(int).tolist(), dW[0, 0].astype(int).tolist(), db.astype(int).tolist()
    ([[0, 1, 1], [2, 6, 4], [2, 5, 3]], [[8, 12], [20, 24]], [4])
    """
    (image, grad), (kernels,) = _channels_first(data_format, X, grad_output), _channels_first("OIHW", weight)
    rows, columns = _axes(image, kernels.shape[2:], stride, padding, dilation)
    grads = _grouped(grad, 1, groups)
    with np.errstate(invalid="ignore", over="ignore"):
        products = np.einsum("gocpq,ngoij->ngcipjq", _grouped(kernels, 0, groups), grads)
        dX = _by_pixel(products, rows, columns).reshape(image.shape)
        seen = _windows(_grouped(image, 1, groups), rows, columns, 0)
        dW = np.zeros(kernels.shape, np.longdouble)
        if len(image):  # over an empty axis, NumPy's einsum may add up an element that lies behind its operands
            dW += np.einsum("ngcipjq,ngoij->gocpq", seen, grads).reshape(kernels.shape)
        db = None if bias is None else grad.sum(axis=(0, 2, 3))
    return _as_given(data_format, dX), dW, db


def _first_of_the_largest(seen: Array) -> Array:
    """Mark in (..., i, p, j, q) the one tap of each window that is its maximum.

    That is its first NaN, or else the first of equals, row by row.
    """
    windows = np.moveaxis(seen, -2, -3)
    flat = windows.reshape(*windows.shape[:-2], windows.shape[-2] * windows.shape[-1])
    chosen = np.arange(flat.shape[-1]) == flat.argmax(axis=-1)[..., None]
    return np.moveaxis(chosen.reshape(windows.shape), -3, -2)


def _divisors(rows: Axis, columns: Axis, count_include_pad: bool) -> Array:
    """Count what an average divides by; (i, j)."""
    along = [axis.counted if count_include_pad else axis.pixels < axis.size for axis in (rows, columns)]
    heights, widths = (table.sum(axis=1) for table in along)
    return np.asarray(heights[:, None] * widths, np.longdouble)


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
    """Pool: the maximum or the average over the taps of each window.

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
    (image,) = _channels_first(data_format, X)
    rows, columns = _axes(image, pool_size, pool_size if stride is None else stride, padding, dilation, ceil_mode)
    with np.errstate(invalid="ignore", over="ignore"):
        if mode == "max":
            seen = _windows(image, rows, columns, -np.inf)
            # all but one of the terms are zero
            pooled = np.where(_first_of_the_largest(seen), seen, 0).sum(axis=(-3, -1))
        else:
            pooled = _windows(image, rows, columns, 0).sum(axis=(-3, -1))
            pooled = pooled / _divisors(rows, columns, count_include_pad)
    return _as_given(data_format, pooled)


def pool2d_vjp(
    X: Any,
    pool_size: Any,
    grad_output: Any,
    mode: str = "max",
    *,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    data_format: str = "NCHW",
) -> Array:
    """Differentiate a pooling: what a window hands to its taps, sorted by pixel.

    Parameters
    ----------
    X, pool_size, grad_output, mode, stride, padding, dilation, ceil_mode, count_include_pad, data_format
        As for :func:`convbridge.pool2d_vjp`.

    Returns
    -------
    numpy.ndarray of longdouble
        With the shape of X.

    Examples
    --------
    >>> pool2d_vjp([[3, 1, 3], [2, 3, 0]], 2, [[10, 1]]).astype(int).tolist()
    [[10, 0, 1], [0, 0, 0]]
    """
    image, grad = _channels_first(data_format, X, grad_output)
    rows, columns = _axes(image, pool_size, pool_size if stride is None else stride, padding, dilation, ceil_mode)
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        if mode == "max":
            chosen = _first_of_the_largest(_windows(image, rows, columns, -np.inf))
            shares = np.where(chosen, grad[..., :, None, :, None], 0)
        else:
            shares = (grad / _divisors(rows, columns, count_include_pad))[..., :, None, :, None]
            shares = np.broadcast_to(shares, (*image.shape[:-2], *rows.pixels.shape, *columns.pixels.shape))
        return _as_given(data_format, _by_pixel(shares, rows, columns))
