"""conv2d_vjp and pool2d_vjp: golden values, the oracle's judgement, and everything else that is promised.

``CONVBRIDGE_FUZZ_CASES`` and ``CONVBRIDGE_FUZZ_SEED`` choose another sample;
``python -m convbridge.parity.fuzz --gradients`` runs large ones.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import pytest

import convbridge
from convbridge import conv2d_vjp, pool2d_vjp, registry, to_numpy
from convbridge.errors import ArgumentError, ArgumentTypeError, MixedBackendsError, ShapeError
from convbridge.parity import bounds, fuzz, oracle, oracle_gradients
from convbridge.parity.cases import LAYOUTS, random_cases
from convbridge.parity.gradient_cases import random_gradient_case, random_gradient_cases, result_shape

CASES = int(os.environ.get("CONVBRIDGE_FUZZ_CASES", "300"))
SEED = int(os.environ.get("CONVBRIDGE_FUZZ_SEED", "20240229"))
INF, NAN = float("inf"), float("nan")


def whole(shape, seed=0, low=-4, high=5):
    """Draw integers that all backends add without rounding."""
    return np.random.default_rng(seed).integers(low, high, shape).astype(np.float32)


# --------------------------------------------------------------------------- golden values

X3 = np.arange(9, dtype=np.float32).reshape(1, 1, 3, 3)
K2 = np.arange(4, dtype=np.float32).reshape(1, 1, 2, 2)
ONES = np.ones((1, 1, 2, 2), np.float32)


def test_golden_convolution(backend, agree):
    dX, dW, db = conv2d_vjp(X3, K2, np.zeros(1, np.float32), ONES, backend=backend)
    agree(dX, [[[[0, 1, 1], [2, 6, 4], [2, 5, 3]]]], backend)
    agree(dW, [[[[8, 12], [20, 24]]]], backend)
    agree(db, [4], backend)


def test_golden_convolution_with_everything(backend, agree):
    """Stride 2 down, dilation 2 across, one row of padding on top, two groups, channels last."""
    X = np.arange(1, 17, dtype=np.float32).reshape(1, 2, 4, 2)
    W = np.array([[[[1, 2]]], [[[3, 4]]]], np.float32)
    grad = np.array([[[[1, 10]], [[2, 20]]]], np.float32).transpose(0, 1, 2, 3)
    keywords = {"stride": (2, 1), "dilation": (1, 3), "padding": ((1, 0), (0, 0)), "groups": 2, "data_format": "NHWC"}
    dX, dW, db = conv2d_vjp(X, W, np.zeros(2), grad, **keywords, backend=backend)
    # the first window lies in the padding, the second on the last row: X[0, 1, 0] = (9, 10), X[0, 1, 3] = (15, 16)
    agree(dX, [[[[0, 0]] * 4, [[2, 60], [0, 0], [0, 0], [4, 80]]]], backend, "float64")
    agree(dW, [[[[18, 30]]], [[[200, 320]]]], backend, "float64")
    agree(db, [3, 30], backend, "float64")


POOLS = {
    "ties go to the first": ([[1, 1], [1, 1]], 2, [[5]], {}, [[5, 0], [0, 0]]),
    "the first in row-major order, not in columns": ([[0, 7], [7, 0]], 2, [[5]], {}, [[0, 5], [0, 0]]),
    "overlapping windows add up": ([[0, 9, 0]], (1, 2), [[1, 2]], {}, [[0, 3, 0]]),
    "a NaN is the maximum": ([[9, NAN], [8, 7]], 2, [[5]], {}, [[0, 5], [0, 0]]),
    "of several NaNs the first": ([[1, NAN], [NAN, NAN]], 2, [[5]], {}, [[0, 5], [0, 0]]),
    "of minus infinities the first": ([[-INF, -INF]], (1, 2), [[5]], {}, [[5, 0]]),
    "padding is one of the minus infinities": ([[-INF]], 2, [[1, 2], [4, 8]], {"padding": 1}, [[8]]),
    "padding loses to any number": ([[-1e30]], 2, [[1, 2], [4, 8]], {"padding": 1}, [[15]]),
    "a gradient that is no number stays one": ([[1, 2, 1]], (1, 2), [[NAN, 1]], {}, [[0, NAN, 0]]),
    "ceil mode": ([[1, 2, 3]], (1, 2), [[1, 4]], {"stride": 2, "ceil_mode": True}, [[0, 1, 4]]),
    "dilation": ([[1, 2, 3]], (1, 2), [[6]], {"dilation": 2}, [[0, 0, 6]]),
    "average": ([[1, 2], [3, 4]], 2, [[8]], {"mode": "avg"}, [[2, 2], [2, 2]]),
    "average, padding counts": ([[1, 2]], 2, [[8, 8, 8]] * 2, {"mode": "avg", "padding": 1}, [[8, 8]]),
    "average, padding does not": (
        ([[1, 2]], 2, [[8, 8, 8]] * 2, {"mode": "avg", "padding": 1, "count_include_pad": False}, [[24, 24]])
    ),
    "average, the overhang never counts": (
        ([[1, 2, 3]], (1, 2), [[2, 4]], {"mode": "avg", "stride": 2, "ceil_mode": True}, [[1, 1, 4]])
    ),
}  # fmt: skip


@pytest.mark.parametrize("rule", POOLS)
@pytest.mark.parametrize("data_format", ["matrix", "NCHW", "NHWC"])
def test_golden_pooling(backend, rule, data_format, agree):
    X, size, grad, keywords, wanted = POOLS[rule]
    X, grad, wanted = (np.array(numbers, np.float32) for numbers in (X, grad, wanted))
    if data_format != "matrix":
        axes = (0, 1) if data_format == "NCHW" else (0, 3)
        X, grad, wanted = (np.expand_dims(array, axes) for array in (X, grad, wanted))
        keywords = {**keywords, "data_format": data_format}
    agree(pool2d_vjp(X, size, grad, **keywords, backend=backend), wanted, backend)


# --------------------------------------------------------------------------- against the oracle


def test_backend_agrees_with_the_oracle(backend):
    summary = fuzz.run([backend], CASES, SEED, gradients=True)
    assert not summary.failures, "\n".join(map(str, summary.failures[:5]))
    found = summary.backends[backend]
    assert found.cases == CASES
    assert found.equal + found.rounding == CASES


def test_every_entry_of_the_tables_of_gaps_is_met(backend):
    table = registry.spec(backend).unsupported
    met = {case.gap(table) for case in random_gradient_cases(3000, 0)} - {None}
    assert met == set(table.values())


# --------------------------------------------------------------------------- the oracle itself


def _arrays(case, rng, draw):
    arrays = {name: draw(rng, operand.values.shape) for name, operand in case.operands.items()}
    return arrays, (arrays.pop("X"), arrays.pop("weight", None), arrays.pop("bias", None), arrays.pop("grad_output"))


def _numbers(rng, shape):
    return rng.standard_normal(shape).astype(np.longdouble)


def _distinct(rng, shape):
    """Numbers no two of which are closer than 1, so that a small step changes no maximum."""
    return rng.permutation(int(np.prod(shape))).reshape(shape).astype(np.longdouble)


def _central_difference(f, array):
    """Differentiate a number by every element, from its values on both sides."""
    step = np.longdouble(2.0**-12)
    slopes = np.zeros(array.shape, np.longdouble)
    for place in np.ndindex(array.shape):
        moved = []
        for sign in (1, -1):
            there = array.copy()
            there[place] += sign * step
            moved.append(f(there))
        slopes[place] = (moved[0] - moved[1]) / (2 * step)
    return slopes


def _small(function, count, seed):
    """Draw cases of one function that are cheap enough to be evaluated twice for each of their elements."""
    chosen = (
        case
        for case in random_gradient_cases(None, seed)
        if case.function == function and 0 < sum(operand.values.size for operand in case.operands.values()) < 250
    )
    return [next(chosen) for _ in range(count)]


def test_finite_differences_guard_the_gradients_of_convolution():
    """The function is linear in every factor: the central difference is the derivative, but for rounding."""
    rng = np.random.default_rng(0)
    for case in _small("conv2d_vjp", 25, 1):
        _, (X, W, b, grad) = _arrays(case, rng, _numbers)
        found = oracle_gradients.conv2d_vjp(X, W, b, grad, **case.keywords)

        def loss(X, W, b, grad=grad, keywords=case.keywords):
            return (oracle.conv2d(X, W, b, **keywords) * grad).sum()

        slopes = [
            _central_difference(lambda x, W=W, b=b: loss(x, W, b), X),
            _central_difference(lambda w, X=X, b=b: loss(X, w, b), W),
            None if b is None else _central_difference(lambda c, X=X, W=W: loss(X, W, c), b),
        ]
        for gradient, slope in zip(found, slopes):
            assert (gradient is None) == (slope is None)
            if slope is not None:
                np.testing.assert_allclose(
                    gradient.astype(float), slope.astype(float), rtol=0, atol=1e-11, err_msg=str(case)
                )


@pytest.mark.parametrize("mode", ["max", "avg"])
def test_finite_differences_guard_the_gradients_of_pooling(mode):
    """Between ties a maximum is linear, an average is everywhere."""
    rng = np.random.default_rng(0)
    for case in _small("pool2d_vjp", 40, 2):
        keywords = {**case.keywords, "mode": mode}
        size = keywords.pop("pool_size")
        _, (X, _, _, grad) = _arrays(case, rng, _numbers)
        X = _distinct(rng, X.shape)
        if not np.isfinite(oracle.pool2d(X, size, **keywords)).all():
            continue  # a dilated window that straddles the image has no derivative
        slope = _central_difference(lambda x, g=grad, s=size, k=keywords: (oracle.pool2d(x, s, **k) * g).sum(), X)
        found = oracle_gradients.pool2d_vjp(X, size, grad, **keywords)
        np.testing.assert_allclose(found.astype(float), slope.astype(float), rtol=0, atol=1e-11, err_msg=str(case))


def test_gradients_are_adjoint_exactly():
    """<grad, conv(V, W)> = <dX, V>, <grad, conv(X, U)> = <dW, U>: with integers every digit must agree."""
    rng = np.random.default_rng(3)

    def draw(rng, shape):
        return rng.integers(-9, 10, shape).astype(np.longdouble)

    done = 0
    for case in random_gradient_cases(500, 4):
        if case.function != "conv2d_vjp":
            continue
        done += 1
        _, (X, W, b, grad) = _arrays(case, rng, draw)
        dX, dW, db = oracle_gradients.conv2d_vjp(X, W, b, grad, **case.keywords)
        V, U = draw(rng, X.shape), draw(rng, W.shape)
        assert (oracle.conv2d(V, W, **case.keywords) * grad).sum() == (dX * V).sum(), str(case)
        assert (oracle.conv2d(X, U, **case.keywords) * grad).sum() == (dW * U).sum(), str(case)
        if b is not None:
            c = draw(rng, b.shape)
            assert (oracle.conv2d(0 * X, W, c, **case.keywords) * grad).sum() == (db * c).sum(), str(case)
    assert done > 200


# --------------------------------------------------------------------------- bounds


def test_windows_on_a_pixel_is_the_largest_count():
    for kernel in range(1, 6):
        for stride in range(1, 6):
            for dilation in range(1, 5):
                for windows in (1, 2, 3, 40):
                    met = np.bincount(
                        [i * stride + p * dilation for i in range(windows) for p in range(kernel)],
                    )
                    bound = bounds.windows_on_a_pixel(kernel, stride, dilation, windows)
                    assert met.max() <= bound
                    if windows == 40:  # enough of them: the bound is reached
                        assert met.max() == bound, (kernel, stride, dilation)


def test_vjp_bounds_count_products():
    X, W, b = np.full((2, 4, 6, 6), -2.0), np.full((6, 2, 3, 3), 0.5), np.zeros(6)
    grad = np.full((2, 6, 4, 4), 3.0)
    dX, dW, db = bounds.conv2d_vjp_bound(X, W, b, grad, dtype="float64", groups=2)
    np.testing.assert_allclose(dX[0, 0, 3, 3], bounds.gamma(27, "float64") * 27 * 1.5, rtol=1e-15)
    np.testing.assert_allclose(dW, bounds.gamma(32, "float64") * 32 * 6, rtol=1e-15)
    np.testing.assert_allclose(db, bounds.gamma(31, "float64") * 32 * 3, rtol=1e-15)
    keywords = {"dtype": "float64", "stride": 2, "groups": 2}
    assert bounds.conv2d_vjp_bound(X, W, None, grad[:, :, :2, :2], **keywords)[2] is None
    dX = bounds.conv2d_vjp_bound(X, W, None, grad[:, :, :2, :2], **keywords)[0]
    np.testing.assert_allclose(dX[0, 0, 2, 2], bounds.gamma(12, "float64") * 12 * 1.5, rtol=1e-15)


def test_vjp_bounds_of_pooling():
    X, grad = np.zeros((4, 4)), np.full((3, 3), -2.0)
    bound = bounds.pool2d_vjp_bound(X, 2, grad, dtype="float64")
    np.testing.assert_allclose(bound[1, 1], bounds.gamma(3, "float64") * 2, rtol=1e-15)
    assert not bound[3].any()  # nothing arrives there
    bound = bounds.pool2d_vjp_bound(X, 2, grad, "avg", dtype="float64")
    np.testing.assert_allclose(bound[1, 1], bounds.gamma(5, "float64") * 2, rtol=1e-15)
    assert not bounds.pool2d_vjp_bound(X, 2, grad[:2, :2], dtype="float16", stride=2).any()


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("accumulator", ["own", "float32"])
def test_any_order_of_summation_is_within_the_bounds(dtype, accumulator):
    """A gradient added up product by product, in its own precision or, halves, in a wider one."""
    rng = np.random.default_rng(5)
    wide = np.dtype(dtype if accumulator == "own" or dtype == "float64" else "float32")
    for _ in range(60):
        outputs = int(rng.integers(1, 6))
        X = (rng.standard_normal((1, 1, 2, outputs + 1)) * 10.0 ** rng.uniform(-1, 1, (1, 1, 2, outputs + 1))).astype(
            dtype
        )
        W, grad = rng.standard_normal((1, 1, 2, 2)).astype(dtype), rng.standard_normal((1, 1, 1, outputs)).astype(dtype)
        b = np.zeros(1, dtype)
        dX, dW, db = np.zeros(X.shape, wide), np.zeros(W.shape, wide), np.zeros(1, wide)
        for j in rng.permutation(outputs):
            g = grad[0, 0, 0, j].astype(wide)
            for p in range(2):
                for q in range(2):
                    dX[0, 0, p, j + q] += W[0, 0, p, q].astype(wide) * g
                    dW[0, 0, p, q] += X[0, 0, p, j + q].astype(wide) * g
            db[0] += g
        exact = oracle_gradients.conv2d_vjp(X, W, b, grad)
        allowed = [bounds.conv2d_vjp_bound(X, W, b, grad, dtype=d) for d in (dtype, "longdouble")]
        for found, value, own, slack in zip((dX, dW, db), exact, *allowed):
            verdict = bounds.judge(found.astype(dtype).astype(np.longdouble), value, own + slack)
            assert verdict.kind != bounds.REAL_DIFFERENCE, verdict


def test_a_planted_error_is_flagged():
    rng = np.random.default_rng(1)
    X, W, grad = (rng.standard_normal(shape, np.float32) for shape in ((2, 3, 8, 8), (4, 3, 3, 3), (2, 4, 6, 6)))
    exact = oracle_gradients.conv2d_vjp(X, W, None, grad)
    allowed = bounds.conv2d_vjp_bound(X, W, None, grad, dtype="float32")
    for value, bound in zip(exact[:2], allowed[:2]):
        computed = value.astype(np.float32).astype(np.longdouble)
        assert bounds.judge(computed, value, bound).kind == "rounding"
        computed[1, 2, 0, 0] += 2 * bound[1, 2, 0, 0]
        assert bounds.judge(computed, value, bound).kind == "REAL DIFFERENCE"


# --------------------------------------------------------------------------- shapes, dtypes, memory


def test_there_is_no_gradient_of_a_bias_that_is_not_there(backend):
    returned = conv2d_vjp(X3, K2, None, ONES, backend=backend)
    assert type(returned) is tuple
    assert len(returned) == 3
    assert returned[2] is None
    assert returned[0] is not None
    assert returned[1] is not None


@pytest.mark.parametrize("kind", ["int64", "uint8", "bool"])
def test_integers_compute_as_float32(backend, kind, agree):
    X, W, grad = (whole(shape, low=0).astype(kind) for shape in ((1, 2, 4, 4), (2, 2, 2, 2), (1, 2, 3, 3)))
    wanted = oracle_gradients.conv2d_vjp(X, W, np.ones(2), grad)
    for found, value in zip(conv2d_vjp(X, W, np.ones(2, kind), grad, backend=backend), wanted):
        agree(found, value, backend)
    agree(pool2d_vjp(X, 2, grad, backend=backend), oracle_gradients.pool2d_vjp(X, 2, grad), backend)


def test_dtypes_promote_with_the_gradient(backend, agree):
    wanted = oracle_gradients.conv2d_vjp(X3, K2, None, ONES)
    dX, dW, _ = conv2d_vjp(X3, K2, None, ONES.astype(np.float64), backend=backend)
    agree(dX, wanted[0], backend, "float64")
    agree(dW, wanted[1], backend, "float64")
    agree(
        pool2d_vjp(X3, 2, ONES.astype(np.float64), backend=backend),
        [[[[0] * 3, [0, 1, 1], [0, 1, 1]]]],
        backend,
        "float64",
    )


@pytest.mark.parametrize("data_format", ["NCHW", "NHWC"])
def test_a_batch_of_zero_has_gradients_of_zero(backend, data_format, agree):
    def axes(shape):
        return shape if data_format == "NCHW" else (shape[0], *shape[2:], shape[1])

    X, grad = np.zeros(axes((0, 2, 5, 6)), np.float32), np.zeros(axes((0, 4, 4, 4)), np.float32)
    W, b = np.full((4, 2, 2, 3), 7, np.float32), np.full(4, 7, np.float32)
    dX, dW, db = conv2d_vjp(X, W, b, grad, data_format=data_format, backend=backend)
    agree(dX, np.zeros(X.shape), backend)
    agree(dW, np.zeros(W.shape), backend)
    agree(db, np.zeros(4), backend)
    assert conv2d_vjp(X, W, None, grad, data_format=data_format, backend=backend)[2] is None
    for mode in ("max", "avg"):
        pooled = np.zeros(axes((0, 2, 4, 5)), np.float32)
        agree(pool2d_vjp(X, 2, pooled, mode, data_format=data_format, backend=backend), X, backend)


@pytest.mark.parametrize("mode", ["max", "avg"])
def test_channels_last_is_the_same_gradient_transposed(backend, mode):
    X, W, b = whole((2, 4, 6, 7)), whole((6, 2, 3, 2), 1), whole((6,), 2)
    keywords = {"stride": (1, 2), "padding": ((1, 0), (2, 1)), "dilation": (1, 2), "groups": 2}
    grad = whole((2, 6, 5, 4), 3)
    first = conv2d_vjp(X, W, b, grad, **keywords, backend=backend)
    last = conv2d_vjp(
        X.transpose(0, 2, 3, 1), W, b, grad.transpose(0, 2, 3, 1), **keywords, data_format="NHWC", backend=backend
    )
    np.testing.assert_array_equal(to_numpy(last[0]).transpose(0, 3, 1, 2), to_numpy(first[0]))
    np.testing.assert_array_equal(to_numpy(last[1]), to_numpy(first[1]))
    np.testing.assert_array_equal(to_numpy(last[2]), to_numpy(first[2]))
    grad = whole((2, 4, 5, 6), 4)
    pooled = pool2d_vjp(X, 2, grad, mode, backend=backend)
    turned = pool2d_vjp(
        X.transpose(0, 2, 3, 1), 2, grad.transpose(0, 2, 3, 1), mode, data_format="NHWC", backend=backend
    )
    np.testing.assert_array_equal(to_numpy(turned).transpose(0, 3, 1, 2), to_numpy(pooled))


@pytest.mark.parametrize("mode", ["max", "avg"])
@pytest.mark.parametrize("data_format", ["NCHW", "NHWC"])
def test_matrices_and_single_images_are_pooled_as_a_batch_of_one(backend, mode, data_format, agree):
    keywords = {"mode": mode, "stride": 1, "padding": 1, "data_format": data_format, "backend": backend}
    X, grad = whole((1, 5, 6, 1)), whole((1, 6, 7, 1), 1)
    if data_format == "NCHW":
        X, grad = X.transpose(0, 3, 1, 2), grad.transpose(0, 3, 1, 2)
    batch = to_numpy(pool2d_vjp(X, 2, grad, **keywords))
    agree(pool2d_vjp(X[0], 2, grad[0], **keywords), batch[0], backend)
    agree(pool2d_vjp(X.reshape(5, 6), 2, grad.reshape(6, 7), **keywords), batch.reshape(5, 6), backend)


def test_a_gradient_does_not_depend_on_the_image_where_it_should_not(backend, agree):
    """dX is made of weight and grad_output, an average's of grad_output: NaN in the image changes neither."""
    X = np.full((2, 2, 5, 5), NAN, np.float32)
    W, grad = whole((2, 2, 2, 2)), whole((2, 2, 4, 4), 1)
    agree(conv2d_vjp(X, W, None, grad, backend=backend)[0], oracle_gradients.conv2d_vjp(X, W, None, grad)[0], backend)
    agree(
        pool2d_vjp(X, 2, 4 * grad, "avg", backend=backend), oracle_gradients.pool2d_vjp(X, 2, 4 * grad, "avg"), backend
    )


