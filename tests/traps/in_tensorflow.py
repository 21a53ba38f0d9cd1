# ruff: noqa: B023  (every lambda here is called before its loop goes on)
"""The traps of divergences that TensorFlow sets; run with oneDNN on and off by test_traps.py.

Every function says what the native operator does today, and demands the right
answer or the clear error from convbridge.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from harness import derivative, exact, fails, integers, main, refused, spawned, trap

import convbridge
from convbridge import ArgumentError, ArgumentTypeError, ShapeError, chapter, conv2d, pool2d
from convbridge.parity import oracle

tf.get_logger().setLevel("ERROR")  # no advice about functions that are traced often


def ones(*shape):
    return tf.ones(shape)


def unknown(rank=4, dtype=tf.float32):
    return tf.TensorSpec([None] * rank, dtype)


@trap("T1")
def rank():
    for shape in ((), (3,), (3, 3), (3, 3, 1), (1, 3, 3), (1, 2, 3, 3, 1)):
        for dtype in ("float32", "float64"):
            X, K = tf.ones(shape, dtype), tf.ones((1, 1, 2, 2), dtype)
            for data_format in ("NCHW", "NHWC"):
                refused(ShapeError, lambda: conv2d(X, K, data_format=data_format), "X must have 4 axes")
            refused(ShapeError, lambda: tf.function(conv2d)(X, K), "X must have 4 axes")
            if len(shape) not in (2, 3):
                refused(ShapeError, lambda: pool2d(X, 2), "X must have 2 or 3 or 4 axes")
    for shape in ((2, 2), (2, 2, 1), (1, 2, 2, 1, 1)):
        refused(ShapeError, lambda: conv2d(ones(1, 1, 3, 3), ones(*shape)), "weight must have 4 axes")


@trap("T2")
def pool_larger_than_image():
    for mode in ("max", "avg"):
        for dtype in ("float32", "float64"):
            X = tf.reshape(tf.range(1, 5), (1, 1, 2, 2))
            X = tf.cast(X, dtype)
            for stride in (1, 2, 3):
                refused(ShapeError, lambda: pool2d(X, 3, mode, stride=stride), "pool_size must fit")
                refused(ShapeError, lambda: pool2d(X, (1, 3), mode, stride=stride), "pool_size must fit", "width")
            # The rescue that PyTorch's rule allows: the window may stick out at the end.
            exact(pool2d(X, 3, mode, stride=3, ceil_mode=True), [[[[4.0 if mode == "max" else 2.5]]]])
            late = tf.function(lambda x: pool2d(x, 3, mode), input_signature=[unknown(dtype=dtype)])
            exact(late(tf.ones((1, 1, 3, 3), dtype)), [[[[1]]]])
            _fails_when_run(lambda: late(X))


def _fails_when_run(call):
    fails(tf.errors.InvalidArgumentError, call, "must fit into the padded input")


@trap("T3")
def integers_beyond_32_bits():
    X, K = tf.reshape(tf.range(16.0), (1, 1, 4, 4)), ones(1, 1, 2, 2)
    for huge in (2**31, 2**40, 2**63 - 1, 2**64):
        for name in ("stride", "dilation", "padding"):
            for value in (huge, (1, huge)):
                refused(ArgumentError, lambda: conv2d(X, K, **{name: value}), f"{name} must be below 2**31")
                refused(ArgumentError, lambda: pool2d(X, 2, **{name: value}), f"{name} must be below 2**31")
        refused(ArgumentError, lambda: conv2d(X, K, groups=huge), "groups must be below 2**31")
        refused(ArgumentError, lambda: pool2d(X, huge), "pool_size must be below 2**31")
    # The largest numbers that are let through are computed with.
    exact(conv2d(X, K, stride=2**31 - 1), [[[[10]]]])
    exact(conv2d(X, ones(1, 1, 1, 1), stride=2**31 - 1, dilation=2**31 - 1), [[[[0]]]])
    exact(pool2d(X, 2, stride=2**31 - 1), [[[[5]]]])
    exact(pool2d(X, 1, "avg", stride=2**31 - 1, dilation=2**31 - 1), [[[[0]]]])
    refused(ShapeError, lambda: conv2d(X, K, dilation=2**31 - 1), "weight must fit")
    refused(ShapeError, lambda: pool2d(X, 2, dilation=2**31 - 1), "pool_size must fit")
    refused(ShapeError, lambda: pool2d(X, 2**31 - 1), "pool_size must fit")
    late = tf.function(lambda x, k: conv2d(x, k, stride=2**31 - 1), input_signature=[unknown(), tf.TensorSpec(K.shape)])
    exact(late(X, K), [[[[10]]]])


@trap("T4")
def huge_padding():
    X, K = tf.reshape(tf.range(1.0, 10.0), (1, 1, 3, 3)), ones(1, 1, 3, 3)
    for padding in (2**20, 2**31 - 1, 2**31 - 10, ((2**20, 0), (2**20, 0)), (2**30, 2)):
        refused(ShapeError, lambda: conv2d(X, K, padding=padding), "result_shape")
    refused(ShapeError, lambda: pool2d(X, 2**20 + 1, padding=2**20), "result_shape")
    # On one side alone the same number is a call like any other.
    tall = conv2d(X, K, padding=((2**20, 0), (0, 0)))
    assert tall.shape == (1, 1, 2**20 + 1, 1)
    exact(tall[0, 0, -3:, 0], [6, 21, 45])
    assert float(tf.reduce_sum(tf.abs(tall[0, 0, :-3]))) == 0.0
    # However small the image turns out to be, its padding alone is too much.
    late = tf.function(lambda x: conv2d(x, K, padding=2**20), input_signature=[unknown()])
    refused(ShapeError, lambda: late(X), "padded_input_shape")


@trap("T9")
def one_column_of_output():
    X = np.arange(12, dtype="float32").reshape(2, 1, 2, 3)
    K = np.ones((1, 1, 1, 2), "float32")
    for _ in range(3):
        exact(conv2d(X, K, stride=(1, 2), backend="tf"), np.array([1, 7, 13, 19]).reshape(2, 1, 2, 1))
    nhwc = np.moveaxis(X, 1, 3)
    exact(
        conv2d(nhwc, K, stride=(1, 2), data_format="NHWC", backend="tf"), np.array([1, 7, 13, 19]).reshape(2, 2, 1, 1)
    )
    random = np.random.default_rng(9)
    traced = {}
    for case in range(60):
        batch, channels, per_channel, height = random.integers((2, 1, 1, 1), (5, 4, 3, 6)).tolist()
        kh, kw, sh, sw = random.integers((1, 1, 1, 2), (3, 4, 4, 5)).tolist()
        width = kw + int(random.integers(0, sw))
        X = integers(case, batch, channels, height + kh, width)
        K = integers(case + 1000, channels * per_channel, 1, kh, kw)
        keywords = {"stride": (sh, sw), "groups": channels}
        wanted = oracle.conv2d(X, K, **keywords)
        assert wanted.shape[3] == 1
        exact(conv2d(tf.constant(X), K, **keywords), wanted)
        if case % 6 == 0:
            key = (sh, sw, channels)
            if key not in traced:
                signature = [unknown(), tf.TensorSpec(K.shape)]
                traced[key] = tf.function(lambda x, k: conv2d(x, k, **keywords), input_signature=signature)
                exact(traced[key](X, K), wanted)


@trap("T10")
def output_of_size_zero():
    for dtype in ("float32", "float64"):
        for size, kernel, stride in ((2, 3, 1), (2, 3, 2), (3, 5, 2), (19, 20, 1), (2, 4, 1)):
            X, K = tf.ones((1, 1, size, size), dtype), tf.ones((1, 1, kernel, kernel), dtype)
            refused(ShapeError, lambda: conv2d(X, K, stride=stride), "weight must fit")
            refused(ShapeError, lambda: tf.function(conv2d)(X, K, stride=stride), "weight must fit")
            with tf.GradientTape() as tape:
                tape.watch(K)
                refused(ShapeError, lambda: conv2d(X, K, stride=stride), "weight must fit")
            assert tape.gradient(tf.constant(0.0), K) is None  # nothing was recorded
        depthwise = tf.ones((2, 1, 3, 3), dtype)
        refused(ShapeError, lambda: conv2d(tf.ones((1, 2, 2, 2), dtype), depthwise, groups=2), "weight must fit")
        for stride, dilation in ((1, 1), (2, 1), (1, 2)):
            late = tf.function(
                lambda x, k: conv2d(x, k, stride=stride, dilation=dilation),
                input_signature=[unknown(dtype=dtype), tf.TensorSpec((1, 1, 3, 3), dtype)],
            )
            _fails_when_run(lambda: late(tf.ones((1, 1, 2, 2), dtype), tf.ones((1, 1, 3, 3), dtype)))


@trap("T11")
def empty_batch():
    for dtype in ("float32", "float64"):
        X, K, b = tf.ones((0, 2, 9, 9), dtype), tf.ones((6, 2, 3, 3), dtype), tf.ones(6, dtype)
        late = {
            "conv": tf.function(lambda x: conv2d(x, K, b), input_signature=[unknown(dtype=dtype)]),
            "max": tf.function(lambda x: pool2d(x, 3), input_signature=[unknown(dtype=dtype)]),
            "avg": tf.function(lambda x: pool2d(x, 3, "avg"), input_signature=[unknown(dtype=dtype)]),
        }
        eager = {
            "conv": lambda x: conv2d(x, K, b),
            "max": lambda x: pool2d(x, 3),
            "avg": lambda x: pool2d(x, 3, "avg"),
        }
        for functions in (eager, late):
            for name, function in functions.items():
                with tf.GradientTape() as tape:
                    tape.watch((X, K, b))
                    Y = function(X)
                assert Y.shape == (0, 6 if name == "conv" else 2, 7, 7), (name, Y.shape)
                assert Y.dtype == dtype
                dX, dK, db = tape.gradient(Y, (X, K, b))
                assert dX.shape == X.shape
                if name == "conv":
                    exact(dK, np.zeros(K.shape))
                    exact(db, np.zeros(b.shape))
        nhwc = conv2d(tf.ones((0, 9, 9, 4), dtype), tf.ones((6, 2, 3, 3), dtype), groups=2, data_format="NHWC")
        assert nhwc.shape == (0, 7, 7, 6)


@trap("T13")
def windows_of_padding_alone():
    X = tf.reshape(tf.range(1.0, 10.0), (3, 3))
    for mode in ("max", "avg"):
        for padding in (2, (0, 2), ((0, 0), (0, 2)), ((5, 0), (0, 0))):
            refused(ArgumentError, lambda: pool2d(X, 2, mode, padding=padding), "padding of each side must be smaller")
        for padding in (1, 2, ((2, 0), (1, 2))):
            exact(pool2d(X, 3, mode, padding=padding) * 9, oracle.pool2d(X * 9, 3, mode, padding=padding))


@trap("T15")
def batch_padding():
    for padding in ([[1, 0], [1, 0], [1, 0], [0, 0]], [[0, 0], [1, 0], [1, 0], [0, 0]], (1, 1, 1, 1), [[1, 0]]):
        refused(ArgumentError, lambda: conv2d(ones(1, 1, 3, 3), ones(1, 1, 2, 2), padding=padding), "padding must be")
        refused(ArgumentError, lambda: pool2d(ones(3, 3), 2, padding=padding), "padding must be")


@trap("T17")
def depthwise_with_stride_and_dilation():
    X = np.arange(1, 50, dtype="float32").reshape(1, 1, 7, 7)
    K = np.ones((1, 1, 2, 2), "float32")
    wanted = [[[[36, 44, 52], [92, 100, 108], [148, 156, 164]]]]
    exact(conv2d(X, K, stride=2, dilation=2, backend="tf"), wanted)
    X = np.concatenate([X, X + 49], 1)
    K = np.concatenate([K, K])
    exact(conv2d(X, K, stride=2, dilation=2, groups=2, backend="tf")[:, :1], wanted)
    for case, (n, k, s, d, per_channel) in enumerate(
        [(8, 2, 2, 3, 1), (9, 3, 2, 2, 2), (11, 3, 3, 2, 1), (10, 2, (1, 2), (3, 1), 1), (10, 3, (2, 1), (1, 3), 2)]
    ):
        for channels in (1, 3):
            X = integers(case, 2, channels, n, n)
            K = integers(case + 50, channels * per_channel, 1, k, k)
            keywords = {"stride": s, "dilation": d, "groups": channels, "padding": ((1, 0), (0, 2))}
            wanted = oracle.conv2d(X, K, **keywords)
            for dtype in ("float32", "float64"):
                exact(conv2d(tf.constant(X, dtype), K, **keywords), wanted)
            late = tf.function(lambda x: conv2d(x, K, **keywords), input_signature=[unknown()])
            exact(late(X), wanted)


@trap("T19")
def demotion():
    big = np.array([[16777217.0, 1], [1, 1]])
    exact(pool2d(big, 2, backend="tf"), [[16777217.0]])
    assert pool2d(big, 2, backend="tf").dtype == tf.float64
    exact(pool2d(np.array([[1e300, 1], [1, 1]]), 2, backend="tf"), [[1e300]])
    X = tf.constant([[1, 2], [3, 4]])
    K = np.full((1, 1), 0.5)
    for kernel in (K, K.tolist(), tf.constant(K), tf.constant(K, tf.float32)):
        Y = convbridge.corr2d(X, kernel)
        exact(Y, [[0.5, 1], [1.5, 2]])
    assert convbridge.corr2d(X, K).dtype == tf.float64
    assert convbridge.corr2d(tf.constant([[1.0]]), np.array([[1e300]])).numpy() == 1e300
    assert convbridge.corr2d(tf.constant([[1.0]]), [[1]]).dtype == tf.float32
    exact(pool2d(X, 2, "avg"), [[2.5]])
    refused(ArgumentTypeError, lambda: pool2d(tf.constant([[1j]]), 1), "X must hold real numbers")
    refused(ArgumentTypeError, lambda: pool2d(np.array([[1j]]), 1, backend="tf"), "X must hold real numbers")


@trap("T20")
def channels_that_become_groups():
    refused(ShapeError, lambda: conv2d(ones(1, 4, 3, 3), ones(2, 2, 2, 2)), "X has 4, weight 2, groups is 1")
    refused(ShapeError, lambda: conv2d(ones(1, 3, 3, 3), ones(3, 1, 2, 2)), "X has 3, weight 1, groups is 1")
    refused(ShapeError, lambda: conv2d(ones(1, 2, 3, 3), ones(2, 2, 2, 1)[..., ::-1], groups=2), "groups is 2")
    # A kernel in TensorFlow's own layout, height, width, in, out.
    refused(ShapeError, lambda: conv2d(ones(1, 2, 3, 3), ones(2, 2, 2, 1), data_format="NHWC"), "X has 3, weight 2")
    late = tf.function(lambda x, k: conv2d(x, k), input_signature=[unknown(), tf.TensorSpec((2, 2, 2, 2))])
    exact(late(ones(1, 2, 2, 2), ones(2, 2, 2, 2)), np.full((1, 2, 1, 1), 8))
    fails(tf.errors.InvalidArgumentError, lambda: late(ones(1, 4, 2, 2), ones(2, 2, 2, 2)), "[?,?,?,2]")


@trap("T21")
def fractions():
    X, K = ones(1, 1, 4, 4), ones(1, 1, 2, 2)
    for value in (1.5, 2.0, (1, 1.5), np.float32(2), "1", tf.constant(1.5)):
        for name in ("stride", "dilation"):
            refused(ArgumentTypeError, lambda: conv2d(X, K, **{name: value}), name)
            refused(ArgumentTypeError, lambda: pool2d(X, 2, **{name: value}), name)
        refused(ArgumentTypeError, lambda: pool2d(X, value), "pool_size")
    exact(conv2d(X, K, stride=tf.constant(2)), conv2d(X, K, stride=2))


@trap("T22")
def gradient_of_the_loop():
    X, K = tf.constant(integers(1, 3, 3)), tf.constant(integers(2, 2, 2))
    G = integers(3, 2, 2)
    for function in (chapter.corr2d, convbridge.corr2d):
        with tf.GradientTape() as tape:
            tape.watch((X, K))
            loss = tf.reduce_sum(function(X, K) * G)
        dX, dK = tape.gradient(loss, (X, K))
        exact(dX, derivative(lambda x: oracle.conv2d(x[None, None], K.numpy()[None, None])[0, 0], X.numpy(), G))
        exact(dK, derivative(lambda k: oracle.conv2d(X.numpy()[None, None], k[None, None])[0, 0], K.numpy(), G))
    layer = chapter.Conv2D((1, 2), backend="tf")
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(tf.ones((2, 3))))
    gradients = tape.gradient(loss, [layer.weight, layer.bias])
    exact(gradients[0], [[4, 4]])  # not None, which would leave the bias to be trained alone
    exact(gradients[1], [4])


@trap("gradients")
def gradients_that_processors_lack():
    """Without oneDNN, and for float64 with it, grouped and dilated kernels have no native gradient (row 43)."""
    cases = [
        {"groups": 2},
        {"groups": 4},
        {"dilation": 2},
        {"groups": 2, "dilation": (1, 2), "stride": (2, 1)},
        {"groups": 4, "dilation": 2, "stride": 2, "padding": ((2, 1), (0, 2))},
    ]
    for case, keywords in enumerate(cases):
        X = integers(case, 1, 4, 5, 5)
        K = integers(case + 10, 4, 4 // keywords.get("groups", 1), 2, 2)
        G = integers(case + 20, *oracle.conv2d(X, K, **keywords).shape)
        dX = derivative(lambda x: oracle.conv2d(x, K, **keywords), X, G)
        dK = derivative(lambda k: oracle.conv2d(X, k, **keywords), K, G)
        for dtype in ("float32", "float64"):
            x, k, g = (tf.constant(a, dtype) for a in (X, K, G))
            with tf.GradientTape() as tape:
                tape.watch((x, k))
                loss = tf.reduce_sum(conv2d(x, k, **keywords) * g)
            for got, wanted in zip(tape.gradient(loss, (x, k)), (dX, dK)):
                exact(got, wanted)


def _in_another_process():
    X, K = integers(1, 8, 16, 32, 32), integers(2, 16, 16, 3, 3)
    exact(conv2d(tf.constant(X), tf.constant(K))[:1, :1], oracle.conv2d(X[:1], K[:1]))


@trap("T8")
def another_process():
    """TensorFlow's threads do not survive a fork, and the child waits for them; a spawned process has its own."""
    _in_another_process()
    spawned(_in_another_process)


