# ruff: noqa: B023  (every lambda here is called before its loop goes on)
"""The traps of divergences that MXNet sets; run with oneDNN on and off by test_traps.py.

Every function says what the native operator does today, and demands the right
answer or the clear error from convbridge.
"""

from __future__ import annotations

import threading

import numpy as np
from convbridge_mxnet import ops
from convbridge_mxnet._compat import autograd_lock
from convbridge_mxnet._compat import mxnet as mx
from harness import derivative, exact, integers, main, refused, spawned, trap

import convbridge
from convbridge import ArgumentError, ArgumentTypeError, BackendOperationError, ShapeError, chapter, conv2d, pool2d
from convbridge.geometry import NO_PADDING
from convbridge.parity import oracle

nd = mx.nd


def array(values, dtype="float32"):
    return nd.array(values, dtype=dtype)


def numbers(result):
    return result.asnumpy()


@trap("T6")
def no_groups():
    for X, K in ((nd.ones((1, 4, 3, 3)), nd.ones((4, 1, 2, 2))), (nd.ones((1, 1, 3, 3)), nd.ones((1, 1, 2, 2)))):
        refused(ArgumentError, lambda: conv2d(X, K, groups=0), "groups must be positive")
        refused(ArgumentError, lambda: conv2d(X, K, groups=-1), "groups must be positive")
    refused(ArgumentError, lambda: convbridge.Conv2D(2, groups=0, backend="mxnet"), "groups must be positive")
    refused(ShapeError, lambda: conv2d(nd.ones((1, 4, 3, 3)), nd.ones((4, 1, 2, 2)), groups=3), "groups is 3")


@trap("T7")
def threads_that_share_arrays():
    image, kernel, cotangent = integers(1, 2, 2, 6, 6), integers(2, 3, 2, 3, 3), integers(3, 2, 3, 4, 4)
    wanted_dX = derivative(lambda x: oracle.conv2d(x, kernel), image, cotangent)
    wanted_dK = derivative(lambda k: oracle.conv2d(image, k), kernel, cotangent)
    X, K, G = array(image), array(kernel), array(cotangent)
    X.attach_grad()
    K.attach_grad()
    failures = []

    def work():
        try:
            for _ in range(200):
                with autograd_lock:
                    with mx.autograd.record():
                        Y = conv2d(X, K)
                    Y.backward(G)
                    dX, dK = X.grad.asnumpy(), K.grad.asnumpy()
                exact(dX, wanted_dX)
                exact(dK, wanted_dK)
        except BaseException as error:  # a thread's exception would be printed and forgotten
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


@trap("T12")
def second_read_after_an_error():
    """A result that failed would be uninitialised memory to whoever reads it again: nobody gets to hold it."""
    results = []
    for _ in range(3):
        # conv2d itself refuses half precision, from the backend's table of gaps; this goes past it
        refused(BackendOperationError, lambda: results.append(_failing_convolution()), "MXNet failed", "FP16 gemm")
    assert results == []


def _failing_convolution():
    X, K = nd.ones((1, 3, 5, 5), dtype="float16"), nd.ones((2, 3, 3, 3), dtype="float16")
    geometry = {"stride": (1, 1), "padding": NO_PADDING, "dilation": (1, 1), "groups": 1}
    return ops.conv2d(X, K, None, data_format="NCHW", **geometry)


@trap("T25")
def errors_at_the_wrong_address():
    X, K = integers(1, 1, 1, 4, 4), integers(2, 1, 1, 2, 2)
    for i in range(20):
        refused(BackendOperationError, _failing_convolution, "FP16 gemm")
        # Whatever comes next is none of its business.
        exact(numbers(nd.ones((2, 2)) + i), np.ones((2, 2)) + i)
        exact(numbers(conv2d(array(X), array(K))), oracle.conv2d(X, K))
        exact(numbers(pool2d(array(X), 2)), oracle.pool2d(X, 2))
        nd.waitall()
    half = nd.ones((1, 3, 5, 5), dtype="float16")
    refused(
        convbridge.UnsupportedOperationError,
        lambda: conv2d(half, nd.ones((2, 3, 3, 3), dtype="float16")),
        "conv2d in float16 is not supported by the backend 'mxnet'",
    )
    nd.waitall()


@trap("T13")
def windows_of_padding_alone():
    X = np.arange(1, 10, dtype="float32").reshape(3, 3)
    for dtype in ("float32", "float64"):
        for mode in ("max", "avg"):
            for padding in (2, (0, 2), ((0, 0), (0, 2)), ((5, 0), (0, 0))):
                refused(
                    ArgumentError,
                    lambda: pool2d(array(X, dtype), 2, mode, padding=padding),
                    "padding of each side must be smaller",
                )
            for padding in (1, 2, ((2, 0), (1, 2))):
                exact(
                    numbers(pool2d(array(9 * X, dtype), 3, mode, padding=padding)) * 9,
                    oracle.pool2d(9 * X, 3, mode, padding=padding) * 9,
                )
        # A last window that starts outside the image: pooling_convention='full' would keep it (row 62).
        exact(numbers(pool2d(array(X, dtype), 1, stride=2, ceil_mode=True)), [[1, 3], [7, 9]])
        square = np.arange(16, dtype="float32").reshape(4, 4)
        exact(numbers(pool2d(array(square, dtype), 1, stride=2, ceil_mode=True)), [[0, 2], [8, 10]])


