"""Convolution and pooling with MXNet's operators and convbridge's semantics.

Each operator is written once, for ``F = mx.nd`` (arrays) and ``F = mx.sym``
(symbols, in a hybridized Gluon block), so it never asks for a shape: padding
is put on with ``F.pad``, windows are combined through strided slices, and an
average's divisor is pooled from ones like the image. The functions without
``F`` are the ones that the facade calls; they wait for the result, so that
MXNet's errors surface at the call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from convbridge.dispatch import NotPlannedError
from convbridge.geometry import Pair, Sides
from convbridge_mxnet import autograd_lock
from convbridge_mxnet._compat import mxnet as mx
from convbridge_mxnet._invoke import graph, operator, reshape
from convbridge_mxnet.arrays import dtype_name, finish

Array = Any

nd = mx.nd

_INFINITY = float("inf")


def _channels_first(F: Any, X: Array, data_format: str) -> Array:
    return X if data_format == "NCHW" else F.transpose(X, axes=(0, 3, 1, 2))


def _as_given(F: Any, Y: Array, data_format: str) -> Array:
    return Y if data_format == "NCHW" else F.transpose(Y, axes=(0, 2, 3, 1))


def _pad(F: Any, X: Array, padding: Sides, value: float) -> Array:
    """Put a constant around the image; without padding, return it as it is."""
    if not any(padding):
        return X
    return F.pad(X, mode="constant", pad_width=(0, 0, 0, 0, *padding), constant_value=value)


# --------------------------------------------------------------------------- convolution


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
    return finish(
        lambda: convolve(
            nd,
            X,
            weight,
            bias,
            kernel=tuple(weight.shape[2:]),
            channels=weight.shape[0],
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=groups,
            data_format=data_format,
        )
    )


def convolve(
    F: Any,
    X: Array,
    weight: Array,
    bias: Array | None,
    *,
    kernel: Pair,
    channels: int,
    stride: Pair,
    padding: Sides,
    dilation: Pair,
    groups: int,
    data_format: str,
) -> Array:
    """Cross-correlate arrays or symbols."""
    image = _pad(F, _channels_first(F, X, data_format), padding, 0.0)
    arguments = {"kernel": kernel, "stride": stride, "dilate": dilation, "num_filter": channels, "num_group": groups}
    if bias is None:
        Y = F.Convolution(image, weight, no_bias=True, **arguments)
    else:
        Y = F.Convolution(image, weight, bias, **arguments)
    return _as_given(F, Y, data_format)


# --------------------------------------------------------------------------- pooling


def max_pool2d(
    X: Array,
    pool_size: Pair,
    *,
    stride: Pair,
    padding: Sides,
    dilation: Pair,
    data_format: str,
) -> Array:
    """Take the maximum of every window; padding counts as minus infinity.

    The operator loses NaNs and turns a window of minus infinities into the
    lowest finite number, so it is asked only where there are none of them.
    """
    pool = _pool_max if dilation == (1, 1) and _is_ordinary(X) else _fold_max

    def compute() -> Array:
        image = _pad(nd, _channels_first(nd, X, data_format), padding, -_INFINITY)
        if image is X and mx.autograd.is_recording():
            image = nd.identity(X)  # the gradient of an array that views another (a reshape, a slice) is garbage
        return _as_given(nd, pool(nd, image, pool_size, stride, dilation), data_format)

    return finish(compute)


def max_pool_any(
    F: Any, X: Array, pool_size: Pair, *, stride: Pair, padding: Sides, dilation: Pair, data_format: str
) -> Array:
    """Pool arrays or symbols whose values cannot be looked at.

    Two more poolings find the windows that hold a NaN or nothing but minus
    infinities; the gradient of those windows is zero.
    """
    image = _pad(F, _channels_first(F, X, data_format), padding, -_INFINITY)
    if dilation != (1, 1):
        return _as_given(F, _fold_max(F, image, pool_size, stride, dilation), data_format)
    pooled = _pool_max(F, image, pool_size, stride, dilation)
    ones = F.ones_like(pooled)
    is_nan = _pool_max(F, image != image, pool_size, stride, dilation)
    is_finite_somewhere = _pool_max(F, image > -_INFINITY, pool_size, stride, dilation)
    Y = F.where(is_finite_somewhere, pooled, -_INFINITY * ones)
    return _as_given(F, F.where(is_nan, float("nan") * ones, Y), data_format)


def _is_ordinary(X: Array) -> bool:
    """Tell whether every element is greater than minus infinity, which a NaN is not either."""
    with mx.autograd.pause():
        return bool(finish(lambda: (X > -_INFINITY).min()).asscalar())


def _pool_max(F: Any, image: Array, pool_size: Pair, stride: Pair, dilation: Pair) -> Array:
    """Run MXNet's operator, which knows no dilation."""
    return F.Pooling(image, kernel=pool_size, stride=stride, pool_type="max")