@pytest.mark.parametrize("layout", LAYOUTS)
def test_inputs_may_lie_anywhere_and_stay_as_they_are(backend, layout, agree):
    plain = [whole((2, 2, 5, 5)), whole((4, 2, 2, 2), 1), whole((4,), 2), whole((2, 4, 4, 4), 3)]
    arguments = [LAYOUTS[layout](array) for array in plain]
    for found, value in zip(conv2d_vjp(*arguments, backend=backend), oracle_gradients.conv2d_vjp(*plain)):
        agree(found, value, backend)
    pooled = whole((2, 2, 4, 4), 4)
    agree(
        pool2d_vjp(arguments[0], 2, LAYOUTS[layout](pooled), backend=backend),
        oracle_gradients.pool2d_vjp(plain[0], 2, pooled),
        backend,
    )
    for argument, before in zip(arguments, plain):
        np.testing.assert_array_equal(argument, before)


def tensor(backend, array):
    return convbridge.asarray(array, backend=backend)


#: Tensors of ones that do not lie in memory as their shape says, for each framework that has such.
AWKWARD = {
    "numpy": lambda shape: np.broadcast_to(np.float32(1), shape),
    "torch": lambda shape: registry.import_framework("torch").ones(()).expand(shape),
    "tensorflow": lambda shape: registry.import_framework("tensorflow").broadcast_to(np.float32(1), shape),
    "mxnet": lambda shape: registry.import_framework("mxnet").nd.ones((3, *shape))[1],
}


