"""Gradients that each framework's autograd computes through convbridge's operators.

What a gradient should be is worked out from its definition, the change of the
result for a change of one number: central differences, which are exact for
operations that are linear in what is changed. The data are whole numbers, so
the gradients must be equal bit for bit, and no tolerance is needed.
"""

from __future__ import annotations

import functools

import numpy as np
import pytest

import convbridge
from convbridge import chapter, conv2d, pool2d, to_numpy
from convbridge.parity import oracle


def whole(seed, *shape):
    """Return small whole numbers."""
    return np.random.default_rng(seed).integers(-9, 10, shape).astype("float64")


def gradients(backend, function, arguments, cotangent, dtype="float64"):
    """Return the gradients of ``sum(function(*arguments) * cotangent)`` by the framework's autograd."""
    if backend == "numpy":
        pytest.skip("NumPy has no autograd")
    tensors = [convbridge.asarray(argument.astype(dtype), backend=backend) for argument in arguments]
    weights = convbridge.asarray(cotangent.astype(dtype), backend=backend)
    if backend == "torch":
        tensors = [tensor.requires_grad_() for tensor in tensors]
        (function(*tensors) * weights).sum().backward()
        found = [tensor.grad for tensor in tensors]
    elif backend == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(tensors)
            loss = tf.reduce_sum(function(*tensors) * weights)
        found = tape.gradient(loss, tensors)
    else:
        from convbridge_mxnet._compat import autograd_lock
        from convbridge_mxnet._compat import mxnet as mx

        for tensor in tensors:
            tensor.attach_grad()
        with autograd_lock:
            with mx.autograd.record():
                result = function(*tensors)
            result.backward(weights)
            found = [tensor.grad for tensor in tensors]
    return [to_numpy(gradient) for gradient in found]


def central_differences(function, arguments, cotangent, which, step=1.0):
    """Differentiate ``sum(function(*arguments) * cotangent)`` with respect to one argument, number by number."""
    at = arguments[which].astype(np.longdouble)
    gradient = np.empty(at.shape, np.longdouble)
    for index in np.ndindex(*at.shape):
        ends = []
        for sign in (1, -1):
            moved = at.copy()
            moved[index] += sign * step
            ends.append(function(*arguments[:which], moved, *arguments[which + 1 :]))
        gradient[index] = ((ends[0] - ends[1]) * cotangent).sum() / (2 * np.longdouble(step))
    return gradient


def exact(found, wanted, dtype="float64"):
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, wanted.astype(dtype))


CONVOLUTIONS = {
    "plain": ((2, 2, 4, 4), (3, 2, 2, 3), {}),
    "strides": ((2, 1, 5, 6), (2, 1, 2, 2), {"stride": (2, 3)}),
    "dilation": ((1, 2, 5, 6), (2, 2, 2, 3), {"dilation": (3, 2)}),
    "stride and dilation": ((1, 1, 7, 6), (1, 1, 2, 2), {"stride": 2, "dilation": (2, 3)}),
    "groups": ((2, 4, 3, 4), (4, 2, 2, 2), {"groups": 2}),
    "depthwise": ((1, 3, 4, 5), (6, 1, 2, 2), {"groups": 3, "stride": (1, 2)}),
    "depthwise and dilation": ((1, 2, 6, 5), (2, 1, 2, 3), {"groups": 2, "dilation": 2, "stride": 2, "padding": 1}),
    "four sides": ((1, 2, 3, 4), (2, 2, 3, 2), {"padding": ((2, 0), (0, 1)), "stride": (1, 2)}),
    "same": ((1, 1, 5, 4), (1, 1, 3, 3), {"padding": "same", "stride": 2}),
    "chapter": ((1, 1, 4, 4), (1, 1, 2, 2), {"padding": "chapter"}),
    "strided 1x1": ((3, 2, 5, 4), (3, 2, 1, 1), {"stride": (2, 3)}),
    "one column": ((2, 1, 3, 3), (1, 1, 1, 2), {"stride": (1, 2)}),
}


@pytest.mark.parametrize("data_format", ["NCHW", "NHWC"])
@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_convolution(backend, case, data_format):
    image, kernel, keywords = CONVOLUTIONS[case]
    keywords = {**keywords, "data_format": data_format}
    X, K, b = whole(1, *image), whole(2, *kernel), whole(3, kernel[0])
    if data_format == "NHWC":
        X = np.moveaxis(X, 1, 3).copy()

    def definition(x, k, b):
        return oracle.conv2d(x, k, b, **keywords)

    cotangent = whole(4, *definition(X, K, b).shape)
    for dtype in ("float64", "float32"):
        found = gradients(backend, lambda *tensors: conv2d(*tensors, **keywords), (X, K, b), cotangent, dtype)
        for which in range(3):
            exact(found[which], central_differences(definition, (X, K, b), cotangent, which), dtype)


