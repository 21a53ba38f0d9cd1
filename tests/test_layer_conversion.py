"""Weights and layers from one framework to another: canonical weights, the frameworks' own layers, other kinds."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from layer_cases import Case, installed, numbers, of_convbridge, tensor

import convbridge
from convbridge import Conv2D, MaxPool2D, registry, to_numpy
from convbridge.errors import (
    ArgumentError,
    ArgumentTypeError,
    ConvbridgeError,
    ShapeError,
    UnsupportedOperationError,
)
from convbridge.parity import oracle
from convbridge.parity.bounds import conv2d_bound, judge

BACKENDS = tuple(registry.BUILTIN)
#: A wide layer with everything that can be stored.
WIDE = {"kernel_size": (3, 2), "in_channels": 4, "out_channels": 6, "groups": 2}


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