def test_a_gradient_that_is_a_view(backend, agree):
    X, W = tensor(backend, whole((2, 2, 5, 5))), tensor(backend, whole((4, 2, 2, 2), 1))
    wanted = oracle_gradients.conv2d_vjp(to_numpy(X), to_numpy(W), np.zeros(4), np.ones((2, 4, 4, 4)))
    b = tensor(backend, np.zeros(4, np.float32))
    for found, value in zip(conv2d_vjp(X, W, b, AWKWARD[backend]((2, 4, 4, 4))), wanted):
        agree(found, value, backend)
    for mode in ("max", "avg"):
        grad = AWKWARD[backend]((2, 2, 4, 4))
        agree(
            pool2d_vjp(X, 2, grad, mode),
            oracle_gradients.pool2d_vjp(to_numpy(X), 2, np.ones((2, 2, 4, 4)), mode),
            backend,
        )
        np.testing.assert_array_equal(to_numpy(grad), 1)


# --------------------------------------------------------------------------- fresh


def test_two_calls_return_equal_and_independent_arrays():
    X, W, b, grad = whole((2, 2, 5, 5)), whole((4, 2, 2, 2), 1), whole((4,), 2), whole((2, 4, 4, 4), 3)
    first, second = (conv2d_vjp(X, W, b, grad, backend="numpy") for _ in range(2))
    first += (pool2d_vjp(X, 1, X, backend="numpy"),)
    second += (pool2d_vjp(X, 1, X, backend="numpy"),)
    for one, other in zip(first, second):
        before = other.copy()
        one[...] = 77
        np.testing.assert_array_equal(other, before)
        assert not any(np.shares_memory(one, argument) for argument in (X, W, b, grad))


