"""How each library spells the problems: its own calls, in the layout it likes best, on arrays made beforehand.

NumPy is convbridge's engine, called as the operator that the facade calls. The
others are called as one would by hand: no conversion, no check of
convbridge's is in what is timed. A backend of a third party is measured
through its operators, since nothing else is known of it.

Every function returns a call without arguments; it computes, waits for the
result and returns it. ``host`` brings a result into NumPy, channels first, so
that tests can show that all compute the same.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

import convbridge
from convbridge import registry
from convbridge.benchmarks.shapes import Layer
from convbridge.benchmarks.timing import Call
from convbridge.errors import UnsupportedOperationError
from convbridge.geometry import Sides

__all__ = ["Library", "MXNet", "NumPy", "PyTorch", "SciPy", "TensorFlow", "engine", "geometry", "library"]

Array = np.ndarray[Any, Any]


def geometry(layer: Layer) -> dict[str, Any]:
    """Return the keywords of an operator of convbridge's backends.

    Parameters
    ----------
    layer : Layer

    Returns
    -------
    dict

    Examples
    --------
    >>> geometry(Layer("LeNet", 1, 6, 28, 5, padding=2))["padding"]
    Sides(top=2, bottom=2, left=2, right=2)
    """
    p = layer.padding
    return {
        "stride": (layer.stride, layer.stride),
        "padding": Sides(p, p, p, p),
        "dilation": (layer.dilation, layer.dilation),
        "groups": layer.groups,
        "data_format": "NCHW",
    }


def engine(part: str) -> Any:
    """Return a module of the NumPy engine, for what no operator reaches alone.

    Parameters
    ----------
    part : str

    Returns
    -------
    module

    Examples
    --------
    >>> engine("arena").__name__
    'convbridge_numpy.engine.arena'
    """
    return import_module(f"{registry.BUILTIN['numpy']}.engine.{part}")


class Library:
    """A backend through its operators: what a third party's backend gets, and the base of those known better.

    Parameters
    ----------
    name : str
        Of the backend.
    call : {"operator", "facade", "layer"}
        How NumPy convolves; the others are called as ever.

    Examples
    --------
    >>> X, weight = np.ones((1, 1, 3, 3), np.float32), np.ones((1, 1, 2, 2), np.float32)
    >>> numpy = library("numpy")
    >>> call = numpy.convolution(Layer("example", 1, 1, 3, 2), X, weight)
    >>> numpy.host(call()).tolist()
    [[[[4.0, 4.0], [4.0, 4.0]]]]
    """

    label = ""

    def __init__(self, name: str, call: str = "operator") -> None:
        self.name = name
        self.call = call
        self.label = self.label or name
        self.ops: Any = registry.load(name).ops
        self.framework: Any = registry.import_framework(name)

    def take(self, array: Array) -> Any:
        """Return an array of the library's own, as it is."""
        return convbridge.asarray(array, backend=self.name)

    def host(self, result: Any, kind: str = "image") -> Array:
        """Return a result in NumPy, an image as NCHW or a weight as OIHW."""
        return np.asarray(convbridge.to_numpy(result))

    def convolution(self, layer: Layer, X: Array, weight: Array) -> Call:
        """Correlate ``X`` (N, C, H, W) with ``weight`` (O, C / groups, kh, kw)."""
        x, w, keywords, conv2d = self.take(X), self.take(weight), geometry(layer), self.ops.conv2d
        return lambda: conv2d(x, w, None, **keywords)

    def gradient(self, which: str, layer: Layer, X: Array, weight: Array, grad: Array) -> Call:
        """Compute the gradient of ``X`` ("dX") or of ``weight`` ("dW") alone."""
        raise UnsupportedOperationError(f"backend {self.name!r} has no operator for one gradient alone")

    def pooling(self, layer: Layer, X: Array, mode: str) -> Call:
        """Pool ``X`` (N, C, H, W) by "max" or "avg", padding counted."""
        x, size = self.take(X), (layer.kernel, layer.kernel)
        keywords = geometry(layer)
        del keywords["groups"]
        if mode == "max":
            return lambda: self.ops.max_pool2d(x, size, **keywords)
        return lambda: self.ops.avg_pool2d(x, size, counted=keywords["padding"], **keywords)


