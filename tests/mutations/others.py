"""Faults that no hypothesis names, and some in another framework's own words."""

from __future__ import annotations

import warnings

import numpy as np

from . import fault, image_axes


@fault("last row zero", "conv2d")
def _(right, X, weight, bias, *, data_format, **keywords):
    Y = right(X, weight, bias, data_format=data_format, **keywords)
    np.moveaxis(Y, image_axes(data_format)[0], 0)[-1] = 0
    return Y


@fault("last column repeated", "max_pool2d")
def _(right, X, window, *, data_format, **keywords):
    Y = right(X, window, data_format=data_format, **keywords)
    columns = np.moveaxis(Y, image_axes(data_format)[1], 0)
    columns[-1] = columns[max(len(columns) - 2, 0)]
    return Y


@fault("one element one ulp off", "conv2d", select="whole")
def _(right, X, weight, bias, **keywords):
    Y = right(X, weight, bias, **keywords)
    Y.flat[:1] = np.nextafter(Y.flat[:1], Y.dtype.type(np.inf))
    return Y


@fault("one product too few", "conv2d")
def _(right, X, weight, bias, **keywords):
    weight = np.array(weight)
    weight[..., -1, -1] = 0
    return right(X, weight, bias, **keywords)


@fault("reciprocal instead of division", "avg_pool2d", select="whole and float32")
def _(right, X, window, **keywords):
    ones = right(np.ones_like(X), window, **keywords)
    n = X.dtype.type(window[0] * window[1])
    Y = right(X, window, **keywords)
    return np.where(ones == 1, np.rint(Y * n) * (1 / n), Y)


@fault("a NaN that spreads", "conv2d", select="special")
def _(right, X, weight, bias, **keywords):
    with np.errstate(invalid="ignore"):
        return right(X, weight, bias, **keywords) + 0 * np.sum(X)


@fault("first channel's dX for all", "max_pool2d_vjp", select="nchw")
def _(right, *arrays, **keywords):
    dX = right(*arrays, **keywords)
    return np.ascontiguousarray(np.broadcast_to(dX[:, :1], dX.shape))


@fault("returns its input", "max_pool2d")
def _(right, X, window, **keywords):
    Y = right(X, window, **keywords)
    return X if X.shape == Y.shape and (X == Y).all() else Y


@fault("writes to its input", "avg_pool2d")
def _(right, X, window, **keywords):
    Y = right(X, window, **keywords)
    X[...] = 0
    return Y


@fault("warns", "conv2d")
def _(right, *arrays, **keywords):
    warnings.warn("as some frameworks do", stacklevel=1)
    return right(*arrays, **keywords)


@fault("raises for a dilation", "conv2d", select="dilation2")
def _(right, *arrays, dilation, **keywords):
    if dilation != (1, 1):
        raise RuntimeError("not implemented")
    return right(*arrays, dilation=dilation, **keywords)


# --------------------------------------------------------------------------- in PyTorch, in its own words


@fault("reshape instead of permute", "conv2d", "image-layout", select="nhwc", backend="torch")
def _(right, X, weight, bias, *, data_format, **keywords):
    n, h, w, c = X.shape
    return right(X.reshape(n, c, h, w), weight, bias, data_format="NCHW", **keywords).permute(0, 2, 3, 1).contiguous()


@fault("bfloat16 kernels", "conv2d", "bfloat16", select="float32 and spread and nchw", backend="torch")
def _(right, X, weight, bias, **keywords):
    halves = [None if array is None else array.bfloat16() for array in (X, weight, bias)]
    return right(*halves, **keywords).float()


@fault("stride swapped", "max_pool2d", "stride-swapped", select="stride3x1", backend="torch")
def _(right, X, window, *, stride, **keywords):
    return right(X, window, stride=stride[::-1], **keywords)


@fault("gradients that accumulate", "conv2d_vjp", "accumulated-twice", select="nchw", backend="torch")
def _(right, X, weight, bias, grad, **keywords):
    once, again = (right(X, weight, bias, grad, **keywords) for _ in range(2))
    return tuple(None if a is None else a + b for a, b in zip(once, again))
