"""What the chapters do with a layer, in NumPy: give it numbers, and learn a kernel.

The same two functions in the three other backends use their framework's
layers and autograd; the page of ``convbridge page`` shows all four next to
each other. NumPy differentiates nothing, so the gradient is written out: for
the weight it is a cross-correlation itself, of X with the error.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from convbridge_numpy.chapter import corr2d

Array = np.ndarray[Any, Any]


def fill(layer: Any, weight: Array, bias: Array) -> None:
    """Give the chapter's layer a weight and a bias."""
    layer.weight, layer.bias = weight, bias


def learn(
    X: Array, Y: Array, weight: Array, learning_rate: float, steps: int, use_bias: bool
) -> tuple[Array, float | None, list[float]]:
    """Learn the kernel that turns X into Y; also return its bias and the loss before each step."""
    bias = np.zeros(1, X.dtype)
    losses = []
    for _ in range(steps):
        error = corr2d(X, weight) + bias - Y
        losses.append(float((error**2).sum()))
        weight = weight - learning_rate * corr2d(X, 2 * error)
        if use_bias:
            bias = bias - learning_rate * (2 * error).sum()
    return weight, float(bias[0]) if use_bias else None, losses
