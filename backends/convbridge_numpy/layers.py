"""Layers of the NumPy backend: plain objects with a forward and a backward pass.

NumPy has no autograd. So a layer remembers its last input, and ``backward``
turns the gradient of its output into that of its input, keeping those of its
weights: what a framework's tape does, in the open. To save a layer use
``numpy.savez(file, *layer.get_weights())``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from convbridge import functional, gradients
from convbridge.errors import ArgumentError, UnsupportedOperationError, received
from convbridge.layers import check_one_channel, check_weights
from convbridge.protocol import Conv2DConfig, Pool2DConfig
from convbridge_numpy import chapter
from convbridge_numpy.engine.kept import KEPT, Held, Kept

Array = np.ndarray[Any, Any]


class _Layer:
    """What all layers share: the input that ``backward`` needs."""

    config: Any
    _input: Any = None

    def __call__(self, X: Any) -> Array:
        """Compute a batch of images."""
        return self.forward(X)

    def forward(self, X: Any) -> Array:
        """Compute a batch of images, and remember it."""
        raise NotImplementedError

    def _remembered(self) -> Any:
        if self._input is None:
            raise ArgumentError(
                f"backward must follow a forward pass, whose input it differentiates. {received(layer=self)}"
            )
        return self._input

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.config})"


class Conv2D(_Layer):
    """A convolution layer; ``weight`` is OIHW, ``bias`` is (O,) or None.

    After ``backward``, ``grad_weight`` and ``grad_bias`` hold the gradients of
    the weights, fresh each time. It may keep its weights in the order, and under
    ``use_precision("fast")`` in the form, in which an engine reads them, and
    notices when they change in whatever way.
    """

    def __init__(self, config: Conv2DConfig, weight: Array, bias: Array | None) -> None:
        self.config = config
        self._weight = Held(weight)
        self.bias = bias
        self.grad_weight: Array | None = None
        self.grad_bias: Array | None = None
        self._kept = Kept()

    @property
    def weight(self) -> Array:
        """Kernels (O, C / groups, kh, kw): may be replaced, and written to."""
        return self._weight.hand_out()

    @weight.setter
    def weight(self, weight: Array) -> None:
        self._weight.replace(weight)

    def _keywords(self) -> dict[str, Any]:
        c = self.config
        return {
            "stride": c.stride,
            "padding": c.padding,
            "dilation": c.dilation,
            "groups": c.groups,
            "data_format": c.data_format,
        }

    def forward(self, X: Any) -> Array:
        """Cross-correlate a batch of images, and remember it."""
        weight, since = self._weight.look()
        token = KEPT.set(self._kept.now(since))
        try:
            Y: Array = functional.conv2d(X, weight, self.bias, **self._keywords(), backend="numpy")
        finally:
            KEPT.reset(token)
        self._input = X
        return Y

    def backward(self, grad_output: Any) -> Array:
        """Return the gradient of the last input; keep those of the weights."""
        dX, dW, db = gradients.conv2d_vjp(
            self._remembered(), self._weight.look()[0], self.bias, grad_output, **self._keywords(), backend="numpy"
        )
        self.grad_weight, self.grad_bias = dW, db
        return np.asarray(dX)

    def get_weights(self) -> list[Array]:
        """Return copies of the weight (OIHW) and the bias (O,), if there is one."""
        return [np.array(array) for array in (self._weight.look()[0], self.bias) if array is not None]

    def set_weights(self, weights: Any) -> None:
        """Replace the weights, after all of them have been checked."""
        checked = check_weights(self.config, weights)
        self.weight = checked[0]
        if self.config.use_bias:
            self.bias = checked[1]

    def __getstate__(self) -> dict[str, Any]:
        """Leave behind what belongs to this layer alone."""
        state = {**vars(self), "weight": self._weight.hand_out()}
        del state["_weight"], state["_kept"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Begin anew with the weights of another layer."""
        weight = state.pop("weight")
        vars(self).update(state, _weight=Held(weight), _kept=Kept())

    def to_native(self) -> Conv2D:
        """Return a copy: NumPy's own convolution layer is this one."""
        weights = self.get_weights()
        return Conv2D(self.config, weights[0], weights[1] if self.config.use_bias else None)


class _Pool2D(_Layer):
    """What the two pooling layers share."""

    mode = ""

    def __init__(self, config: Pool2DConfig) -> None:
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

    def forward(self, X: Any) -> Array:
        """Pool a batch of images, and remember it."""
        Y: Array = functional.pool2d(X, self.config.kernel_size, self.mode, **self._keywords(), backend="numpy")
        self._input = X
        return Y

    def backward(self, grad_output: Any) -> Array:
        """Return the gradient of the last input."""
        dX: Array = gradients.pool2d_vjp(
            self._remembered(), self.config.kernel_size, grad_output, self.mode, **self._keywords(), backend="numpy"
        )
        return dX


class MaxPool2D(_Pool2D):
    """A layer that takes the maximum of every window."""

    mode = "max"


class AvgPool2D(_Pool2D):
    """A layer that averages every window."""

    mode = "avg"


def read_native(layer: Any) -> tuple[Conv2DConfig, list[Array]]:
    """Read the framework's own convolution layer; NumPy has none but :class:`Conv2D`."""
    raise UnsupportedOperationError(f"layer must be a convolution layer of images. {received(layer=layer)}")


def apply(layer: Any, X: Array) -> Array:
    """Run a layer on a matrix, adding and removing batch and channel."""
    dtype = getattr(getattr(layer, "weight", None), "dtype", X.dtype)
    X = X.astype(dtype, copy=False)
    if isinstance(layer, chapter.Conv2D):  # the chapter's layer already speaks of matrices
        matrix: Array = layer(X)
        return matrix
    channels_last = getattr(getattr(layer, "config", None), "data_format", "NCHW") == "NHWC"
    Y: Array = layer(X[None, :, :, None] if channels_last else X[None, None])
    check_one_channel(Y.shape, channels_last, layer)
    return Y[0, :, :, 0] if channels_last else Y[0, 0]
