"""Convolution and pooling in NumPy, with convbridge's semantics.

NumPy has no such operators; the algorithms lie in ``engine/``. This file
brings the layout, the padding and the dtype into the form they expect:
channels first, no padding, float32 or float64.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from convbridge.geometry import Pair, Sides
from convbridge.selection import precision
from convbridge_numpy.engine import convolve, gradients, pool, prepared
from convbridge_numpy.engine.kept import KEPT

Array = np.ndarray[Any, Any]


def _channels_first(X: Array, data_format: str) -> Array:
    return X if data_format == "NCHW" else X.transpose(0, 3, 1, 2)


def _planes(X: Array, data_format: str) -> Array:
    """View a batch as pooling takes it: (N C, H, W), or (N, H, W, C)."""
    return X.reshape(-1, *X.shape[2:]) if data_format == "NCHW" else X


def _unplanes(Y: Array, X: Array) -> Array:
    """Separate batch and channels again."""
    return Y.reshape(*X.shape[:2], *Y.shape[1:]) if Y.ndim == 3 else Y


def _as_given(Y: Array, data_format: str) -> Array:
    return Y if data_format == "NCHW" else np.ascontiguousarray(Y.transpose(0, 2, 3, 1))


def _widen(X: Array) -> Array:
    """Compute halves in single precision, which rounds once at the end instead of at every step."""
    return X.astype(np.float32) if X.dtype == np.float16 else X


def _pad(X: Array, padding: Sides, value: float) -> Array:
    """Put a constant around the image; without padding, return it as it is."""
    if not any(padding):
        return X
    top, bottom, left, right = padding
    n, c, h, w = X.shape
    padded = np.full((n, c, top + h + bottom, left + w + right), value, X.dtype)
    padded[:, :, top : top + h, left : left + w] = X
    return padded


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
    """Cross-correlate."""
    image = _widen(_channels_first(X, data_format))
    last = data_format == "NHWC"
    fast = precision() == "fast" and X.dtype != np.float16
    with np.errstate(all="ignore"):  # infinities and NaNs are values here, as in the other frameworks
        Y = convolve.conv2d(
            image,
            _widen(weight),
            stride,
            padding,
            dilation,
            groups,
            channels_last=last,
            fast=fast,
            kept=KEPT.get(),
        )
        if bias is not None:
            Y += bias.reshape(-1, 1, 1)
        return (Y.transpose(0, 2, 3, 1) if last else Y).astype(X.dtype, copy=False)


def max_pool2d(
    X: Array,
    pool_size: Pair,
    *,
    stride: Pair,
    padding: Sides,
    dilation: Pair,
    data_format: str,
) -> Array:
    """Take the maximum of every window; padding counts as minus infinity."""
    with np.errstate(all="ignore"):
        planes = _planes(X, data_format)
        return _unplanes(pool.reduce_windows(planes, pool_size, stride, dilation, np.maximum, padding, -np.inf), X)


def avg_pool2d(
    X: Array,
    pool_size: Pair,
    *,
    stride: Pair,
    padding: Sides,
    counted: Sides,
    dilation: Pair,
    data_format: str,
) -> Array:
    """Average every window over the image and the ``counted`` part of its padding."""
    image = _widen(X)
    with np.errstate(all="ignore"):
        everywhere = pool_size[0] * pool_size[1] if counted is padding else 1
        planes = _planes(image, data_format)
        Y = pool.reduce_windows(planes, pool_size, stride, dilation, np.add, padding, divisor=everywhere)
        if counted is not padding:
            size = (X.shape[2], X.shape[3]) if data_format == "NCHW" else (X.shape[1], X.shape[2])
            counts = _window_counts(size, image.dtype, pool_size, stride, padding, counted, dilation)
            Y /= counts if data_format == "NCHW" else counts[..., None]
        return _unplanes(Y, X).astype(X.dtype, copy=False)


def _window_counts(
    size: Pair, dtype: np.dtype[Any], pool_size: Pair, stride: Pair, padding: Sides, counted: Sides, dilation: Pair
) -> Array:
    """Count what an average divides by: pool an image of ones, (1, H', W'), like the image itself."""
    ones = np.zeros((1, size[0] + padding.top + padding.bottom, size[1] + padding.left + padding.right), dtype)
    uncounted = Sides(*(all_of - part for all_of, part in zip(padding, counted)))
    height, width = ones.shape[1:]
    ones[:, uncounted.top : height - uncounted.bottom, uncounted.left : width - uncounted.right] = 1
    return pool.reduce_windows(ones, pool_size, stride, dilation, np.add)


# --------------------------------------------------------------------------- gradients


def _crop(dX: Array, padding: Sides) -> Array:
    """Drop the gradient of the padding."""
    top, bottom, left, right = padding
    return dX[:, :, top : dX.shape[2] - bottom, left : dX.shape[3] - right]


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
    image, kernels = _widen(_channels_first(X, data_format)), _widen(weight)
    grad = _widen(_channels_first(grad_output, data_format))
    size, kernel = (image.shape[2], image.shape[3]), (weight.shape[2], weight.shape[3])
    with np.errstate(all="ignore"):
        dX = gradients.conv2d_input(kernels, grad, size, stride, padding, dilation, groups)
        dW = gradients.conv2d_weight(image, grad, kernel, stride, padding, dilation, groups)
        db = None if bias is None else grad.sum(axis=(0, 2, 3)).astype(X.dtype, copy=False)
        return _as_given(dX, data_format).astype(X.dtype, copy=False), dW.astype(X.dtype, copy=False), db


def max_pool2d_vjp(
    X: Array,
    pool_size: Pair,
    grad_output: Array,
    *,
    stride: Pair,
    padding: Sides,
    dilation: Pair,
    data_format: str,
) -> Array:
    """Return the gradient of X: each window's goes to the first of its maxima."""
    image = _pad(_widen(_channels_first(X, data_format)), padding, -np.inf)
    grad = _widen(_channels_first(grad_output, data_format))
    with np.errstate(all="ignore"):
        planes = _planes(image, "NCHW")
        pooled = _unplanes(pool.reduce_windows(planes, pool_size, stride, dilation, np.maximum), image)
        dX = gradients.max_pool2d_input(image, pooled, grad, pool_size, stride, dilation)
        return np.array(_as_given(_crop(dX, padding), data_format), X.dtype)


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
    image = _widen(_channels_first(X, data_format))
    grad = _widen(_channels_first(grad_output, data_format))
    size_of_image = (image.shape[2], image.shape[3])
    size = (image.shape[2] + padding.top + padding.bottom, image.shape[3] + padding.left + padding.right)
    with np.errstate(all="ignore"):
        if counted is padding:
            share = grad / (pool_size[0] * pool_size[1])
        else:
            share = grad / _window_counts(size_of_image, image.dtype, pool_size, stride, padding, counted, dilation)
        dX = gradients.avg_pool2d_input(share, size, pool_size, stride, dilation)
        return np.array(_as_given(_crop(dX, padding), data_format), X.dtype)


# --------------------------------------------------------------------------- prepared calls


def prepare_corr2d(X_shape: tuple[int, ...], K_shape: tuple[int, ...], dtype: str) -> Callable[..., Array] | None:
    """Work out, once for many calls, how matrices of these shapes and this dtype are correlated."""
    return prepared.matrices(X_shape, K_shape, dtype)


def prepare_conv2d(
    X_shape: tuple[int, ...],
    weight_shape: tuple[int, ...],
    has_bias: bool,
    dtype: str,
    *,
    stride: Pair,
    padding: Sides,
    dilation: Pair,
    groups: int,
    data_format: str,
) -> Callable[..., Array] | None:
    """Work out, once for many calls, how :func:`conv2d` computes these shapes; None where it has to look each time."""
    found = None
    if X_shape[0] == groups == 1 and data_format == "NCHW":
        found = prepared.image(X_shape, weight_shape, has_bias, dtype, stride, padding, dilation)
    return found or prepared.batch(X_shape, weight_shape, dtype, stride, padding, dilation, groups, data_format)
