"""Faults of a convolution: padding, windows, kernels, layouts, bias, groups."""

from __future__ import annotations

import numpy as np

from . import SIDES, channel_axis, fault, image_axes

UNEVEN = "pad1x0 or pad0x3 or same or chapter"


@fault("padding on the other side", "conv2d", *SIDES, select=UNEVEN)
def _(right, X, weight, bias, *, padding, **keywords):
    top, bottom, left, right_side = padding
    return right(X, weight, bias, padding=type(padding)(bottom, top, right_side, left), **keywords)


@fault("padding dropped", "conv2d", "padding-dropped", select="(pad1 or pad2x1 or same or chapter) and not size1x1")
def _(right, X, weight, bias, *, padding, **keywords):
    return right(X, weight, bias, padding=type(padding)(0, 0, 0, 0), **keywords)


@fault("padding of the axes swapped", "conv2d", "padding-transposed", select=UNEVEN + " or pad2x1")
def _(right, X, weight, bias, *, padding, **keywords):
    top, bottom, left, right_side = padding
    return right(X, weight, bias, padding=type(padding)(left, right_side, top, bottom), **keywords)


@fault("padding in equal halves", "conv2d", "symmetric-padding", "same-lower", select=UNEVEN)
def _(right, X, weight, bias, *, padding, **keywords):
    most = (max(padding[:2]),) * 2 + (max(padding[2:]),) * 2
    return right(X, weight, bias, padding=type(padding)(*most), **keywords)


@fault("padding by reflection", "conv2d", "padding-mode", select="pad1 or pad2x1")
def _(right, X, weight, bias, *, padding, data_format, **keywords):
    widths = [(0, 0)] * 4
    for axis, ends in zip(image_axes(data_format), (padding[:2], padding[2:])):
        widths[axis] = ends
    if any(max(ends) >= X.shape[axis] for axis, ends in enumerate(widths)):
        return right(X, weight, bias, padding=padding, data_format=data_format, **keywords)
    X = np.pad(X, widths, mode="reflect")
    return right(X, weight, bias, padding=type(padding)(0, 0, 0, 0), data_format=data_format, **keywords)


@fault(
    "windows start one row late", "conv2d", "window-phase", *SIDES, "symmetric-padding", "chapter-padding", select="pad"
)
def _(right, X, weight, bias, *, padding, **keywords):
    top, bottom, *others = padding
    late = (top - 1, bottom + 1) if top else (top, bottom)
    return right(X, weight, bias, padding=type(padding)(*late, *others), **keywords)


@fault("stride swapped", "conv2d", "stride-swapped", select="stride2x1 or stride1x3 or stride1x2 or stride3x2")
def _(right, X, weight, bias, *, stride, **keywords):
    return right(X, weight, bias, stride=stride[::-1], **keywords)


@fault("stride ignored, the result cut", "conv2d", "stride-ignored", select="stride")
def _(right, X, weight, bias, *, stride, data_format, **keywords):
    shape = right(X, weight, bias, stride=stride, data_format=data_format, **keywords).shape
    dense = right(X, weight, bias, stride=(1, 1), data_format=data_format, **keywords)
    return np.ascontiguousarray(dense[tuple(slice(n) for n in shape)])


@fault("dilation swapped", "conv2d", "dilation-swapped", select="dilation2x3")
def _(right, X, weight, bias, *, dilation, **keywords):
    return right(X, weight, bias, dilation=dilation[::-1], **keywords)


@fault("dilation ignored", "conv2d", "dilation-ignored", select="dilation")
def _(right, X, weight, bias, *, dilation, **keywords):
    return right(X, weight, bias, dilation=(1, 1), **keywords)


@fault("true convolution", "conv2d", "flipped-kernel")
def _(right, X, weight, bias, **keywords):
    return right(X, weight[:, :, ::-1, ::-1], bias, **keywords)


@fault("kernel transposed", "conv2d", "transposed-kernel")
def _(right, X, weight, bias, **keywords):
    return right(X, weight.swapaxes(2, 3), bias, **keywords)


@fault("kernel IOHW for OIHW", "conv2d", "kernel-layout", select="groups2-bias-in4")
def _(right, X, weight, bias, **keywords):
    outputs, inputs = weight.shape[:2]
    return right(X, weight.swapaxes(0, 1) if outputs == inputs else weight, bias, **keywords)


@fault("kernel HWIO, memory kept", "conv2d", "kernel-layout")
def _(right, X, weight, bias, **keywords):
    return right(X, weight.transpose(2, 3, 1, 0).reshape(weight.shape), bias, **keywords)


@fault("kernel OHWI, memory kept", "conv2d", "kernel-layout")
def _(right, X, weight, bias, **keywords):
    return right(X, weight.transpose(0, 2, 3, 1).reshape(weight.shape), bias, **keywords)


@fault("image NHWC read as NCHW", "conv2d", "image-layout", select="nchw")
def _(right, X, weight, bias, **keywords):
    return right(np.ascontiguousarray(X.transpose(0, 2, 3, 1)).reshape(X.shape), weight, bias, **keywords)


@fault("result NHWC read as NCHW", "conv2d", "image-layout", select="nchw")
def _(right, X, weight, bias, **keywords):
    Y = right(X, weight, bias, **keywords)
    return np.ascontiguousarray(Y.transpose(0, 2, 3, 1)).reshape(Y.shape)


@fault("bias dropped", "conv2d", "bias-missing", select="bias")
def _(right, X, weight, bias, **keywords):
    return right(X, weight, None, **keywords)


@fault("bias added twice", "conv2d", "bias-doubled", select="bias")
def _(right, X, weight, bias, **keywords):
    return right(X, weight, None if bias is None else 2 * bias, **keywords)


@fault("bias backwards", "conv2d", "bias-order", select="bias")
def _(right, X, weight, bias, **keywords):
    return right(X, weight, None if bias is None else bias[::-1], **keywords)


@fault("groups in another order", "conv2d", "group-order", select="groups2 or groups3 or groups4")
def _(right, X, weight, bias, *, groups, data_format, **keywords):
    Y = right(X, weight, bias, groups=groups, data_format=data_format, **keywords)
    axis = channel_axis(data_format)
    order = np.arange(Y.shape[axis]).reshape(groups, -1)[::-1].ravel()
    return np.take(Y, order, axis)


@fault("input channels dealt to groups", "conv2d", "group-order", select="groups2")
def _(right, X, weight, bias, *, groups, data_format, **keywords):
    axis = channel_axis(data_format)
    order = np.arange(X.shape[axis]).reshape(-1, groups).T.ravel()
    return right(np.take(X, order, axis), weight, bias, groups=groups, data_format=data_format, **keywords)


@fault("first group for all", "conv2d", "groups-ignored", select="groups2 or groups3 or groups4")
def _(right, X, weight, bias, *, groups, data_format, **keywords):
    axis = channel_axis(data_format)
    order = np.tile(np.arange(X.shape[axis] // groups), groups)
    return right(np.take(X, order, axis), weight, bias, groups=groups, data_format=data_format, **keywords)


@fault("first image for all", "conv2d", "first-image")
def _(right, X, weight, bias, **keywords):
    Y = right(X, weight, bias, **keywords)
    return np.ascontiguousarray(np.broadcast_to(Y[:1], Y.shape))
