"""The chapters' functions in NumPy, to be read next to *Dive into Deep Learning*.

The same names, in the same order, as in the three other backends. The dtype of
the result is the dtype of the inputs, which the book's listings lose.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from convbridge.errors import UnsupportedOperationError, received

Array = np.ndarray[Any, Any]


def corr2d(X: Array, K: Array) -> Array:
    """Cross-correlate the matrix X with the kernel K."""
    h, w = K.shape
    Y = np.zeros((X.shape[0] - h + 1, X.shape[1] - w + 1), dtype=X.dtype)
    for i in range(Y.shape[0]):
        for j in range(Y.shape[1]):
            Y[i, j] = (X[i : i + h, j : j + w] * K).sum()
    return Y


class Conv2D:
    """A layer that cross-correlates with its weight and adds its bias, a scalar."""

    def __init__(self, kernel_size: tuple[int, int]) -> None:
        self.weight: Array = np.random.default_rng().random(kernel_size, dtype=np.float32)
        self.bias: Array = np.zeros(1, dtype=np.float32)

    def __call__(self, X: Array) -> Array:
        """Return corr2d(X, weight) + bias: the bias is added to the sum, not to the weight."""
        return corr2d(X, self.weight) + self.bias

    def backward(self, grad_output: Array) -> Array:
        """Say what differentiates a convolution in NumPy, which has no autograd."""
        raise UnsupportedOperationError(
            "NumPy has no autograd that could differentiate the loop: convbridge.conv2d_vjp has the gradients, and "
            f"convbridge.Conv2D a backward pass. {received(grad_output=grad_output)}"
        )


def corr2d_multi_in(X: Array, K: Array) -> Array:
    """Cross-correlate channel by channel and add up."""
    return sum((corr2d(x, k) for x, k in zip(X[1:], K[1:])), corr2d(X[0], K[0]))


def corr2d_multi_in_out(X: Array, K: Array) -> Array:
    """Do so for the kernels of every output channel and stack the results."""
    return np.stack([corr2d_multi_in(X, k) for k in K])


def corr2d_multi_in_out_1x1(X: Array, K: Array) -> Array:
    """Treat the pixels as samples and the channels as features: one matrix product."""
    c_i, h, w = X.shape
    c_o = K.shape[0]
    X = X.reshape((c_i, h * w))
    K = K.reshape((c_o, c_i))
    Y: Array = np.matmul(K, X)
    return Y.reshape((c_o, h, w))


def pool2d(X: Array, pool_size: tuple[int, int], mode: str = "max") -> Array:
    """Take the maximum or the average of every window."""
    p_h, p_w = pool_size
    Y = np.zeros((X.shape[0] - p_h + 1, X.shape[1] - p_w + 1), dtype=X.dtype)
    for i in range(Y.shape[0]):
        for j in range(Y.shape[1]):
            if mode == "max":
                Y[i, j] = X[i : i + p_h, j : j + p_w].max()
            else:
                Y[i, j] = X[i : i + p_h, j : j + p_w].mean()
    return Y


def comp_conv2d(conv2d: Any, X: Array) -> Array:
    """Add the axes of batch and channel, apply the layer, remove them."""
    X = X.reshape((1, 1, *X.shape))
    Y: Array = conv2d(X)
    return Y.reshape(Y.shape[2:])
