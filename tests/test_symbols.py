"""Symbolic values, which stand for a tensor in a graph: refused outside of a layer, with where they belong."""

from __future__ import annotations

import numpy as np
import pytest

import convbridge
from convbridge import chapter, registry, selection
from convbridge.errors import ArgumentTypeError, MixedBackendsError

ONES = np.ones((1, 1, 4, 4), "float32")

#: What makes a symbol, and what its refusal must say.
SYMBOLS = {
    "Symbol": ("mxnet", "Symbols belong into a hybridized block; the layers Conv2D, MaxPool2D and AvgPool2D"),
    "symbol of npx": ("mxnet", "Symbols belong into a hybridized block"),
    "KerasTensor": ("tensorflow", "gets its numbers inside a layer: call the function in a Lambda"),
    "Proxy": ("torch", "torch.fx traces with proxies: keep the layers of convbridge whole"),
}


def symbol(kind):
    backend = SYMBOLS[kind][0]
    if backend not in convbridge.available_backends():
        pytest.skip(f"{backend} is not installed")
    framework = convbridge.import_framework(backend)
    if kind == "Symbol":
        return framework.sym.Variable("x")
    if kind == "symbol of npx":
        return framework.sym.np.ones((4, 4)).as_np_ndarray()
    if kind == "KerasTensor":
        import keras

        return keras.Input((4, 4))
    from torch.fx import Graph, Proxy

    return Proxy(Graph().placeholder("x"))


#: A call, and the argument that it gives the symbol for.
CALLS = {
    "corr2d": ("X", lambda s: convbridge.corr2d(s, [[1]])),
    "corr2d's K": ("K", lambda s: convbridge.corr2d([[1]], s)),
    "the loop": ("X", lambda s: chapter.corr2d(s, [[1]])),
    "conv2d": ("X", lambda s: convbridge.conv2d(s, ONES)),
    "conv2d's bias": ("bias", lambda s: convbridge.conv2d(ONES, ONES, s)),
    "conv2d's gradient": ("grad_output", lambda s: convbridge.conv2d_vjp(ONES, ONES, None, s)),
    "pool2d": ("X", lambda s: convbridge.pool2d(s, 2)),
    "learn_kernel": ("X", lambda s: convbridge.learn_kernel(s, [[1]], 1)),
    "asarray": ("obj", convbridge.asarray),
    "to_numpy": ("x", convbridge.to_numpy),
    "comp_conv2d": ("X", lambda s: convbridge.comp_conv2d(convbridge.Conv2D(3, backend="numpy"), s)),
    "a layer": ("X", lambda s: convbridge.Conv2D(3, backend="numpy")(s)),
    "a layer's weights": (
        "weights[0]",
        lambda s: convbridge.Conv2D(3, use_bias=False, backend="numpy").set_weights([s]),
    ),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("kind", SYMBOLS)
def test_a_symbol_is_refused_with_the_way_out(kind, call):
    argument, compute = CALLS[call]
    value = symbol(kind)
    with pytest.raises(ArgumentTypeError) as refused:
        compute(value)
    assert str(refused.value) == (
        f"{argument} must hold numbers, not stand for them in a graph. "
        f"{registry.spec(SYMBOLS[kind][0]).symbol_hint} Received: {argument}={type(value)!r}"
    )
    assert SYMBOLS[kind][1] in str(refused.value)


@pytest.mark.parametrize("kind", SYMBOLS)
def test_every_backend_refuses_it(kind, backend):
    with pytest.raises(ArgumentTypeError, match="must hold numbers, not stand for them in a graph"):
        convbridge.conv2d(symbol(kind), ONES, backend=backend)
    with pytest.raises(MixedBackendsError, match="X must be one array, not a list of tensors"):
        convbridge.conv2d([[symbol(kind)]], ONES, backend=backend)
    if SYMBOLS[kind][0] != backend:
        with pytest.raises(ArgumentTypeError, match="must hold numbers, not stand for them in a graph"):
            convbridge.MaxPool2D(2, backend=backend)(symbol(kind))


def test_a_symbol_is_nobodys_tensor_and_a_tensor_is_no_symbol(backend):
    own = {name: registry.spec(name).symbol_types for name in registry.BUILTIN}
    assert {name for name, kinds in own.items() if kinds} == {"torch", "tensorflow", "mxnet"}
    assert selection.framework_of_symbol(convbridge.asarray(ONES, backend=backend)) is None
    assert selection.framework_of_symbol(convbridge.Conv2D(3, backend=backend)) is None


# --------------------------------------------------------------------------- and the way out is one


def test_keras_computes_in_layers():
    value = symbol("KerasTensor")
    import keras

    class Edges(keras.layers.Layer):
        def call(self, X):
            return convbridge.pool2d(X, 2)

    for layer in (Edges(), keras.layers.Lambda(lambda X: convbridge.pool2d(X, 2))):
        net = keras.Model(value, layer(value))
        assert convbridge.to_numpy(net(ONES[0])).tolist() == [[[1] * 3] * 3]
    assert convbridge.MaxPool2D(2, backend="tensorflow")(keras.Input((1, 4, 4))).shape == (None, 1, 2, 2)


def test_torch_fx_keeps_layers_whole():
    symbol("Proxy")
    import torch
    from torch.fx import GraphModule, Tracer

    layer = convbridge.Conv2D(3, seed=0, backend="torch")
    net = torch.nn.Sequential(layer, torch.nn.ReLU())

    class Whole(Tracer):
        def is_leaf_module(self, module, name):
            return module is layer or super().is_leaf_module(module, name)

    traced = GraphModule(net, Whole().trace(net))
    assert torch.equal(traced(torch.tensor(ONES)), net(torch.tensor(ONES)))
    with pytest.raises(ArgumentTypeError, match="is_leaf_module"):
        torch.fx.symbolic_trace(net)


def test_gluons_blocks_take_symbols():
    value = symbol("Symbol")
    for layer in (convbridge.Conv2D(3, backend="mxnet"), convbridge.MaxPool2D(3, backend="mxnet")):
        assert type(layer(value)) is type(value)


# --------------------------------------------------------------------------- what else a Keras layer is called with


def test_keras_layers_read_their_images_as_the_functions_do():
    """Keras itself takes a list for several inputs, and drops a mask without a word."""
    if "tensorflow" not in convbridge.available_backends():
        pytest.skip("tensorflow is not installed")
    layer = convbridge.MaxPool2D(2, backend="tensorflow")
    assert convbridge.to_numpy(layer(ONES.tolist())).tolist() == [[[[1, 1], [1, 1]]]]
    for bad in ("image", None, np.ma.masked_equal(ONES, 0), ONES.astype(complex)):
        with pytest.raises(ArgumentTypeError, match=r"X must.*Received: X="):
            layer(bad)