#: How to write into a tensor; TensorFlow's cannot be written.
FILL = {"torch": lambda t: t.fill_(77), "mxnet": lambda t: t.__setitem__(slice(None), 77)}


def test_tensors_are_fresh_too(backend):
    def call():
        return (
            *conv2d_vjp(*arguments),
            pool2d_vjp(arguments[0], 2, pooled),
            pool2d_vjp(arguments[0], 1, arguments[0], "avg"),  # nothing to compute: the temptation to return an input
            pool2d_vjp(arguments[0], 1, arguments[0]),
        )

    shapes = ((2, 2, 5, 5), (4, 2, 2, 2), (4,), (2, 4, 4, 4))
    arguments = [tensor(backend, whole(shape, seed)) for seed, shape in enumerate(shapes)]
    pooled = tensor(backend, whole((2, 2, 4, 4), 9))
    before = [to_numpy(argument) for argument in arguments]
    first, second = call(), call()
    values = [to_numpy(result) for result in second]
    for one, value in zip(first, values):
        np.testing.assert_array_equal(to_numpy(one), value)
        if backend in FILL:
            FILL[backend](one)
    for other, value in zip(second, values):
        np.testing.assert_array_equal(to_numpy(other), value)
    for argument, value in zip(arguments, before):
        np.testing.assert_array_equal(to_numpy(argument), value)


