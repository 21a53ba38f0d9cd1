"""Layers at home: containers, optimizers, saving, the frameworks' own layers, and the same loss curve everywhere."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest

import convbridge
from convbridge import AvgPool2D, Conv2D, MaxPool2D, registry, to_numpy
from convbridge.errors import (
    ArgumentError,
    ArgumentTypeError,
    ConvbridgeError,
    MixedBackendsError,
    ShapeError,
    UnsupportedOperationError,
)
from convbridge.parity import oracle
from convbridge.parity.bounds import conv2d_bound, judge
from convbridge.teaching import learning

BACKENDS = tuple(registry.BUILTIN)
#: A wide layer with everything that can be stored.
WIDE = {"kernel_size": (3, 2), "in_channels": 4, "out_channels": 6, "groups": 2}


def numbers(seed, *shape, dtype="float32"):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def tensor(array, backend):
    return convbridge.asarray(array, backend=backend)


def installed(*names):
    for name in names:
        if name not in convbridge.available_backends():
            pytest.skip(f"{name} is not installed")


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


@pytest.fixture
def keras():
    installed("tensorflow")
    import keras

    return keras


@pytest.fixture
def mx():
    installed("mxnet")
    return convbridge.import_framework("mxnet")


# --------------------------------------------------------------------------- nets in the frameworks' containers


class NumpyNet:
    """What a user of NumPy writes: layers in a row, forward and backward."""

    def __init__(self, layers):
        self.layers = layers

    def __call__(self, X):
        for layer in self.layers:
            X = layer(X)
        return X

    def backward(self, gradient):
        for layer in reversed(self.layers):
            gradient = layer.backward(gradient)
        return gradient

    def weighted(self):
        return [layer for layer in self.layers if hasattr(layer, "weight")]


def layers_of(backend, seed, data_format="NCHW", dtype="float32"):
    common = {"data_format": data_format, "backend": backend}
    return [
        Conv2D(3, 1, 4, padding="same", seed=seed, dtype=dtype, **common),
        MaxPool2D(2, **common),
        Conv2D((2, 3), 4, 2, padding=((1, 0), (2, 1)), groups=2, seed=seed + 1, dtype=dtype, **common),
        AvgPool2D(3, stride=2, ceil_mode=True, **common),
    ]


def net_of(backend, seed, data_format="NCHW", dtype="float32", hybridize=False):
    """Put the layers into the framework's own container."""
    layers = layers_of(backend, seed, data_format, dtype)
    if backend == "numpy":
        return NumpyNet(layers)
    if backend == "torch":
        import torch

        return torch.nn.Sequential(*layers)
    if backend == "tensorflow":
        import keras

        image = (1, 8, 8) if data_format == "NCHW" else (8, 8, 1)
        return keras.Sequential([keras.Input(image, dtype=dtype), *layers])
    net = convbridge.import_framework("mxnet").gluon.nn.HybridSequential()
    net.add(*layers)
    net.initialize()
    if hybridize:
        net.hybridize()
    return net


def convolutions(net):
    return [layer for layer in getattr(net, "layers", net) if hasattr(getattr(layer, "config", None), "groups")]


def images(data_format="NCHW", dtype="float32"):
    X = numbers(9, 3, 1, 8, 8, dtype=dtype)
    return X if data_format == "NCHW" else np.moveaxis(X, 1, 3).copy()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("data_format", ["NCHW", "NHWC"])
def test_a_container_computes_what_its_layers_compute(backend, data_format, dtype):
    X = tensor(images(data_format, dtype), backend)
    expected = X
    for layer in layers_of(backend, 1, data_format, dtype):
        expected = layer(expected)
    for hybridize in (False, True) if backend == "mxnet" else (False,):
        found = to_numpy(net_of(backend, 1, data_format, dtype, hybridize)(X))
        assert found.dtype == dtype
        assert found.tobytes() == to_numpy(expected).tobytes()


# --------------------------------------------------------------------------- one step of the frameworks' optimizers