def _fold_max(F: Any, image: Array, pool_size: Pair, stride: Pair, dilation: Pair) -> Array:
    """Compare element by element: columns first, so that the first of equals is the first in row-major order."""

    def first_maximum(best: Array, other: Array) -> Array:
        keep = F.broadcast_logical_or(F.broadcast_greater_equal(best, other), F.broadcast_not_equal(best, best))
        return F.where(keep, best, other)

    columns = _fold(F, image, 3, pool_size[1], stride[1], dilation[1], first_maximum)
    return _fold(F, columns, 2, pool_size[0], stride[0], dilation[0], first_maximum)


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

    def compute() -> Array:
        dtype = dtype_name(X)
        # a sum of halves overflows long before its average does
        image = X.astype("float32") if dtype == "float16" else X
        Y = avg_pool_any(
            nd,
            image,
            pool_size,
            stride=stride,
            padding=padding,
            counted=counted,
            dilation=dilation,
            data_format=data_format,
        )
        return Y.astype(dtype) if dtype == "float16" else Y

    return finish(compute)


def avg_pool_any(
    F: Any,
    X: Array,
    pool_size: Pair,
    *,
    stride: Pair,
    padding: Sides,
    counted: Sides,
    dilation: Pair,
    data_format: str,
) -> Array:
    """Average arrays or symbols."""
    image = _channels_first(F, X, data_format)
    sums = _sum_windows(F, _pad(F, image, padding, 0.0), pool_size, stride, dilation)
    if counted is padding:
        Y = sums / (pool_size[0] * pool_size[1])
    else:
        Y = F.broadcast_div(sums, _window_counts(F, image, pool_size, stride, padding, counted, dilation))
    return _as_given(F, Y, data_format)


def _sum_windows(F: Any, image: Array, pool_size: Pair, stride: Pair, dilation: Pair) -> Array:
    """Sum every window; MXNet's operator knows no dilation."""
    if dilation == (1, 1):
        return F.Pooling(image, kernel=pool_size, stride=stride, pool_type="sum")
    rows = _fold(F, image, 2, pool_size[0], stride[0], dilation[0], F.elemwise_add)
    return _fold(F, rows, 3, pool_size[1], stride[1], dilation[1], F.elemwise_add)


def _window_counts(
    F: Any, image: Array, pool_size: Pair, stride: Pair, padding: Sides, counted: Sides, dilation: Pair
) -> Array:
    """Count what an average divides by: pool an image of ones like the image itself."""
    one_image = F.slice_axis(F.slice_axis(image, axis=0, begin=0, end=1), axis=1, begin=0, end=1)
    uncounted = Sides(*(all_of - part for all_of, part in zip(padding, counted)))
    ones = _pad(F, _pad(F, F.ones_like(one_image), counted, 1.0), uncounted, 0.0)
    return _sum_windows(F, ones, pool_size, stride, dilation)


def _fold(F: Any, image: Array, axis: int, kernel: int, stride: int, dilation: int, combine: Any) -> Array:
    """Combine the elements of every window along one axis, from the first to the last.

    The slice that starts at a window's last element has exactly one element
    for each window; the others may be longer and are cut to its length.
    """

    def tap(offset: int) -> Array:
        begin = tuple(offset * dilation if here == axis else None for here in range(4))
        step = tuple(stride if here == axis else None for here in range(4))
        return F.slice(image, begin=begin, end=(None,) * 4, step=step)

    last = tap(kernel - 1)
    result = None
    for offset in range(kernel):
        here = last if offset == kernel - 1 else F.slice_like(tap(offset), last, axes=(axis,))
        result = here if result is None else combine(result, here)
    return result


