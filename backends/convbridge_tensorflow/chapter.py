"""The chapters' functions in TensorFlow, to be read next to *Dive into Deep Learning*.

The same names, in the same order, as in the three other backends. A tensor
cannot be assigned to, and a variable that is loses its gradient without a
word; so the loops collect their results and stack them, which can be
differentiated and works for every dtype.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from convbridge.errors import ShapeError, received

Array = Any


def corr2d(X: Array, K: Array) -> Array:
    """Cross-correlate the matrix X with the kernel K."""
    h, w = K.shape
    Y = []
    for i in range(X.shape[0] - h + 1):
        row = []
        for j in range(X.shape[1] - w + 1):
            row.append(tf.reduce_sum(X[i : i + h, j : j + w] * K))
        Y.append(tf.stack(row))
    return tf.stack(Y)


class Conv2D(keras.layers.Layer):
    """A layer that cross-correlates with its weight and adds its bias, a scalar.

    The weight is made here and not in ``build``, which Keras calls with the
    shape of the input.
    """

    def __init__(self, kernel_size: tuple[int, int]) -> None:
        super().__init__(autocast=False)
        self.weight = self.add_weight(name="weight", shape=kernel_size, initializer="random_uniform")
        self.bias = self.add_weight(name="bias", shape=(1,), initializer="zeros")

    def build(self, input_shape: Any) -> None:
        """Have nothing left to build."""

    def call(self, X: Array) -> Array:
        """Return corr2d(X, weight) + bias: the bias is added to the sum, not to the weight."""
        if None in X.shape:
            raise ShapeError(f"X must have a fully known shape for a Python loop. {received(X=X)}")
        return corr2d(X, tf.convert_to_tensor(self.weight)) + self.bias


def corr2d_multi_in(X: Array, K: Array) -> Array:
    """Cross-correlate channel by channel and add up."""
    return tf.add_n([corr2d(x, k) for x, k in zip(X, K)])


def corr2d_multi_in_out(X: Array, K: Array) -> Array:
    """Do so for the kernels of every output channel and stack the results."""
    return tf.stack([corr2d_multi_in(X, k) for k in K])


def corr2d_multi_in_out_1x1(X: Array, K: Array) -> Array:
    """Treat the pixels as samples and the channels as features: one matrix product."""
    c_i, h, w = X.shape
    c_o = K.shape[0]
    X = tf.reshape(X, (c_i, h * w))
    K = tf.reshape(K, (c_o, c_i))
    Y = tf.matmul(K, X)
    return tf.reshape(Y, (c_o, h, w))


def pool2d(X: Array, pool_size: tuple[int, int], mode: str = "max") -> Array:
    """Take the maximum or the average of every window."""
    p_h, p_w = pool_size
    Y = []
    for i in range(X.shape[0] - p_h + 1):
        row = []
        for j in range(X.shape[1] - p_w + 1):
            if mode == "max":
                row.append(tf.reduce_max(X[i : i + p_h, j : j + p_w]))
            else:
                row.append(tf.reduce_mean(X[i : i + p_h, j : j + p_w]))
        Y.append(tf.stack(row))
    return tf.stack(Y)


def comp_conv2d(conv2d: Any, X: Array) -> Array:
    """Add the axes of batch and channel, apply the layer, remove them."""
    if conv2d.data_format in ("NHWC", "channels_last"):  # where a Keras layer has its channels by default
        return conv2d(tf.reshape(X, (1, *X.shape, 1)))[0, :, :, 0]
    return conv2d(tf.reshape(X, (1, 1, *X.shape)))[0, 0]