def steps_of(backend, net, X, target, rate, count, hybridize=False):
    """Take steps of plain gradient descent on the sum of squares with the framework's own optimizer; return losses."""
    losses = []
    if backend == "numpy":
        for _ in range(count):
            error = net(X) - target
            losses.append(float((error**2).sum()))
            net.backward(2 * error)
            for layer in net.weighted():
                layer.weight = layer.weight - rate * layer.grad_weight
                layer.bias = layer.bias - rate * layer.grad_bias
    elif backend == "torch":
        import torch

        optimizer = torch.optim.SGD(net.parameters(), lr=rate)
        for _ in range(count):
            loss = (net(tensor(X, backend)) - tensor(target, backend)).square().sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    elif backend == "tensorflow":
        import keras

        def sum_of_squares(y_true, y_pred):
            return keras.ops.sum(keras.ops.square(y_pred - y_true))

        net.compile(optimizer=keras.optimizers.SGD(rate), loss=sum_of_squares)
        history = net.fit(X, target, batch_size=len(X), epochs=count, shuffle=False, verbose=0)
        losses = history.history["loss"]
    else:
        mx = convbridge.import_framework("mxnet")
        trainer = mx.gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": rate})
        for _ in range(count):
            with mx.autograd.record():
                loss = (net(tensor(X, backend)) - tensor(target, backend)).square().sum()
            loss.backward()
            trainer.step(1)
            losses.append(float(loss.asscalar()))
    return losses


def test_the_frameworks_own_optimizer_trains(backend):
    trains(backend)


def test_gluons_optimizer_trains_a_hybridized_net(mx):
    trains("mxnet", hybridize=True)


def trains(backend, hybridize=False):
    """Check that losses fall, that every weight moves, and that the first step is NumPy's first step."""
    X = images()
    net, plain = net_of(backend, 3, hybridize=hybridize), net_of("numpy", 3)
    target = numbers(4, *plain(X).shape)
    before = [array for layer in convolutions(net) for array in layer.get_weights()]
    # one step: a gradient of the framework's, and one of NumPy's; both in float32
    (first,) = steps_of(backend, net, X, target, 0.001, 1)
    (wanted,) = steps_of("numpy", plain, X, target, 0.001, 1)
    assert abs(first - wanted) < 1e-4 * wanted
    after = [array for layer in convolutions(net) for array in layer.get_weights()]
    expected = [array for layer in plain.weighted() for array in layer.get_weights()]
    assert len(before) == len(after) == len(expected) == 4
    for old, new, numpys in zip(before, after, expected):
        assert not (old == new).any()
        assert abs(new - numpys).max() <= 1e-3 * abs(numpys - old).max()
    losses = steps_of(backend, net, X, target, 0.001, 40)
    assert losses[-1] < losses[0] < first
    assert all(later <= earlier for earlier, later in itertools.pairwise(losses))


def test_tf_function_around_a_training_step(keras):
    import tensorflow as tf

    X, net, eager = images(), net_of("tensorflow", 3), net_of("tensorflow", 3)
    target = tf.constant(numbers(4, *eager(X).shape))

    def step(model):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.square(model(tf.constant(X)) - target))
        for variable, gradient in zip(model.trainable_variables, tape.gradient(loss, model.trainable_variables)):
            variable.assign_sub(0.001 * gradient)
        return loss

    traced = tf.function(lambda: step(net))
    for _ in range(3):
        np.testing.assert_allclose(float(traced()), float(step(eager)), rtol=1e-5)


# --------------------------------------------------------------------------- saved and loaded


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("data_format", ["NCHW", "NHWC"])
def test_the_same_bits_after_loading(backend, tmp_path, data_format, dtype):
    """Trained in its framework's container by its framework's optimizer, saved, loaded into another net."""
    X = tensor(images(data_format, dtype), backend)
    net = net_of(backend, 1, data_format, dtype)
    drawn = to_numpy(net(X))
    steps_of(backend, net, images(data_format, dtype), numbers(4, *drawn.shape, dtype=dtype), 0.001, 3)
    wanted = to_numpy(net(X))
    assert not (wanted == drawn).any()
    other = net_of(backend, 77, data_format, dtype)
    assert not (to_numpy(other(X)) == wanted).any()
    if backend == "numpy":
        path = tmp_path / "net.npz"
        np.savez(path, *(array for layer in net.weighted() for array in layer.get_weights()))
        with np.load(path) as stored:
            arrays = iter([stored[name] for name in stored.files])
            for layer in other.weighted():
                layer.set_weights([next(arrays), next(arrays)])
    elif backend == "torch":
        import torch

        torch.save(net.state_dict(), tmp_path / "net.pt")
        assert other.load_state_dict(torch.load(tmp_path / "net.pt", weights_only=True)).missing_keys == []
    elif backend == "tensorflow":
        import keras

        net.save(tmp_path / "net.keras")
        other = keras.models.load_model(tmp_path / "net.keras", compile=False)  # the loss is no function of Keras
        assert [layer.config for layer in convolutions(other)] == [layer.config for layer in convolutions(net)]
    else:
        net.save_parameters(str(tmp_path / "net.params"))
        other.load_parameters(str(tmp_path / "net.params"))
    found = to_numpy(other(X))
    assert found.dtype == dtype
    assert found.tobytes() == wanted.tobytes()


