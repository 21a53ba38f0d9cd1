"""What the chapters do with a layer, in TensorFlow: give it numbers, and learn a kernel.

The same two functions in the three other backends use their framework's
layers and autograd; the page of ``convbridge page`` shows all four next to
each other. Here is only what a reader of the book would type. A layer of Keras
has its channels last, and its kernel is HWIO.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

Array = np.ndarray[Any, Any]


def fill(layer: Any, weight: Array, bias: Array) -> None:
    """Give the chapter's layer a weight and a bias."""
    layer.weight.assign(weight)
    layer.bias.assign(bias)


def learn(
    X: Array, Y: Array, weight: Array, learning_rate: float, steps: int, use_bias: bool
) -> tuple[Array, float | None, list[float]]:
    """Learn the kernel that turns X into Y; also return its bias and the loss before each step."""
    image, wanted = tf.constant(X[None, :, :, None]), tf.constant(Y[None, :, :, None])
    conv2d = keras.layers.Conv2D(1, weight.shape, use_bias=use_bias, dtype=X.dtype.name)
    conv2d.build(image.shape)
    conv2d.kernel.assign(weight[:, :, None, None])
    losses = []
    for _ in range(steps):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum((conv2d(image) - wanted) ** 2)
        losses.append(float(loss))
        parameters = conv2d.trainable_variables
        for parameter, gradient in zip(parameters, tape.gradient(loss, parameters)):
            parameter.assign_sub(learning_rate * gradient)
    bias = float(conv2d.bias[0]) if use_bias else None
    return conv2d.kernel.numpy()[:, :, 0, 0], bias, losses