@trap("T5")
def strided_1x1_gradient():
    """Comes last: what it would corrupt is the heap, and the crash may wait for the process to end."""
    cases = [
        # (N, C, H, W), outputs, groups, stride
        ((1, 1, 6, 6), 1, 1, (1, 2)),
        ((3, 6, 12, 12), 6, 1, 2),
        ((2, 3, 7, 8), 5, 1, (3, 2)),
        ((2, 4, 9, 5), 4, 4, 2),
        ((4, 2, 11, 6), 8, 2, (2, 3)),
    ]
    for case, (shape, outputs, groups, stride) in enumerate(cases):
        X = tf.constant(integers(case, *shape))
        K = tf.Variable(integers(case + 10, outputs, shape[1] // groups, 1, 1))
        keywords = {"stride": stride, "groups": groups}
        G = integers(case + 20, *oracle.conv2d(X, K.numpy(), **keywords).shape)
        wanted = derivative(lambda k: oracle.conv2d(X.numpy(), k, **keywords), K.numpy(), G)

        def step():
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(conv2d(X, K, **keywords) * G)
            return tape.gradient(loss, K)

        for run, steps in ((step, 300 if case < 2 else 30), (tf.function(step), 300)):
            for _ in range(steps):
                gradient = run()
            exact(gradient, wanted)
    layer = convbridge.Conv2D(1, 6, 6, stride=2, padding="same", seed=0, backend="tf")
    X = tf.constant(integers(99, 3, 6, 12, 12))
    G = integers(98, 3, 6, 6, 6)
    wanted = derivative(lambda k: oracle.conv2d(X.numpy(), k, stride=2), layer.weight.numpy(), G)
    for _ in range(300):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(X) * G)
        gradient = tape.gradient(loss, layer.trainable_weights)
    exact(gradient[0], wanted)


if __name__ == "__main__":
    main()
