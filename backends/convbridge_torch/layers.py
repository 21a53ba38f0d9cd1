"""Layers of the PyTorch backend: ``torch.nn.Module`` classes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from convbridge import functional
from convbridge.errors import ArgumentError, UnsupportedOperationError, received
from convbridge.geometry import parse_padding
from convbridge.layers import check_one_channel, check_weights, fixed_sides
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
        run = functional.run_conv2d if torch.compiler.is_compiling() else functional.conv2d
        Y: Array = run(
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

    def get_weights(self) -> list[np.ndarray[Any, Any]]:
        """Return copies of the weight (OIHW) and the bias (O,), if there is one."""
        return [arrays.to_numpy(x) for x in (self.weight, self.bias) if x is not None]

    def set_weights(self, weights: Any) -> None:
        """Replace the weights in place, after all of them have been checked."""
        checked = check_weights(self.config, weights)
        with torch.no_grad():
            for parameter, value in zip((self.weight, self.bias), checked):
                if parameter is not None:
                    parameter.copy_(torch.from_numpy(value))

    def to_native(self) -> torch.nn.Module:
        """Build a ``torch.nn.Conv2d``, behind a ``ZeroPad2d`` where the sides differ."""
        c = self.config
        if c.data_format != "NCHW":
            raise UnsupportedOperationError(
                f"torch.nn.Conv2d must have its images in NCHW. {received(data_format=c.data_format)}"
            )
        top, bottom, left, right = fixed_sides(c)
        symmetric = top == bottom and left == right
        native = torch.nn.Conv2d(
            c.in_channels,
            c.out_channels,
            c.kernel_size,
            stride=c.stride,
            padding=(top, left) if symmetric else 0,
            dilation=c.dilation,
            groups=c.groups,
            bias=c.use_bias,
            device=self.weight.device,
            dtype=self.weight.dtype,
        )
        native.load_state_dict(self.state_dict())
        return native if symmetric else torch.nn.Sequential(torch.nn.ZeroPad2d((left, right, top, bottom)), native)

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
        run = functional.run_pool2d if torch.compiler.is_compiling() else functional.pool2d
        Y: Array = run(
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


def read_native(layer: Any) -> tuple[Conv2DConfig, list[np.ndarray[Any, Any]]]:
    """Read a ``torch.nn.Conv2d``, also behind a ``ZeroPad2d``: its arguments, and its weights as OIHW and (O,)."""
    front = None
    if isinstance(layer, torch.nn.Sequential) and len(layer) == 2 and isinstance(layer[0], torch.nn.ZeroPad2d):
        front, layer = layer[0], layer[1]
    if not isinstance(layer, torch.nn.Conv2d):
        raise UnsupportedOperationError(f"layer must be a torch.nn.Conv2d. {received(layer=layer)}")
    if layer.padding_mode != "zeros":
        raise UnsupportedOperationError(
            f"layer must be padded with zeros, not by {layer.padding_mode!r}. {received(layer=layer)}"
        )
    if isinstance(layer.weight, torch.nn.UninitializedParameter):
        raise ArgumentError(f"layer must have its weights: call it on an image first. {received(layer=layer)}")
    padding: Any = layer.padding  # 'same' is same_upper here too, and PyTorch allows it for stride 1 alone
    if front is not None:
        if padding not in ((0, 0), "valid"):
            raise UnsupportedOperationError(f"layer must have its padding in one place. {received(layer=layer)}")
        left, right, top, bottom = front.padding
        padding = ((top, bottom), (left, right))
        parse_padding(padding)  # PyTorch crops where it is negative
    config = Conv2DConfig(
        kernel_size=(layer.kernel_size[0], layer.kernel_size[1]),
        in_channels=layer.in_channels,
        out_channels=layer.out_channels,
        stride=(layer.stride[0], layer.stride[1]),
        padding=padding,
        dilation=(layer.dilation[0], layer.dilation[1]),
        groups=layer.groups,
        use_bias=layer.bias is not None,
        data_format="NCHW",
        dtype=arrays.dtype_name(layer.weight),
    )
    return config, [arrays.to_numpy(x) for x in (layer.weight, layer.bias) if x is not None]


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
    check_one_channel(Y.shape, channels_last, layer)
    return Y[0, :, :, 0] if channels_last else Y[0, 0]