# --------------------------------------------------------------------------- gradients


def _gradients(compute: Any, inputs: tuple[Array, ...], grad_output: Array) -> tuple[Array, ...]:
    """Record a function on detached inputs and return fresh gradients, one thread at a time."""
    with autograd_lock:
        leaves = tuple(x.detach() for x in inputs)
        for leaf in leaves:
            leaf.attach_grad()
        with mx.autograd.record():
            Y = compute(*leaves)
        finish(lambda: Y.backward(grad_output) or Y)
        return tuple(finish(lambda leaf=leaf: leaf.grad) for leaf in leaves)


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

    def compute(X: Array, weight: Array, bias: Array | None = None) -> Array:
        return conv2d(
            X,
            weight,
            bias,
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=groups,
            data_format=data_format,
        )

    found = _gradients(compute, (X, weight) if bias is None else (X, weight, bias), grad_output)
    return found[0], found[1], None if bias is None else found[2]


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

    def compute(X: Array) -> Array:
        return max_pool2d(X, pool_size, stride=stride, padding=padding, dilation=dilation, data_format=data_format)

    return _gradients(compute, (X,), grad_output)[0]


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

    def compute(X: Array) -> Array:
        return avg_pool2d(
            X,
            pool_size,
            stride=stride,
            padding=padding,
            counted=counted,
            dilation=dilation,
            data_format=data_format,
        )

    return _gradients(compute, (X,), grad_output)[0]


# --------------------------------------------------------------------------- prepared calls


def prepare_corr2d(X_shape: tuple[int, ...], K_shape: tuple[int, ...], dtype: str) -> Callable[..., Array] | None:
    """Work out, once for many calls, how matrices of these shapes and this dtype are correlated."""
    correlate = operator("Convolution", 2, {"no_bias": True, "kernel": K_shape, "num_filter": 1})
    image, kernel = reshape((1, 1, *X_shape)), reshape((1, 1, *K_shape))
    matrix = reshape((X_shape[0] - K_shape[0] + 1, X_shape[1] - K_shape[1] + 1))

    def run(X: Array, K: Array) -> Array:
        if nd.Convolution is not _convolution:
            raise NotPlannedError  # automatic mixed precision has put its own in its place
        return finish(lambda: matrix(correlate(image(X), kernel(K))))

    return run


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
    if data_format != "NCHW":
        return None
    is_padded = any(padding)
    sides = {"mode": "constant", "pad_width": (0, 0, 0, 0, *padding), "constant_value": 0.0}
    pad = operator("Pad", 1, sides)
    parameters = {"no_bias": not has_bias, "kernel": tuple(weight_shape[2:]), "num_filter": weight_shape[0]}
    usual = {"stride": (1, 1), "dilate": (1, 1), "num_group": 1}
    given = {"stride": stride, "dilate": dilation, "num_group": groups}
    # parameters that are left out need not be read
    parameters |= {name: value for name, value in given.items() if value != usual[name]}
    correlate = operator("Convolution", 3 if has_bias else 2, parameters)
    n, c, h, w = X_shape
    elements = n * c * (h + padding.top + padding.bottom) * (w + padding.left + padding.right)
    both: Callable[..., Array] | None = None
    if is_padded and elements * np.dtype(dtype).itemsize <= SMALL:
        symbols = [mx.sym.var(name) for name in ("X", "weight", "bias")[: 2 + has_bias]]
        both = graph(mx.sym.Convolution(mx.sym.Pad(symbols[0], **sides), *symbols[1:], **parameters))
    is_recording = mx.autograd.is_recording

    def run(X: Array, weight: Array, bias: Array | None) -> Array:
        if nd.Convolution is not _convolution:
            raise NotPlannedError  # automatic mixed precision has put its own in its place
        others = (weight,) if bias is None else (weight, bias)
        if both is not None and not is_recording():
            return finish(lambda: both(X, *others))
        return finish(lambda: correlate(pad(X) if is_padded else X, *others))

    return run


#: Bytes of a padded image up to which a plan keeps memory for it.
SMALL = 2**16

_convolution = nd.Convolution
