"""Faults of a pooling: windows, what they hold, what an average divides by."""

from __future__ import annotations

import numpy as np

from . import SIDES, fault, image_axes


@fault("padding on the other side", "max_pool2d", *SIDES, select="not ceil and (pad2x0 or pad0x1 or same or chapter)")
def _(right, X, window, *, padding, **keywords):
    top, bottom, left, right_side = padding
    return right(X, window, padding=type(padding)(bottom, top, right_side, left), **keywords)


@fault("stride swapped", "avg_pool2d", "stride-swapped", select="stride3x1")
def _(right, X, window, *, stride, **keywords):
    return right(X, window, stride=stride[::-1], **keywords)


@fault(
    "ceil mode rounds down",
    "max_pool2d",
    "ceil-mode",
    select="ceil and (stride2 or stride3) and not (pad1x0 or 1x1x2x2)",
)
def _(right, X, window, *, padding, **keywords):
    top, bottom, left, right_side = padding  # what sticks out is what the end has more than the start
    return right(X, window, padding=type(padding)(top, min(top, bottom), left, min(left, right_side)), **keywords)


@fault("windows outside kept (ceil)", "max_pool2d", "full-convention", select="ceil and (1x1 or stride3)")
def _(right, X, window, *, padding, stride, **keywords):
    top, bottom, left, right_side = padding
    more = type(padding)(top, bottom + stride[0] - 1, left, right_side + stride[1] - 1)
    return right(X, window, padding=more, stride=stride, **keywords)


@fault("last window dropped", "avg_pool2d", "window-count", "ceil-mode")
def _(right, X, window, *, data_format, **keywords):
    Y = right(X, window, data_format=data_format, **keywords)
    return np.ascontiguousarray(
        np.moveaxis(np.moveaxis(Y, image_axes(data_format)[1], 0)[:-1], 0, image_axes(data_format)[1])
    )


def _padded(X, padding, data_format, value):
    widths = [(0, 0)] * 4
    for axis, ends in zip(image_axes(data_format), (padding[:2], padding[2:])):
        widths[axis] = ends
    return np.pad(X, widths, constant_values=value)


@fault("padding with 0, not -inf", "max_pool2d", "zero-padding")
def _(right, X, window, *, padding, data_format, **keywords):
    X = _padded(X, padding, data_format, 0)
    return right(X, window, padding=type(padding)(0, 0, 0, 0), data_format=data_format, **keywords)


@fault(
    "padding with the lowest number",
    "max_pool2d",
    "lowest-padding",
    "infinity-lost",
    select="special and max-1x1",
)
def _(right, X, window, *, padding, data_format, **keywords):
    X = _padded(np.where(np.isneginf(X), np.finfo(X.dtype).min, X), padding, data_format, np.finfo(X.dtype).min)
    return right(X, window, padding=type(padding)(0, 0, 0, 0), data_format=data_format, **keywords)


@fault("NaN lost", "max_pool2d", "nan-lost", select="special")
def _(right, X, window, **keywords):
    return right(np.where(np.isnan(X), -np.inf, X).astype(X.dtype), window, **keywords)


@fault("padding counted", "avg_pool2d", "padding-counted", select="uncounted and not ceil")
def _(right, X, window, *, padding, counted, **keywords):
    return right(X, window, padding=padding, counted=padding, **keywords)


@fault("padding not counted", "avg_pool2d", "padding-counted")
def _(right, X, window, *, padding, counted, **keywords):
    return right(X, window, padding=padding, counted=type(padding)(0, 0, 0, 0), **keywords)


@fault("divisor not clipped", "avg_pool2d", "divisor-not-clipped", select="ceil and not uncounted")
def _(right, X, window, *, padding, counted, **keywords):
    return right(X, window, padding=padding, counted=padding, **keywords)


@fault("sum instead of average", "avg_pool2d", "scaled")
def _(right, X, window, **keywords):
    return right(X, window, **keywords) * X.dtype.type(window[0] * window[1])
