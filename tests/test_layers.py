"""Layers: the same weights from the same seed, the framework's own class, the same results, and comp_conv2d."""

from __future__ import annotations

import numpy as np
import pytest

import convbridge
from convbridge import AvgPool2D, Conv2D, MaxPool2D, chapter, comp_conv2d, to_numpy
from convbridge.errors import (
    ArgumentError,
    ArgumentTypeError,
    ConvbridgeError,
    MixedBackendsError,
    ShapeError,
    UnsupportedOperationError,
)
from convbridge.parity import bounds, oracle


def whole(seed, *shape):
    """Return small whole numbers, whose sums and products are exact in float32."""
    return np.random.default_rng(seed).integers(-9, 10, shape).astype("float32")


def exact(result, wanted, dtype="float32"):
    values = to_numpy(result)
    assert values.dtype == dtype
    assert values.shape == np.shape(wanted)
    np.testing.assert_array_equal(values, np.asarray(wanted, dtype))


def weights_of(layer):
    """Return weight and bias as NumPy arrays, whatever the framework keeps them in."""

    def value(parameter):
        if parameter is None:
            return None
        if hasattr(parameter, "list_ctx"):  # a Gluon parameter, which has its value once somebody asked for it
            try:
                parameter.list_ctx()
            except RuntimeError:
                parameter.initialize()
            parameter = parameter.data()
        return to_numpy(parameter)

    return value(layer.weight), value(layer.bias)


def _nd(values, dtype="float32"):
    """Make an MXNet array; mx.nd.array looks for SciPy matrices and makes SciPy warn."""
    return convbridge.asarray(values, dtype=dtype, backend="mxnet")


def native_class(backend):
    if backend == "torch":
        import torch

        return torch.nn.Module
    if backend == "tensorflow":
        import keras

        return keras.layers.Layer
    if backend == "mxnet":
        from convbridge_mxnet._compat import mxnet as mx

        return mx.gluon.HybridBlock
    return object


# --------------------------------------------------------------------------- construction


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_same_seed_draws_the_same_weights(backend, dtype):
    arguments = {"kernel_size": (3, 2), "in_channels": 4, "out_channels": 6, "groups": 2, "dtype": dtype}
    weight, bias = weights_of(Conv2D(**arguments, seed=42, backend=backend))
    bound = 1 / np.sqrt(2 * 3 * 2)
    wanted = np.random.default_rng(42).uniform(-bound, bound, (6, 2, 3, 2)).astype(dtype)
    exact(weight, wanted, dtype)
    exact(bias, np.zeros(6), dtype)
    again, _ = weights_of(Conv2D(**arguments, seed=42, backend=backend))
    other, _ = weights_of(Conv2D(**arguments, seed=43, backend=backend))
    fresh = [weights_of(Conv2D(**arguments, backend=backend))[0] for _ in range(2)]
    exact(again, wanted, dtype)
    assert not np.array_equal(other, wanted)
    assert not np.array_equal(*fresh)


