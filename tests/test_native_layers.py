"""From a layer of convbridge to the framework's own and back, and nets that only look like what comes back.

``test_layer_conversion.py`` has the way from one framework to another.
"""

from __future__ import annotations

import numpy as np
import pytest

import convbridge
from convbridge import Conv2D, MaxPool2D, to_numpy
from convbridge.errors import ConvbridgeError, UnsupportedOperationError

#: What a framework's own layer may need something around it for.
THERE_AND_BACK = {
    "plain": {},
    "numbers": {"padding": (2, 1), "stride": (2, 1)},
    "four sides": {"padding": ((1, 0), (2, 3)), "stride": (1, 2), "use_bias": False},
    "same": {"padding": "same", "dilation": (1, 2)},
    "same_lower": {"padding": "same_lower", "groups": 2},
    "chapter": {"padding": "chapter", "stride": 2},
    "same with a stride": {"padding": "same", "stride": 2},
    "stride and dilation": {"stride": 2, "dilation": 2},
}


def says(backend, keywords, data_format):
    """Tell whether a framework has any words for it."""
    if backend == "tensorflow":
        return "dilation" not in keywords or "stride" not in keywords
    return backend == "numpy" or (
        data_format == "NCHW" and (keywords.get("padding"), keywords.get("stride")) != ("same", 2)
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("data_format", ["NCHW", "NHWC"])
@pytest.mark.parametrize("name", THERE_AND_BACK)
def test_what_to_native_returns_can_be_read_again(backend, name, data_format, dtype):
    keywords = THERE_AND_BACK[name]
    layer = Conv2D((2, 3), 4, 6, data_format=data_format, dtype=dtype, seed=7, backend=backend, **keywords)
    if not says(backend, keywords, data_format):
        with pytest.raises(UnsupportedOperationError, match="Received: "):
            layer.to_native()
        return
    native = layer.to_native()
    again = Conv2D.from_native(native)
    assert type(again) is type(layer)
    assert again.config._replace(padding=0) == layer.config._replace(padding=0)
    for mine, wanted in zip(again.get_weights(), layer.get_weights(), strict=True):
        assert mine.tobytes() == wanted.tobytes()
    shape = (2, 4, 7, 8) if data_format == "NCHW" else (2, 7, 8, 4)
    X = convbridge.asarray(np.random.default_rng(1).standard_normal(shape).astype(dtype), backend=backend)
    assert to_numpy(again(X)).tobytes() == to_numpy(layer(X)).tobytes()
    # and once more: what is read is what to_native says best
    assert type(again.to_native()) is type(native)
    moved = Conv2D.from_native(native, data_format="NHWC" if data_format == "NCHW" else "NCHW", backend="numpy")
    assert moved.get_weights()[0].tobytes() == layer.get_weights()[0].tobytes()


def _composites(backend):
    """Build nets that look like what to_native returns, and are not."""
    if backend == "torch":
        from torch import nn

        conv = nn.Conv2d(1, 1, 3)
        return [
            nn.Sequential(nn.ZeroPad2d(1), nn.Conv2d(1, 1, 3, padding=1)),
            nn.Sequential(nn.ZeroPad2d(1), nn.Conv2d(1, 1, 3, padding="same")),
            nn.Sequential(nn.ZeroPad2d((-1, 1, 0, 0)), conv),
            nn.Sequential(nn.ReflectionPad2d(1), conv),
            nn.Sequential(nn.ZeroPad2d(1), conv, nn.ReLU()),
            nn.Sequential(conv, nn.ZeroPad2d(1)),
            nn.Sequential(),
        ]
    if backend == "tensorflow":
        from keras import Input, Sequential
        from keras.layers import Conv2D, Permute, ReLU, ZeroPadding2D

        last, first = (2, 3, 1), (3, 1, 2)
        return [
            *(
                Sequential([Input((8, 8, 8)), *net])
                for net in (
                    [ZeroPadding2D(1), Conv2D(1, 3, padding="same")],
                    [ZeroPadding2D(1, data_format="channels_first"), Conv2D(1, 3)],
                    [Permute(last), Conv2D(1, 3)],
                    [Permute(last), Conv2D(1, 3), Permute(last)],
                    [Permute(last), ReLU(), Permute(first)],
                    [Permute(last), Permute(first)],
                    [ZeroPadding2D(1), Conv2D(1, 3), ReLU()],
                    [Conv2D(1, 3), ZeroPadding2D(1)],
                    [ZeroPadding2D(1), Conv2D(1, 3, activation="relu")],
                    [Conv2D(1, 3)],
                )
            ),
            Sequential(),
        ]
    if backend == "mxnet":
        from convbridge_mxnet._compat import mxnet as mx
        from convbridge_mxnet.layers import ZeroPad2D

        nn = mx.gluon.nn
        sides = convbridge.geometry.Sides(1, 0, 0, 0)
        nets = []
        for parts in (
            (ZeroPad2D(sides), nn.Conv2D(1, 3, in_channels=1, padding=1)),
            (ZeroPad2D(sides), nn.Conv2D(1, 3, in_channels=1), nn.Activation("relu")),
            (nn.Conv2D(1, 3, in_channels=1), ZeroPad2D(sides)),
            (nn.ReflectionPad2D(1), nn.Conv2D(1, 3, in_channels=1)),
            (),
        ):
            net = nn.HybridSequential()
            net.add(*parts)
            net.initialize()
            nets.append(net)
        return nets
    return [MaxPool2D(2, backend="numpy")]


def test_other_nets_are_not_taken_for_one_layer(backend):
    for net in _composites(backend):
        with pytest.raises(ConvbridgeError, match="Received: "):
            Conv2D.from_native(net)