def test_keras_weights_alone(keras, tmp_path):
    net, other = net_of("tensorflow", 1), net_of("tensorflow", 77)
    net.save_weights(tmp_path / "net.weights.h5")
    other.load_weights(tmp_path / "net.weights.h5")
    assert to_numpy(other(images())).tobytes() == to_numpy(net(images())).tobytes()


def test_gluon_loads_into_a_net_that_was_never_initialized(mx, tmp_path):
    net = net_of("mxnet", 1)
    net.save_parameters(str(tmp_path / "net.params"))
    other = mx.gluon.nn.HybridSequential()
    other.add(*layers_of("mxnet", 77))
    other.load_parameters(str(tmp_path / "net.params"))
    X = tensor(images(), "mxnet")
    assert to_numpy(other(X)).tobytes() == to_numpy(net(X)).tobytes()


def test_a_whole_module_is_pickled(torch, tmp_path):
    net = net_of("torch", 1)
    torch.save(net, tmp_path / "net.pt")
    other = torch.load(tmp_path / "net.pt", weights_only=False)
    X = tensor(images(), "torch")
    assert to_numpy(other(X)).tobytes() == to_numpy(net(X)).tobytes()


# --------------------------------------------------------------------------- canonical weights


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_weights_go_anywhere(backend, dtype):
    """From every backend into every other, bit for bit, and the same seed is the same start."""
    layer = Conv2D(**WIDE, dtype=dtype, seed=5, backend=backend)
    weights = layer.get_weights()
    assert [(array.shape, array.dtype) for array in weights] == [((6, 2, 3, 2), dtype), ((6,), dtype)]
    assert weights[0].tobytes() == Conv2D(**WIDE, dtype=dtype, seed=5, backend="numpy").weight.tobytes()
    weights[0][:] = 0  # a copy
    assert (layer.get_weights()[0] != 0).all()
    fresh = [numbers(1, 6, 2, 3, 2, dtype=dtype), numbers(2, 6, dtype=dtype)]
    layer.set_weights([fresh[0], fresh[1].tolist()])
    for mine, wanted in zip(layer.get_weights(), fresh):
        assert mine.tobytes() == wanted.tobytes()
    for other in convbridge.available_backends():
        Conv2D(**WIDE, dtype=dtype, backend=other).set_weights(layer.get_weights())


def test_weights_of_other_dtypes_are_cast(backend):
    layer = Conv2D((1, 2), backend=backend)
    layer.set_weights([np.array([[[[1, -1]]]]), np.array([0.5])])
    assert layer.get_weights()[0].dtype == np.float32
    assert layer.get_weights()[0].tolist() == [[[[1, -1]]]]


GOOD = [np.ones((6, 2, 3, 2)), np.ones(6)]


@pytest.mark.parametrize(
    ("weights", "error", "message"),
    [
        (GOOD[:1], ShapeError, "list of 2: the weight and the bias"),
        ([*GOOD, GOOD[1]], ShapeError, "list of 2"),
        ([], ShapeError, "list of 2"),
        (GOOD[0], ShapeError, "list of 2"),
        (None, ShapeError, "list of 2"),
        ([GOOD[0], np.ones(5)], ShapeError, r"weights\[1\] must have the shape \(6,\)"),
        ([np.ones((6, 2, 2, 3)), GOOD[1]], ShapeError, r"weights\[0\] must have the shape \(6, 2, 3, 2\)"),
        ([np.ones((3, 2, 2, 6)), GOOD[1]], ShapeError, r"weights\[0\]"),  # HWIO
        ([GOOD[0], np.array(["a"] * 6)], ArgumentTypeError, r"weights\[1\] must hold real numbers"),
        ([GOOD[0], np.ones(6, complex)], ArgumentTypeError, r"weights\[1\]"),
        ([GOOD[0], [[1], [2, 3]]], ArgumentError, r"weights\[1\]"),
    ],
)
def test_wrong_weights_change_nothing(backend, weights, error, message):
    layer = Conv2D(**WIDE, seed=5, backend=backend)
    before = [array.tobytes() for array in layer.get_weights()]
    with pytest.raises(error, match=message) as caught:
        layer.set_weights(weights)
    assert isinstance(caught.value, ConvbridgeError)
    assert [array.tobytes() for array in layer.get_weights()] == before


