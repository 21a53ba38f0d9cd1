"""Layers of the TensorFlow backend: ``keras.layers.Layer`` classes."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from convbridge import functional
from convbridge.errors import BackendBrokenError, received
from convbridge.protocol import Conv2DConfig, Pool2DConfig
from convbridge_tensorflow import arrays, chapter

Array = Any

if keras.backend.backend() != "tensorflow":
    raise BackendBrokenError(
        "The layers of the tensorflow backend need Keras to run on TensorFlow (KERAS_BACKEND=tensorflow, or "
        f"unset). {received(KERAS_BACKEND=keras.backend.backend())}"
    )


class Conv2D(keras.layers.Layer):
    """A convolution layer; ``weight`` is OIHW, ``bias`` is (O,) or None."""

    def __init__(self, config: Conv2DConfig, weight: np.ndarray[Any, Any], bias: np.ndarray[Any, Any] | None) -> None:
        super().__init__(dtype=config.dtype, autocast=False)
        self.config = config
        self.data_format = config.data_format
        self.weight = self._add("weight", weight)
        self.bias = None if bias is None else self._add("bias", bias)

    def _add(self, name: str, value: np.ndarray[Any, Any]) -> Any:
        variable = self.add_weight(name=name, shape=value.shape, initializer="zeros", dtype=self.config.dtype)
        variable.assign(arrays.asarray(value, self.config.dtype))
        return variable

    def build(self, input_shape: Any) -> None:
        """Have nothing left to build: the shapes are known beforehand."""

    def call(self, X: Any) -> Array:
        """Cross-correlate a batch of images."""
        c = self.config
        return functional.conv2d(
            X,
            self.weight,
            self.bias,
            stride=c.stride,
            padding=c.padding,
            dilation=c.dilation,
            groups=c.groups,
            data_format=c.data_format,
            backend="tensorflow",
        )


class _Pool2D(keras.layers.Layer):
    """What the two pooling layers share."""

    mode = ""

    def __init__(self, config: Pool2DConfig) -> None:
        super().__init__(autocast=False)
        self.config = config
        self.data_format = config.data_format

    def build(self, input_shape: Any) -> None:
        """Have nothing to build."""

    def call(self, X: Any) -> Array:
        """Pool a batch of images."""
        c = self.config
        return functional.pool2d(
            X,
            c.kernel_size,
            self.mode,
            stride=c.stride,
            padding=c.padding,
            dilation=c.dilation,
            ceil_mode=c.ceil_mode,
            count_include_pad=c.count_include_pad,
            data_format=c.data_format,
            backend="tensorflow",
        )


class MaxPool2D(_Pool2D):
    """A layer that takes the maximum of every window."""

    mode = "max"


class AvgPool2D(_Pool2D):
    """A layer that averages every window."""

    mode = "avg"


def apply(layer: Any, X: Any) -> Array:
    """Run a layer on a matrix, adding and removing batch and channel."""
    if isinstance(X, np.ndarray):
        X = arrays.asarray(X, getattr(layer, "compute_dtype", X.dtype.name))
    if isinstance(layer, chapter.Conv2D):  # the chapter's layer already speaks of matrices
        return layer(X)
    if getattr(layer, "data_format", "NCHW") in ("NHWC", "channels_last"):
        return layer(X[tf.newaxis, :, :, tf.newaxis])[0, :, :, 0]
    return layer(X[tf.newaxis, tf.newaxis])[0, 0]
