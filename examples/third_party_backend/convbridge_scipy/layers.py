"""Layers: plain objects, since SciPy has none. Their arguments were checked by convbridge's factories."""

from __future__ import annotations

from typing import Any

import numpy as np

import convbridge
from convbridge.errors import UnsupportedOperationError, received
from convbridge.layers import check_one_channel, check_weights
from convbridge.protocol import Conv2DConfig, Pool2DConfig
from convbridge_scipy import chapter

Array = np.ndarray[Any, Any]


class Conv2D:
    """A convolution layer; ``weight`` is OIHW, ``bias`` is (O,) or None."""

    def __init__(self, config: Conv2DConfig, weight: Array, bias: Array | None) -> None:
        self.config, self.weight, self.bias = config, weight, bias

    def __call__(self, X: Any) -> Any:
        """Cross-correlate a batch of images."""
        wanted = ("stride", "padding", "dilation", "groups", "data_format")
        keywords = {name: getattr(self.config, name) for name in wanted}
        return convbridge.conv2d(X, self.weight, self.bias, **keywords, backend="scipy")

    def get_weights(self) -> list[Array]:
        """Return copies of the weight and the bias, if there is one."""
        return [np.array(array) for array in (self.weight, self.bias) if array is not None]

    def set_weights(self, weights: Any) -> None:
        """Replace the weights, after all of them have been checked."""
        checked = check_weights(self.config, weights)
        self.weight, self.bias = checked[0], checked[1] if self.config.use_bias else None

    def to_native(self) -> Any:
        """Say that there is nothing to convert to."""
        raise UnsupportedOperationError(f"SciPy has no layers of its own. {received(layer=self)}")


class MaxPool2D:
    """A layer that takes the maximum of every window."""

    mode = "max"

    def __init__(self, config: Pool2DConfig) -> None:
        self.config = config

    def __call__(self, X: Any) -> Any:
        """Pool a batch of images."""
        keywords = self.config._asdict()
        return convbridge.pool2d(X, keywords.pop("kernel_size"), self.mode, **keywords, backend="scipy")


class AvgPool2D(MaxPool2D):
    """A layer that averages every window."""

    mode = "avg"


def read_native(layer: Any) -> tuple[Conv2DConfig, list[Any]]:
    """Say that there is nothing to read."""
    raise UnsupportedOperationError(f"SciPy has no layers of its own. {received(layer=layer)}")


def apply(layer: Any, X: Array) -> Any:
    """Run a layer on a matrix, adding and removing batch and channel."""
    X = X.astype(getattr(getattr(layer, "weight", None), "dtype", X.dtype), copy=False)
    if isinstance(layer, chapter.Conv2D):  # it speaks of matrices already
        return layer(X)
    channels_last = getattr(getattr(layer, "config", None), "data_format", "NCHW") == "NHWC"
    Y = layer(X[None, :, :, None] if channels_last else X[None, None])
    check_one_channel(Y.shape, channels_last, layer)
    return Y[0, :, :, 0] if channels_last else Y[0, 0]
