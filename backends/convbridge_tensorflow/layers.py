"""Layers of the TensorFlow backend: ``keras.layers.Layer`` classes."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from convbridge import functional
from convbridge.errors import ArgumentError, BackendBrokenError, UnsupportedOperationError, received
from convbridge.geometry import parse_padding
from convbridge.layers import check_one_channel, check_weights, fixed_sides, weight_shape
from convbridge.operands import host_array
from convbridge.protocol import Conv2DConfig, Pool2DConfig
from convbridge.selection import framework_of, resolve
from convbridge_tensorflow import arrays, chapter

Array = Any

#: What moves the channels of an image to the last axis, and back to the first, in Keras' count of axes from 1.
_TO_LAST, _TO_FIRST = (2, 3, 1), (3, 1, 2)

if keras.backend.backend() != "tensorflow":
    raise BackendBrokenError(
        "The layers of the tensorflow backend need Keras to run on TensorFlow (KERAS_BACKEND=tensorflow, or "
        f"unset). {received(KERAS_BACKEND=keras.backend.backend())}"
    )


class _Layer(keras.layers.Layer):
    """What all layers share: no casting, nothing to build, and a configuration that Keras can save."""

    def __init__(self, config: Any, dtype: str | None = None) -> None:
        super().__init__(autocast=False, dtype=dtype)
        self.config = config
        self.data_format = config.data_format

    def __call__(self, X: Any, **keywords: Any) -> Array:
        """Compute a batch of images; refuse another framework's tensor, which Keras would convert."""
        if not isinstance(X, keras.KerasTensor):
            resolve("tensorflow", X)
            if framework_of(X) is None:  # Keras would take a list for several inputs, and lose a mask
                X = host_array(X, "X")
        return super().__call__(X, **keywords)

    def build(self, input_shape: Any) -> None:
        """Have nothing left to build: the shapes are known beforehand."""

    def get_config(self) -> dict[str, Any]:
        """Return what ``from_config`` needs, as JSON can hold it."""
        return {"name": self.name, "trainable": self.trainable, "config": dict(self.config._asdict())}


def _as_saved(layer: Any, saved: dict[str, Any]) -> Any:
    layer.name, layer.trainable = saved["name"], saved["trainable"]
    return layer


def _from_json(fields: dict[str, Any]) -> dict[str, Any]:
    """Turn the lists that JSON made of pairs into pairs again."""

    def tuples(value: Any) -> Any:
        return tuple(map(tuples, value)) if isinstance(value, (list, tuple)) else value

    return {name: tuples(value) for name, value in fields.items()}


@keras.saving.register_keras_serializable(package="convbridge")
class Conv2D(_Layer):
    """A convolution layer; ``weight`` is OIHW, ``bias`` is (O,) or None."""

    def __init__(
        self,
        config: Conv2DConfig,
        weight: np.ndarray[Any, Any],
        bias: np.ndarray[Any, Any] | None,
    ) -> None:
        super().__init__(config, config.dtype)
        self.weight = self._add("weight", weight)
        self.bias = None if bias is None else self._add("bias", bias)

    def _add(self, name: str, value: np.ndarray[Any, Any]) -> Any:
        variable = self.add_weight(name=name, shape=value.shape, initializer="zeros", dtype=self.config.dtype)
        variable.assign(arrays.asarray(value, self.config.dtype))
        return variable

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Conv2D:
        """Build the layer that Keras saved; Keras loads the weights afterwards."""
        fields = Conv2DConfig(**_from_json(config["config"]))
        weight = np.zeros(weight_shape(fields), np.float32)
        bias = np.zeros(fields.out_channels, np.float32) if fields.use_bias else None
        return _as_saved(cls(fields, weight, bias), config)

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

    def get_weights(self) -> list[np.ndarray[Any, Any]]:
        """Return copies of the weight (OIHW) and the bias (O,), if there is one."""
        return [arrays.to_numpy(x) for x in (self.weight, self.bias) if x is not None]

    def set_weights(self, weights: Any) -> None:
        """Replace the weights in place, after all of them have been checked."""
        checked = check_weights(self.config, weights)
        for variable, value in zip((self.weight, self.bias), checked):
            if variable is not None:
                variable.assign(arrays.asarray(value, self.config.dtype))

    def to_native(self) -> Any:
        """Build a ``keras.layers.Conv2D``, with layers around it for what its words do not say.

        Those are a ``ZeroPadding2D`` for padding other than "valid" and "same"
        and, for images in NCHW, a ``Permute`` before and after: Keras'
        ``channels_first`` runs on some processors and in some dtypes only.
        """
        c = self.config
        if max(c.stride) > 1 and max(c.dilation) > 1:
            raise UnsupportedOperationError(
                "keras.layers.Conv2D must not have both a stride and a dilation. "
                f"{received(stride=c.stride, dilation=c.dilation)}"
            )
        same = parse_padding(c.padding).word == "same_upper"
        top, bottom, left, right = (0, 0, 0, 0) if same else fixed_sides(c)
        native = keras.layers.Conv2D(
            c.out_channels,
            c.kernel_size,
            strides=c.stride,
            padding="same" if same else "valid",
            data_format="channels_last",
            dilation_rate=c.dilation,
            groups=c.groups,
            use_bias=c.use_bias,
            dtype=c.dtype,
        )
        native.build((None, None, None, c.in_channels))
        weight, *bias = self.get_weights()
        native.set_weights([weight.transpose(2, 3, 1, 0), *bias])
        net = [native]
        if any((top, bottom, left, right)):
            sides = ((top, bottom), (left, right))
            net.insert(0, keras.layers.ZeroPadding2D(sides, data_format="channels_last", dtype=c.dtype))
        if c.data_format == "NCHW":
            net = [keras.layers.Permute(_TO_LAST, dtype=c.dtype), *net, keras.layers.Permute(_TO_FIRST, dtype=c.dtype)]
        if len(net) == 1:
            return native
        image = (None, None, c.in_channels) if c.data_format == "NHWC" else (c.in_channels, None, None)
        return keras.Sequential([keras.Input(image, dtype=c.dtype), *net])  # without it a net casts float64 away