def _torch_leaf(array):
    leaf = registry.import_framework("torch").tensor(array, requires_grad=True)
    leaf.grad = registry.import_framework("torch").full_like(leaf, 5)
    return leaf, lambda: leaf.grad.numpy()


def _mxnet_leaf(array):
    leaf = convbridge.asarray(array, backend="mxnet")
    leaf.attach_grad()
    leaf.grad[:] = 5
    return leaf, lambda: leaf.grad.asnumpy()


#: A leaf of autograd whose gradient so far is 5, and a look at that gradient.
LEAF = {"torch": _torch_leaf, "mxnet": _mxnet_leaf}


@pytest.mark.parametrize("name", LEAF)
def test_nothing_accumulates_into_a_leaf(name):
    pytest.importorskip(registry.spec(name).framework)
    leaves = [LEAF[name](array) for array in (whole((1, 2, 4, 4)), whole((3, 2, 2, 2), 1), whole((3,), 2))]
    grad = tensor(name, whole((1, 3, 3, 3), 3))
    for _ in range(2):
        results = conv2d_vjp(*(leaf for leaf, _ in leaves), grad)
        results += tuple(pool2d_vjp(leaves[0][0], 2, leaves[0][0][:, :, :3, :3], mode) for mode in ("max", "avg"))
    for _, gradient in leaves:
        assert (gradient() == 5).all()
    for result in results:  # a gradient is a number, not a part of the caller's graph
        assert not getattr(result, "requires_grad", False)


@contextmanager
def _inside_torch(X):
    torch = registry.import_framework("torch")
    with torch.no_grad():
        yield
        assert not torch.is_grad_enabled()
    leaf = X.detach().requires_grad_()
    loss = (leaf * 3).sum()
    conv2d_vjp(leaf, K2, None, leaf[:, :, :2, :2].detach())
    loss.backward()
    assert (leaf.grad == 3).all()


@contextmanager
def _inside_tensorflow(X):
    tf = registry.import_framework("tensorflow")
    with tf.GradientTape() as tape:
        tape.watch(X)
        loss = tf.reduce_sum(X * 3)
        yield
        loss += tf.reduce_sum(X)
    assert (tape.gradient(loss, X).numpy() == 4).all()


@contextmanager
def _inside_mxnet(X):
    mx = registry.import_framework("mxnet")
    X.attach_grad()
    with mx.autograd.record():
        loss = (X * 3).sum()
        yield
        assert mx.autograd.is_recording()
        assert mx.autograd.is_training()
        loss = loss + X.sum()
    loss.backward()
    assert (X.grad.asnumpy() == 4).all()