@trap("T14")
def padding_that_wraps():
    X, K = nd.ones((1, 1, 3, 3)), nd.ones((1, 1, 2, 2))
    for padding in (2**31, 2**32, 2**63, (2**31, 0), ((0, 0), (0, 2**32))):
        refused(ArgumentError, lambda: conv2d(X, K, padding=padding), "padding must be below 2**31")
        refused(ArgumentError, lambda: pool2d(X, 2, padding=padding), "padding must be below 2**31")
    for padding in (2**20, 2**31 - 1):
        refused(ShapeError, lambda: conv2d(X, K, padding=padding), "result_shape")


@trap("T16")
def negative_padding():
    X, K = array(np.arange(16).reshape(1, 1, 4, 4)), nd.ones((1, 1, 2, 2))
    for padding in (-1, (0, -1), ((0, 0), (-1, 0))):
        refused(ArgumentError, lambda: conv2d(X, K, padding=padding), "padding must be at least 0")
        refused(ArgumentError, lambda: pool2d(X, 2, padding=padding), "padding must be at least 0")


@trap("T18")
def gradient_of_ceil_average():
    cases = [
        ((3, 3), {"pool_size": 2, "stride": 2}),
        ((4, 4), {"pool_size": 3, "stride": 2, "padding": 1}),
        ((4, 4), {"pool_size": 3, "stride": 2, "padding": 1, "count_include_pad": False}),
        ((5, 6), {"pool_size": (2, 3), "stride": (3, 2), "padding": ((1, 0), (0, 2))}),
    ]
    for case, (size, keywords) in enumerate(cases):
        for dtype in ("float32", "float64"):
            image = integers(case, 1, 2, *size)
            X = array(image, dtype)
            X.attach_grad()
            with mx.autograd.record():
                Y = pool2d(X, mode="avg", ceil_mode=True, **keywords)
            _, divisors = oracle.pool2d_sums(image, ceil_mode=True, **keywords)
            # A cotangent that the divisor divides, so that all of it is exact.
            G = integers(case + 10, *Y.shape) * divisors.astype("float32")
            wanted = derivative(lambda x: oracle.pool2d(x, mode="avg", ceil_mode=True, **keywords), image, G)
            Y.backward(array(G, dtype))
            exact(numbers(X.grad), np.rint(wanted))
    X = array(np.arange(1, 10).reshape(1, 1, 3, 3))
    X.attach_grad()
    with mx.autograd.record():
        Y = pool2d(X, 2, "avg", stride=2, ceil_mode=True)
    Y.backward()
    exact(numbers(Y), [[[[3, 4.5], [7.5, 9]]]])
    exact(numbers(X.grad), [[[[0.25, 0.25, 0.5], [0.25, 0.25, 0.5], [0.5, 0.5, 1]]]])


@trap("T19")
def demotion():
    """nd.array makes everything float32, whatever the source (row 79)."""
    big = np.array([[16777217.0, 1], [1, 1]])
    exact(numbers(pool2d(big, 2, backend="mxnet")), [[16777217.0]])
    for dtype in ("int64", "int32"):
        exact(numbers(convbridge.asarray(big.astype(dtype), backend="mxnet")).astype("float64"), big)
    assert pool2d(big, 2, backend="mxnet").dtype == np.float64
    X = convbridge.asarray([[1, 2], [3, 4]], backend="mxnet")
    Y = convbridge.corr2d(X, np.full((1, 1), 0.5))
    assert Y.dtype == np.float64
    exact(numbers(Y), [[0.5, 1], [1.5, 2]])
    exact(numbers(convbridge.corr2d(array([[1, 2]]), nd.array([[0.5]], dtype="float64"))), [[0.5, 1]])
    exact(numbers(pool2d(X, 2, "avg")), [[2.5]])
    refused(ArgumentTypeError, lambda: pool2d(np.array([[1j]]), 1, backend="mxnet"), "X must hold real numbers")
    refused(ArgumentTypeError, lambda: pool2d(None, 1, backend="mxnet"), "X must be an array")


@trap("T22")
def gradient_of_the_loop():
    image, kernel, G = integers(1, 3, 3), integers(2, 2, 2), integers(3, 2, 2)
    for function in (chapter.corr2d, convbridge.corr2d):
        X, K = array(image), array(kernel)
        X.attach_grad()
        K.attach_grad()
        with mx.autograd.record():
            loss = (function(X, K) * array(G)).sum()
        loss.backward()
        wanted = derivative(lambda x: oracle.conv2d(x[None, None], kernel[None, None])[0, 0], image, G)
        exact(numbers(X.grad), wanted)
        wanted = derivative(lambda k: oracle.conv2d(image[None, None], k[None, None])[0, 0], kernel, G)
        exact(numbers(K.grad), wanted)


def _in_another_process():
    X, K = integers(1, 8, 16, 32, 32), integers(2, 16, 16, 3, 3)
    exact(numbers(conv2d(array(X), array(K)))[:1, :1], oracle.conv2d(X[:1], K[:1]))


@trap("T8")
def another_process():
    """MXNet's engine survives a fork, its OpenMP threads do not, and asnumpy waits for them; a spawn is fine."""
    _in_another_process()
    spawned(_in_another_process)


if __name__ == "__main__":
    main()
