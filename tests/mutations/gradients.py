"""Faults of a gradient."""

from __future__ import annotations

import numpy as np

from . import SIDES, fault


@fault("dX scaled by 2", "conv2d_vjp", "accumulated-twice")
def _(right, *arrays, **keywords):
    dX, dW, db = right(*arrays, **keywords)
    return 2 * dX, dW, db


@fault("dW a mean over the batch", "conv2d_vjp", "mean")
def _(right, X, *arrays, **keywords):
    dX, dW, db = right(X, *arrays, **keywords)
    return dX, dW / X.dtype.type(len(X)), db


@fault("db a mean over the batch", "conv2d_vjp", "mean", select="bias")
def _(right, X, *arrays, **keywords):
    dX, dW, db = right(X, *arrays, **keywords)
    return dX, dW, None if db is None else db / X.dtype.type(len(X))


@fault("dW of the first image alone", "conv2d_vjp", "one-image")
def _(right, X, weight, bias, grad, **keywords):
    dX, _, db = right(X, weight, bias, grad, **keywords)
    return dX, right(X[:1], weight, bias, grad[:1], **keywords)[1], db


@fault("dX with a flipped kernel", "conv2d_vjp", "flipped-kernel")
def _(right, X, weight, bias, grad, **keywords):
    _, dW, db = right(X, weight, bias, grad, **keywords)
    return right(X, weight[:, :, ::-1, ::-1], bias, grad, **keywords)[0], dW, db


@fault("dW flipped", "conv2d_vjp", "flipped-kernel")
def _(right, *arrays, **keywords):
    dX, dW, db = right(*arrays, **keywords)
    return dX, np.ascontiguousarray(dW[:, :, ::-1, ::-1]), db


@fault("dX cut from the wrong side", "conv2d_vjp", *SIDES)
def _(right, X, weight, bias, grad, *, padding, **keywords):
    _, dW, db = right(X, weight, bias, grad, padding=padding, **keywords)
    top, bottom, left, right_side = padding
    swapped = type(padding)(bottom, top, right_side, left)
    return right(X, weight, bias, grad, padding=swapped, **keywords)[0], dW, db


@fault("dX of an average doubled", "avg_pool2d_vjp", "accumulated-twice")
def _(right, *arrays, **keywords):
    return 2 * right(*arrays, **keywords)


@fault("padding counted in dX", "avg_pool2d_vjp", "padding-counted", select="uncounted and not ceil")
def _(right, X, window, grad, *, padding, counted, **keywords):
    return right(X, window, grad, padding=padding, counted=padding, **keywords)


@fault("ties to the last maximum", "max_pool2d_vjp", "ties-last", select="whole and nchw")
def _(right, X, window, grad, *, padding, stride, dilation, data_format):
    X, inside = _exact(X, window, grad, padding, stride, dilation)
    flipped = [array[:, :, ::-1, ::-1] for array in (X, grad)]
    keywords = {"stride": stride, "dilation": dilation, "data_format": data_format}
    dX = right(flipped[0], window, flipped[1], padding=type(padding)(0, 0, 0, 0), **keywords)
    return inside(dX[:, :, ::-1, ::-1])


@fault("ties split evenly", "max_pool2d_vjp", "ties-split", select="whole and nchw")
def _(right, X, window, grad, *, padding, stride, dilation, data_format):
    X, inside = _exact(X, window, grad, padding, stride, dilation)
    dX = np.zeros_like(X)
    for i, j in np.ndindex(*grad.shape[2:]):
        rows, columns = (np.arange(n) * d + k * s for n, d, k, s in zip(window, dilation, (i, j), stride))
        seen = X[:, :, rows[:, None], columns]
        equal = seen == seen.max(axis=(2, 3), keepdims=True)
        dX[:, :, rows[:, None], columns] += equal * grad[:, :, i, j, None, None] / equal.sum(axis=(2, 3), keepdims=True)
    return inside(dX).astype(X.dtype)


def _exact(X, window, grad, padding, stride, dilation):
    """Pad or cut an image so that exactly the windows of a gradient fit; return the way back, too."""
    top, bottom, left, right = padding
    height, width = X.shape[2:]
    X = np.pad(X, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=-np.inf)
    lengths = [(out - 1) * s + d * (k - 1) + 1 for out, s, d, k in zip(grad.shape[2:], stride, dilation, window)]

    def inside(dX):
        whole = np.zeros(X.shape, X.dtype)
        whole[:, :, : dX.shape[2], : dX.shape[3]] = dX
        return np.ascontiguousarray(whole[:, :, top : top + height, left : left + width])

    return X[:, :, : lengths[0], : lengths[1]], inside
