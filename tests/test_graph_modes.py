"""The frameworks' compiled modes: TensorFlow's graphs, Keras models, Gluon's hybridized blocks, PyTorch's transforms.

A graph is built before the sizes of its images are known, or from symbols that
have no values; it must compute what the same call computes eagerly, bit for
bit where the numbers are whole.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import convbridge
from convbridge import AvgPool2D, Conv2D, MaxPool2D, ShapeError, UnsupportedOperationError, conv2d, pool2d, to_numpy
from convbridge.parity import bounds, oracle


def needs(framework):
    return pytest.mark.skipif(framework not in convbridge.available_backends(), reason=f"{framework} is not installed")


def whole(seed, *shape):
    """Return small whole numbers, whose sums and products are exact in float32."""
    return np.random.default_rng(seed).integers(-9, 10, shape).astype("float32")


def exact(result, wanted, dtype="float32"):
    values = to_numpy(result)
    assert values.dtype == dtype
    assert values.shape == np.shape(wanted)
    np.testing.assert_array_equal(values, np.asarray(wanted, dtype))


def last(X):
    """Put the channels last."""
    return np.moveaxis(X, 1, 3).copy()


CONVOLUTIONS = {
    "plain": ((5, 3, 2, 2), {}),
    "stride": ((4, 3, 2, 3), {"stride": (2, 3)}),
    "dilation": ((4, 3, 3, 2), {"dilation": (2, 3)}),
    "stride and dilation": ((4, 3, 2, 2), {"stride": (3, 2), "dilation": 2}),
    "stride along one axis, dilation along the other": ((4, 3, 2, 2), {"stride": (1, 2), "dilation": (2, 1)}),
    "groups": ((6, 1, 2, 2), {"groups": 3, "stride": 2}),
    "depthwise, unequal strides": ((3, 1, 3, 2), {"groups": 3, "stride": (1, 2)}),
    "depthwise, stride and dilation": ((3, 1, 2, 2), {"groups": 3, "stride": (2, 1), "dilation": (1, 3)}),
    "1x1": ((4, 3, 1, 1), {"stride": 2}),
    "1xk": ((4, 3, 1, 3), {"stride": (2, 3), "dilation": (1, 2)}),
    "kx1": ((4, 3, 3, 1), {"stride": 2, "dilation": (1, 5)}),
}
PADDINGS = (0, 2, ((2, 0), (0, 1)), "valid", "same", "same_upper", "SAME_LOWER", "chapter")


@needs("tensorflow")
@pytest.mark.parametrize("data_format", ["NCHW", "NHWC"])
@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_tf_convolution_of_unknown_sizes(case, data_format):
    import tensorflow as tf

    kernel, keywords = CONVOLUTIONS[case]
    K, b = whole(1, *kernel), whole(2, kernel[0])
    static = [None, 3, None, None] if data_format == "NCHW" else [None, None, None, 3]
    for i, padding in enumerate(PADDINGS):
        full = {**keywords, "padding": padding, "data_format": data_format}
        signature = [tf.TensorSpec(static if i % 2 else [None] * 4)]
        traced = tf.function(lambda x, full=full: conv2d(x, K, b, **full), input_signature=signature)
        for size in ((2, 3, 9, 8), (1, 3, 7, 7), (3, 3, 8, 11)):
            X = whole(3, *size)
            X = last(X) if data_format == "NHWC" else X
            exact(traced(X), oracle.conv2d(X, K, b, **full))
            exact(conv2d(tf.constant(X), K, b, **full), oracle.conv2d(X, K, b, **full))
        assert traced.experimental_get_tracing_count() == 1


@needs("tensorflow")
@pytest.mark.parametrize("stride", [(1, 2), (2, 1), (3, 3)])
@pytest.mark.parametrize("groups", [1, 2])
def test_tf_a_single_output_that_shows_only_when_the_graph_runs(stride, groups):
    """Row 45: with one output column TensorFlow returns garbage; a graph does not know how many there will be."""
    import tensorflow as tf

    K = whole(1, groups, 1, 2, 2)
    traced = tf.function(
        lambda x: conv2d(x, K, stride=stride, groups=groups), input_signature=[tf.TensorSpec([None] * 4)]
    )
    for height, width in itertools.product(range(2, 6), repeat=2):
        X = whole(height, 3, groups, height, width)
        exact(traced(X), oracle.conv2d(X, K, stride=stride, groups=groups))


@needs("tensorflow")
def test_tf_gradients_of_unknown_sizes():
    import tensorflow as tf

    for kernel, keywords in CONVOLUTIONS.values():
        K = whole(1, *kernel)

        def eager(x, k, keywords=keywords):
            with tf.GradientTape() as tape:
                tape.watch((x, k))
                loss = tf.reduce_sum(conv2d(x, k, padding="same", **keywords) ** 2)
            return tape.gradient(loss, (x, k))

        traced = tf.function(eager, input_signature=[tf.TensorSpec([None] * 4), tf.TensorSpec(K.shape)])
        for size in ((2, 3, 6, 7), (1, 3, 5, 5)):
            X = tf.constant(whole(2, *size) / 4)
            for late, early in zip(traced(X, K / 4), eager(X, tf.constant(K / 4))):
                exact(late, early)


POOLS = {
    "plain": {},
    "stride": {"stride": (2, 3)},
    "no overlap": {"stride": None},
    "four sides": {"padding": ((1, 0), (0, 2)), "stride": 2},
    "ceil mode": {"stride": (2, 3), "ceil_mode": True},
    "ceil mode and padding": {"stride": 2, "ceil_mode": True, "padding": 1},
    "the image alone": {"stride": 2, "ceil_mode": True, "padding": 1, "count_include_pad": False},
    "dilation": {"dilation": (3, 2), "stride": 2, "padding": 1, "count_include_pad": False},
    "same": {"padding": "same", "stride": 2},
    "same_lower": {"padding": "same_lower", "stride": (3, 2), "count_include_pad": False},
    "same and ceil mode": {"padding": "same", "stride": 2, "ceil_mode": True},
    "chapter": {"padding": "chapter", "stride": 2},
}


def awkward(X):
    """Return a copy with NaNs, infinities and a whole region of minus infinities."""
    X = X.copy()
    X[..., :3, :4] = -np.inf
    X[0, 0, 5, 5] = np.nan
    X[-1, -1, 4, :] = np.inf
    return X


@needs("tensorflow")
@pytest.mark.parametrize("data_format", ["NCHW", "NHWC"])
@pytest.mark.parametrize("mode", ["max", "avg"])
@pytest.mark.parametrize("case", POOLS)
def test_tf_pooling_of_unknown_sizes(case, mode, data_format):
    import tensorflow as tf

    keywords = {**POOLS[case], "data_format": data_format}
    for dtype in ("float32", "float64"):
        traced = tf.function(
            lambda x: pool2d(x, (2, 3), mode, **keywords), input_signature=[tf.TensorSpec([None] * 4, dtype)]
        )
        for size in ((2, 3, 9, 8), (1, 2, 7, 7), (3, 1, 8, 11)):
            for X in (36 * whole(1, *size), awkward(36 * whole(1, *size))):
                X = (last(X) if data_format == "NHWC" else X).astype(dtype)
                asked = {"stride": 1, **keywords}
                wanted = oracle.pool2d(X, (2, 3), mode, **asked)
                exact(traced(X), wanted, dtype)
                exact(pool2d(tf.constant(X), (2, 3), mode, **keywords), wanted, dtype)
        assert traced.experimental_get_tracing_count() == 1


@needs("tensorflow")
def test_tf_pooling_of_matrices_of_unknown_size():
    import tensorflow as tf

    X = 6 * whole(1, 3, 7, 8)
    for mode in ("max", "avg"):
        for rank, image in ((2, X[0]), (3, X)):
            traced = tf.function(
                lambda x, mode=mode: pool2d(x, (2, 3), mode, stride=2, padding="same"),
                input_signature=[tf.TensorSpec([None] * rank)],
            )
            exact(traced(image), oracle.pool2d(image, (2, 3), mode, stride=2, padding="same"))
    traced = tf.function(convbridge.corr2d, input_signature=[tf.TensorSpec([None] * 2), tf.TensorSpec((2, 3))])
    exact(traced(X[0], X[1, :2, :3]), oracle.conv2d(X[None, :1], X[None, 1:2, :2, :3])[0, 0])


@needs("tensorflow")
def test_tf_a_batch_that_is_empty_only_when_the_graph_runs():
    import tensorflow as tf

    K = whole(1, 6, 2, 3, 3)
    for data_format in ("NCHW", "NHWC"):
        empty, full = ((0, 2, 8, 9), (2, 2, 8, 9)) if data_format == "NCHW" else ((0, 8, 9, 2), (2, 8, 9, 2))
        functions = [
            lambda x, f=data_format: conv2d(x, K, stride=2, padding=1, data_format=f),
            lambda x, f=data_format: conv2d(x, K[:, :1], dilation=2, groups=2, data_format=f),
            lambda x, f=data_format: pool2d(x, 3, stride=2, ceil_mode=True, data_format=f),
            lambda x, f=data_format: pool2d(x, 3, "avg", padding=1, count_include_pad=False, data_format=f),
        ]
        for function in functions:
            traced = tf.function(function, input_signature=[tf.TensorSpec([None] * 4)])
            assert traced(np.zeros(empty, "float32")).shape == (0, *function(tf.zeros(full)).shape[1:])
            exact(traced(whole(2, *full)), function(tf.constant(whole(2, *full))))


@needs("tensorflow")
@pytest.mark.parametrize("data_format", ["NCHW", "NHWC"])
def test_tf_a_window_that_does_not_fit_when_the_graph_runs(data_format):
    import tensorflow as tf

    K = np.ones((1, 1, 3, 3), "float32")
    for function in (
        lambda x: conv2d(x, K, data_format=data_format),
        lambda x: conv2d(x, K, stride=2, data_format=data_format),
        lambda x: conv2d(x, K[:, :, :2, :2], dilation=2, data_format=data_format),
        lambda x: pool2d(x, 3, data_format=data_format),
        lambda x: pool2d(x, 3, "avg", stride=2, data_format=data_format),
        lambda x: pool2d(x, 2, "avg", dilation=2, data_format=data_format),
    ):
        traced = tf.function(function, input_signature=[tf.TensorSpec([None] * 4)])
        for height, width in ((2, 3), (3, 2), (1, 1)):
            X = np.ones((1, 1, height, width), "float32")
            with pytest.raises(tf.errors.InvalidArgumentError, match="must fit into the padded input"):
                traced(last(X) if data_format == "NHWC" else X)
        assert traced(np.ones((1, 3, 3, 1) if data_format == "NHWC" else (1, 1, 3, 3), "float32")).shape == (1, 1, 1, 1)


@needs("tensorflow")
def test_tf_what_a_trace_already_knows_is_refused_by_the_trace():
    import tensorflow as tf

    K = np.ones((2, 3, 3, 3), "float32")
    for shape, words in (
        (None, "X must have a known number of axes"),
        ([None] * 3, "X must have 4 axes"),
        ([None, 4, None, None], "X has 4"),
        ([None, None, 2, None], "weight must fit"),
        ([None, 3, 0, None], "at least one element"),
    ):
        traced = tf.function(lambda x: conv2d(x, K), input_signature=[tf.TensorSpec(shape)], autograph=False)
        with pytest.raises(ShapeError, match=words):
            traced.get_concrete_function()
    traced = tf.function(lambda x: pool2d(x, 2), input_signature=[tf.TensorSpec(None)], autograph=False)
    with pytest.raises(ShapeError, match="X must have a known number of axes"):
        traced.get_concrete_function()
    kernel = tf.function(lambda x, k: conv2d(x, k), input_signature=[tf.TensorSpec([None] * 4)] * 2, autograph=False)
    with pytest.raises(ShapeError, match="weight must have a fully known shape"):
        kernel.get_concrete_function()


@needs("tensorflow")
def test_tf_errors_keep_their_class_in_a_function():
    """AutoGraph builds exceptions anew, and turns those that it cannot build into its own."""
    import tensorflow as tf

    @tf.function
    def user_code(x):
        return conv2d(x, tf.ones((1, 1, 2, 2)))

    for error in (ShapeError, ValueError):
        with pytest.raises(error, match=r"X must have 4 axes .*Received: "):
            user_code(tf.ones((3, 3)))
    with pytest.raises(convbridge.ArgumentTypeError, match=r"stride must .*Received: "):
        tf.function(lambda x: conv2d(x, tf.ones((1, 1, 2, 2)), stride=1.5))(tf.ones((1, 1, 3, 3)))


# --------------------------------------------------------------------------- Keras


def _keras_network(data_format, sequential):
    import keras

    # the built-in layers that run on every processor have their channels last
    first = Conv2D(3, 2, 4, padding="same", stride=2, data_format=data_format, seed=0, backend="tensorflow")
    second = MaxPool2D(2, stride=1, padding="same", ceil_mode=True, data_format=data_format, backend="tensorflow")
    third = Conv2D(2, 4, 4, groups=4, dilation=2, data_format=data_format, seed=1, backend="tensorflow")
    fourth = AvgPool2D(2, count_include_pad=False, padding=1, data_format=data_format, backend="tensorflow")
    layers = [first, keras.layers.ReLU(), second, third, fourth]
    shape = (2, None, None) if data_format == "NCHW" else (None, None, 2)
    inputs = keras.Input(shape)
    if sequential:
        return layers, keras.Sequential([inputs, *layers])
    outputs = inputs
    for layer in layers:
        outputs = layer(outputs)
    return layers, keras.Model(inputs, outputs)


@needs("tensorflow")
@pytest.mark.parametrize("data_format", ["NCHW", "NHWC"])
@pytest.mark.parametrize("sequential", [True, False])
def test_keras_models(data_format, sequential):
    import keras

    layers, model = _keras_network(data_format, sequential)
    channels = model.output_shape[1 if data_format == "NCHW" else 3]
    assert channels == 4
    for size in ((2, 2, 9, 8), (3, 2, 12, 13)):
        X = whole(1, *size)
        X = last(X) if data_format == "NHWC" else X
        step = keras.ops.convert_to_tensor(X)
        for layer in layers:
            step = layer(step)
        exact(model(X), step)
        np.testing.assert_allclose(model.predict(X, verbose=0), step, rtol=0, atol=1e-4)
    assert len(model.trainable_weights) == 4


# --------------------------------------------------------------------------- Gluon


def _nd(values, dtype="float32"):
    """Make an MXNet array; mx.nd.array looks for SciPy matrices and makes SciPy warn."""
    return convbridge.asarray(values, dtype=dtype, backend="mxnet")


def _gluon():
    from convbridge_mxnet._compat import mxnet as mx

    return mx


@needs("mxnet")
@pytest.mark.parametrize("data_format", ["NCHW", "NHWC"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gluon_hybridized_convolution(data_format, dtype):
    for keywords in (
        {},
        {"stride": (2, 1), "padding": ((2, 0), (0, 1)), "groups": 2},
        {"dilation": (1, 2), "padding": "chapter", "stride": 2},
        {"padding": "same"},
        {"use_bias": False},
        {"padding": "same", "stride": 2},  # alone it knows its image
    ):
        layer = Conv2D((2, 3), 4, 6, data_format=data_format, dtype=dtype, seed=3, backend="mxnet", **keywords)
        eager = Conv2D((2, 3), 4, 6, data_format=data_format, dtype=dtype, seed=3, backend="mxnet", **keywords)
        if keywords != {"padding": "same", "stride": 2}:
            layer.hybridize()
        for size in ((2, 4, 7, 8), (1, 4, 9, 6), (0, 4, 5, 5)):
            X = whole(1, *size)
            X = _nd(last(X) if data_format == "NHWC" else X, dtype=dtype) if X.size else X.astype(dtype)
            if not size[0] and data_format == "NHWC":
                X = last(X)
            exact(layer(X), to_numpy(eager(X)), dtype)


@needs("mxnet")
@pytest.mark.parametrize("data_format", ["NCHW", "NHWC"])
@pytest.mark.parametrize("mode", ["max", "avg"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gluon_hybridized_pooling(data_format, mode, dtype):
    build = MaxPool2D if mode == "max" else AvgPool2D
    for case, keywords in POOLS.items():
        if case in ("same", "same_lower", "same and ceil mode"):
            continue  # a symbol does not know its size: see the test of what is refused
        keywords = {"stride": 1, **keywords, "data_format": data_format}
        layer = build((2, 3), backend="mxnet", **keywords)
        layer.hybridize()
        for size in ((2, 3, 9, 8), (1, 2, 7, 7)):
            for X in (36 * whole(1, *size), awkward(36 * whole(1, *size))):
                X = (last(X) if data_format == "NHWC" else X).astype(dtype)
                wanted = oracle.pool2d(X, (2, 3), mode, **keywords)
                exact(layer(_nd(X, dtype=dtype)), wanted, dtype)
                exact(layer(_nd(X, dtype=dtype)), wanted, dtype)  # from the cached graph


@needs("mxnet")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gluon_hybridized_network(dtype):
    mx = _gluon()

    def build():
        net = mx.gluon.nn.HybridSequential()
        net.add(Conv2D(3, 2, 4, padding="same", dtype=dtype, seed=0, backend="mxnet"))
        net.add(mx.gluon.nn.Activation("relu"))
        net.add(MaxPool2D(2, ceil_mode=True, backend="mxnet"))
        net.add(mx.gluon.nn.Conv2D(4, 2, groups=2, in_channels=4, weight_initializer=mx.init.Constant(0.5)))
        net.add(AvgPool2D(2, stride=1, padding=1, count_include_pad=False, backend="mxnet"))
        net.initialize()
        net.cast(dtype)
        return net

    eager, hybrid = build(), build()
    hybrid.hybridize()
    for size in ((2, 2, 9, 8), (1, 2, 7, 7)):
        # in multiples of 1/64 everything is exact in both precisions but the weights, which are the same
        X = _nd(whole(1, *size), dtype=dtype)
        early, late = eager(X), hybrid(X)
        assert late.dtype == np.dtype(dtype)
        exact(late, to_numpy(early), dtype)
        X[0, 0, 4, 4] = np.nan
        exact(hybrid(X), to_numpy(eager(X)), dtype)


@needs("mxnet")
def test_gluon_hybridized_gradients():
    mx = _gluon()
    from convbridge_mxnet._compat import autograd_lock

    for build in (
        lambda: MaxPool2D(2, stride=2, ceil_mode=True, backend="mxnet"),
        lambda: AvgPool2D(2, stride=2, ceil_mode=True, backend="mxnet"),
        lambda: AvgPool2D(3, stride=2, padding=1, count_include_pad=False, backend="mxnet"),
        lambda: Conv2D(3, 2, 3, stride=2, padding=((1, 0), (0, 2)), seed=1, backend="mxnet"),
    ):
        found = []
        for hybrid in (False, True):
            layer = build()
            if hybrid:
                layer.hybridize()
            X = _nd(whole(1, 2, 2, 7, 7))
            X.attach_grad()
            with autograd_lock:
                with mx.autograd.record():
                    Y = layer(X)
                Y.backward(_nd(12 * whole(2, *Y.shape)))
                found.append(X.grad.asnumpy())
        np.testing.assert_array_equal(*found)


@needs("mxnet")
def test_gluon_refuses_what_a_symbol_cannot_know():
    mx = _gluon()
    X = _nd(whole(1, 1, 1, 7, 8))
    for layer in (
        Conv2D(3, padding="same", stride=2, seed=0, backend="mxnet"),
        MaxPool2D(3, padding="same", stride=2, backend="mxnet"),
        AvgPool2D(3, padding="same_lower", stride=2, backend="mxnet"),
    ):
        net = mx.gluon.nn.HybridSequential()
        net.add(layer)
        net.initialize()
        eager = net(X).asnumpy()
        assert eager.shape == (1, 1, 4, 4)
        net.hybridize()
        with pytest.raises(UnsupportedOperationError, match=r"padding by 'same' with a stride .*Received: "):
            net(X)


@needs("mxnet")
def test_gluon_hybridized_layers_check_their_images():
    mx = _gluon()
    layer = Conv2D(3, 2, 1, backend="mxnet")
    layer.hybridize()
    pool = MaxPool2D(3, backend="mxnet")
    pool.hybridize()
    for _ in range(2):
        for shape, words in (((2, 5, 5), "X must have 4 axes"), ((1, 3, 5, 5), "X has 3"), ((1, 2, 2, 5), "must fit")):
            with pytest.raises(ShapeError, match=words):
                layer(mx.nd.ones(shape))
        with pytest.raises(ShapeError, match="pool_size must fit"):
            pool(mx.nd.ones((1, 1, 2, 2)))
        assert layer(mx.nd.ones((1, 2, 5, 5))).shape == (1, 1, 3, 3)
        assert pool(mx.nd.ones((1, 1, 3, 3))).shape == (1, 1, 1, 1)
        exact(pool(_nd([[1, 2, 3]] * 3)), [[3]])  # a matrix, which the facade pools
        exact(pool(mx.nd.ones((3, 3), dtype="int32")), [[1]])


# --------------------------------------------------------------------------- PyTorch's transforms


def _double(*arrays):
    import torch

    return [torch.tensor(array, dtype=torch.float64) for array in arrays]


TRANSFORMED = {
    "convolution": lambda x: conv2d(x, whole(9, 4, 2, 2, 2), stride=2, padding=((1, 0), (0, 1)), groups=1),
    "grouped convolution": lambda x: conv2d(x, whole(9, 4, 1, 2, 2), whole(8, 4), dilation=2, groups=2),
    "channels last": lambda x: conv2d(x, whole(9, 4, 5, 2, 2), data_format="NHWC"),
    "max": lambda x: pool2d(x, 2, stride=2, ceil_mode=True),
    "dilated max": lambda x: pool2d(x, 2, dilation=2, padding=1),
    "avg": lambda x: pool2d(x, 3, "avg", padding=1, count_include_pad=False),
    "dilated avg": lambda x: pool2d(x, 2, "avg", dilation=2, padding="same"),
}


@needs("torch")
@pytest.mark.parametrize("case", TRANSFORMED)
def test_torch_func(case):
    import torch

    function = TRANSFORMED[case]
    (X,) = _double(36 * whole(1, 3, 2, 2, 6, 5))
    singly = torch.stack([function(x) for x in X])
    exact(torch.func.vmap(function)(X), singly, "float64")
    leaf = X[0].clone().requires_grad_()
    (function(leaf) ** 2).sum().backward()
    exact(torch.func.grad(lambda x: (function(x) ** 2).sum())(X[0]), leaf.grad, "float64")
    per_sample = torch.func.vmap(torch.func.grad(lambda x: (function(x) ** 2).sum()))(X)
    exact(per_sample[0], leaf.grad, "float64")
    tangent = torch.ones_like(X[0])
    value, derivative = torch.func.jvp(function, (X[0],), (tangent,))
    exact(value, singly[0], "float64")
    assert derivative.shape == value.shape


@needs("torch")
def test_torch_func_over_the_weight():
    import torch

    X, K = _double(whole(1, 2, 3, 5, 5), whole(2, 4, 6, 3, 2, 2))
    exact(
        torch.func.vmap(lambda k: conv2d(X, k))(K),
        torch.stack([conv2d(X, k) for k in K]),
        "float64",
    )
    layer = Conv2D(2, 3, 4, seed=0, dtype="float64", backend="torch")
    parameters = dict(layer.named_parameters())
    gradient = torch.func.grad(lambda p: torch.func.functional_call(layer, p, (X,)).sum())(parameters)
    layer(X).sum().backward()
    exact(gradient["weight"], layer.weight.grad, "float64")
    exact(gradient["bias"], layer.bias.grad, "float64")


@needs("torch")
def test_torch_channels_last_memory():
    import torch

    K = whole(2, 4, 3, 3, 3)
    X = torch.tensor(whole(1, 2, 3, 8, 7)).to(memory_format=torch.channels_last)
    exact(conv2d(X, K, stride=2, padding=1), oracle.conv2d(X.numpy(), K, stride=2, padding=1))
    exact(pool2d(X, 2), oracle.pool2d(X.numpy(), 2))
    exact(pool2d(6 * X, (2, 3), "avg"), oracle.pool2d(6 * X.numpy(), (2, 3), "avg"))
    exact(conv2d(X[:, :, ::2, 1:], K), oracle.conv2d(X.numpy()[:, :, ::2, 1:], K))
    assert conv2d(X.permute(0, 2, 3, 1), K, data_format="NHWC").shape == (2, 6, 5, 4)


@needs("torch")
def test_torch_requires_grad_flows():
    import torch

    X, K, b = torch.ones(1, 1, 4, 4), torch.ones(1, 1, 2, 2), torch.ones(1)
    assert not conv2d(X, K, b).requires_grad
    for which in range(3):
        tensors = [tensor.clone().requires_grad_(i == which) for i, tensor in enumerate((X, K, b))]
        result = conv2d(*tensors)
        assert result.requires_grad
        result.sum().backward()
        assert [tensor.grad is not None for tensor in tensors] == [i == which for i in range(3)]
        with torch.no_grad():
            assert not conv2d(*tensors).requires_grad
    for mode in ("max", "avg"):
        assert pool2d(X.clone().requires_grad_(), 2, mode).requires_grad


@needs("torch")
@pytest.mark.parametrize("data_format", ["NCHW", "NHWC"])
def test_torch_compile_and_export(data_format):
    import torch

    net = torch.nn.Sequential(
        Conv2D(3, 2, 4, padding="same", stride=2, data_format=data_format, seed=0, backend="torch"),
        torch.nn.ReLU(),
        MaxPool2D(2, stride=1, ceil_mode=True, data_format=data_format, backend="torch"),
        AvgPool2D(2, padding=1, count_include_pad=False, data_format=data_format, backend="torch"),
    )
    X = whole(1, 2, 2, 9, 8)
    X = torch.tensor(last(X) if data_format == "NHWC" else X)
    eager = net(X).detach()
    compiled = torch.compile(net, backend="eager", fullgraph=True)
    exact(compiled(X).detach(), eager)
    exported = torch.export.export(net, (X,)).module()
    exact(exported(X).detach(), eager)


@needs("torch")
def test_torch_results_within_the_bound_when_transformed():
    import torch

    X, K = np.random.default_rng(0).standard_normal((2, 16, 3, 9, 9)).astype("float32"), whole(1, 4, 3, 3, 3) / 7
    result = torch.func.vmap(lambda x: conv2d(x, K))(torch.tensor(X))
    for one, x in zip(result, X):
        wanted, bound = oracle.conv2d(x, K), bounds.conv2d_bound(x, K, dtype="float32")
        assert (np.abs(one.numpy() - wanted) <= bound).all()
