"""conv2d_vjp and pool2d_vjp on every backend: golden values, and everything else that is promised."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import pytest

import convbridge
from convbridge import conv2d_vjp, pool2d_vjp, registry, to_numpy
from convbridge.errors import ArgumentError, ArgumentTypeError, MixedBackendsError, ShapeError
from convbridge.parity import oracle_gradients
from convbridge.parity.cases import LAYOUTS

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
    if name not in convbridge.available_backends():
        pytest.skip(f"needs {name}")
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