def test_layers_are_the_frameworks_own(backend):
    for layer in (Conv2D(3, backend=backend), MaxPool2D(2, backend=backend), AvgPool2D(2, backend=backend)):
        assert isinstance(layer, native_class(backend))
        assert type(layer).__module__ == f"convbridge_{backend}.layers"
    assert Conv2D(3, use_bias=False, backend=backend).bias is None


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"kernel_size": 0}, ArgumentError, "kernel_size must be positive"),
        ({"kernel_size": 2.5}, ArgumentTypeError, "kernel_size must"),
        ({"kernel_size": True}, ArgumentTypeError, "kernel_size must"),
        ({"kernel_size": (1, 2, 3)}, ArgumentError, "kernel_size must"),
        ({"in_channels": 0}, ArgumentError, "in_channels must be positive"),
        ({"out_channels": -1}, ArgumentError, "out_channels must be positive"),
        ({"out_channels": 1.0}, ArgumentTypeError, "out_channels must"),
        ({"in_channels": 4, "out_channels": 6, "groups": 4}, ArgumentError, "groups must divide out_channels"),
        ({"in_channels": 3, "out_channels": 6, "groups": 2}, ArgumentError, "groups must divide in_channels"),
        ({"groups": 0}, ArgumentError, "groups must be positive"),
        ({"stride": 0}, ArgumentError, "stride must be positive"),
        ({"stride": None}, ArgumentTypeError, "stride must"),
        ({"dilation": (1, 0)}, ArgumentError, "dilation must be positive"),
        ({"padding": -1}, ArgumentError, "padding must be at least 0"),
        ({"padding": "some"}, ArgumentError, "padding must be"),
        ({"use_bias": 1}, ArgumentTypeError, "use_bias must be True or False"),
        ({"data_format": "CHWN"}, ArgumentError, "data_format must be one of"),
        ({"dtype": "int32"}, ArgumentError, "dtype must be one of"),
        ({"dtype": "complex64"}, ArgumentError, "dtype must be one of"),
        ({"seed": -1}, ArgumentError, "seed must be at least 0"),
        ({"seed": 1.5}, ArgumentTypeError, "seed must"),
    ],
)
def test_bad_arguments_of_conv2d(backend, arguments, error, words):
    with pytest.raises(error) as caught:
        Conv2D(**{"kernel_size": 3, **arguments}, backend=backend)
    assert words in str(caught.value)
    assert "Received: " in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"pool_size": 0}, ArgumentError, "pool_size must be positive"),
        ({"pool_size": "2"}, ArgumentTypeError, "pool_size must"),
        ({"stride": 0}, ArgumentError, "stride must be positive"),
        ({"padding": 2}, ArgumentError, "padding of each side must be smaller"),
        ({"padding": ((0, 0), (0, 2))}, ArgumentError, "padding of each side must be smaller"),
        ({"dilation": 1.0}, ArgumentTypeError, "dilation must"),
        ({"ceil_mode": 1}, ArgumentTypeError, "ceil_mode must be True or False"),
        ({"count_include_pad": None}, ArgumentTypeError, "count_include_pad must be True or False"),
        ({"data_format": "nchw"}, ArgumentError, "data_format must be one of"),
    ],
)
def test_bad_arguments_of_pooling(backend, arguments, error, words):
    for layer in (MaxPool2D, AvgPool2D):
        with pytest.raises(error) as caught:
            layer(**{"pool_size": 2, **arguments}, backend=backend)
        assert words in str(caught.value)
        assert "Received: " in str(caught.value)


def test_a_dtype_that_the_framework_lacks_is_refused_at_once(backend):
    gaps = convbridge.registry.spec(backend).unsupported
    for dtype in ("float16", "bfloat16"):
        if f"conv2d[{dtype}]" in gaps:
            with pytest.raises(UnsupportedOperationError, match=rf"conv2d in {dtype} is not supported.*Received: "):
                Conv2D(3, dtype=dtype, backend=backend)
        else:
            layer = Conv2D(1, dtype=dtype, seed=0, backend=backend)
            result = layer(convbridge.asarray(np.ones((1, 1, 2, 2)), dtype=dtype, backend=backend))
            wanted, _ = weights_of(layer)
            np.testing.assert_array_equal(to_numpy(result), np.broadcast_to(wanted, (1, 1, 2, 2)))


# --------------------------------------------------------------------------- forward


@pytest.mark.parametrize("data_format", ["NCHW", "NHWC"])
@pytest.mark.parametrize("source", ["NumPy", "tensor"])
def test_convolution(backend, data_format, source):
    random = np.random.default_rng(0)
    for keywords in (
        {},
        {"stride": 2, "padding": "same"},
        {"stride": (1, 2), "padding": ((1, 0), (0, 2)), "groups": 2},
        {"dilation": (2, 1), "padding": "chapter", "use_bias": False},
    ):
        layer = Conv2D((2, 3), 4, 6, data_format=data_format, seed=7, backend=backend, **keywords)
        weight, bias = weights_of(layer)
        X = random.standard_normal((2, 4, 7, 8)).astype("float32")
        if data_format == "NHWC":
            X = np.moveaxis(X, 1, 3).copy()
        result = to_numpy(layer(X if source == "NumPy" else convbridge.asarray(X, backend=backend)))
        keywords = {name: value for name, value in keywords.items() if name != "use_bias"}
        wanted = oracle.conv2d(X, weight, bias, **keywords, data_format=data_format)
        bound = bounds.conv2d_bound(X, weight, bias, dtype="float32", **keywords, data_format=data_format)
        assert result.dtype == "float32"
        assert result.shape == wanted.shape
        assert (np.abs(result - wanted) <= bound).all()