@contextmanager
def _inside_numpy(X):
    with np.errstate(all="raise"):  # NumPy's own surroundings
        yield
        assert set(np.geterr().values()) == {"raise"}


#: What a caller may be in the middle of.
INSIDE = {"numpy": _inside_numpy, "torch": _inside_torch, "tensorflow": _inside_tensorflow, "mxnet": _inside_mxnet}


def test_the_callers_own_autograd_is_left_alone(backend, agree):
    X = tensor(backend, X3)
    K, b, grad = (tensor(backend, array) for array in (K2, np.zeros(1, np.float32), ONES))
    with INSIDE[backend](X):
        results = conv2d_vjp(X, K, b, grad)
        pooled = pool2d_vjp(X, 2, grad), pool2d_vjp(X, 2, grad, "avg")
    for found, value in zip(results, oracle_gradients.conv2d_vjp(X3, K2, np.zeros(1), ONES)):
        agree(found, value, backend)
    for found, mode in zip(pooled, ("max", "avg")):
        agree(found, oracle_gradients.pool2d_vjp(X3, 2, ONES, mode), backend)


@pytest.mark.parametrize("kind", ["arrays", "tensors"])
def test_threads_that_share_their_inputs(backend, kind):
    plain = [whole(shape, seed) for seed, shape in enumerate(((2, 4, 9, 9), (6, 2, 3, 3), (6,), (2, 6, 7, 7)))]
    pooled = whole((2, 4, 8, 8), 9)
    shared = plain if kind == "arrays" else [tensor(backend, array) for array in plain]
    shared_pooled = pooled if kind == "arrays" else tensor(backend, pooled)
    wanted = [
        *oracle_gradients.conv2d_vjp(*plain, groups=2),
        oracle_gradients.pool2d_vjp(plain[0], 2, pooled),
        oracle_gradients.pool2d_vjp(plain[0], 2, pooled, "avg"),
    ]

    def work(number):
        """Differentiate with a gradient of this thread's own, so that what another one leaves behind shows."""
        own = plain[3] * number if kind == "arrays" else tensor(backend, plain[3] * number)
        return [
            [
                *conv2d_vjp(*shared[:3], own, groups=2, backend=backend),
                pool2d_vjp(shared[0], 2, shared_pooled, backend=backend),
                pool2d_vjp(shared[0], 2, shared_pooled, "avg", backend=backend),
            ]
            for _ in range(30)
        ]

    with ThreadPoolExecutor(8) as threads:
        everything = list(threads.map(work, range(1, 9)))
    for number, calls in enumerate(
        everything, 1
    ):  # only now: nothing may have been written to a result in the meantime
        for results in calls:
            for found, value, factor in zip(results, wanted, (number, number, number, 1, 1)):
                np.testing.assert_array_equal(to_numpy(found), factor * value)


STRIDED_1X1 = """
import sys
import numpy as np
import convbridge
rng = np.random.default_rng(0)
for _ in range(300):
    n, c, o, h, w, sh, sw = (int(rng.integers(1, top + 1)) for top in (4, 6, 6, 16, 16, 4, 4))
    X = convbridge.asarray(np.ones((n, h, w, c), np.float32), backend=sys.argv[1])
    W = convbridge.asarray(np.ones((o, c, 1, 1), np.float32), backend=sys.argv[1])
    Y = convbridge.conv2d(X, W, stride=(sh, sw), data_format="NHWC")
    convbridge.conv2d_vjp(X, W, None, Y, stride=(sh, sw), data_format="NHWC")
print("alive")
"""


def test_strided_1x1_kernels_leave_memory_alone(backend):
    """oneDNN's weight gradient of those writes where it should not; the process dies of it, later."""
    command = [sys.executable, "-c", STRIDED_1X1, backend]
    paths = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": paths}, check=False)
    assert (done.returncode, done.stdout) == (0, "alive\n"), done.stderr[-500:]


# --------------------------------------------------------------------------- bad input

BAD_GRADIENTS = {
    "too small": (ONES[:, :, :1], ShapeError),
    "too large": (np.ones((1, 1, 3, 2)), ShapeError),
    "would broadcast": (np.ones((1, 1, 1, 1)), ShapeError),
    "another batch": (np.ones((2, 1, 2, 2)), ShapeError),
    "another layout": (np.ones((1, 2, 2, 1)), ShapeError),
    "a matrix": (ONES[0, 0], ShapeError),
    "a scalar": (1.0, ShapeError),
    "complex": (ONES.astype(complex), ArgumentTypeError),
    "text": (np.full(ONES.shape, "1"), ArgumentTypeError),
    "a word": ("ones", ArgumentTypeError),
    "objects": (ONES.astype(object), ArgumentTypeError),
    "None": (None, ArgumentTypeError),
    "ragged": ([[[[1, 2], [3]]]], ArgumentError),
    "a masked array": (np.ma.masked_equal(ONES, 0), ArgumentTypeError),
}


@pytest.mark.parametrize("fault", BAD_GRADIENTS)
def test_a_bad_gradient_is_refused_in_our_words(backend, fault):
    grad, kind = BAD_GRADIENTS[fault]
    with pytest.raises(kind, match=r"grad_output must [^\n]*Received: grad_output="):
        conv2d_vjp(X3, K2, None, grad, backend=backend)
    for mode in ("max", "avg"):
        with pytest.raises(kind, match=r"grad_output must [^\n]*Received: grad_output="):
            pool2d_vjp(X3, 2, grad, mode, backend=backend)


def test_the_shape_of_the_result_is_in_the_message():
    with pytest.raises(ShapeError, match=r"grad_output must have the shape of the result, \(2, 4, 3\)"):
        pool2d_vjp(np.ones((5, 4, 3)), (4, 1), np.ones((2, 4, 2)), data_format="NHWC", backend="numpy")


