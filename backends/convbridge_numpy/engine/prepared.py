"""Calls whose shapes are known: what depends on nothing else is worked out once, and left out of every call.

Idea
    The first call of a signature leaves a plan behind (:mod:`convbridge.dispatch`).
    What is made here is such a plan: the engine has been chosen, the geometry
    counted, and it takes arrays to a result. For small images that is most of a
    call's time; a 1x1 convolution of 30 x 30 pixels loses a quarter of it.
Results
    The same, bit for bit, as without: the engines are those that the planner
    takes, with the same operands.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context
from functools import cache
from typing import Any

import numpy as np

from convbridge.geometry import Pair, Sides, output_size, window_size
from convbridge.selection import precision
from convbridge_numpy.engine import convolve
from convbridge_numpy.engine.kept import KEPT
from convbridge_numpy.engine.plan import FEW_NUMBERS, plan
from convbridge_numpy.engine.window import Window

Array = np.ndarray[Any, Any]


def matrices(X_shape: tuple[int, ...], K_shape: tuple[int, ...], dtype: str) -> Callable[..., Array] | None:
    """Prepare for two small matrices.

    Parameters
    ----------
    X_shape, K_shape : tuple of int
        (H, W) and (kh, kw).
    dtype : str
        Of both.

    Returns
    -------
    callable or None
        Takes them; None where there is too much to do.

    Examples
    --------
    >>> matrices((3, 3), (2, 2), "float64")(np.ones((3, 3)), np.ones((2, 2)))
    array([[4., 4.],
           [4., 4.]])
    """
    (h, w), (kh, kw) = X_shape, K_shape
    correlate = _product((1, h, w), (1, 1, kh, kw), dtype, (1, 1), (1, 1), (h - kh + 1, w - kw + 1))
    return correlate if correlate is None else _quietly(correlate, _dot_warns())


def image(
    X_shape: tuple[int, ...],
    weight_shape: tuple[int, ...],
    has_bias: bool,
    dtype: str,
    stride: Pair,
    padding: Sides,
    dilation: Pair,
) -> Callable[..., Array] | None:
    """Prepare for one small image.

    Parameters
    ----------
    X_shape, weight_shape : tuple of int
        (1, C, H, W) and (O, C, kh, kw).
    has_bias : bool
        Whether calls bring one.
    dtype : str
        Of all arrays.
    stride, dilation : (int, int)
        Of the operation.
    padding : Sides
        Zeros around the image.

    Returns
    -------
    callable or None
        Takes image, weight, and bias or None; None where there is too much to do.

    Examples
    --------
    >>> from convbridge.geometry import NO_PADDING
    >>> compute = image((1, 1, 3, 3), (1, 1, 2, 2), False, "float64", (1, 1), NO_PADDING, (1, 1))
    >>> compute(np.ones((1, 1, 3, 3)), np.ones((1, 1, 2, 2)), None)
    array([[[[4., 4.],
             [4., 4.]]]])
    """
    top, bottom, left, right = padding
    c, h, w = X_shape[1], top + X_shape[2] + bottom, left + X_shape[3] + right
    out_h = output_size(h, window_size(weight_shape[2], dilation[0]), stride[0], 0, 0)
    out_w = output_size(w, window_size(weight_shape[3], dilation[1]), stride[1], 0, 0)
    correlate = _product((c, h, w), weight_shape, dtype, stride, dilation, (1, weight_shape[0], out_h, out_w))
    is_padded, inside = any(padding), np.s_[:, :, top : h - bottom, left : w - right]
    if correlate is None:
        return None
    multiply = correlate

    def run(X: Array, weight: Array, bias: Array | None) -> Array:
        if is_padded:
            padded = np.zeros((1, c, h, w), X.dtype)
            padded[inside] = X
            X = padded
        Y: Array = multiply(X, weight)
        if bias is not None:
            Y += bias.reshape(-1, 1, 1)
        return Y

    return _quietly(run if is_padded or has_bias else multiply, has_bias or _dot_warns())


def batch(
    X_shape: tuple[int, ...],
    weight_shape: tuple[int, ...],
    dtype: str,
    stride: Pair,
    padding: Sides,
    dilation: Pair,
    groups: int,
    data_format: str,
) -> Callable[..., Array] | None:
    """Prepare for anything else: ask the planner once, for functions and for layers.

    Parameters
    ----------
    X_shape, weight_shape : tuple of int
        (N, C, H, W) or (N, H, W, C), and (O, C / groups, kh, kw).
    dtype, stride, padding, dilation
        As for :func:`image`.
    groups : int
        Blocks of channels.
    data_format : str
        "NCHW" or "NHWC".

    Returns
    -------
    callable or None
        Takes images, weight, and bias or None; None where each group is
        planned by itself, and in half precision.

    Examples
    --------
    >>> from convbridge.geometry import NO_PADDING
    >>> compute = batch((2, 1, 2, 2), (1, 1, 2, 1), "float64", (1, 1), NO_PADDING, (1, 1), 1, "NCHW")
    >>> compute(np.ones((2, 1, 2, 2)), np.ones((1, 1, 2, 1)), None)[1]
    array([[[2., 2.]]])
    """
    if dtype not in ("float32", "float64"):
        return None
    last, stored = data_format == "NHWC", np.dtype(dtype)
    n, h, w, c = X_shape if last else (X_shape[0], *X_shape[2:], X_shape[1])
    window = Window.of((h, w), (weight_shape[2], weight_shape[3]), stride, padding, dilation)
    shape = (n, *window.outputs, weight_shape[0]) if last else (n, weight_shape[0], *window.outputs)
    fast = precision() == "fast"
    alone, keeping = (
        convolve.choose((n, c, h, w), weight_shape, window, groups, stored.itemsize, last, fast=fast, kept=kept)
        for kept in (False, True)
    )
    if alone is None or keeping is None:
        return None
    in_function, in_layer, keeps = convolve.ENGINES[alone], convolve.ENGINES[keeping], keeping in convolve.KEEPING

    def run(X: Array, weight: Array, bias: Array | None = None) -> Array:
        image = X if X.flags.c_contiguous else np.ascontiguousarray(X)
        kernels = weight if weight.flags.c_contiguous else np.ascontiguousarray(weight)
        result = np.empty(shape, stored)
        planes = result
        if last:
            image, planes = image.transpose(0, 3, 1, 2), result.transpose(0, 3, 1, 2)
        kept = KEPT.get()
        with np.errstate(all="ignore"):
            if kept is None:
                in_function(image, kernels, window, planes)
            elif keeps:
                in_layer(image, kernels, window, planes, kept)
            else:
                in_layer(image, kernels, window, planes)
            if bias is not None:
                planes += bias.reshape(-1, 1, 1)
        return result

    return run


def _product(
    X_shape: tuple[int, ...],
    weight_shape: tuple[int, ...],
    dtype: str,
    stride: Pair,
    dilation: Pair,
    result: tuple[int, ...],
) -> Callable[..., Array] | None:
    """Do what ``im2col.planar`` does to one image and one block: view all windows, copy them, multiply once.

    Only where that is what the planner takes, and there is so little to do that
    the arithmetic on shapes takes most of the time: so a call returns the same
    bits whether it goes this way or the whole one.
    """
    (c, h, w), (out_channels, _, kh, kw), (out_h, out_w) = X_shape, weight_shape, result[-2:]
    depth, pixels, stored, array = c * kh * kw, out_h * out_w, np.dtype(dtype), np.ndarray
    item = stored.itemsize
    if depth * pixels > FEW_NUMBERS or out_channels * pixels == 1 or dtype not in ("float32", "float64"):
        return None
    engines = {
        plan(
            1,
            c,
            out_channels,
            (kh, kw),
            (out_h, out_w),
            stride=stride,
            dilation=dilation,
            item_size=item,
            fast=precision() == "fast",
            kept=kept,
        ).engine
        for kept in (False, True)
    }
    if engines != {"im2col.planar"}:
        return None
    shape = (c, kh, kw, out_h, out_w)
    (sh, sw), (dh, dw) = stride, dilation
    steps = (h * w * item, dh * w * item, dw * item, sh * w * item, sw * item)
    probe = np.empty(X_shape, stored)
    if np.may_share_memory(array(shape, stored, probe, 0, steps).reshape(depth, pixels), probe):
        return None  # a view, which BLAS multiplies in another order than a copy
    rows: tuple[int, ...] = (out_channels, depth) if out_channels > 1 else (depth,)

    def run(X: Array, weight: Array, bias: None = None) -> Array:
        view: Array
        try:
            view = array(shape, stored, X, 0, steps)
        except ValueError:  # its elements do not follow each other in memory
            view = array(shape, stored, X.copy(), 0, steps)
        Y: Array = weight.reshape(rows).dot(view.reshape(depth, pixels)).reshape(result)
        return Y

    def run_matrix(X: Array, K: Array, bias: None = None) -> Array:
        view: Array
        try:
            view = array(shape, stored, X, 0, steps)
        except ValueError:
            view = array(shape, stored, X.copy(), 0, steps)
        # the same, in the forms of these methods that take least time
        Y: Array = K.ravel().dot(view.reshape(depth, pixels)).reshape(out_h, out_w)
        return Y

    return run_matrix if len(result) == 2 else run


@cache
def _dot_warns() -> bool:
    """Tell whether this NumPy's ``dot`` reports infinities and NaNs, as newer ones do."""
    columns = np.full((9, 36), np.inf, np.float32)
    columns[::2] = 0
    try:
        with np.errstate(all="raise"):
            for rows in (np.zeros(9, np.float32), np.zeros((4, 9), np.float32)):
                rows.dot(columns)
    except FloatingPointError:
        return True
    return False


def _quietly(compute: Callable[..., Array], reports: bool) -> Callable[..., Array]:
    """Infinities and NaNs are values here, as in the other frameworks: silence a computation that reports them.

    What shall be reported is kept in a context variable (by NumPy 2), and to
    set and reset it takes a microsecond at each call. To run in a context in
    which it is set for good takes a tenth of that. A context holds one caller
    at a time: a second thread finds it taken, and goes the longer way.
    """
    if not reports:
        return compute

    def run(X: Array, weight: Array, bias: Array | None = None) -> Array:
        with np.errstate(all="ignore"):
            return compute(X, weight, bias)

    if np.lib.NumpyVersion(np.__version__) < "2.0.0":
        return run
    quiet = Context()
    quiet.run(np.seterr, all="ignore")
    run_in_quiet = quiet.run

    def run_in_context(X: Array, weight: Array, bias: Array | None = None) -> Array:
        try:
            return run_in_quiet(compute, X, weight, bias)
        except RuntimeError:
            return run(X, weight, bias)

    return run_in_context