def test_numpys_layers_remember_no_more_than_they_need():
    layer = Conv2D(3, seed=0, backend="numpy")
    pool = MaxPool2D(2, backend="numpy")
    for fresh in (layer, pool):
        with pytest.raises(ArgumentError, match="backward must follow a forward pass"):
            fresh.backward(np.ones((1, 1, 2, 2)))
    X = numbers(0, 2, 1, 5, 5)
    gradient = numbers(1, *layer(X).shape)
    first = layer.backward(gradient)
    kept = layer.grad_weight
    again = layer.backward(gradient)
    assert first.tobytes() == again.tobytes()
    assert kept.tobytes() == layer.grad_weight.tobytes()  # nothing accumulates
    assert not np.shares_memory(kept, layer.grad_weight)
    with pytest.raises(ShapeError):
        layer.backward(gradient[:, :, 1:])


# --------------------------------------------------------------------------- the frameworks' own layers


class Case(NamedTuple):
    """A convolution, and which framework's own words can say it."""

    kernel: tuple[int, int] = (3, 3)
    channels: tuple[int, int] = (2, 3)
    stride: tuple[int, int] = (1, 1)
    padding: object = 0
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    use_bias: bool = True

    def said_by(self, backend):
        if backend == "numpy":
            return True
        if backend == "tensorflow":
            return self.padding in (0, "same") and 1 in (max(self.stride), max(self.dilation))
        if self.padding == "same":
            return backend == "torch" and self.stride == (1, 1)
        return isinstance(self.padding, int) or np.ndim(self.padding) == 1

    def keywords(self):
        return {
            "stride": self.stride,
            "padding": self.padding,
            "dilation": self.dilation,
            "groups": self.groups,
        }


CASES = {
    "plain": Case(),
    "even": Case(kernel=(2, 4)),
    "rectangle": Case(kernel=(1, 5), use_bias=False),
    "one": Case(kernel=(1, 1), channels=(3, 2)),
    "stride": Case(kernel=(3, 2), stride=(2, 3)),
    "dilation": Case(kernel=(2, 3), dilation=(3, 2)),
    "groups": Case(channels=(4, 6), groups=2),
    "depthwise": Case(channels=(3, 6), groups=3, kernel=(2, 2)),
    "padding": Case(padding=1),
    "padding of two": Case(kernel=(5, 3), padding=(2, 1), stride=(2, 1)),
    "same": Case(padding="same"),
    "same even": Case(kernel=(4, 2), padding="same"),
    "same dilation": Case(kernel=(2, 3), padding="same", dilation=(2, 3)),
    "same stride": Case(kernel=(3, 3), padding="same", stride=(2, 3)),
    "stride and dilation": Case(kernel=(2, 2), stride=(2, 2), dilation=(2, 2)),
    "everything": Case(kernel=(3, 2), channels=(4, 4), stride=(2, 1), padding=(2, 1), dilation=(2, 1), groups=2),
    "four sides": Case(kernel=(2, 3), padding=((1, 0), (2, 3)), stride=(1, 2)),
    "same_lower": Case(kernel=(4, 2), padding="same_lower"),
    "chapter": Case(kernel=(4, 2), padding="chapter", stride=(2, 2)),
}


def in_torch(case, weights, dtype):
    import torch

    layer = torch.nn.Conv2d(
        *case.channels, case.kernel, bias=case.use_bias, dtype=getattr(torch, dtype), **case.keywords()
    )
    with torch.no_grad():
        for parameter, value in zip((layer.weight, layer.bias), weights):
            parameter.copy_(torch.from_numpy(value))
    return layer


def in_keras(case, weights, dtype):
    import keras

    layer = keras.layers.Conv2D(
        case.channels[1],
        case.kernel,
        strides=case.stride,
        padding="same" if case.padding == "same" else "valid",
        dilation_rate=case.dilation,
        groups=case.groups,
        use_bias=case.use_bias,
        dtype=dtype,
        data_format="channels_last",
    )
    layer.build((None, None, None, case.channels[0]))
    layer.set_weights([weights[0].transpose(2, 3, 1, 0), *weights[1:]])
    return layer


def in_gluon(case, weights, dtype):
    mx = convbridge.import_framework("mxnet")
    layer = mx.gluon.nn.Conv2D(
        case.channels[1],
        case.kernel,
        strides=case.stride,
        padding=case.padding,
        dilation=case.dilation,
        groups=case.groups,
        use_bias=case.use_bias,
        in_channels=case.channels[0],
    )
    layer.cast(dtype)
    layer.initialize()
    for parameter, value in zip((layer.weight, layer.bias), weights):
        parameter.set_data(tensor(value, "mxnet"))
    return layer


