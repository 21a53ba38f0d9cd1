"""The chapters' functions in MXNet, to be read next to *Dive into Deep Learning*.

The same names, in the same order, as in the three other backends. MXNet's
autograd refuses assignments to elements; so the loops collect their results
and put them together, which can be differentiated.
"""

from __future__ import annotations

from typing import Any

from convbridge_mxnet._compat import mxnet as mx
from convbridge_mxnet.arrays import asarray, deliver, initialize_where_nobody_has

Array = Any

nd = mx.nd


def corr2d(X: Array, K: Array) -> Array:
    """Cross-correlate the matrix X with the kernel K."""
    h, w = K.shape
    Y = []
    for i in range(X.shape[0] - h + 1):
        row = []
        for j in range(X.shape[1] - w + 1):
            row.append((X[i : i + h, j : j + w] * K).sum())
        Y.append(nd.concat(*row, dim=0))
    return nd.stack(*Y)


class Conv2D(mx.gluon.Block):
    """A layer that cross-correlates with its weight and adds its bias, a scalar.

    As in every block of Gluon, the parameters get their values from
    ``initialize()``; whoever forgets it gets them at the first call.
    """

    def __init__(self, kernel_size: tuple[int, int]) -> None:
        super().__init__()
        self.weight = self.params.get("weight", shape=kernel_size, init=mx.init.Uniform())
        self.bias = self.params.get("bias", shape=(1,), init="zeros")

    def forward(self, X: Array) -> Array:
        """Return corr2d(X, weight) + bias: the bias is added to the sum, not to the weight."""
        initialize_where_nobody_has(self)
        weight, bias = asarray(self.weight.data()), asarray(self.bias.data())  # mx.nd, where npx.set_np() made mx.np
        return deliver(nd.broadcast_add(corr2d(asarray(X), weight), bias.reshape((1, 1))), X)


def corr2d_multi_in(X: Array, K: Array) -> Array:
    """Cross-correlate channel by channel and add up."""
    return nd.add_n(*[corr2d(x, k) for x, k in zip(X, K)])


def corr2d_multi_in_out(X: Array, K: Array) -> Array:
    """Do so for the kernels of every output channel and stack the results."""
    return nd.stack(*[corr2d_multi_in(X, k) for k in K])


def corr2d_multi_in_out_1x1(X: Array, K: Array) -> Array:
    """Treat the pixels as samples and the channels as features: one matrix product."""
    c_i, h, w = X.shape
    c_o = K.shape[0]
    X = X.reshape((c_i, h * w))
    K = K.reshape((c_o, c_i))
    Y = nd.dot(K, X)
    return Y.reshape((c_o, h, w))


def pool2d(X: Array, pool_size: tuple[int, int], mode: str = "max") -> Array:
    """Take the maximum or the average of every window."""
    p_h, p_w = pool_size
    Y = []
    for i in range(X.shape[0] - p_h + 1):
        row = []
        for j in range(X.shape[1] - p_w + 1):
            if mode == "max":
                row.append(X[i : i + p_h, j : j + p_w].max())
            else:
                row.append(X[i : i + p_h, j : j + p_w].mean())
        Y.append(nd.concat(*row, dim=0))
    return nd.stack(*Y)


def comp_conv2d(conv2d: Any, X: Array) -> Array:
    """Add the axes of batch and channel, apply the layer, remove them."""
    X = X.reshape((1, 1, *X.shape))
    Y = conv2d(X)
    return Y.reshape(Y.shape[2:])