@pytest.mark.parametrize("data_format", ["NCHW", "NHWC"])
def test_pooling(backend, data_format):
    X = 36 * whole(1, 2, 3, 7, 6)
    if data_format == "NHWC":
        X = np.moveaxis(X, 1, 3).copy()
    for keywords in (
        {},
        {"stride": 1, "padding": "same"},
        {"stride": (2, 1), "padding": ((2, 0), (0, 1)), "ceil_mode": True},
        {"dilation": 2, "stride": 2, "count_include_pad": False, "padding": 1},
    ):
        asked = {"stride": None, **keywords, "data_format": data_format}
        for layer, mode in ((MaxPool2D, "max"), (AvgPool2D, "avg")):
            result = layer((3, 2), data_format=data_format, backend=backend, **keywords)(X)
            exact(result, oracle.pool2d(X, (3, 2), mode, **asked))


def test_pooling_takes_matrices_and_images(backend):
    X = np.arange(16, dtype="float32").reshape(4, 4)
    for shape in ((4, 4), (1, 4, 4), (1, 1, 4, 4)):
        exact(MaxPool2D(2, backend=backend)(X.reshape(shape)), np.reshape([5, 7, 13, 15], (*shape[:-2], 2, 2)))
        exact(AvgPool2D(2, backend=backend)(X.reshape(shape)), np.reshape([2.5, 4.5, 10.5, 12.5], (*shape[:-2], 2, 2)))


def test_pooling_keeps_the_dtype(backend):
    X = np.array([[16777217.0, 1], [1, 1]])
    exact(MaxPool2D(2, backend=backend)(X), [[16777217.0]], "float64")
    exact(MaxPool2D(2, backend=backend)(convbridge.asarray(X, backend=backend)), [[16777217.0]], "float64")
    exact(AvgPool2D((1, 2), backend=backend)(np.array([[1e300, 0], [3, 5]])), [[5e299], [4]], "float64")


def test_layers_refuse_what_the_functions_refuse(backend):
    layer = Conv2D(3, 2, 1, backend=backend)
    for shape, words in (((2, 5, 5), "X must have 4 axes"), ((1, 3, 5, 5), "X has 3"), ((1, 2, 2, 5), "must fit")):
        for X in (np.ones(shape, "float32"), convbridge.asarray(np.ones(shape, "float32"), backend=backend)):
            with pytest.raises((ShapeError, ValueError), match=words):
                layer(X)
    with pytest.raises((ShapeError, ValueError), match="pool_size must fit"):
        MaxPool2D(3, backend=backend)(np.ones((1, 1, 2, 2), "float32"))


# --------------------------------------------------------------------------- comp_conv2d