def of_convbridge(backend: str) -> Callable:
    def build(case, weights, dtype):
        layer = Conv2D(
            case.kernel, *case.channels, use_bias=case.use_bias, dtype=dtype, backend=backend, **case.keywords()
        )
        layer.set_weights(weights)
        return layer

    return build


NATIVE = {"numpy": of_convbridge("numpy"), "torch": in_torch, "tensorflow": in_keras, "mxnet": in_gluon}


def call(layer, X, backend, channels_last=False):
    """Call a layer on images in NCHW."""
    Y = to_numpy(layer(tensor(np.moveaxis(X, 1, 3).copy() if channels_last else X, backend)))
    return np.moveaxis(Y, 3, 1) if channels_last else Y


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("source", "target"), list(itertools.product(BACKENDS, BACKENDS)))
def test_every_pair_of_frameworks(source, target, dtype):
    """The source's own layer, convbridge's in the target, the target's own, and back: one function, within rounding."""
    installed(source, target)
    read = 0
    for name, case in CASES.items():
        (kh, kw), (inputs, outputs) = case.kernel, case.channels
        weights = [numbers(1, outputs, inputs // case.groups, kh, kw, dtype=dtype)]
        weights += [numbers(2, outputs, dtype=dtype)] if case.use_bias else []
        X = numbers(3, 2, inputs, 9, 10, dtype=dtype)
        own = case.said_by(source)
        read += own
        first = (NATIVE[source] if own else of_convbridge(source))(case, weights, dtype)
        results = {"source": call(first, X, source, channels_last=own and source == "tensorflow")}
        layer = Conv2D.from_native(first, data_format="NCHW", backend=target)
        for mine, wanted in zip(layer.get_weights(), weights):
            assert mine.tobytes() == wanted.tobytes(), name
        results["layer"] = call(layer, X, target)
        needs_image = case.padding == "same" and max(case.stride) > 1
        if target == "tensorflow" and 1 not in (max(case.stride), max(case.dilation)):
            with pytest.raises(UnsupportedOperationError, match="both a stride and a dilation"):
                layer.to_native()
        elif target in ("torch", "mxnet") and needs_image:
            with pytest.raises(UnsupportedOperationError, match="depends on the image's size"):
                layer.to_native()
        else:
            native = layer.to_native()
            results["native"] = call(native, X, target)
            results["and back"] = call(Conv2D.from_native(native, backend=source), X, source)
        exact = oracle.conv2d(X, *weights, **case.keywords())
        bound = conv2d_bound(X, *weights, dtype=dtype, **case.keywords())
        for who, result in results.items():
            # the oracle itself is rounded to float64 at the end, which a float64 result may be off by too
            allowed = bound + np.spacing(abs(exact.astype("float64")))
            verdict = judge(result.astype("float64"), exact.astype("float64"), allowed)
            assert verdict.kind != "REAL DIFFERENCE", (name, who, verdict)
    assert read >= 8


def test_natives_keep_their_own_layout(keras):
    native = in_keras(CASES["same"], [numbers(1, 3, 2, 3, 3), numbers(2, 3)], "float32")
    layer = Conv2D.from_native(native)
    assert layer.config.data_format == "NHWC"
    X = numbers(3, 1, 5, 6, 2)
    assert to_numpy(layer(X)).shape == to_numpy(native(X)).shape == (1, 5, 6, 3)


def test_copies_share_nothing(backend):
    layer = Conv2D((1, 2), seed=0, backend=backend)
    native = layer.to_native() if backend != "tensorflow" else None
    copied = Conv2D.from_native(layer)
    before = layer.get_weights()[0]
    for other in (copied, *([Conv2D.from_native(native)] if native is not None else [])):
        other.set_weights([[[[[7, 7]]]], [7]])
    assert layer.get_weights()[0].tobytes() == before.tobytes()
    if native is not None:
        assert Conv2D.from_native(native).get_weights()[0].tobytes() == before.tobytes()


# --------------------------------------------------------------------------- layers of other kinds


def other_torch_layers(torch):
    return {
        "transposed": (torch.nn.ConvTranspose2d(1, 1, 3), UnsupportedOperationError, "must be a torch.nn.Conv2d"),
        "one axis": (torch.nn.Conv1d(1, 1, 3), UnsupportedOperationError, "must be a torch.nn.Conv2d"),
        "three axes": (torch.nn.Conv3d(1, 1, 3), UnsupportedOperationError, "must be a torch.nn.Conv2d"),
        "dense": (torch.nn.Linear(2, 2), UnsupportedOperationError, "must be a torch.nn.Conv2d"),
        "net": (torch.nn.Sequential(torch.nn.Conv2d(1, 1, 3)), UnsupportedOperationError, "must be a torch.nn.Conv2d"),
        "reflect": (torch.nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect"), UnsupportedOperationError, "reflect"),
        "circular": (torch.nn.Conv2d(1, 1, 3, padding_mode="circular"), UnsupportedOperationError, "circular"),
        "lazy": (torch.nn.LazyConv2d(1, 3), ArgumentError, "call it on an image first"),
        "complex": (torch.nn.Conv2d(1, 1, 3, dtype=torch.complex64), ConvbridgeError, "complex64"),
    }


@pytest.mark.parametrize(
    "kind", ["transposed", "one axis", "three axes", "dense", "net", "reflect", "circular", "lazy", "complex"]
)
def test_other_layers_of_torch(torch, kind):
    layer, error, message = other_torch_layers(torch)[kind]
    with pytest.raises(error, match=message) as caught:
        Conv2D.from_native(layer, backend="numpy")
    assert isinstance(caught.value, ConvbridgeError)


def other_keras_layers(keras):
    layers = keras.layers
    return {
        "transposed": (layers.Conv2DTranspose(1, 3), "keras.layers.Conv2D"),
        "one axis": (layers.Conv1D(1, 3), "must be a keras.layers.Conv2D"),
        "causal": (layers.Conv1D(1, 3, padding="causal"), "must be a keras.layers.Conv2D"),
        "depthwise": (layers.DepthwiseConv2D(3), "must be a keras.layers.Conv2D"),
        "separable": (layers.SeparableConv2D(1, 3), "must be a keras.layers.Conv2D"),
        "dense": (layers.Dense(1), "must be a keras.layers.Conv2D"),
        "activation": (layers.Conv2D(1, 3, activation="relu"), "no activation"),
    }


@pytest.mark.parametrize("kind", ["transposed", "one axis", "causal", "depthwise", "separable", "dense", "activation"])
def test_other_layers_of_keras(keras, kind):
    layer, message = other_keras_layers(keras)[kind]
    for built in (False, True):
        if built:
            axes = 3 if isinstance(layer, keras.layers.Conv1D) else 2 if isinstance(layer, keras.layers.Dense) else 4
            layer.build((None,) + (8,) * (axes - 1))
        with pytest.raises(UnsupportedOperationError, match=message):
            Conv2D.from_native(layer)


def test_an_unbuilt_layer_of_keras(keras):
    with pytest.raises(ArgumentError, match="call it on an image first"):
        Conv2D.from_native(keras.layers.Conv2D(1, 3))


def test_a_linear_activation_of_keras_is_none(keras):
    layer = keras.layers.Conv2D(1, 3, activation="linear")
    layer.build((None, 8, 8, 1))
    assert Conv2D.from_native(layer, backend="numpy").config.in_channels == 1


def test_other_layers_of_gluon(mx):
    nn = mx.gluon.nn
    for layer, message in (
        (nn.Conv2DTranspose(1, 3, in_channels=1), "must be a gluon.nn.Conv2D"),
        (nn.Conv1D(1, 3, in_channels=1), "must be a gluon.nn.Conv2D"),
        (nn.Dense(1, in_units=1), "must be a gluon.nn.Conv2D"),
        (nn.Conv2D(1, 3, in_channels=1, activation="relu"), "no activation"),
    ):
        layer.initialize()
        with pytest.raises(UnsupportedOperationError, match=message):
            Conv2D.from_native(layer)
    never = nn.Conv2D(1, 3, in_channels=1)
    waiting = nn.Conv2D(1, 3)
    waiting.initialize()
    for layer in (never, waiting):
        with pytest.raises(ArgumentError, match="initialize it and call it on an image first"):
            Conv2D.from_native(layer)
    # and asking has initialized nothing
    with pytest.raises(RuntimeError):
        never.weight.data()


@pytest.mark.parametrize("nothing", [None, 3, "layer", np.ones(3), str.upper, [1]], ids=repr)
def test_no_layer_at_all(nothing):
    with pytest.raises(ArgumentTypeError, match="layer must be a convolution layer of a framework"):
        Conv2D.from_native(nothing)


def test_a_pooling_layer_is_no_convolution(backend):
    with pytest.raises(ConvbridgeError):
        Conv2D.from_native(MaxPool2D(2, backend=backend))


def test_what_a_framework_cannot_say(backend):
    """An unknown size, or images in an order that its own layer does not have."""
    strided = Conv2D(3, stride=2, padding="same", backend=backend)
    if backend in ("torch", "mxnet"):
        with pytest.raises(UnsupportedOperationError, match="depends on the image's size"):
            strided.to_native()
        with pytest.raises(UnsupportedOperationError, match="NCHW"):
            Conv2D(3, data_format="NHWC", backend=backend).to_native()
    else:
        X = numbers(0, 1, 1, 7, 8)
        assert abs(call(strided.to_native(), X, backend) - call(strided, X, backend)).max() < 1e-5


# --------------------------------------------------------------------------- other frameworks' tensors


@pytest.mark.parametrize(("mine", "theirs"), list(itertools.permutations(BACKENDS, 2)))
def test_a_tensor_of_another_framework(mine, theirs):
    installed(mine, theirs)
    X = numbers(0, 1, 1, 6, 6)
    layers = [make(2, backend=mine) for make in (Conv2D, MaxPool2D, AvgPool2D)]
    if mine == "mxnet":
        hybridized = [make(2, backend=mine) for make in (Conv2D, MaxPool2D, AvgPool2D)]
        for layer in hybridized:
            layer.hybridize()
        layers += hybridized
    for layer in layers:
        if theirs == "numpy":  # neutral
            assert (convbridge.selection.framework_of(layer(X)) or "numpy") == mine
            continue
        with pytest.raises(MixedBackendsError, match="convert"):
            layer(tensor(X, theirs))


def run_keras_on_torch(program):
    return subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={
            **os.environ,
            "KERAS_BACKEND": "torch",
            "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry),
        },
    )


def test_keras_on_another_backend(keras, torch):
    """The functions need no Keras; the layers do, and say so."""
    done = run_keras_on_torch(
        "import numpy as np, convbridge\n"
        "from convbridge.errors import BackendBrokenError\n"
        "X = np.arange(9.0).reshape(3, 3)\n"
        "print(convbridge.to_numpy(convbridge.corr2d(X, [[0, 1], [2, 3]], backend='tensorflow')).tolist())\n"
        "print(convbridge.to_numpy(convbridge.pool2d(X, 2, backend='tensorflow')).tolist())\n"
        "dX, dW, db = convbridge.conv2d_vjp(X[None, None], X[None, None], None, [[[[1.0]]]], backend='tensorflow')\n"
        "print(np.array_equal(convbridge.to_numpy(dX)[0, 0], X))\n"
        "for make in (lambda: convbridge.Conv2D(3, backend='tf'), lambda: convbridge.MaxPool2D(2, backend='tf')):\n"
        "    try:\n"
        "        make()\n"
        "    except BackendBrokenError as error:\n"
        "        print(error)\n"
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[:3] == ["[[19.0, 25.0], [37.0, 43.0]]", "[[4.0, 5.0], [7.0, 8.0]]", "True"]
    assert len(lines) == 5
    for line in lines[3:]:
        assert "need Keras to run on TensorFlow" in line
        assert "KERAS_BACKEND='torch'" in line


# --------------------------------------------------------------------------- the same loss curve


def descend(backend, case, weights, X, Y, rate, steps):
    """Gradient descent by hand around convbridge's layer; the framework differentiates. Return the losses."""
    dtype = X.dtype.name
    layer = of_convbridge(backend)(case, weights, dtype)
    image, target = tensor(X, backend), tensor(Y, backend)
    losses = []

    def note(error):
        losses.append(float(np.sum(np.square(to_numpy(error), dtype=np.float64))))

    for _ in range(steps):
        if backend == "numpy":
            error = layer(image) - target
            layer.backward(2 * error)
            layer.weight = layer.weight - rate * layer.grad_weight
            layer.bias = layer.bias - rate * layer.grad_bias
        elif backend == "torch":
            import torch

            error = layer(image) - target
            gradients = torch.autograd.grad(error.square().sum(), list(layer.parameters()))
            with torch.no_grad():
                for parameter, gradient in zip(layer.parameters(), gradients):
                    parameter -= rate * gradient
        elif backend == "tensorflow":
            import tensorflow as tf

            with tf.GradientTape() as tape:
                error = layer(image) - target
                loss = tf.reduce_sum(tf.square(error))
            for variable, gradient in zip(layer.weights, tape.gradient(loss, layer.weights)):
                variable.assign_sub(rate * gradient)
        else:
            mx = convbridge.import_framework("mxnet")
            with mx.autograd.record():
                error = layer(image) - target
                loss = error.square().sum()
            loss.backward()
            for parameter in layer.collect_params().values():
                parameter.set_data(parameter.data() - rate * parameter.grad())
        note(error)
    return np.array(losses)


def windows_of(X, case):
    """Lay out what a weight meets, one row for every output pixel: the matrix A, with a column for the bias.

    Column by column the answer of the convolution to a kernel that is 1 at one
    place, by the float64 oracle: exact, for these are copies of pixels.
    """
    (kh, kw), inputs = case.kernel, case.channels[0]
    units = np.eye(inputs * kh * kw).reshape(-1, inputs, kh, kw)
    answers = oracle.conv2d(X.astype("float64"), units, **case.keywords())
    matrix = np.moveaxis(answers, 1, 3).reshape(-1, len(units))
    return np.hstack([matrix, np.ones((len(matrix), 1))]).astype("float64")


CURVES = {
    "small": Case(kernel=(1, 2), channels=(1, 1)),
    "channels": Case(kernel=(3, 2), channels=(2, 3), padding=1),
    "stride and dilation": Case(kernel=(2, 3), channels=(3, 2), stride=(2, 1), dilation=(1, 2), padding="same_lower"),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", CURVES)
def test_the_same_loss_curve_in_every_backend(name, dtype):
    """200 steps from one seed, on one set of data: pairwise within the bound of docs/training.md, exactly followed."""
    case, steps = CURVES[name], 200
    inputs, outputs = case.channels
    X = numbers(11, 4, inputs, 8, 7, dtype=dtype)
    start = Conv2D(case.kernel, inputs, outputs, seed=5, dtype=dtype, backend="numpy", **case.keywords()).get_weights()
    Y = numbers(12, *oracle.conv2d(X, *start, **case.keywords()).shape, dtype=dtype)
    A = windows_of(X, case)
    y = np.moveaxis(Y, 1, 3).reshape(-1, outputs).astype("float64")
    problem = learning.Problem.of_windows(A.T @ A, A.T @ y, float((y**2).sum()), len(A))
    assert problem.eigenvalues[0] > 1e-3 * problem.eigenvalues[-1]  # nothing here is nearly singular
    rate = 0.5 * problem.largest_rate
    w = np.vstack([start[0].reshape(outputs, -1).T, start[1][None]]).astype("float64")

    exact, moving, wide = [], w.astype(np.longdouble), A.astype(np.longdouble)
    for _ in range(steps):
        residual = wide @ moving - y
        exact.append(float((residual**2).sum()))
        moving = moving - np.longdouble(rate) * 2 * (wide.T @ residual)
    curves = {"exact": np.array(exact)}
    for backend in convbridge.available_backends():
        if backend in BACKENDS:
            curves[backend] = descend(backend, case, start, X, Y, rate, steps)
            assert len(curves[backend]) == steps

    used = 0.0
    for (first, a), (second, b) in itertools.combinations(curves.items(), 2):
        bound = learning.drift(problem, np.stack([a, b]), w, rate, dtype)
        apart = abs(a - b)
        assert (apart <= bound).all(), (first, second, float((apart / bound).max()))
        used = max(used, float((apart / bound).max()))
        # the bound says something: it stays far below what a step changes, and does not grow with their number
        assert bound.max() < {"float32": 1e-2, "float64": 1e-11}[dtype] * a[0]
        assert bound[-1] <= 1.5 * bound[steps // 2]
    assert 0 < used <= 1
    assert exact[-1] < 0.9 * exact[0]


def test_a_wrong_gradient_leaves_the_curve():
    """The bound can be exceeded: by a gradient that is off by a hundredth, by a bias that stays."""
    case, steps, dtype = CURVES["channels"], 200, "float32"
    X = numbers(11, 4, 2, 8, 7)
    start = Conv2D(case.kernel, 2, 3, seed=5, backend="numpy", **case.keywords()).get_weights()
    Y = numbers(12, *oracle.conv2d(X, *start, **case.keywords()).shape)
    A = windows_of(X, case)
    y = np.moveaxis(Y, 1, 3).reshape(-1, 3).astype("float64")
    problem = learning.Problem.of_windows(A.T @ A, A.T @ y, float((y**2).sum()), len(A))
    rate = 0.5 * problem.largest_rate
    w = np.vstack([start[0].reshape(3, -1).T, start[1][None]]).astype("float64")

    def follow(wrong):
        moving, losses = w, []
        for _ in range(steps):
            residual = A @ moving - y
            losses.append((residual**2).sum())
            moving = moving - wrong * rate * 2 * (A.T @ residual)
        return np.array(losses)

    rows = np.ones((len(w), 1))
    still = rows.copy()
    still[-1] = 0
    good = follow(rows)
    for wrong in (rows * 1.01, still):
        bad = follow(wrong)
        assert (abs(good - bad) > learning.drift(problem, np.stack([good, bad]), w, rate, dtype)).any()