POOLS = {
    "plain": ((2, 2, 4, 5), (2, 3), {}),
    "no overlap": ((1, 2, 4, 6), 2, {"stride": None}),
    "four sides": ((1, 1, 5, 4), 3, {"padding": ((2, 0), (0, 1)), "stride": 2}),
    "ceil mode": ((1, 2, 5, 5), 2, {"stride": 2, "ceil_mode": True}),
    "ceil mode and padding": ((1, 1, 4, 6), 3, {"stride": 2, "ceil_mode": True, "padding": 1}),
    "dilation": ((1, 2, 6, 7), (2, 3), {"dilation": (3, 2), "stride": (1, 2)}),
    "same": ((1, 1, 5, 6), (3, 2), {"stride": 2, "padding": "same"}),
    "window larger than the image": ((1, 1, 2, 2), 3, {"stride": 3, "ceil_mode": True}),
}


@pytest.mark.parametrize("data_format", ["NCHW", "NHWC"])
@pytest.mark.parametrize("case", POOLS)
@pytest.mark.parametrize("mode", ["max", "avg", "avg of the image alone"])
def test_pooling(backend, case, mode, data_format):
    image, kernel, keywords = POOLS[case]
    keywords = {**keywords, "data_format": data_format}
    if mode == "max":
        # all different, and so far apart that a step changes no order
        X = 4.0 * np.random.default_rng(5).permutation(int(np.prod(image))).reshape(image) - 50
    else:
        X = whole(6, *image)
        keywords["count_include_pad"] = mode == "avg"
    word = mode[:3]
    if data_format == "NHWC":
        X = np.moveaxis(X, 1, 3).copy()

    def definition(x):
        return oracle.pool2d(x, kernel, word, **keywords)

    cotangent = whole(7, *definition(X).shape)
    if word == "avg":  # a cotangent that the divisor divides keeps the gradient whole
        cotangent *= oracle.pool2d_sums(X, kernel, **keywords)[1].astype("float64")
    wanted = central_differences(definition, (X,), cotangent, 0)
    if word == "avg":
        assert np.abs(wanted - np.rint(wanted)).max() < 1e-12  # the oracle divides in extended precision
        wanted = np.rint(wanted)
    for dtype in ("float64", "float32"):
        (found,) = gradients(backend, lambda x: pool2d(x, kernel, word, **keywords), (X,), cotangent, dtype)
        exact(found, wanted, dtype)


@pytest.mark.parametrize("data_format", ["NCHW", "NHWC"])
@pytest.mark.parametrize("dilation", [1, 2])
def test_ties_go_to_the_first_in_row_major_order(backend, data_format, dilation):
    for X, kernel, stride in (
        (np.ones((1, 1, 6, 6)), 2, 2),
        (np.ones((2, 2, 5, 6)), (3, 2), 1),
        (np.array([[0, 1, 1], [1, 1, 0], [1, 0, 1]]).repeat(2, 0).repeat(2, 1).reshape(1, 1, 6, 6) * 1.0, (2, 3), 1),
        (np.random.default_rng(8).integers(0, 3, (2, 3, 6, 6)) * 1.0, 3, 2),
    ):
        image = np.moveaxis(X, 1, 3).copy() if data_format == "NHWC" else X
        keywords = {"stride": stride, "dilation": dilation, "padding": 1, "data_format": data_format}
        wanted = np.zeros(X.shape)
        kh, kw = np.broadcast_to(kernel, 2)
        counts = oracle.pool2d(X, kernel, stride=stride, dilation=dilation, padding=1).shape
        cotangent = whole(9, *counts)
        for n, c, i, j in np.ndindex(*counts):
            taps = [
                (i * stride + p * dilation - 1, j * stride + q * dilation - 1) for p in range(kh) for q in range(kw)
            ]
            inside = [(y, x) for y, x in taps if 0 <= y < X.shape[2] and 0 <= x < X.shape[3]]
            first = max(inside, key=lambda at, n=n, c=c: X[n, c, at[0], at[1]])  # of equals max() keeps the first
            wanted[(n, c, *first)] += cotangent[n, c, i, j]
        if data_format == "NHWC":
            wanted, cotangent = np.moveaxis(wanted, 1, 3), np.moveaxis(cotangent, 1, 3).copy()
        pool = functools.partial(pool2d, pool_size=kernel, **keywords)
        (found,) = gradients(backend, pool, (image,), cotangent)
        exact(found, wanted)


def test_a_window_of_minus_infinities_is_a_tie(backend):
    X = np.full((1, 1, 2, 4), -np.inf)
    X[0, 0, 1, 3] = 1.0
    (found,) = gradients(backend, lambda x: pool2d(x, 2, stride=2), (X,), np.array([[[[3.0, 5.0]]]]))
    exact(found[0, 0], np.array([[3.0, 0, 0, 0], [0, 0, 0, 5.0]]))


