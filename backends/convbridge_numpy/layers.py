"""Layers of the NumPy backend: plain objects that are called on arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from convbridge import functional
from convbridge.protocol import Conv2DConfig, Pool2DConfig
from convbridge_numpy import chapter

Array = np.ndarray[Any, Any]


class Conv2D:
    """A convolution layer; ``weight`` is OIHW, ``bias`` is (O,) or None."""

    def __init__(self, config: Conv2DConfig, weight: Array, bias: Array | None) -> None:
        self.config = config
        self.weight = weight
        self.bias = bias

    def __call__(self, X: Any) -> Array:
        """Cross-correlate a batch of images."""
        return self.forward(X)

    def forward(self, X: Any) -> Array:
        """Cross-correlate a batch of images."""
        c = self.config
        Y: Array = functional.conv2d(
            X,
            self.weight,
            self.bias,
            stride=c.stride,
            padding=c.padding,
            dilation=c.dilation,
            groups=c.groups,
            data_format=c.data_format,
            backend="numpy",
        )
        return Y

    def __repr__(self) -> str:
        return f"Conv2D({self.config})"


class _Pool2D:
    """What the two pooling layers share."""

    mode = ""

    def __init__(self, config: Pool2DConfig) -> None:
        self.config = config

    def __call__(self, X: Any) -> Array:
        """Pool a batch of images."""
        return self.forward(X)

    def forward(self, X: Any) -> Array:
        """Pool a batch of images."""
        c = self.config
        Y: Array = functional.pool2d(
            X,
            c.kernel_size,
            self.mode,
            stride=c.stride,
            padding=c.padding,
            dilation=c.dilation,
            ceil_mode=c.ceil_mode,
            count_include_pad=c.count_include_pad,
            data_format=c.data_format,
            backend="numpy",
        )
        return Y

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.config})"


class MaxPool2D(_Pool2D):
    """A layer that takes the maximum of every window."""

    mode = "max"


class AvgPool2D(_Pool2D):
    """A layer that averages every window."""

    mode = "avg"


def apply(layer: Any, X: Array) -> Array:
    """Run a layer on a matrix, adding and removing batch and channel."""
    dtype = getattr(getattr(layer, "weight", None), "dtype", X.dtype)
    X = X.astype(dtype, copy=False)
    if isinstance(layer, chapter.Conv2D):  # the chapter's layer already speaks of matrices
        matrix: Array = layer(X)
        return matrix
    channels_last = getattr(getattr(layer, "config", None), "data_format", "NCHW") == "NHWC"
    Y: Array = layer(X[None, :, :, None] if channels_last else X[None, None])
    return Y[0, :, :, 0] if channels_last else Y[0, 0]