class _Pool2D(_Layer):
    """What the two pooling layers share."""

    mode = ""

    def __init__(self, config: Pool2DConfig) -> None:
        super().__init__(config)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> _Pool2D:
        """Build the layer that Keras saved."""
        fields = Pool2DConfig(**_from_json(config["config"]))
        return _as_saved(cls(fields), config)

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


@keras.saving.register_keras_serializable(package="convbridge")
class MaxPool2D(_Pool2D):
    """A layer that takes the maximum of every window."""

    mode = "max"


@keras.saving.register_keras_serializable(package="convbridge")
class AvgPool2D(_Pool2D):
    """A layer that averages every window."""

    mode = "avg"


def _unwrapped(layer: Any) -> tuple[Any, Any, bool]:
    """Return the layer in the middle of what ``to_native`` built, the padding in front, and if images are permuted."""
    parts = list(layer.layers) if isinstance(layer, keras.Sequential) and len(layer.layers) > 1 else []
    permuted = len(parts) > 2 and [_permutation(part) for part in (parts[0], parts[-1])] == [_TO_LAST, _TO_FIRST]
    if permuted:
        parts = parts[1:-1]
    front = parts.pop(0) if len(parts) == 2 and isinstance(parts[0], keras.layers.ZeroPadding2D) else None
    if len(parts) != 1 or (permuted and _layout(parts[0]) != "channels_last"):
        return layer, None, False
    return parts[0], front, permuted


def _permutation(layer: Any) -> Any:
    return tuple(layer.dims) if isinstance(layer, keras.layers.Permute) else None


def read_native(layer: Any) -> tuple[Conv2DConfig, list[np.ndarray[Any, Any]]]:
    """Read a ``keras.layers.Conv2D``: its arguments, and its weights as OIHW and (O,).

    Or a ``Sequential`` of what :meth:`Conv2D.to_native` puts around it.
    """
    layer, front, permuted = _unwrapped(layer)
    if not isinstance(layer, keras.layers.Conv2D):
        raise UnsupportedOperationError(f"layer must be a keras.layers.Conv2D. {received(layer=layer)}")
    if layer.padding not in ("valid", "same"):
        raise UnsupportedOperationError(
            f"layer must have the padding 'valid' or 'same', not {layer.padding!r}. {received(layer=layer)}"
        )
    if layer.activation not in (None, keras.activations.linear):
        raise UnsupportedOperationError(
            f"layer must have no activation; put it behind the layer. {received(activation=layer.activation)}"
        )
    if not layer.built:
        raise ArgumentError(f"layer must have its weights: call it on an image first. {received(layer=layer)}")
    padding = layer.padding  # Keras' 'same' is same_upper
    if front is not None:
        if padding != "valid" or front.data_format != layer.data_format:
            raise UnsupportedOperationError(f"layer must have its padding in one place. {received(layer=layer)}")
        padding = front.padding
    kernel = arrays.to_numpy(layer.kernel)  # HWIO
    config = Conv2DConfig(
        kernel_size=(kernel.shape[0], kernel.shape[1]),
        in_channels=kernel.shape[2] * layer.groups,
        out_channels=layer.filters,
        stride=tuple(layer.strides),
        padding=padding,
        dilation=tuple(layer.dilation_rate),
        groups=layer.groups,
        use_bias=layer.use_bias,
        data_format="NHWC" if layer.data_format == "channels_last" and not permuted else "NCHW",
        dtype=arrays.dtype_name(layer.kernel),
    )
    weights = [kernel.transpose(3, 2, 0, 1)]
    return config, [*weights, arrays.to_numpy(layer.bias)] if layer.use_bias else weights


def _layout(layer: Any) -> str:
    """Return where a layer, or the first layer of a net that minds, has its channels; "" if none minds."""
    if _permutation(layer) == _TO_LAST:
        return "NCHW"
    found: str = getattr(layer, "data_format", "")
    return found or next(filter(None, map(_layout, getattr(layer, "layers", ()))), "")


def apply(layer: Any, X: Any) -> Array:
    """Run a layer on a matrix, adding and removing batch and channel."""
    if isinstance(X, np.ndarray):
        X = arrays.asarray(X, getattr(layer, "compute_dtype", X.dtype.name))
    if isinstance(layer, chapter.Conv2D):  # the chapter's layer already speaks of matrices
        return layer(X)
    channels_last = _layout(layer) in ("NHWC", "channels_last")
    Y = layer(X[tf.newaxis, :, :, tf.newaxis] if channels_last else X[tf.newaxis, tf.newaxis])
    check_one_channel(Y.shape, channels_last, layer)
    return Y[0, :, :, 0] if channels_last else Y[0, 0]