@pytest.mark.parametrize("blamed", ["X", "weight", "bias"])
def test_the_other_arguments_are_checked_as_forward(backend, blamed):
    arguments = {"X": X3, "weight": K2, "bias": np.zeros(1), "grad_output": ONES}
    arguments[blamed] = arguments[blamed][..., None]
    with pytest.raises(ShapeError, match=f"{blamed} must .*Received: {blamed}="):
        conv2d_vjp(**arguments, backend=backend)


def test_frameworks_are_not_mixed():
    installed = [name for name in convbridge.available_backends() if name != "numpy"]
    if len(installed) < 2:
        pytest.skip("needs two frameworks")
    one, other = (tensor(name, X3) for name in installed[:2])
    grad, foreign = (tensor(name, ONES) for name in installed[:2])
    with pytest.raises(MixedBackendsError, match="asarray"):
        pool2d_vjp(one, 2, foreign)
    with pytest.raises(MixedBackendsError, match="asarray"):
        conv2d_vjp(one, K2, None, foreign)
    with pytest.raises(MixedBackendsError, match="asarray"):
        conv2d_vjp(X3, K2, None, grad, backend="numpy")
    with pytest.raises(MixedBackendsError, match="list of tensors"):
        pool2d_vjp(other, 2, [foreign])


def test_the_frameworks_tensor_decides_who_computes(backend, agree):
    """A gradient alone is enough: NumPy arrays go where it lives."""
    agree(pool2d_vjp(X3, 2, tensor(backend, ONES)), [[[[0, 0, 0], [0, 1, 1], [0, 1, 1]]]], backend)


# --------------------------------------------------------------------------- wrong gradients do not pass

#: What the faults are planted into.
RIGHT = "_conv2d_vjp, _max_pool2d_vjp, _avg_pool2d_vjp = conv2d_vjp, max_pool2d_vjp, avg_pool2d_vjp\n"

#: A fault, how a failure must describe it, and the gradients that have it.
WRONG = {
    "a kernel that is not flipped": (
        "dX: ",
        """
        def conv2d_vjp(X, weight, bias, grad_output, **keywords):
            dX = _conv2d_vjp(X, weight[:, :, ::-1, ::-1], bias, grad_output, **keywords)[0]
            return (dX, *_conv2d_vjp(X, weight, bias, grad_output, **keywords)[1:])
    """,
    ),
    "one product too few": (
        "dW: ",
        """
        def conv2d_vjp(X, weight, bias, grad_output, **keywords):
            dX, dW, db = _conv2d_vjp(X, weight, bias, grad_output, **keywords)
            short = np.array(grad_output)
            short[..., -1, -1] = 0
            return dX, _conv2d_vjp(X, weight, bias, short, **keywords)[1], db
    """,
    ),
    "the mean over the batch": (
        "db: ",
        """
        def conv2d_vjp(X, weight, bias, grad_output, **keywords):
            dX, dW, db = _conv2d_vjp(X, weight, bias, grad_output, **keywords)
            return dX, dW, None if db is None else (db / len(X)).astype(db.dtype).view(Tensor)
    """,
    ),
    "ten-bit products": (
        "times the rounding bound",
        """
        def _short(x):  # as a tensor core keeps of float32
            return (x.view(np.uint32) & np.uint32(0xFFFFE000)).view(np.float32) if x.dtype == np.float32 else x
        def conv2d_vjp(X, weight, bias, grad_output, **keywords):
            return _conv2d_vjp(_short(np.asarray(X)), weight, bias, _short(np.asarray(grad_output)), **keywords)
    """,
    ),
    "a bias gradient without a bias": (
        "db: returned a result, where None belongs",
        """
        def conv2d_vjp(X, weight, bias, grad_output, **keywords):
            return _conv2d_vjp(X, weight, np.zeros(len(weight), X.dtype), grad_output, **keywords)
    """,
    ),
    "no bias gradient": (
        "db: returned None, where a result belongs",
        """
        def conv2d_vjp(X, weight, bias, grad_output, **keywords):
            return (*_conv2d_vjp(X, weight, bias, grad_output, **keywords)[:2], None)
    """,
    ),
    "the transposed weight gradient": (
        "dW: returned the shape",
        """
        def conv2d_vjp(X, weight, bias, grad_output, **keywords):
            dX, dW, db = _conv2d_vjp(X, weight, bias, grad_output, **keywords)
            return dX, dW.transpose(2, 3, 1, 0), db
    """,
    ),
    "ties to the last": (
        "elements differ",
        """
        def max_pool2d_vjp(X, pool_size, grad_output, *, data_format, **keywords):
            height, width = X.shape[2:] if data_format == "NCHW" else X.shape[1:3]
            slope = np.arange(height * width).reshape(height, width) / (2 * height * width)
            if data_format == "NHWC":
                slope = slope[:, :, None]
            if (np.rint(X) == X).all():
                X = np.asarray(X, np.float64) + slope
            dX = _max_pool2d_vjp(X, pool_size, grad_output, data_format=data_format, **keywords)
            return dX.astype(grad_output.dtype)
    """,
    ),
    "a NaN that gets no gradient": (
        "elements differ",
        """
        def max_pool2d_vjp(X, pool_size, grad_output, **keywords):
            return _max_pool2d_vjp(np.where(np.isnan(X), -np.inf, X), pool_size, grad_output, **keywords)
    """,
    ),
    "the divisor of a full window": (
        "elements differ",
        """
        def avg_pool2d_vjp(X, pool_size, grad_output, *, padding, counted, **keywords):
            return _avg_pool2d_vjp(X, pool_size, grad_output, padding=padding, counted=padding, **keywords)
    """,
    ),
    "returns the gradient it got": (
        "shares memory with",
        """
        def avg_pool2d_vjp(X, pool_size, grad_output, **keywords):
            dX = _avg_pool2d_vjp(X, pool_size, grad_output, **keywords)
            same = dX.shape == grad_output.shape and (dX == grad_output).all()
            return grad_output if same else dX
    """,
    ),
    "writes to its input": (
        "changed its input grad_output",
        """
        def avg_pool2d_vjp(X, pool_size, grad_output, **keywords):
            dX = _avg_pool2d_vjp(X, pool_size, grad_output, **keywords)
            grad_output /= pool_size[0] * pool_size[1]
            return dX
    """,
    ),
    "float32 for float64": (
        "dX: returned float32, not float64",
        """
        def max_pool2d_vjp(X, pool_size, grad_output, **keywords):
            return _max_pool2d_vjp(X, pool_size, grad_output, **keywords).astype(np.float32)
    """,
    ),
    "raises": (
        "raised RuntimeError: no gradient registered",
        """
        def conv2d_vjp(*arguments, **keywords):
            raise RuntimeError("no gradient registered")
    """,
    ),
}


