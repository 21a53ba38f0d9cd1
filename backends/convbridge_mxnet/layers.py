"""Layers of the MXNet backend: Gluon ``HybridBlock`` classes.

A block that is called on arrays runs the facade, with all its checks. A
hybridized block runs the graph that MXNet cached for it, built from symbols by
``hybrid_forward``; its own input is checked before.

MXNet has two kinds of arrays and of symbols, and after ``npx.set_np()``, the
mode that the book is written in, Gluon deals in the newer kind alone. The
operators take the older one: :func:`_older` and :func:`_like` are the way there
and back.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from convbridge import functional
from convbridge.errors import ArgumentError, UnsupportedOperationError, received
from convbridge.geometry import NO_PADDING, Sides, ceil_overhang, window_size
from convbridge.layers import check_one_channel, check_weights, fixed_sides, weight_shape
from convbridge.protocol import Conv2DConfig, Pool2DConfig
from convbridge_mxnet import arrays, chapter, ops
from convbridge_mxnet._compat import mxnet as mx

Array = Any


_NEWER = (mx.sym.np._Symbol, mx.np.ndarray)


def _older(x: Any) -> Any:
    """Return an array or a symbol as one of the older kind, a view; gradients pass."""
    return x.as_nd_ndarray() if isinstance(x, _NEWER) else x


def _like(x: Any, other: Any) -> Any:
    """Return an array or a symbol as one of the kind that ``other`` is, or that the mode demands."""
    newer = isinstance(other, _NEWER) or (mx.util.is_np_array() and not isinstance(other, mx.sym.Symbol))
    return x.as_np_ndarray() if newer else x


class _Layer(mx.gluon.HybridBlock):
    """What all layers share: which of the two ways a call goes."""

    config: Any

    def forward(self, X: Any) -> Array:
        """Compute a batch of images, by the cached graph if there is one."""
        if isinstance(X, mx.sym.Symbol):
            return _like(super().forward(_older(X)), X)
        arrays.initialize_where_nobody_has(self)  # so that a layer works alone, and a net may initialize its own
        if self._active and self._can_use_graph(X):
            self._check(X)
            return _like(arrays.deliver(super().forward(arrays.asarray(X)), X), X)
        return _like(self._compute(X), X)

    def _can_use_graph(self, X: Any) -> bool:
        return isinstance(X, mx.nd.NDArray)

    def _check(self, X: Array) -> None:
        raise NotImplementedError

    def _compute(self, X: Any) -> Array:
        raise NotImplementedError


class Conv2D(_Layer):
    """A convolution layer; ``weight`` is OIHW, ``bias`` is (O,) or None."""

    def __init__(self, config: Conv2DConfig, weight: np.ndarray[Any, Any], bias: np.ndarray[Any, Any] | None) -> None:
        super().__init__()
        self.config = config
        with self.name_scope():
            self.weight = self._parameter("weight", weight)
            self.bias = None if bias is None else self._parameter("bias", bias)

    def _parameter(self, name: str, value: np.ndarray[Any, Any]) -> Any:
        return self.params.get(
            name,
            shape=value.shape,
            dtype=self.config.dtype,
            init=mx.init.Constant(value),
        )

    def _keywords(self) -> dict[str, Any]:
        c = self.config
        return {
            "stride": c.stride,
            "padding": c.padding,
            "dilation": c.dilation,
            "groups": c.groups,
            "data_format": c.data_format,
        }

    def _can_use_graph(self, X: Any) -> bool:
        # a graph does not promote dtypes, and an empty batch is nothing that MXNet knows
        return super()._can_use_graph(X) and arrays.dtype_name(X) == self.config.dtype and 0 not in X.shape

    def _check(self, X: Array) -> None:
        functional.check_conv2d(X, weight_shape(self.config), **self._keywords(), backend="mxnet")

    def _compute(self, X: Any) -> Array:
        where = X.ctx if isinstance(X, mx.nd.NDArray) else None
        bias = None if self.bias is None else self.bias.data(where)
        return functional.conv2d(X, self.weight.data(where), bias, **self._keywords(), backend="mxnet")

    def get_weights(self) -> list[np.ndarray[Any, Any]]:
        """Return copies of the weight (OIHW) and the bias (O,), if there is one."""
        arrays.initialize_where_nobody_has(self)
        return [arrays.to_numpy(x.data(x.list_ctx()[0])) for x in (self.weight, self.bias) if x is not None]

    def set_weights(self, weights: Any) -> None:
        """Replace the weights in place, after all of them have been checked."""
        checked = check_weights(self.config, weights)
        arrays.initialize_where_nobody_has(self)
        for parameter, value in zip((self.weight, self.bias), checked):
            if parameter is not None:
                parameter.set_data(value)

    def to_native(self) -> Any:
        """Build a ``gluon.nn.Conv2D``, behind a padding block where the sides differ."""
        c = self.config
        if c.data_format != "NCHW":
            raise UnsupportedOperationError(
                f"gluon.nn.Conv2D must have its images in NCHW on the CPU. {received(data_format=c.data_format)}"
            )
        sides = fixed_sides(c)
        symmetric = sides.top == sides.bottom and sides.left == sides.right
        native = mx.gluon.nn.Conv2D(
            c.out_channels,
            c.kernel_size,
            strides=c.stride,
            padding=(sides.top, sides.left) if symmetric else 0,
            dilation=c.dilation,
            groups=c.groups,
            use_bias=c.use_bias,
            in_channels=c.in_channels,
        )
        native.cast(c.dtype)
        native.initialize()
        for parameter, value in zip((native.weight, native.bias), self.get_weights()):
            parameter.set_data(value)
        if symmetric:
            return native
        net = mx.gluon.nn.HybridSequential()
        net.add(ZeroPad2D(sides), native)
        return net

    def hybrid_forward(self, F: Any, X: Array, weight: Array, bias: Array | None = None) -> Array:
        """Build the graph."""
        c = self.config
        return ops.convolve(
            F,
            X,
            _older(weight),
            _older(bias),
            kernel=c.kernel_size,
            channels=c.out_channels,
            stride=c.stride,
            padding=fixed_sides(c),
            dilation=c.dilation,
            groups=c.groups,
            data_format=c.data_format,
        )


class _Pool2D(_Layer):
    """What the two pooling layers share."""

    mode = ""

    def __init__(self, config: Pool2DConfig) -> None:
        super().__init__()
        self.config = config

    def _keywords(self) -> dict[str, Any]:
        c = self.config
        return {
            "stride": c.stride,
            "padding": c.padding,
            "dilation": c.dilation,
            "ceil_mode": c.ceil_mode,
            "count_include_pad": c.count_include_pad,
            "data_format": c.data_format,
        }

    def _can_use_graph(self, X: Any) -> bool:
        # the facade also pools matrices, integers and halves; a graph pools batches of floats
        usual = super()._can_use_graph(X) and len(X.shape) == 4 and 0 not in X.shape
        return usual and arrays.dtype_name(X) in ("float32", "float64")

    def _check(self, X: Array) -> None:
        functional.check_pool2d(X, self.config.kernel_size, self.mode, **self._keywords(), backend="mxnet")

    def _compute(self, X: Any) -> Array:
        return functional.pool2d(X, self.config.kernel_size, self.mode, **self._keywords(), backend="mxnet")

    def _sides(self) -> tuple[Sides, Sides]:
        """Return the padding with and without the overhang of ceil mode."""
        c = self.config
        asked = fixed_sides(c)
        if not c.ceil_mode:
            return asked, asked
        bottom, right = (
            after + ceil_overhang(window_size(k, d), s, after)
            for after, k, d, s in zip((asked.bottom, asked.right), c.kernel_size, c.dilation, c.stride)
        )
        sides = Sides(asked.top, bottom, asked.left, right)
        return (asked, asked) if sides == asked else (sides, asked)


class MaxPool2D(_Pool2D):
    """A layer that takes the maximum of every window."""

    mode = "max"

    def hybrid_forward(self, F: Any, X: Array) -> Array:
        """Build the graph."""
        c = self.config
        return ops.max_pool_any(
            F,
            X,
            c.kernel_size,
            stride=c.stride,
            padding=self._sides()[0],
            dilation=c.dilation,
            data_format=c.data_format,
        )


class AvgPool2D(_Pool2D):
    """A layer that averages every window."""

    mode = "avg"

    def hybrid_forward(self, F: Any, X: Array) -> Array:
        """Build the graph."""
        c = self.config
        padding, asked = self._sides()
        return ops.avg_pool_any(
            F,
            X,
            c.kernel_size,
            stride=c.stride,
            padding=padding,
            counted=asked if c.count_include_pad else NO_PADDING,
            dilation=c.dilation,
            data_format=c.data_format,
        )


class ZeroPad2D(mx.gluon.HybridBlock):
    """Zeros around a batch of images in NCHW, what Gluon's own layers cannot say: other numbers on opposite sides."""

    def __init__(self, sides: Sides) -> None:
        super().__init__()
        self.sides = sides

    def hybrid_forward(self, F: Any, X: Array) -> Array:
        """Pad arrays or symbols."""
        widths = (0, 0, 0, 0, *self.sides)
        return _like(F.pad(_older(X), mode="constant", pad_width=widths, constant_value=0), X)

    def __repr__(self) -> str:
        return f"ZeroPad2D({', '.join(f'{side}={n}' for side, n in zip(Sides._fields, self.sides))})"


