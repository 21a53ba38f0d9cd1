"""What the chapters do with a layer, in MXNet: give it numbers, and learn a kernel.

The same two functions in the three other backends use their framework's
layers and autograd; the page of ``convbridge page`` shows all four next to
each other. Here is only what a reader of the book would type, and the lock
that MXNet's autograd needs where several threads record.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from convbridge_mxnet._compat import autograd_lock
from convbridge_mxnet._compat import mxnet as mx
from convbridge_mxnet.arrays import asarray

Array = np.ndarray[Any, Any]


def fill(layer: Any, weight: Array, bias: Array) -> None:
    """Give the chapter's layer a weight and a bias."""
    layer.initialize()
    layer.weight.set_data(asarray(weight))
    layer.bias.set_data(asarray(bias))


def learn(
    X: Array, Y: Array, weight: Array, learning_rate: float, steps: int, use_bias: bool
) -> tuple[Array, float | None, list[float]]:
    """Learn the kernel that turns X into Y; also return its bias and the loss before each step."""
    image, wanted = asarray(X[None, None]), asarray(Y[None, None])
    conv2d = mx.gluon.nn.Conv2D(1, kernel_size=weight.shape, in_channels=1, use_bias=use_bias)
    conv2d.cast(X.dtype)
    conv2d.initialize()
    conv2d.weight.set_data(asarray(weight[None, None]))
    losses = []
    for _ in range(steps):
        with autograd_lock:
            with mx.autograd.record():
                loss = ((conv2d(image) - wanted) ** 2).sum()
            loss.backward()
        losses.append(float(loss.asscalar()))
        for parameter in conv2d.collect_params().values():
            parameter.data()[:] -= learning_rate * parameter.grad()
    bias = float(conv2d.bias.data().asscalar()) if use_bias else None
    return conv2d.weight.data().asnumpy()[0, 0], bias, losses
