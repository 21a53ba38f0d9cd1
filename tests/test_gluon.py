"""Gluon's habits: who initializes, and two kinds of arrays, of which ``npx.set_np()`` allows the newer one alone."""

from __future__ import annotations

import warnings
from contextlib import ExitStack

import numpy as np
import pytest

import convbridge
from convbridge import AvgPool2D, Conv2D, MaxPool2D, chapter, comp_conv2d
from convbridge.parity.bounds import conv2d_bound

SIDES = ((1, 0), (0, 1))


@pytest.fixture(params=["nd", "np", "set_np"])
def mode(request, mx):
    """Make arrays: of the older kind, of the newer kind, and of the newer kind where nothing else is allowed."""
    with ExitStack() as stack:
        if request.param == "set_np":
            stack.enter_context(mx.util.np_shape(True))
            stack.enter_context(mx.util.np_array(True))
        yield (lambda values: convbridge.asarray(values, backend="mxnet")) if request.param == "nd" else mx.np.array


def numbers(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def same_bits(found, wanted):
    assert convbridge.to_numpy(found).tobytes() == convbridge.to_numpy(wanted).tobytes()


# --------------------------------------------------------------------------- who initializes

MAKE = {"the chapter's": lambda: chapter.Conv2D((2, 2), backend="mxnet"), "ours": lambda: Conv2D(2, backend="mxnet")}


@pytest.mark.parametrize("whose", MAKE)
def test_initialize_may_be_called_or_not(mx, whose):
    X = convbridge.asarray(numbers(0, 3, 3) if whose == "the chapter's" else numbers(0, 1, 1, 3, 3), backend="mxnet")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        alone = MAKE[whose]()
        asked = MAKE[whose]()
        asked.initialize()
        inside = MAKE[whose]()
        net = mx.gluon.nn.Sequential()
        net.add(inside)
        net.initialize()
        for call, layer in ((alone, alone), (asked, asked), (net, inside)):
            first = call(X)
            weight = layer.weight.data().asnumpy()
            assert weight.any()
            same_bits(call(X), first)  # and not drawn anew
            np.testing.assert_array_equal(layer.weight.data().asnumpy(), weight)
    with pytest.warns(UserWarning, match="already initialized"):  # Gluon's own word for a second time
        asked.initialize()


# --------------------------------------------------------------------------- two kinds of arrays


@pytest.mark.parametrize("hybridized", [False, True])
@pytest.mark.parametrize("data_format", ["NCHW", "NHWC"])
def test_layers_answer_in_kind(mx, mode, hybridized, data_format):
    X = numbers(1, 2, 3, 7, 6) if data_format == "NCHW" else numbers(1, 2, 7, 6, 3)
    common = {"data_format": data_format, "backend": "mxnet"}
    for make in (
        lambda: Conv2D((2, 3), 3, 4, padding=SIDES, seed=5, **common),
        lambda: Conv2D(2, 3, 4, use_bias=False, seed=5, **common),
        lambda: MaxPool2D(2, padding=1, ceil_mode=True, **common),
        lambda: AvgPool2D((2, 3), dilation=2, count_include_pad=False, padding=1, **common),
    ):
        layer = make()
        if hybridized:
            layer.hybridize()
        result = layer(mode(X))
        assert type(result) is type(mode(X))
        with mx.util.np_array(False):
            same_bits(result, make()(convbridge.asarray(X, backend="mxnet")))
        if not hybridized:
            same_bits(layer(X), result)  # a NumPy array, whose result is of the kind that the mode allows


@pytest.mark.parametrize("hybridized", [False, True])
def test_a_net_trains_and_is_saved(mx, mode, hybridized, tmp_path):
    """Among Gluon's own layers, which take the newer kind of arrays only after ``npx.set_np()``."""
    nn = mx.gluon.nn
    older = not mx.util.is_np_array()
    X = convbridge.asarray(numbers(1, 4, 1, 8, 8), backend="mxnet") if older else mode(numbers(1, 4, 1, 8, 8))

    def build(seed):
        net = nn.HybridSequential()
        net.add(Conv2D(3, 1, 2, padding=SIDES, seed=seed, backend="mxnet"), nn.Activation("relu"))
        net.add(MaxPool2D(2, backend="mxnet"), AvgPool2D(3, backend="mxnet"), nn.Dense(2))
        net.initialize(mx.init.Constant(0.5))
        if hybridized:
            net.hybridize()
        return net

    net = build(0)
    trainer = mx.gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 0.01})
    losses = []
    for _ in range(5):
        with mx.autograd.record():
            loss = (net(X) ** 2).sum()
        loss.backward()
        trainer.step(1)
        losses.append(float(loss.asnumpy().item()))
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.9 * losses[0]
    net.save_parameters(str(tmp_path / "net.params"))
    other = build(9)
    other.load_parameters(str(tmp_path / "net.params"))
    same_bits(other(X), net(X))


@pytest.mark.parametrize("hybridized", [False, True])
def test_native_layers_and_weights(mx, mode, hybridized):
    layer = Conv2D((2, 3), 3, 4, padding=SIDES, seed=5, backend="mxnet")
    layer.set_weights([numbers(2, 4, 3, 2, 3), numbers(3, 4)])
    np.testing.assert_array_equal(layer.get_weights()[1], numbers(3, 4))
    native = layer.to_native()
    if hybridized:
        native.hybridize()
    again = Conv2D.from_native(native)
    np.testing.assert_array_equal(again.get_weights()[0], numbers(2, 4, 3, 2, 3))
    X = numbers(1, 2, 3, 7, 6)
    same_bits(again(mode(X)), layer(mode(X)))
    if mx.util.is_np_array() or not isinstance(mode(X), mx.np.ndarray):  # Gluon's own Conv2D is as strict as its Dense
        bound = conv2d_bound(X, *layer.get_weights(), dtype="float32", padding=SIDES)
        assert (abs(native(mode(X)) - layer(mode(X))).asnumpy() <= 2 * bound).all()


def test_matrices(mx, mode):
    X = numbers(1, 6, 8)
    for layer in (
        Conv2D((2, 3), seed=1, backend="mxnet"),
        MaxPool2D(2, backend="mxnet"),
        chapter.Conv2D((2, 2), backend="mxnet"),
        mx.gluon.nn.Conv2D(1, 3),
    ):
        result = comp_conv2d(layer, mode(X))
        assert type(result) is type(mode(X))
        same_bits(comp_conv2d(layer, X), result)


def test_the_chapters_layer_learns(mode, mx):
    layer = chapter.Conv2D((2, 2), backend="mxnet")
    X, K = numbers(1, 6, 8), numbers(2, 2, 2)
    Y = mode(convbridge.corr2d(X, K, backend="numpy"))
    losses = []
    for _ in range(20):
        with mx.autograd.record():
            loss = ((layer(mode(X)) - Y) ** 2).sum()
        loss.backward()
        layer.weight.data()[:] -= 0.005 * layer.weight.grad()
        losses.append(float(loss.asnumpy().item()))
    assert losses[-1] < 0.5 * losses[0]