def read_native(layer: Any) -> tuple[Conv2DConfig, list[np.ndarray[Any, Any]]]:
    """Read a ``gluon.nn.Conv2D``, also behind a ``ZeroPad2D``: its arguments, and its weights as OIHW and (O,)."""
    front = None
    if isinstance(layer, mx.gluon.nn.HybridSequential) and len(layer) == 2 and isinstance(layer[0], ZeroPad2D):
        front, layer = layer[0], layer[1]
    if not isinstance(layer, mx.gluon.nn.Conv2D):
        raise UnsupportedOperationError(f"layer must be a gluon.nn.Conv2D. {received(layer=layer)}")
    if layer.act is not None:
        raise UnsupportedOperationError(
            f"layer must have no activation; put it behind the layer. {received(activation=layer.act)}"
        )
    try:
        weights = [arrays.to_numpy(x.data(x.list_ctx()[0])) for x in (layer.weight, layer.bias) if x is not None]
    except RuntimeError as cause:  # Gluon's word for "not initialized", now or until the first image
        raise ArgumentError(
            f"layer must have its weights: initialize it and call it on an image first. {received(layer=layer)}"
        ) from cause
    asked = layer._kwargs  # the one place where Gluon keeps what the layer was made with
    if asked["layout"] != "NCHW":
        raise UnsupportedOperationError(f"layer must have the layout NCHW. {received(layout=asked['layout'])}")
    padding: Any = tuple(asked["pad"])
    if front is not None:
        if any(padding):
            raise UnsupportedOperationError(f"layer must have its padding in one place. {received(layer=layer)}")
        top, bottom, left, right = front.sides
        padding = ((top, bottom), (left, right))
    config = Conv2DConfig(
        kernel_size=tuple(asked["kernel"]),
        in_channels=weights[0].shape[1] * asked["num_group"],
        out_channels=asked["num_filter"],
        stride=tuple(asked["stride"]),
        padding=padding,
        dilation=tuple(asked["dilate"]),
        groups=asked["num_group"],
        use_bias=layer.bias is not None,
        data_format="NCHW",
        dtype=weights[0].dtype.name,
    )
    return config, weights


def apply(layer: Any, X: Any) -> Array:
    """Run a layer on a matrix, adding and removing batch and channel."""
    if isinstance(layer, mx.gluon.Block):
        arrays.initialize_where_nobody_has(layer)
        if isinstance(X, np.ndarray):
            parameter = next(iter(layer.collect_params().values()), None)
            X = arrays.asarray(X, X.dtype.name if parameter is None else np.dtype(parameter.dtype).name)
    elif isinstance(X, np.ndarray):
        X = arrays.asarray(X)
    given, X = X, _like(_older(X), None)
    if isinstance(layer, chapter.Conv2D):  # the chapter's layer already speaks of matrices
        return _like(arrays.finish(lambda: layer(X)), given)
    height, width = X.shape
    channels_last = getattr(getattr(layer, "config", None), "data_format", "NCHW") == "NHWC"
    batch = X.reshape((1, height, width, 1) if channels_last else (1, 1, height, width))
    Y = arrays.finish(lambda: layer(batch))
    check_one_channel(Y.shape, channels_last, layer)
    return _like(Y.reshape(Y.shape[1:3] if channels_last else Y.shape[2:]), given)