def test_the_gradient_of_a_nan_goes_to_the_nan(backend):
    nan = np.nan
    for window, where in (
        ([nan, 1, 2, 3], 0),
        ([1, nan, 2, 3], 1),
        ([1, 2, 3, nan], 3),
        ([-np.inf, nan, np.inf, 1], 1),
    ):
        X = np.reshape(window, (1, 1, 2, 2))
        wanted = np.zeros(4)
        wanted[where] = 7
        (found,) = gradients(backend, lambda x: pool2d(x, 2), (X,), np.full((1, 1, 1, 1), 7.0))
        exact(found.ravel(), wanted)
        # next to a window without one
        X = np.concatenate([X, np.array([[[[1.0, 2], [4, 3]]]])], 3)
        (found,) = gradients(backend, lambda x: pool2d(x, 2, stride=2), (X,), np.array([[[[7.0, 5]]]]))
        exact(found[0, 0, :, :2].ravel(), wanted)
        exact(found[0, 0, :, 2:], np.array([[0.0, 0], [5, 0]]))


def test_the_gradient_of_several_nans_goes_to_one_of_them(backend):
    """Which one is not promised: PyTorch takes the last, TensorFlow and MXNet the first."""
    X = np.reshape([3, np.nan, np.nan, 1], (1, 1, 2, 2))
    (found,) = gradients(backend, lambda x: pool2d(x, 2), (X,), np.full((1, 1, 1, 1), 7.0))
    assert found.ravel().tolist() in ([0, 7, 0, 0], [0, 0, 7, 0])


def test_an_empty_batch_has_gradients_of_zero(backend):
    if backend == "mxnet":
        pytest.skip("MXNet cannot attach a gradient to an array without elements, unless np_shape is on")
    X, K, b = np.empty((0, 2, 5, 5)), whole(1, 4, 1, 3, 3), whole(2, 4)
    found = gradients(backend, lambda *tensors: conv2d(*tensors, groups=2), (X, K, b), np.empty((0, 4, 3, 3)))
    for gradient, argument in zip(found, (X, K, b)):
        exact(gradient, np.zeros(argument.shape))
    for mode in ("max", "avg"):
        (gradient,) = gradients(backend, lambda x, mode=mode: pool2d(x, 2, mode), (X,), np.empty((0, 2, 4, 4)))
        exact(gradient, X)


LOOPS = {
    "corr2d": ((4, 5), (2, 3)),
    "corr2d_multi_in": ((2, 4, 4), (2, 2, 3)),
    "corr2d_multi_in_out": ((2, 4, 4), (3, 2, 2, 2)),
    "corr2d_multi_in_out_1x1": ((3, 2, 3), (2, 3, 1, 1)),
}


@pytest.mark.parametrize("name", LOOPS)
def test_the_chapters_loops_have_the_gradients_of_the_operators(backend, name):
    image, kernel = LOOPS[name]
    X, K = whole(1, *image), whole(2, *kernel)
    four = (1,) * (4 - X.ndim) + image, (1,) * (4 - K.ndim) + kernel
    for definition in (getattr(convbridge, name), getattr(chapter, name)):
        cotangent = whole(3, *to_numpy(getattr(convbridge, name)(X, K, backend="numpy")).shape)
        found = gradients(backend, definition, (X, K), cotangent)
        for which in (0, 1):
            wanted = central_differences(
                lambda x, k: oracle.conv2d(x.reshape(four[0]), k.reshape(four[1])).reshape(cotangent.shape),  # noqa: B023
                (X, K),
                cotangent,
                which,
            )
            exact(found[which], wanted)


@pytest.mark.parametrize("mode", ["max", "avg"])
def test_the_chapters_pooling_has_the_gradient_of_the_operator(backend, mode):
    X = 4.0 * np.random.default_rng(4).permutation(20).reshape(4, 5)
    cotangent = 4 * whole(5, 3, 4)
    wanted = central_differences(lambda x: oracle.pool2d(x, 2, mode), (X,), cotangent, 0)
    for function in (pool2d, chapter.pool2d):
        (found,) = gradients(backend, lambda x, function=function: function(x, 2, mode), (X,), cotangent)
        exact(found, wanted)


def test_gradients_stop_nowhere_between_two_operators(backend):
    X, K = whole(1, 1, 1, 6, 6), whole(2, 2, 1, 3, 3)

    def network(x, k):
        return pool2d(conv2d(x, k, padding=1), 2, "avg", stride=2)

    def definition(x, k):
        return oracle.pool2d(oracle.conv2d(x, k, padding=1), 2, "avg", stride=2)

    cotangent = 4 * whole(3, 1, 2, 3, 3)
    found = gradients(backend, network, (X, K), cotangent)
    for which in (0, 1):
        exact(found[which], central_differences(definition, (X, K), cotangent, which))