def test_the_fake_backend_is_right_before_it_is_made_wrong(install):
    install("fake")
    summary = fuzz.run(["fake"], 300, 1, gradients=True)
    assert not summary.failures, "\n".join(map(str, summary.failures[:5]))


@pytest.mark.parametrize("fault", WRONG)
def test_a_wrong_gradient_fails(install, fault, capsys):
    problem, ops = WRONG[fault]
    install("fake", ops=RIGHT + textwrap.dedent(ops))
    assert fuzz.main(["--gradients", "--backends", "fake", "--cases", "300", "--seed", "1"]) == 1
    shown = capsys.readouterr().out
    assert problem in shown
    assert "--gradients --backends fake --seed 1 --only" in shown


def test_a_documented_gap_is_refused_and_does_not_count(install):
    install("fake", gaps={"conv2d[float64]": "It is Monday."})
    summary = fuzz.run(["fake"], 40, 1, gradients=True)
    found = summary.backends["fake"]
    assert not summary.failures
    assert found.cases == 40
    assert found.unsupported["It is Monday."] > 0


def test_the_failing_case_can_be_run_again(install, capsys):
    install("fake", ops=RIGHT + textwrap.dedent(WRONG["the mean over the batch"][1]))
    failure = fuzz.run(["fake"], 100, 7, gradients=True).failures[0]
    again = ["--gradients", "--backends", "fake", "--seed", "7", "--only", str(failure.case.number)]
    assert fuzz.main(again) == 1
    assert failure.problem in capsys.readouterr().out


# --------------------------------------------------------------------------- the cases


def test_cases_are_drawn_again_from_two_integers():
    first, second = random_gradient_case(3, 4), random_gradient_case(3, 4)
    assert str(first) == str(second)
    for a, b in zip(first.operands.values(), second.operands.values()):
        np.testing.assert_array_equal(a.values, b.values)
    assert str(random_gradient_case(3, 5)) != str(first) != str(random_gradient_case(4, 4))


def test_cases_cover_what_they_promise():
    drawn = list(random_gradient_cases(3000, 0))
    operands = [operand for case in drawn for operand in case.operands.values()]
    assert {operand.layout for operand in operands} == {*LAYOUTS, "list"}
    assert {case.dtype for case in drawn} == {"float16", "bfloat16", "float32", "float64"}
    words = {case.keywords["padding"].lower() for case in drawn if isinstance(case.keywords["padding"], str)}
    assert words == {"valid", "same", "same_upper", "same_lower", "chapter"}
    convolutions = [case for case in drawn if case.function == "conv2d_vjp"]
    assert len(convolutions) > 1000
    assert {case.keywords["data_format"] for case in convolutions} == {"NCHW", "NHWC"}
    assert {"bias" in case.operands for case in convolutions} == {True, False}
    assert any(case.operands["X"].values.size == 0 for case in convolutions)
    assert any(case.keywords["groups"] > 1 and case.operands["weight"].values.shape[1] == 1 for case in convolutions)
    assert any(np.ndim(case.keywords["padding"]) == 2 for case in convolutions)
    pools = [case for case in drawn if case.function == "pool2d_vjp"]
    for name in ("ceil_mode", "count_include_pad"):
        assert {case.keywords[name] for case in pools} == {True, False}
    for mode in ("max", "avg"):
        images = [case.operands["X"].values for case in pools if case.keywords["mode"] == mode]
        assert {image.ndim for image in images} == {2, 3, 4}
        assert sum(0 < len(np.unique(image)) <= 3 for image in images) > 100  # ties
    assert any(np.isnan(case.operands["grad_output"].values).any() for case in pools)
    overlapping = [case for case in pools if case.keywords["stride"] is not None]
    assert (
        sum(
            max(oracle.two(case.keywords["pool_size"])) > 1 == min(oracle.two(case.keywords["stride"]))
            for case in overlapping
        )
        > 100
    )


def test_many_cases_must_be_exact():
    """A bound that everything falls under would hide a wrong tie; a good part must agree bit for bit."""
    answers = [fuzz.expected(case) for case in random_gradient_cases(400, 0)]
    exact = dict.fromkeys(("dX", "dW", "db"), 0)
    for answer in answers:
        for name, expected in answer.items():
            exact[name] += expected is not None and expected.exact
    assert min(exact.values()) > 30, exact


def test_forward_shapes_are_the_functions_own():
    """The shape that a gradient is drawn with, against the forward call."""
    for case in random_cases(300, 5):
        if case.function not in ("conv2d", "pool2d"):
            continue
        shapes = {name: operand.values.shape for name, operand in case.operands.items()}
        arrays = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
        found = getattr(convbridge, case.function)(**arrays, **case.keywords, backend="numpy")
        assert found.shape == result_shape(shapes, case.keywords), str(case)