@pytest.mark.parametrize("data_format", ["NCHW", "NHWC"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_comp_conv2d_with_the_librarys_layers(backend, data_format, dtype):
    layer = Conv2D((3, 5), stride=(3, 4), padding=(0, 1), data_format=data_format, dtype=dtype, seed=1, backend=backend)
    weight, bias = weights_of(layer)
    X = whole(2, 8, 9)
    wanted = oracle.conv2d(X[None, None], weight, bias, stride=(3, 4), padding=(0, 1))[0, 0]
    bound = bounds.conv2d_bound(X[None, None], weight, bias, dtype=dtype, stride=(3, 4), padding=(0, 1))[0, 0]
    for image in (X, X.tolist(), convbridge.asarray(X.astype(dtype), backend=backend)):
        for apply in (comp_conv2d, chapter.comp_conv2d) if data_format == "NCHW" else (comp_conv2d,):
            result = to_numpy(apply(layer, image))
            assert result.shape == (2, 2)
            if not isinstance(image, list):  # the dtype of a list is float64
                assert result.dtype == dtype
            assert (np.abs(result - wanted) <= bound).all()
    pool = MaxPool2D(2, data_format=data_format, backend=backend)
    exact(comp_conv2d(pool, X[:4, :4]), oracle.pool2d(X[:4, :4], 2, stride=2))
    if data_format == "NHWC":  # the book knows one layout
        with pytest.raises(ArgumentError, match=r"conv2d must be a layer of the chapters' layout.*Received: "):
            chapter.comp_conv2d(layer, X)


def test_comp_conv2d_with_the_chapters_layer(backend):
    layer = chapter.Conv2D((1, 2), backend=backend)
    assert isinstance(layer, native_class(backend)) or backend == "mxnet"
    weight, bias = weights_of(layer)
    X = whole(3, 6, 8)
    result = to_numpy(comp_conv2d(layer, X))
    wanted = oracle.conv2d(X[None, None], weight[None, None], bias)[0, 0]
    bound = bounds.conv2d_bound(X[None, None], weight[None, None], bias, dtype="float32")[0, 0]
    assert result.shape == (6, 7)
    assert (np.abs(result - wanted) <= bound).all()


def test_comp_conv2d_refuses_what_it_cannot_apply(backend):
    X = np.ones((4, 4), "float32")
    layer = Conv2D(3, backend=backend)
    with pytest.raises(ShapeError, match=r"X must have 2 axes .*Received: "):
        comp_conv2d(layer, np.ones((1, 4, 4), "float32"))
    with pytest.raises(ShapeError, match=r"conv2d must .*Received: "):
        comp_conv2d(Conv2D(3, 1, 2, backend=backend), X)
    with pytest.raises(ConvbridgeError, match="Received: "):
        comp_conv2d(Conv2D(3, 2, 1, backend=backend), X)
    with pytest.raises(ArgumentTypeError, match=r"conv2d must be a layer.*Received: "):
        comp_conv2d(3, X, backend=backend)
    other = "torch" if backend == "numpy" else "numpy"
    if backend != "numpy":
        with pytest.raises(MixedBackendsError, match="Received: "):
            comp_conv2d(layer, X, backend=other)


def _mark(framework):
    return pytest.mark.skipif(framework not in convbridge.available_backends(), reason=f"{framework} is not installed")


@_mark("torch")
def test_comp_conv2d_with_a_torch_layer():
    import torch

    layer = torch.nn.Conv2d(1, 1, (3, 5), padding=(0, 1), stride=(3, 4))
    layer.eval()
    X = whole(4, 8, 8)
    before = [parameter.clone() for parameter in layer.parameters()]
    result = comp_conv2d(layer, X)
    assert isinstance(result, torch.Tensor)
    assert tuple(result.shape) == (2, 2)
    assert result.requires_grad
    exact(result, layer(torch.tensor(X)[None, None])[0, 0].detach())
    assert layer.training is False
    layer.train()
    comp_conv2d(layer, torch.tensor(X))
    assert layer.training is True
    assert all(torch.equal(now, then) for now, then in zip(layer.parameters(), before))
    double = torch.nn.Conv2d(1, 1, 3, padding="same").double()
    exact(comp_conv2d(double, X), double(torch.tensor(X).double()[None, None])[0, 0].detach(), "float64")
    net = torch.nn.Sequential(torch.nn.Conv2d(1, 3, 3), torch.nn.ReLU(), torch.nn.Conv2d(3, 1, 3))
    assert tuple(comp_conv2d(net, X).shape) == (4, 4)
    with pytest.raises(ShapeError, match=r"conv2d must .*Received: "):
        comp_conv2d(torch.nn.Conv2d(1, 2, 3), X)


@_mark("tensorflow")
@pytest.mark.parametrize("built", [True, False])
def test_comp_conv2d_with_a_keras_layer(built):
    """The layer has its own layout, channels last, and is neither initialised again nor cast."""
    import keras
    import tensorflow as tf

    layer = keras.layers.Conv2D(1, (3, 5), strides=(3, 4), padding="valid", bias_initializer="ones")
    X = whole(5, 8, 9)
    if built:
        layer.build((None, 8, 9, 1))
        layer.set_weights([whole(6, 3, 5, 1, 1), whole(7, 1)])
        before = layer.get_weights()
    result = comp_conv2d(layer, X)
    kernel, bias = layer.get_weights()
    if built:
        np.testing.assert_array_equal(kernel, before[0])
        np.testing.assert_array_equal(bias, before[1])
    assert isinstance(result, tf.Tensor)
    wanted = oracle.conv2d(X[None, None], kernel.transpose(3, 2, 0, 1), bias, stride=(3, 4))[0, 0]
    bound = bounds.conv2d_bound(X[None, None], kernel.transpose(3, 2, 0, 1), bias, dtype="float32", stride=(3, 4))[0, 0]
    assert result.shape == (2, 2)
    assert (np.abs(to_numpy(result) - wanted) <= bound).all()
    again = comp_conv2d(layer, tf.constant(X))
    np.testing.assert_array_equal(to_numpy(again), to_numpy(result))
    assert all(np.array_equal(now, then) for now, then in zip(layer.get_weights(), (kernel, bias)))
    assert len(layer.trainable_weights) == 2


@_mark("tensorflow")
def test_comp_conv2d_with_other_keras_layers():
    import keras

    X = whole(8, 6, 6)
    for data_format in ("channels_last", "channels_first"):
        pool = keras.layers.MaxPooling2D(2, data_format=data_format)
        exact(comp_conv2d(pool, X), oracle.pool2d(X, 2, stride=2))
    ones = oracle.conv2d(X[None, None], np.ones((1, 1, 3, 3)))[0, 0]
    image = keras.Input((6, 6, 1))
    summing = keras.layers.Conv2D(1, 3, kernel_initializer="ones")
    for net in (  # whose first layer that minds says where the channels are
        keras.Sequential([summing]),
        keras.Sequential([keras.Input((6, 6, 1)), keras.layers.Activation("linear"), keras.Sequential([summing])]),
        keras.Model(image, summing(image)),
    ):
        exact(comp_conv2d(net, X), ones)
    for data_format in ("NCHW", "NHWC"):
        padding = ((1, 0), (0, 0))
        layer = Conv2D(3, padding=padding, data_format=data_format, seed=0, backend="tensorflow")
        bound = bounds.conv2d_bound(X[None, None], *layer.get_weights(), dtype="float32", padding=padding)[0, 0]
        wanted = to_numpy(comp_conv2d(layer, X))
        exact(comp_conv2d(keras.Sequential([layer, keras.layers.Activation("linear")]), X), wanted)
        assert (abs(to_numpy(comp_conv2d(layer.to_native(), X)) - wanted) <= 2 * bound).all()
    double = keras.layers.Conv2D(1, 3, dtype="float64", kernel_initializer="ones")
    exact(comp_conv2d(double, X), oracle.conv2d(X[None, None], np.ones((1, 1, 3, 3)))[0, 0], "float64")
    with pytest.raises(ShapeError, match=r"conv2d must .*Received: "):
        comp_conv2d(keras.layers.Conv2D(2, 3), X)


@_mark("mxnet")
@pytest.mark.parametrize("state", ["uninitialised", "initialised", "deferred"])
def test_comp_conv2d_with_a_gluon_layer(state):
    from convbridge_mxnet._compat import mxnet as mx

    channels = {} if state == "deferred" else {"in_channels": 1}
    layer = mx.gluon.nn.Conv2D(1, kernel_size=(3, 5), padding=(0, 1), strides=(3, 4), **channels)
    X = whole(9, 8, 8)
    if state != "uninitialised":
        layer.initialize(mx.init.Constant(3))
    result = comp_conv2d(layer, X)
    assert isinstance(result, mx.nd.NDArray)
    weight = layer.weight.data().asnumpy()
    if state == "uninitialised":
        assert len(np.unique(weight)) > 1  # Gluon's own choice, at random
    else:
        np.testing.assert_array_equal(weight, np.full((1, 1, 3, 5), 3))
    bias = layer.bias.data().asnumpy()
    keywords = {"padding": (0, 1), "stride": (3, 4)}
    wanted = oracle.conv2d(X[None, None], weight, bias, **keywords)[0, 0]
    bound = bounds.conv2d_bound(X[None, None], weight, bias, dtype="float32", **keywords)[0, 0]
    assert result.shape == (2, 2)
    assert (np.abs(result.asnumpy() - wanted) <= bound).all()
    np.testing.assert_array_equal(comp_conv2d(layer, _nd(X)).asnumpy(), result.asnumpy())
    np.testing.assert_array_equal(layer.weight.data().asnumpy(), weight)


@_mark("mxnet")
def test_gluon_may_initialise_the_librarys_layers_with_a_net():
    from convbridge_mxnet._compat import mxnet as mx

    net = mx.gluon.nn.HybridSequential()
    net.add(Conv2D(3, 1, 2, seed=5, backend="mxnet"), mx.gluon.nn.Conv2D(1, 1), MaxPool2D(2, backend="mxnet"))
    net.initialize(mx.init.Constant(0.5))
    assert net(mx.nd.ones((1, 1, 6, 6))).shape == (1, 1, 2, 2)
    weight, _ = weights_of(net[0])
    exact(weight, weights_of(Conv2D(3, 1, 2, seed=5, backend="numpy"))[0])
    np.testing.assert_array_equal(net[1].weight.data().asnumpy(), np.full((1, 2, 1, 1), 0.5))


# --------------------------------------------------------------------------- inside the frameworks' own containers


@_mark("torch")
def test_torch_trains_and_saves_the_layers():
    import torch

    net = torch.nn.Sequential(
        Conv2D(3, 1, 2, padding="same", seed=0, backend="torch"),
        torch.nn.ReLU(),
        AvgPool2D(2, backend="torch"),
        Conv2D(2, 2, 1, seed=1, backend="torch"),
    )
    assert [name for name, _ in net.named_parameters()] == ["0.weight", "0.bias", "3.weight", "3.bias"]
    X = torch.tensor(whole(1, 2, 1, 6, 6))
    optimizer = torch.optim.SGD(net.parameters(), 1e-4)
    losses = []
    for _ in range(5):
        optimizer.zero_grad()
        loss = (net(X) ** 2).sum()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0]
    other = torch.nn.Sequential(
        Conv2D(3, 1, 2, padding="same", backend="torch"),
        torch.nn.ReLU(),
        AvgPool2D(2, backend="torch"),
        Conv2D(2, 2, 1, backend="torch"),
    )
    other.load_state_dict(net.state_dict())
    assert torch.equal(other(X), net(X))
    assert other.double()(X.double()).dtype == torch.float64


@_mark("tensorflow")
def test_keras_trains_the_layers():
    import keras

    model = keras.Sequential(
        [
            Conv2D(3, 1, 2, padding="same", data_format="NHWC", seed=0, backend="tensorflow"),
            keras.layers.ReLU(),
            AvgPool2D(2, data_format="NHWC", backend="tensorflow"),
            Conv2D(2, 2, 1, data_format="NHWC", seed=1, backend="tensorflow"),
        ]
    )
    model.compile(keras.optimizers.SGD(1e-4), "mse")
    X, Y = whole(1, 4, 6, 6, 1), whole(2, 4, 2, 2, 1)
    history = model.fit(X, Y, epochs=4, batch_size=4, verbose=0).history["loss"]
    assert history == sorted(history, reverse=True)
    assert history[-1] < history[0]
    assert len(model.trainable_weights) == 4


@_mark("mxnet")
def test_gluon_trains_the_layers():
    from convbridge_mxnet._compat import autograd_lock
    from convbridge_mxnet._compat import mxnet as mx

    for hybrid in (False, True):
        net = mx.gluon.nn.HybridSequential()
        net.add(Conv2D(3, 1, 2, padding="same", seed=0, backend="mxnet"), mx.gluon.nn.Activation("relu"))
        net.add(AvgPool2D(2, backend="mxnet"), Conv2D(2, 2, 1, seed=1, backend="mxnet"))
        net.initialize()
        if hybrid:
            net.hybridize()
        trainer = mx.gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 1e-4})
        X = _nd(whole(1, 2, 1, 6, 6))
        losses = []
        for _ in range(5):
            with autograd_lock:
                with mx.autograd.record():
                    loss = (net(X) ** 2).sum()
                loss.backward()
            trainer.step(1)
            losses.append(float(loss.asscalar()))
        assert losses == sorted(losses, reverse=True)
        assert losses[-1] < losses[0]