class NumPy(Library):
    """convbridge's engine."""

    label = "NumPy"

    def convolution(self, layer: Layer, X: Array, weight: Array) -> Call:
        """Call the operator, the facade, or a layer, which in "fast" keeps what it made of its weight."""
        if self.call == "operator":
            return super().convolution(layer, X, weight)
        p = layer.padding
        public = {**geometry(layer), "padding": ((p, p), (p, p))}
        if self.call == "facade":
            return lambda: convbridge.conv2d(X, weight, **public, backend=self.name)
        kernel = (weight.shape[2], weight.shape[3])
        own = convbridge.Conv2D(kernel, layer.channels, layer.outputs, **public, use_bias=False, backend=self.name)
        own.set_weights([weight])
        return lambda: own(X)

    def gradient(self, which: str, layer: Layer, X: Array, weight: Array, grad: Array) -> Call:
        """Compute one gradient."""
        gradients, keywords = engine("gradients"), geometry(layer)
        del keywords["data_format"]
        if which == "dX":
            size = (X.shape[2], X.shape[3])
            return lambda: gradients.conv2d_input(weight, grad, size, **keywords)
        kernel = (weight.shape[2], weight.shape[3])
        return lambda: gradients.conv2d_weight(X, grad, kernel, **keywords)


class PyTorch(Library):
    """``torch.nn.functional``, channels first."""

    label = "PyTorch"

    def convolution(self, layer: Layer, X: Array, weight: Array) -> Call:
        """Call ``conv2d``."""
        conv2d = self.framework.nn.functional.conv2d
        x, w = self.framework.from_numpy(X), self.framework.from_numpy(weight)
        return lambda: conv2d(x, w, None, layer.stride, layer.padding, layer.dilation, layer.groups)

    def gradient(self, which: str, layer: Layer, X: Array, weight: Array, grad: Array) -> Call:
        """Call the operator behind autograd, with a mask."""
        x, w, g = (self.framework.from_numpy(array) for array in (X, weight, grad))
        stride, padding, dilation = ([value, value] for value in (layer.stride, layer.padding, layer.dilation))
        backward = self.framework.ops.aten.convolution_backward
        mask = [which == "dX", which == "dW", False]
        index = mask.index(True)
        return lambda: backward(g, x, w, None, stride, padding, dilation, False, [0, 0], layer.groups, mask)[index]

    def pooling(self, layer: Layer, X: Array, mode: str) -> Call:
        """Call ``max_pool2d`` or ``avg_pool2d``."""
        x = self.framework.from_numpy(X)
        pool = getattr(self.framework.nn.functional, f"{mode}_pool2d")
        return lambda: pool(x, layer.kernel, layer.stride, layer.padding)


class TensorFlow(Library):
    """``tf.nn`` and the operators behind its gradients, channels last, the weight as (kh, kw, C, O)."""

    label = "TensorFlow"

    def host(self, result: Any, kind: str = "image") -> Array:
        """Put the channels first again."""
        return np.asarray(result.numpy().transpose((0, 3, 1, 2) if kind == "image" else (3, 2, 0, 1)))

    def _last(self, X: Array) -> Any:
        return self.framework.constant(np.ascontiguousarray(X.transpose(0, 2, 3, 1)))

    def convolution(self, layer: Layer, X: Array, weight: Array) -> Call:
        """Call ``conv2d``, or ``depthwise_conv2d`` where every channel has its own kernel."""
        tf, x, s, d, p = self.framework, self._last(X), layer.stride, layer.dilation, layer.padding
        sides = [[0, 0], [p, p], [p, p], [0, 0]]
        if layer.groups == layer.channels == layer.outputs > 1:
            w = tf.constant(np.ascontiguousarray(weight.transpose(2, 3, 0, 1)))
            depthwise = tf.nn.depthwise_conv2d
            return lambda: depthwise(x, w, [1, s, s, 1], sides, dilations=[d, d])
        w = tf.constant(np.ascontiguousarray(weight.transpose(2, 3, 1, 0)))
        conv2d = tf.nn.conv2d
        return lambda: conv2d(x, w, s, sides, dilations=d)

    def gradient(self, which: str, layer: Layer, X: Array, weight: Array, grad: Array) -> Call:
        """Call the operators of ``conv2d``'s gradients."""
        tf, g, s, d, p = self.framework, self._last(grad), layer.stride, layer.dilation, layer.padding
        keywords: dict[str, Any] = {
            "strides": [1, s, s, 1],
            "dilations": [1, d, d, 1],
            "padding": "EXPLICIT",
            "explicit_paddings": [0, 0, p, p, p, p, 0, 0],
        }
        x, w = self._last(X), tf.constant(np.ascontiguousarray(weight.transpose(2, 3, 1, 0)))
        if which == "dX":
            size = tf.shape(x)
            return lambda: tf.raw_ops.Conv2DBackpropInput(input_sizes=size, filter=w, out_backprop=g, **keywords)
        size = tf.shape(w)
        return lambda: tf.raw_ops.Conv2DBackpropFilter(input=x, filter_sizes=size, out_backprop=g, **keywords)

    def pooling(self, layer: Layer, X: Array, mode: str) -> Call:
        """Call ``max_pool2d`` or ``avg_pool2d``, which takes no list of paddings: the zeros are put on before."""
        tf, x, k, s, p = self.framework, self._last(X), layer.kernel, layer.stride, layer.padding
        sides = [[0, 0], [p, p], [p, p], [0, 0]]
        if mode == "max":
            return lambda: tf.nn.max_pool2d(x, k, s, sides)
        if p:
            return lambda: tf.nn.avg_pool2d(tf.pad(x, sides), k, s, "VALID")
        return lambda: tf.nn.avg_pool2d(x, k, s, "VALID")


