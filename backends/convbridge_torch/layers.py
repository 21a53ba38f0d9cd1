"""Layers of the PyTorch backend: ``torch.nn.Module`` classes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from convbridge import functional
from convbridge.protocol import Conv2DConfig, Pool2DConfig
from convbridge_torch import arrays, chapter

Array = torch.Tensor


class Conv2D(torch.nn.Module):
    """A convolution layer; ``weight`` is OIHW, ``bias`` is (O,) or None."""

    def __init__(self, config: Conv2DConfig, weight: np.ndarray[Any, Any], bias: np.ndarray[Any, Any] | None) -> None:
        super().__init__()
        self.config = config
        self.weight = torch.nn.Parameter(arrays.asarray(weight, config.dtype))
        self.bias = None if bias is None else torch.nn.Parameter(arrays.asarray(bias, config.dtype))

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
            backend="torch",
        )
        return Y

    def extra_repr(self) -> str:
        """Show the configuration where PyTorch prints a module."""
        return str(self.config)


class _Pool2D(torch.nn.Module):
    """What the two pooling layers share."""

    mode = ""

    def __init__(self, config: Pool2DConfig) -> None:
        super().__init__()
        self.config = config

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
            backend="torch",
        )
        return Y

    def extra_repr(self) -> str:
        """Show the configuration where PyTorch prints a module."""
        return str(self.config)


class MaxPool2D(_Pool2D):
    """A layer that takes the maximum of every window."""

    mode = "max"


class AvgPool2D(_Pool2D):
    """A layer that averages every window."""

    mode = "avg"


def apply(layer: Any, X: Any) -> Array:
    """Run a layer on a matrix, adding and removing batch and channel."""
    if not isinstance(X, torch.Tensor):
        parameter = next(layer.parameters(), None)
        X = arrays.asarray(X, None if parameter is None else arrays.dtype_name(parameter), parameter)
    if isinstance(layer, chapter.Conv2D):  # the chapter's layer already speaks of matrices
        matrix: Array = layer(X)
        return matrix
    channels_last = getattr(getattr(layer, "config", None), "data_format", "NCHW") == "NHWC"
    Y: Array = layer(X[None, :, :, None] if channels_last else X[None, None])
    return Y[0, :, :, 0] if channels_last else Y[0, 0]
