"""Convolution and pooling by SciPy's filters, with convbridge's semantics.

SciPy's filters know matrices, not images of many channels; they know neither
stride nor dilation. So every operation here

* loops over the images and channels;
* filters at stride 1 and keeps every s-th result;
* takes a dilated image apart into d x d images of every d-th pixel, which a
  plain filter can look at, and puts the results back in the same way. Zeros
  between the kernel's elements would be simpler, and wrong: zero times an
  infinite pixel is NaN.

Which filters is decided by what they do to hard cases, and the conformance
tests know those: ``scipy.ndimage.correlate`` skips weights below 2.2e-16;
``scipy.ndimage.uniform_filter`` keeps a running sum, which one NaN spoils to
the end of the row; ``scipy.signal.fftconvolve`` spreads the rounding of the
largest pixel over the whole image. ``scipy.signal.correlate2d`` is a plain sum.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from scipy import ndimage, signal

from convbridge.geometry import Pair, Sides

Array = np.ndarray[Any, Any]

# --------------------------------------------------------------------------- one matrix


def _phases(dilation: Pair) -> Iterator[tuple[slice, slice]]:
    """Yield every d-th row and column, from each start."""
    for row in range(dilation[0]):
        for column in range(dilation[1]):
            yield slice(row, None, dilation[0]), slice(column, None, dilation[1])


def _look(filtered: Callable[[Array], Array], image: Array, size: tuple[int, ...], dilation: Pair) -> Array:
    """Filter every window of a matrix; ``filtered`` knows no dilation."""
    shape = tuple(n - d * (k - 1) for n, k, d in zip(image.shape, size, dilation))
    Y = np.empty(shape, image.dtype)
    for phase in _phases(dilation):
        if Y[phase].size:
            Y[phase] = filtered(image[phase])
    return Y


def _correlate(image: Array, kernel: Array, dilation: Pair) -> Array:
    return _look(lambda part: signal.correlate2d(part, kernel, mode="valid"), image, kernel.shape, dilation)


def _spread(grad: Array, kernel: Array, dilation: Pair) -> Array:
    """Do the reverse of :func:`_correlate`: hand every element of ``grad`` to the window that it came from."""
    X = np.zeros([n + d * (k - 1) for n, k, d in zip(grad.shape, kernel.shape, dilation)], grad.dtype)
    for phase in _phases(dilation):
        if grad[phase].size:
            X[phase] = signal.convolve2d(grad[phase], kernel, mode="full")
    return X


def _unstrided(grad: Array, stride: Pair) -> Array:
    """Put back the zeros for the windows that a stride skipped."""
    n, c, height, width = grad.shape
    full = np.zeros((n, c, (height - 1) * stride[0] + 1, (width - 1) * stride[1] + 1), grad.dtype)
    full[:, :, :: stride[0], :: stride[1]] = grad
    return full


def _inner(Y: Array, size: Pair) -> Array:
    """Keep the windows inside the image; scipy.ndimage answers at each window's centre, and beyond the edges."""
    return Y[tuple(slice(k // 2, n - (k - 1) // 2) for n, k in zip(Y.shape, size))]


def _maxima(image: Array, size: Pair) -> Array:
    """Take the maximum of every window; SciPy's filter loses NaN, so it is looked for apart."""
    missing = np.isnan(image)
    if not missing.any():
        return _inner(ndimage.maximum_filter(image, size), size)
    numbers = ndimage.maximum_filter(np.where(missing, -np.inf, image), size)
    return _inner(np.where(ndimage.maximum_filter(missing, size), np.nan, numbers), size)


def _first_maxima(image: Array, size: Pair) -> Array:
    """Find the place of every window's maximum, counted row by row; to ``argmax`` a NaN is the largest number."""
    return _inner(ndimage.generic_filter(image, np.argmax, size), size)


# --------------------------------------------------------------------------- batches of images


def _channels_first(X: Array, data_format: str) -> Array:
    return X if data_format == "NCHW" else np.moveaxis(X, 3, 1)


def _as_given(Y: Array, data_format: str) -> Array:
    return Y if data_format == "NCHW" else np.moveaxis(Y, 1, 3)


def _pad(X: Array, padding: Sides, value: float) -> Array:
    top, bottom, left, right = padding
    return np.pad(X, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=value)


def _crop(X: Array, padding: Sides) -> Array:
    top, bottom, left, right = padding
    return X[:, :, top : X.shape[2] - bottom, left : X.shape[3] - right]


def _channels(image: Array, weight: Array, groups: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield an image, an output channel, and an input channel that it sees: its number in X, and in the weight."""
    outputs, per_group = weight.shape[:2]
    for n, o, c in np.ndindex(len(image), outputs, per_group):
        yield n, o, o // (outputs // groups) * per_group + c, c


@np.errstate(all="ignore")  # infinities and NaNs are values here, as in the other backends
def conv2d(
    X: Array,
    weight: Array,
    bias: Array | None,
    *,
    stride: Pair,
    padding: Sides,
    dilation: Pair,
    groups: int,
    data_format: str,
) -> Array:
    """Cross-correlate one matrix with one kernel at a time, and add up over the channels."""
    image = _pad(_channels_first(X, data_format), padding, 0)
    sums: dict[tuple[int, int], Array] = {}
    for n, o, seen, c in _channels(image, weight, groups):
        part = _correlate(image[n, seen], weight[o, c], dilation)[:: stride[0], :: stride[1]]
        sums[n, o] = sums[n, o] + part if (n, o) in sums else part
    Y = np.stack(list(sums.values())).reshape(len(X), len(weight), *part.shape)
    return _as_given(Y if bias is None else Y + bias.reshape(-1, 1, 1), data_format)


@np.errstate(all="ignore")
def max_pool2d(X: Array, pool_size: Pair, *, stride: Pair, padding: Sides, dilation: Pair, data_format: str) -> Array:
    """Take the maximum of every window; padding counts as minus infinity."""
    image = _pad(_channels_first(X, data_format), padding, -np.inf)
    pooled = [
        _look(lambda part: _maxima(part, pool_size), matrix, pool_size, dilation)[:: stride[0], :: stride[1]]
        for matrix in image.reshape(-1, *image.shape[2:])
    ]
    return _as_given(np.stack(pooled).reshape(*image.shape[:2], *pooled[0].shape), data_format)


def _ones(X: Array, pool_size: Pair, data_format: str) -> Array:
    """Make the weight of a convolution that sums every channel's windows."""
    return np.ones((X.shape[data_format.index("C")], 1, *pool_size), X.dtype)


def _divisor(
    X: Array, pool_size: Pair, data_format: str, *, stride: Pair, padding: Sides, counted: Sides, dilation: Pair
) -> Any:
    """Count what is averaged: a number, or one for every window where part of the padding does not count."""
    if counted is padding:
        return pool_size[0] * pool_size[1]
    ones = _pad(np.ones_like(_channels_first(X, data_format)[:1, :1]), counted, 1)
    rest = Sides(*(all_of - part for all_of, part in zip(padding, counted)))
    weight = _ones(ones, pool_size, "NCHW")
    counts = conv2d(ones, weight, None, stride=stride, padding=rest, dilation=dilation, groups=1, data_format="NCHW")
    return _as_given(counts, data_format)


@np.errstate(all="ignore")
def avg_pool2d(
    X: Array, pool_size: Pair, *, stride: Pair, padding: Sides, counted: Sides, dilation: Pair, data_format: str
) -> Array:
    """Average every window over the image and the ``counted`` part of its padding."""
    where: dict[str, Any] = {"stride": stride, "padding": padding, "dilation": dilation}
    weight = _ones(X, pool_size, data_format)
    sums = conv2d(X, weight, None, **where, groups=len(weight), data_format=data_format)
    averages: Array = sums / _divisor(X, pool_size, data_format, **where, counted=counted)
    return averages


# --------------------------------------------------------------------------- gradients


@np.errstate(all="ignore")
def conv2d_vjp(
    X: Array,
    weight: Array,
    bias: Array | None,
    grad_output: Array,
    *,
    stride: Pair,
    padding: Sides,
    dilation: Pair,
    groups: int,
    data_format: str,
) -> tuple[Array, Array, Array | None]:
    """Return the gradients of X, weight and bias."""
    image = _pad(_channels_first(X, data_format), padding, 0)
    grad = _unstrided(_channels_first(grad_output, data_format), stride)
    dX, dW = np.zeros_like(image), np.zeros_like(weight)
    rows, columns = (n + d * (k - 1) for n, k, d in zip(grad.shape[2:], weight.shape[2:], dilation))
    for n, o, seen, c in _channels(image, weight, groups):
        dX[n, seen, :rows, :columns] += _spread(grad[n, o], weight[o, c], dilation)
        taps = signal.correlate2d(image[n, seen, :rows, :columns], grad[n, o], mode="valid")
        dW[o, c] += taps[:: dilation[0], :: dilation[1]]
    db = None if bias is None else grad.sum(axis=(0, 2, 3))
    return _as_given(_crop(dX, padding), data_format), dW, db


@np.errstate(all="ignore")
def max_pool2d_vjp(
    X: Array, pool_size: Pair, grad_output: Array, *, stride: Pair, padding: Sides, dilation: Pair, data_format: str
) -> Array:
    """Return the gradient of X: each window's goes to the first of its maxima."""
    image = _pad(_channels_first(X, data_format), padding, -np.inf)
    grad = _channels_first(grad_output, data_format)
    dX = np.zeros_like(image)
    rows, columns = np.indices(grad.shape[2:])
    for n, c in np.ndindex(image.shape[:2]):
        places = _look(lambda part: _first_maxima(part, pool_size), image[n, c], pool_size, dilation)
        row, column = np.divmod(places[:: stride[0], :: stride[1]].astype(int), pool_size[1])
        where = (rows * stride[0] + row * dilation[0], columns * stride[1] + column * dilation[1])
        np.add.at(dX[n, c], where, grad[n, c])
    return _as_given(_crop(dX, padding), data_format)


@np.errstate(all="ignore")
def avg_pool2d_vjp(
    X: Array,
    pool_size: Pair,
    grad_output: Array,
    *,
    stride: Pair,
    padding: Sides,
    counted: Sides,
    dilation: Pair,
    data_format: str,
) -> Array:
    """Return the gradient of X: each window's is shared by its elements."""
    where: dict[str, Any] = {"stride": stride, "padding": padding, "dilation": dilation}
    weight = _ones(X, pool_size, data_format)
    shares = grad_output / _divisor(X, pool_size, data_format, **where, counted=counted)
    return conv2d_vjp(X, weight, None, shares, **where, groups=len(weight), data_format=data_format)[0]