class MXNet(Library):
    """``mx.nd``, channels first; it computes in the background, so every call waits."""

    label = "MXNet"

    def _forward(self, layer: Layer, x: Any, w: Any) -> Any:
        return self.framework.nd.Convolution(
            x,
            w,
            no_bias=True,
            kernel=w.shape[2:],
            num_filter=layer.outputs,
            stride=(layer.stride, layer.stride),
            pad=(layer.padding, layer.padding),
            dilate=(layer.dilation, layer.dilation),
            num_group=layer.groups,
        )

    def convolution(self, layer: Layer, X: Array, weight: Array) -> Call:
        """Call ``Convolution``."""
        x, w = self.take(X), self.take(weight)

        def call() -> Any:
            result = self._forward(layer, x, w)
            result.wait_to_read()
            return result

        return call

    def gradient(self, which: str, layer: Layer, X: Array, weight: Array, grad: Array) -> Call:
        """Go back through one recorded call again and again; only what has a gradient attached gets one."""
        x, w, g = self.take(X), self.take(weight), self.take(grad)
        wanted = x if which == "dX" else w
        wanted.attach_grad()
        with self.framework.autograd.record():
            result = self._forward(layer, x, w)

        def call() -> Any:
            result.backward(g, retain_graph=True)
            wanted.grad.wait_to_read()
            return wanted.grad

        return call

    def pooling(self, layer: Layer, X: Array, mode: str) -> Call:
        """Call ``Pooling``."""
        x, pair = self.take(X), (layer.kernel, layer.kernel)

        def call() -> Any:
            result = self.framework.nd.Pooling(
                x,
                kernel=pair,
                pool_type=mode,
                stride=(layer.stride, layer.stride),
                pad=(layer.padding, layer.padding),
                count_include_pad=True,
            )
            result.wait_to_read()
            return result

        return call


class SciPy:
    """``scipy.ndimage``, which filters images of one channel and is no backend."""

    label = "SciPy"

    def filter_image(self, X: Array, K: Array) -> Call:
        """Correlate an image (H, W) with a kernel; the result has the image's size."""
        from scipy import ndimage

        return lambda: ndimage.correlate(X, K, mode="constant")


#: Backends whose own calls are known.
_KNOWN: dict[str, type[Library]] = {"numpy": NumPy, "torch": PyTorch, "tensorflow": TensorFlow, "mxnet": MXNet}


def library(name: str, call: str = "operator") -> Library:
    """Return what measures a backend.

    Parameters
    ----------
    name : str
        A canonical name.
    call : {"operator", "facade", "layer"}
        How NumPy convolves.

    Returns
    -------
    Library

    Raises
    ------
    BackendNotInstalledError, BackendBrokenError
        If it cannot be loaded.

    Examples
    --------
    >>> library("numpy").label
    'NumPy'
    """
    return _KNOWN.get(name, Library)(name, call)
