"""The chapters' functions in PyTorch, to be read next to *Dive into Deep Learning*.

The same names, in the same order, as in the three other backends. The dtype
and the device of the result are those of the inputs, which the book's listings
lose. PyTorch's autograd follows assignments to elements, so these loops can be
differentiated as they stand.
"""

from __future__ import annotations

from typing import Any

import torch

Array = torch.Tensor


def corr2d(X: Array, K: Array) -> Array:
    """Cross-correlate the matrix X with the kernel K."""
    h, w = K.shape
    # made from the data, so that torch.func can follow what is assigned to it
    Y = (X[0, 0] * K[0, 0]).new_zeros((X.shape[0] - h + 1, X.shape[1] - w + 1))
    for i in range(Y.shape[0]):
        for j in range(Y.shape[1]):
            Y[i, j] = (X[i : i + h, j : j + w] * K).sum()
    return Y


class Conv2D(torch.nn.Module):
    """A layer that cross-correlates with its weight and adds its bias, a scalar."""

    def __init__(self, kernel_size: tuple[int, int]) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.rand(kernel_size))
        self.bias = torch.nn.Parameter(torch.zeros(1))

    def forward(self, X: Array) -> Array:
        """Return corr2d(X, weight) + bias: the bias is added to the sum, not to the weight."""
        return corr2d(X, self.weight) + self.bias


def corr2d_multi_in(X: Array, K: Array) -> Array:
    """Cross-correlate channel by channel and add up."""
    return sum((corr2d(x, k) for x, k in zip(X[1:], K[1:])), corr2d(X[0], K[0]))


def corr2d_multi_in_out(X: Array, K: Array) -> Array:
    """Do so for the kernels of every output channel and stack the results."""
    return torch.stack([corr2d_multi_in(X, k) for k in K])


def corr2d_multi_in_out_1x1(X: Array, K: Array) -> Array:
    """Treat the pixels as samples and the channels as features: one matrix product."""
    c_i, h, w = X.shape
    c_o = K.shape[0]
    X = X.reshape((c_i, h * w))
    K = K.reshape((c_o, c_i))
    Y = torch.matmul(K, X)
    return Y.reshape((c_o, h, w))


def pool2d(X: Array, pool_size: tuple[int, int], mode: str = "max") -> Array:
    """Take the maximum or the average of every window."""
    p_h, p_w = pool_size
    Y = X.new_zeros((X.shape[0] - p_h + 1, X.shape[1] - p_w + 1))
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
